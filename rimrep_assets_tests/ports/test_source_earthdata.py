"""NASA Earthdata as it behaves and misbehaves: the catalogue's pages, logins, redirects and files."""

from __future__ import annotations

import json
import logging
import pickle
from hashlib import sha256

import pytest

from rimrep_assets.domain.dataset import dataset_from_yaml
from rimrep_assets.domain.errors import DataError, DefinitionError, RimrepError, Unavailable
from rimrep_assets.domain.source_file import compare_ledgers
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.earthdata_folder import EarthdataFolder
from rimrep_assets.ports.sources.earthdata_granules import files_of
from rimrep_assets.ports.sources.earthdata_login import EarthdataAccess, EarthdataLogin
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.open_source import source_for
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets_tests.fake_earthdata import LOGIN_PAGE, PASSWORD, QUERY, SIGNATURE, USER, FakeEarthdata, Reply

DATA = bytes(range(256)) * 4096
SECRETS = ("secret-token", PASSWORD, "VerySecretSignature", "SecretCode")


@pytest.fixture
def nasa():
    server = FakeEarthdata()
    yield server
    server.close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def source(nasa, waits, tmp_path):
    def make(environment=None, *, query=QUERY, selection=None, cache="cache", **options) -> EarthdataFolder:
        return EarthdataFolder(
            query,
            selection,
            access=EarthdataAccess.from_environment(nasa.with_password if environment is None else environment),
            cache=DownloadCache(tmp_path / cache),
            client=HttpClient(sleep=waits.append, **options),
        )

    return make


def fill(nasa: FakeEarthdata, number: int) -> None:
    for day in range(1, number + 1):
        nasa.put(f"{day:03}.nc", b"CDF" + bytes([day]))


def told(error: RimrepError) -> str:
    """All that people may come to see of it, causes too."""
    texts, cause = [], error
    while cause is not None:
        texts += [str(cause), repr(cause)]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(texts)


MALFORMED = b'{"hits": 1, "items": [{"meta": {"concept-id": "G1", "revision-id": 1}, "umm": {"RelatedUrls": ["x"]}}]}'


# The catalogue


def test_all_pages_of_the_catalogue_are_read(nasa, source):
    fill(nasa, 8)
    nasa.page = 3
    assert [file.name for file in source().look()] == [f"{day:03}.nc" for day in range(1, 9)]
    searches = nasa.of("/search/")
    assert [r.headers.get("cmr-search-after") for r in searches] == [
        None,
        '["pocloud", 3, 7]',
        '["pocloud", 6, 7]',
        '["pocloud", 8, 7]',
    ]
    assert all("page_size=2000" in r.query and "short_name=MUR-INVENTED&version=4.1" in r.query for r in searches)


def test_a_page_that_is_missing_is_not_taken_for_withdrawn_granules(nasa, source):
    fill(nasa, 8)
    nasa.page, nasa.loses_page = 3, 1
    with pytest.raises(Unavailable, match="broke off after 6 of 8 granules"):
        source().look()


def test_a_search_that_took_too_long_is_not_complete(nasa, source):
    nasa.catalogue_replies = [Reply(200, {"CMR-Timed-Out": "true"}, b'{"hits": 0, "items": []}')]
    with pytest.raises(Unavailable, match="is not complete"):
        source().look()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": [{}], "hits": 1}', b'{"items": []}', MALFORMED])
def test_what_is_no_list_of_granules_is_refused(nasa, source, body):
    nasa.catalogue_replies = [Reply(200, {}, body)]
    with pytest.raises(Unavailable, match="does not answer with granules"):
        source().look()


def test_a_granule_that_is_revised_between_two_pages_counts_once_with_its_last_revision(nasa, source):
    fill(nasa, 2)
    old = nasa._item(nasa.granules["001.nc"])
    new = nasa._item(nasa.put("001.nc", b"CDF new"))
    other = nasa._item(nasa.granules["002.nc"])
    nasa.catalogue_replies = [_page([old, other], "x"), _page([new], "y"), _page([], None)]
    assert source().look()[0].digest == sha256(b"CDF new").hexdigest()


def _page(items, after) -> Reply:
    headers = {} if after is None else {"CMR-Search-After": after}
    return Reply(200, headers, json.dumps({"hits": 2, "items": items}).encode())


def test_a_search_that_the_catalogue_does_not_understand_is_an_error_of_the_catalog(nasa, source):
    nasa.catalogue_replies = [Reply(400, {}, b'{"errors": ["[x] is not a valid concept id"]}')]
    with pytest.raises(DefinitionError, match=r"the search is refused: .*short_name=MUR-INVENTED.*status 400"):
        source().look()


def test_a_busy_catalogue_is_waited_for(nasa, source, waits):
    fill(nasa, 1)
    nasa.catalogue_replies = [Reply(429, {"Retry-After": "7"}), Reply(503)]
    assert len(source().look()) == 1
    assert waits == [7.0, 2.0]


def test_the_catalogue_is_asked_by_nobody_in_particular(nasa, source):
    """It would refuse a token that expired, although it tells everybody the same."""
    fill(nasa, 1)
    source(nasa.with_token()).look()
    assert all("authorization" not in request.headers for request in nasa.of("/search/"))


def test_a_collection_that_is_not_found_says_what_to_compare(nasa, source):
    fill(nasa, 1)
    with pytest.raises(DataError, match="is empty") as empty:
        source(query={"short_name": "MUR-INVENTD", "version": "4.1"}).look()
    assert "search.earthdata.nasa.gov" in empty.value.advice


def link(url: str, kind: str = "GET DATA", **more: str) -> dict[str, str]:
    return {"URL": url, "Type": kind, **more}


def granule(*links, files=()) -> dict:
    meta = {"concept-id": "G1-X", "revision-id": 4, "revision-date": "2021-11-13T15:38:38.955Z"}
    umm = {"GranuleUR": "g", "RelatedUrls": list(links), "DataGranule": {"ArchiveAndDistributionInformation": files}}
    return {"meta": meta, "umm": umm}


ARCHIVE = "https://archive.podaac.earthdata.nasa.gov/protected"


def test_the_files_of_a_granule_are_its_own_links_to_data_by_https():
    """As PO.DAAC describes a granule of ASCAT."""
    found = files_of(
        granule(
            link("s3://podaac/ascat.nc"),
            link(f"{ARCHIVE}/ascat.nc"),
            link(f"{ARCHIVE}/ascat.nc.md5", "EXTENDED METADATA"),
            link("https://archive.podaac.earthdata.nasa.gov/s3credentials", "VIEW RELATED INFORMATION"),
            link("https://opendap.earthdata.nasa.gov/granules/ascat", "USE SERVICE API", Subtype="OPENDAP DATA"),
            link("https://opendap.earthdata.nasa.gov/granules/ascat.nc4"),
            link(f"{ARCHIVE}/ascat.wind.png", "GET RELATED VISUALIZATION"),
            link("http://old.example.org/ascat2.nc"),
            link("https://me:pw@old.example.org/ascat3.nc"),
            link("https://old.example.org/get?file=ascat4.nc"),
            link("https://mirror.example.org/ascat.nc"),
            files=[
                {"Name": "ascat.nc", "SizeInBytes": 12, "Checksum": {"Value": "AB12", "Algorithm": "SHA-256"}},
                {"Name": "ascat.nc.md5", "SizeInBytes": 5},
            ],
        )
    )
    assert [(f.name, f.url, f.checksum) for f in found] == [("ascat.nc", f"{ARCHIVE}/ascat.nc", ("sha256", "ab12"))]
    assert (found[0].stamp.size, found[0].stamp.revision) == (12, "sha-256:ab12")


def test_without_a_checksum_the_revision_of_the_granule_tells_versions_apart():
    (found,) = files_of(granule(link(f"{ARCHIVE}/a b.nc"), files=[{"Name": "GranuleZip", "Size": 1, "SizeUnit": "MB"}]))
    assert (found.name, found.url, found.checksum) == ("a b.nc", f"{ARCHIVE}/a%20b.nc", None)
    assert found.stamp.revision == "G1-X revision 4 of 2021-11-13T15:38:38.955Z"
    assert found.stamp.size is None


def test_what_older_descriptions_tell_without_a_name_is_of_the_only_file():
    files = [{"Name": "Not provided", "SizeInBytes": 12, "Checksum": {"Value": "ab12", "Algorithm": "MD5"}}]
    (found,) = files_of(granule(link(f"{ARCHIVE}/a.nc"), files=files))
    assert (found.stamp.size, found.checksum) == (12, ("md5", "ab12"))
    two = files_of(granule(link(f"{ARCHIVE}/a.nc"), link(f"{ARCHIVE}/b.nc"), files=files))
    assert [file.checksum for file in two] == [None, None]


def test_a_checksum_that_cannot_be_computed_here_still_tells_versions_apart(nasa):
    files = [{"Name": "a.nc", "Checksum": {"Value": "1A2B", "Algorithm": "Adler-32"}}]
    (found,) = files_of(granule(link(f"{ARCHIVE}/a.nc"), files=files))
    assert (found.stamp.revision, found.checksum) == ("adler-32:1a2b", None)


def test_every_granule_without_a_file_and_every_name_of_two_granules_is_told(nasa, source):
    fill(nasa, 3)
    nasa.granules["001.nc"].has_link = False
    nasa.granules["002.nc"].more_links = (link(f"{nasa.url}/protected/another/003.nc"),)
    with pytest.raises(DataError) as wrong:
        source().look()
    assert wrong.value.problems == (
        "127.0.0.1: G1-POCLOUD: no link to data by https",
        "127.0.0.1: 003.nc is a file of G2-POCLOUD and of G3-POCLOUD; provider, concept_id or temporal may tell them apart",
    )


def test_a_name_that_leads_elsewhere_is_refused(nasa, source):
    nasa.put("../../etc/passwd", b"1")
    with pytest.raises(DataError, match="not a name of a file below"):
        source().look()


def test_globs_choose_among_the_files_of_granules(nasa, source):
    fill(nasa, 3)
    nasa.put("001.nc.md5", b"1")
    chosen = source(selection=Selection(("*.nc",), ("002.*",))).look()
    assert [file.name for file in chosen] == ["001.nc", "003.nc"]


# Who we are


@pytest.mark.parametrize("directly", [True, False], ids=["token taken", "by the login and back"])
def test_the_token_is_shown_to_earthdata_and_never_to_who_hands_out_the_files(nasa, source, directly):
    fill(nasa, 3)
    nasa.accepts_directly = directly
    assert len(source().look()) == 3
    assert {r.host for r in nasa.asked if "authorization" in r.headers} == {"127.0.0.1"}
    assert len([r for r in nasa.of("/cdn/") if r.host == "localhost"]) == 3
    assert not [r for r in nasa.of("/cdn/") if "authorization" in r.headers or "cookie" in r.headers]
    assert bool(nasa.of("/oauth/authorize")) is not directly


@pytest.mark.parametrize(
    ("url", "is_known"),
    [
        ("https://urs.earthdata.nasa.gov/oauth/authorize", True),
        ("https://archive.podaac.earthdata.nasa.gov/a.nc", True),
        ("https://EARTHDATA.nasa.gov/", True),
        ("http://archive.podaac.earthdata.nasa.gov/a.nc", False),
        ("https://evil-earthdata.nasa.gov/", False),
        ("https://earthdata.nasa.gov.example.org/", False),
        ("https://earthdata.nasa.gov@example.org/", False),
        ("https://d1nklfio7vscoe.cloudfront.net/a.nc?Signature=x", False),
        ("https://example.org/earthdata.nasa.gov", False),
    ],
)
def test_a_token_is_for_earthdata_by_https(url, is_known):
    login = EarthdataLogin(EarthdataAccess(token="abc"), HttpClient())
    assert login.knows(url) is is_known
    assert bool(login.headers(url)) is is_known


def test_a_token_that_expired_is_renewed_once_for_all_files_that_were_refused(nasa, source, waits):
    fill(nasa, 12)
    environment = nasa.with_password | {"EARTHDATA_TOKEN": nasa.give_token()}
    nasa.expire()
    assert len(source(environment).look()) == 12
    assert [r.path for r in nasa.of("/api/")] == ["/api/users/find_or_create_token"]
    assert waits == []


def test_a_token_that_expires_on_the_way_is_renewed_and_the_file_tried_again(nasa, source):
    fill(nasa, 2)
    ours = source()
    before = ours.look()
    nasa.expire()
    fill(nasa, 4)
    after = ours.look(before)
    assert compare_ledgers(before, after).new == ("003.nc", "004.nc")
    assert len(nasa.of("/api/")) == 2


def test_an_expired_token_alone_is_one_error_that_says_what_to_do(nasa, source):
    fill(nasa, 50)
    environment = nasa.with_token()
    nasa.expire()
    with pytest.raises(DataError) as refused:
        source(environment).look()
    assert refused.value.problems == (
        "Earthdata refuses the token in EARTHDATA_TOKEN: it is expired, revoked or mistyped",
    )
    assert "set EARTHDATA_TOKEN" in refused.value.advice
    assert len(nasa.of("/protected/")) < 10
    assert not nasa.of("/api/")


def test_a_page_to_log_in_means_that_the_token_is_void(nasa, source):
    """Status 200 and a page of HTML is what many archives lead to where a token expired."""
    fill(nasa, 3)
    nasa.shows_login_page, nasa.accepts_directly = True, False
    environment = nasa.with_password | {"EARTHDATA_TOKEN": "expired"}
    assert len(source(environment).look()) == 3
    with pytest.raises(DataError, match="refuses the token in EARTHDATA_TOKEN"):
        source(nasa.environment(EARTHDATA_TOKEN="expired"), cache="another").look()


def test_a_login_that_gives_the_refused_token_again_is_asked_for_the_other_one(nasa, source):
    fill(nasa, 1)
    nasa.give_token()
    nasa.expire()
    second = nasa.give_token()
    nasa.sticky = True
    assert len(source().look()) == 1
    assert [r.path for r in nasa.of("/api/")] == [
        "/api/users/find_or_create_token",
        "/api/users/find_or_create_token",
        "/api/users/tokens",
    ]
    assert {r.headers["authorization"] for r in nasa.of("/protected/")} >= {f"Bearer {second}"}


def test_a_login_that_knows_no_other_token_than_the_refused_one_says_so(nasa, source):
    fill(nasa, 1)
    nasa.give_token()
    nasa.expire()
    nasa.sticky = True
    with pytest.raises(DataError, match="the very token that Earthdata refuses") as refused:
        source().look()
    assert "revoke" in refused.value.advice


def test_a_wrong_password_is_tried_once_and_never_told(nasa, source):
    fill(nasa, 20)
    with pytest.raises(DataError, match="refuses EARTHDATA_USERNAME and EARTHDATA_PASSWORD") as refused:
        source(nasa.environment(EARTHDATA_USERNAME=USER, EARTHDATA_PASSWORD="Wrong-Horse-7")).look()
    assert len(nasa.of("/api/")) == 1
    assert "Wrong-Horse-7" not in told(refused.value)


def test_without_a_login_it_says_what_to_set(nasa, source):
    fill(nasa, 3)
    with pytest.raises(DefinitionError, match="there is no login for NASA Earthdata") as nobody:
        source(nasa.environment()).look()
    assert "EARTHDATA_TOKEN" in nobody.value.advice
    assert len(nobody.value.problems) == 1


def test_a_licence_that_was_not_accepted_is_told_in_words(nasa, source):
    fill(nasa, 30)
    nasa.needs_licence = True
    with pytest.raises(DataError, match="hands out no files to this platform's user") as refused:
        source().look()
    assert "accept the licence (EULA)" in refused.value.advice
    assert len(refused.value.problems) == 1
    assert len(nasa.of("/protected/")) < 15


def test_a_host_that_may_not_see_the_token_is_told(nasa, source):
    fill(nasa, 1)
    with pytest.raises(DataError, match=r"127\.0\.0\.1 refuses to hand out files .* no host that may see") as refused:
        source(nasa.with_password | {"RIMREP_EARTHDATA_HOSTS": "earthdata.nasa.gov"}).look()
    assert "RIMREP_EARTHDATA_HOSTS" in refused.value.advice
    assert not [r for r in nasa.asked if "authorization" in r.headers]


def test_a_netrc_of_this_user_does_not_take_the_place_of_the_token(nasa, source, tmp_path, monkeypatch):
    """requests would send what ~/.netrc says of a host, whatever header it was given."""
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fill(nasa, 1)
    assert len(source().look()) == 1
    assert all(r.headers["authorization"].startswith("Bearer") for r in nasa.of("/protected/"))
    assert not [r for r in nasa.of("/cdn/") if "authorization" in r.headers]


@pytest.mark.parametrize("token", ["secret-token-1\n", "secret-token 1", "secret-token-\u00e9"])
def test_a_token_that_is_no_header_is_refused_without_being_told(nasa, source, token):
    fill(nasa, 1)
    with pytest.raises(DefinitionError, match="EARTHDATA_TOKEN holds spaces") as wrong:
        source(nasa.environment(EARTHDATA_TOKEN=token)).look()
    assert "secret" not in told(wrong.value)


def test_secrets_never_show_in_a_repr(nasa, source):
    access = EarthdataAccess.from_environment(nasa.with_password | {"EARTHDATA_TOKEN": "secret-token-1"})
    ours = source(nasa.with_password | {"EARTHDATA_TOKEN": "secret-token-1"})
    for thing in (access, ours.client, ours.client.login, ours):
        assert not [secret for secret in SECRETS if secret in repr(thing)]


def test_settings_travel_to_another_process(nasa, source):
    access = EarthdataAccess.from_environment(nasa.with_token())
    given = {name: value for name, value in access.to_environment().items() if value is not None}
    assert EarthdataAccess.from_environment(given) == access
    fill(nasa, 1)
    assert len(pickle.loads(pickle.dumps(source())).look()) == 1


@pytest.mark.parametrize("name", ["RIMREP_EARTHDATA_CMR", "RIMREP_EARTHDATA_LOGIN"])
def test_an_earthdata_without_https_is_refused(name, tmp_path):
    dataset = dataset_from_yaml(EARTHDATA_GRID, folder="sea")
    access = EarthdataAccess.from_environment({name: "http://cmr.example.org"})
    with pytest.raises(DefinitionError, match=f"{name} does not start with https://"):
        source_for(dataset, None, tmp_path, earthdata=access)
    assert source_for(dataset, None, tmp_path)


EARTHDATA_GRID = """
id: sea
collection: reef
format: zarr
access: public
coordinates: {x: lon, y: lat, t: time}
source: {kind: earthdata, short_name: MUR-INVENTED, version: "4.1", include: "*.nc"}
convert: [{read_netcdf: {}}]
"""


# The files


def test_an_unchanged_granule_is_not_asked_for(nasa, source):
    fill(nasa, 3)
    before = source().look()
    asked = len(nasa.of("/protected/", "/api/"))
    assert source(nasa.environment(), cache="another").look(before) == before
    assert len(nasa.of("/protected/", "/api/")) == asked


def test_a_file_that_no_catalogue_told_is_recorded_as_ever(nasa, source):
    """Records that are read and written again stay byte for byte what they were."""
    fill(nasa, 1)
    (file,) = source().look()
    assert json.loads(file.model_dump_json())["revision"].startswith("md5:")
    assert "revision" not in file.model_copy(update={"revision": None}).model_dump(mode="json")


def test_a_glance_asks_the_catalogue_alone(nasa, source):
    fill(nasa, 3)
    known = source().look()
    asked = len(nasa.of("/protected/", "/api/"))
    nasa.put("002.nc", b"CDF another")
    del nasa.granules["001.nc"]
    nasa.put("004.nc", b"CDF4")
    assert source(nasa.environment(), cache="another").glance(known).names == ("001.nc", "002.nc", "004.nc")
    assert len(nasa.of("/protected/", "/api/")) == asked


@pytest.mark.parametrize("checksum", [True, False])
def test_metadata_that_is_revised_alone_costs_no_bytes(nasa, source, checksum):
    nasa.tells_checksum = checksum
    fill(nasa, 2)
    before = source().look()
    nasa.granules["001.nc"].revision += 1
    after = source().look(before)
    assert compare_ledgers(before, after).is_empty
    conditional = [r.headers.get("if-none-match") for r in nasa.of("/cdn/")][2:]
    assert len(conditional) == (0 if checksum else 1)
    assert source().glance(after).names == ()


def test_a_size_that_the_catalogue_tells_wrongly_does_not_keep_the_file_away(nasa, source):
    """It is asked for again each time, and costs no bytes."""
    nasa.tells_checksum = False
    nasa.put("a.nc", b"CDF 1").told = b"longer than that"
    before = source().look()
    assert source().look(before) == before
    assert [r.headers.get("if-none-match") is not None for r in nasa.of("/cdn/")] == [False, True]


def test_bytes_that_are_older_than_the_catalogue_are_not_taken(nasa, source):
    nasa.put("a.nc", b"CDF old")
    before = source().look()
    nasa.put("a.nc", b"CDF new").data = b"CDF old"
    with pytest.raises(Unavailable, match="not the file whose md5 checksum the catalogue tells"):
        source().look(before)
    nasa.granules["a.nc"].data = b"CDF new"
    assert compare_ledgers(before, source().look(before)).reissued == ("a.nc",)


def test_a_truncated_file_is_resumed_where_it_ended(nasa, source):
    nasa.put("a.nc", DATA)
    nasa.replies = [
        Reply(cut_after=300_000),
        Reply(206, {"Content-Range": f"bytes 300000-{len(DATA) - 1}/{len(DATA)}"}, DATA[300_000:], cut_after=1000),
    ]
    (file,) = source().look()
    assert file.digest == sha256(DATA).hexdigest()
    assert [r.headers.get("range") for r in nasa.of("/cdn/")] == [None, "bytes=300000-", "bytes=301000-"]


def test_a_busy_archive_is_waited_for_as_long_as_it_asks(nasa, source, waits):
    nasa.put("a.nc", DATA)
    nasa.replies = [Reply(429, {"Retry-After": "7"}, b""), Reply(503, {"Retry-After": "3"}, b"")]
    assert source().look()[0].size == len(DATA)
    assert waits == [7.0, 3.0]


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_web_page_in_place_of_a_file_is_refused_in_words(nasa, source, kind, checksum):
    nasa.tells_checksum = checksum
    nasa.put("a.nc", DATA)
    nasa.replies = [Reply(200, {"Content-Type": kind}, LOGIN_PAGE)]
    with pytest.raises(Unavailable, match=r"a\.nc answers with a web page instead of the file") as page:
        source().look()
    assert "a login, a licence or an approval" in page.value.advice
    assert source().look()[0].digest == sha256(DATA).hexdigest()


def test_a_fetch_by_another_process_asks_no_catalogue(nasa, source, tmp_path):
    nasa.put("a.nc", DATA)
    (file,) = source().look()
    searches = len(nasa.of("/search/"))
    assert source(cache="another").fetch(file, tmp_path / "to").read_bytes() == DATA
    assert len(nasa.of("/search/")) == searches


def test_no_secret_is_remembered_logged_or_told(nasa, source, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    nasa.accepts_directly = False
    fill(nasa, 2)
    sighting = source().look()
    assert [file.url for file in sighting] == [f"{nasa.url}/protected/{day:03}.nc" for day in (1, 2)]
    nasa.put("003.nc", DATA)
    away = "ftp://elsewhere.example.org/003.nc?" + SIGNATURE
    cases = (
        ([Reply(302, {"Location": away}, b"")], "which is no web address", {}),
        ([Reply(302, {"Location": f"http://localhost:1/003.nc?{SIGNATURE}"}, b"")] * 5, "refused", {}),
        ([Reply(200, {"Content-Encoding": "gzip"})], "sends it as gzip", {}),
        ([], "larger than the 9 bytes", {"max_bytes": 9}),
        ([Reply(503, {}, b"")] * 5, "status 503", {}),
        ([Reply(cut_after=0)] * 5, "broke after 0 bytes", {}),
    )
    for replies, words, options in cases:
        nasa.replies = list(replies)
        with pytest.raises(RimrepError, match=words) as failed:
            source(**options).look(sighting)
        assert not [secret for secret in SECRETS if secret in told(failed.value)]
    kept = [path.read_text() for path in (tmp_path / "cache" / "seen").iterdir()]
    assert not [text for text in kept for secret in (*SECRETS, "Signature") if secret in text]
    assert not [secret for secret in ("secret-token", PASSWORD) if secret in caplog.text]
