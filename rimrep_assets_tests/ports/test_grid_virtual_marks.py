"""References to files on a web server that gives the same bytes another ETag or time, or moves them.

Icechunk leaves ports out of addresses, so the server plays the proxy to one that is known by its name alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import icechunk
import pytest

from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets_tests.grid_worlds import assert_equals_sources
from rimrep_assets_tests.virtual_worlds import (
    MarkedServer,
    chunks,
    glanced,
    next_release,
    published,
    world_of,
    write_day,
    written,
)
from rimrep_assets_tests.worlds import GRID, World

SOURCE = {"kind": "http", "url": "http://data.example.org/", "include": "*.nc"}
EARLIER = 1_700_000_000


@pytest.fixture
def server(tmp_path, monkeypatch):
    provider = tmp_path / "provider"
    provider.mkdir()
    with MarkedServer(provider) as running:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, running.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield running


@pytest.fixture
def paths(server) -> list[Path]:
    found = [write_day(server.folder, day) for day in range(3)]
    for path in found:
        os.utime(path, (EARLIER, EARLIER))
    return found


@pytest.fixture
def world(tmp_path, paths) -> World:
    return world_of(tmp_path, source=SOURCE)


def mark_of(record: ReleaseRecord, name: str) -> tuple[str | None, str | None]:
    place = next(file.place for file in record.sources if file.name == name)
    assert place is not None
    return place.etag, place.last_modified


def assert_followed(world: World, first: ReleaseRecord, paths: list[Path]) -> ReleaseRecord:
    """The second file bears another mark: it is noticed from afar and by a look, and its references alone follow."""
    with pytest.raises(icechunk.IcechunkError, match="has changed"):
        assert_equals_sources(world, first.snapshot, paths, "heat")
    assert glanced(world) == ("heat_001.nc",)
    assert world.attempt(GRID).look().change.remarked == ("heat_001.nc",)
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) == chunks(1)
    assert glanced(world) == ()
    assert world.attempt(GRID).publish() is None
    return second


def test_references_follow_an_etag_that_changes_over_the_same_bytes_and_the_same_time(world, server, paths):
    """The listing shows sizes and times alone, and these stay."""
    server.etags = {path.name: '"one"' for path in paths}
    first = published(world)
    assert glanced(world) == ()
    server.etags["heat_001.nc"] = '"two"'
    second = assert_followed(world, first, paths)
    assert mark_of(second, "heat_001.nc") == ('"two"', None)
    assert [f.digest for f in first.sources] == [f.digest for f in second.sources]


@pytest.mark.parametrize("etag", [None, 'W/"of the bytes"'])
def test_references_follow_a_time_that_changes_over_the_same_bytes(world, server, paths, etag):
    """A weak ETag is no mark, and stays the same when the time changes."""
    server.etags = {path.name: etag for path in paths if etag}
    first = published(world)
    assert mark_of(first, "heat_001.nc") == (None, "Tue, 14 Nov 2023 22:13:20 GMT")
    server.times["heat_001.nc"] = EARLIER + 3600
    second = assert_followed(world, first, paths)
    assert mark_of(second, "heat_001.nc") == (None, "Tue, 14 Nov 2023 23:13:20 GMT")


def test_references_follow_a_renamed_file_beside_an_appended_one(world, server, paths):
    server.etags = {path.name: '"one"' for path in paths}
    first = published(world)
    paths[1] = paths[1].rename(server.folder / "b1.nc")
    paths.append(write_day(server.folder, 3))
    server.etags |= {"b1.nc": '"one"', "heat_003.nc": '"one"'}
    os.utime(paths[3], (EARLIER, EARLIER))
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) - {"time/c/0"} == chunks(1, 3)


def test_verify_names_files_of_a_web_server_that_are_gone_or_changed(world, server, paths, rimrep):
    server.etags = {path.name: '"one"' for path in paths}
    published(world)
    paths[0].unlink()
    server.etags["heat_001.nc"] = '"two"'
    done = rimrep(world, "verify", GRID)
    assert (done.code, done.err) == (4, "")
    assert done.out.splitlines()[1:] == [
        "  - heat_000.nc: it is gone from http://data.example.org/heat_000.nc, where this release refers to it; "
        "publish again: what the source holds now is referred to anew",
        "  - heat_001.nc: its provider changed it at http://data.example.org/heat_001.nc after this release referred "
        "to it (another ETag or time); publish again: what the source holds now is referred to anew",
    ]


def test_verify_waits_for_a_provider_who_does_not_answer(world, server, paths, rimrep):
    published(world)
    server.http.shutdown()
    server.http.server_close()
    done = rimrep(world, "verify", GRID)
    assert done.code == 3
    assert f"{GRID}: heat_000.nc cannot be read at http://data.example.org/heat_000.nc: " in done.err
    assert "Connection refused" in done.err
    assert "Traceback" not in done.err


def test_copies_do_not_follow_an_etag_that_changes_over_the_same_bytes(tmp_path, server, paths):
    server.etags = {path.name: '"one"' for path in paths}
    world = world_of(tmp_path, source=SOURCE, layout={"virtual": False})
    published(world)
    server.etags["heat_001.nc"] = '"two"'
    assert world.attempt(GRID).look().change.is_empty
    assert world.attempt(GRID).publish() is None


def test_a_server_that_stops_telling_marks_is_told_and_nothing_is_published(world, server, paths, rimrep):
    server.etags = {path.name: '"one"' for path in paths}
    published(world)
    server.etags["heat_001.nc"] = 'W/"two"'
    server.times["heat_001.nc"] = 4_000_000_000  # so lately that it could change again unnoticed
    done = rimrep(world, "publish", GRID)
    assert done.code == 2
    assert "heat_001.nc: its server tells neither an ETag nor a time by which a later change could" in done.err
    assert "take layout.virtual out of dataset.yaml" in done.err
    assert world.projector(GRID).log.newest().release == 1


def test_a_place_that_a_release_tells_is_no_part_of_a_sighting_by_who_copies(tmp_path, server, paths):
    """The release referred to the file, and the download cache was emptied since."""
    server.etags = {path.name: '"one"' for path in paths}
    copying = world_of(tmp_path, source=SOURCE, layout={"virtual": False}).attempt(GRID).bench.source
    known = [
        SourceFile.model_validate({**file.model_dump(), "place": {"url": file.url, "etag": file.etag}})
        for file in copying.look()
    ]
    for seen in (tmp_path / "data").rglob("seen/*.json"):
        seen.unlink()
    assert [file.place for file in copying.look(known)] == [None, None, None]
