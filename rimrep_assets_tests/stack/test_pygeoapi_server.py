"""The real pygeoapi on a small configuration; its data lies in the S3 server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests
import yaml

from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.stack.pygeoapi_server import PygeoapiServer
from rimrep_assets.stack.s3_server import S3Server

pytest.importorskip("moto")

OPENAPI = {"openapi": "3.0.2", "info": {"title": "t", "version": "1"}, "paths": {}, "servers": [{"url": "x"}]}


def a_configuration(**resources: Any) -> dict[str, Any]:
    return {
        "server": {
            "bind": {"host": "0.0.0.0", "port": 80},
            "url": "https://pygeoapi.example.org",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-AU"],
            "limits": {"default_items": 10, "max_items": 100},
            "map": {"url": "https://tile.example.org/{z}/{x}/{y}.png", "attribution": "none"},
            "admin": True,
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": "Test",
                "description": "Test",
                "keywords": ["test"],
                "keywords_type": "theme",
                "terms_of_service": "https://example.org",
                "url": "https://example.org",
            },
            "license": {"name": "CC-BY-4.0", "url": "https://example.org"},
            "provider": {"name": "Test", "url": "https://example.org"},
            "contact": {"name": "Test", "email": "test@example.org"},
        },
        "resources": resources,
    }


def a_collection(title: str) -> dict[str, Any]:
    source = "s3://rimrep-data-public/sites.parquet"
    provider = {"type": "feature", "name": "Parquet", "data": {"source": source}, "id_field": "fid"}
    return {
        "type": "collection",
        "title": title,
        "description": title,
        "keywords": ["k"],
        "links": [],
        "extents": {"spatial": {"bbox": [-180, -90, 180, 90], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
        "providers": [{**provider, "x_field": "lon", "y_field": "lat"}],
    }


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    import boto3
    import geopandas as gpd

    with S3Server(tmp_path_factory.mktemp("s3"), buckets=["rimrep-data-public"]) as server:
        path = tmp_path_factory.mktemp("data") / "sites.parquet"
        columns = {"fid": ["1", "2"], "lon": [147.5, 151.9], "lat": [-18.8, -23.4]}
        points = gpd.points_from_xy(columns["lon"], columns["lat"])
        gpd.GeoDataFrame(columns, geometry=points, crs="EPSG:4326").to_parquet(path)
        client = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            region_name="ap-southeast-2",
        )
        client.upload_file(str(path), "rimrep-data-public", "sites.parquet")
        yield server


@pytest.fixture(scope="module")
def server(s3, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pygeoapi")
    (folder / "config.yml").write_text(yaml.safe_dump(a_configuration(sites=a_collection("Before"))))
    (folder / "openapi.json").write_text(json.dumps(OPENAPI))
    with PygeoapiServer(
        folder / "config.yml", folder / "openapi.json", folder / "run", environment=s3.client_environment()
    ) as running:
        yield running


def get(server: PygeoapiServer, path: str) -> Any:
    answer = requests.get(f"{server.url}{path}", params={"f": "json"}, timeout=30)
    assert answer.ok, server.log_tail()
    return answer.json()


def test_data_in_s3_is_served_under_the_real_address(server):
    found = get(server, "/collections/sites/items")
    assert [f["geometry"]["coordinates"] for f in found["features"]] == [[147.5, -18.8], [151.9, -23.4]]
    links = get(server, "/collections/sites")["links"]
    assert all(link["href"].startswith(server.url) for link in links)
    assert get(server, "/openapi")["servers"] == [{"url": server.url}]


def test_a_changed_configuration_is_served_after_a_reload(server):
    changed = a_configuration(sites=a_collection("After"), more=a_collection("More"))
    server.configuration.write_text(yaml.safe_dump(changed))
    server.reload()
    for _ in range(5):
        titles = {c["title"] for c in get(server, "/collections")["collections"]}
        assert titles == {"After", "More"}


def test_a_configuration_that_cannot_be_loaded_is_refused_and_the_old_one_is_served_on(server):
    good = server.configuration.read_text()
    server.configuration.write_text("server: [")
    try:
        with pytest.raises(DataError, match=r"config\.yml cannot be read"):
            server.reload()
        server.configuration.write_text("server: {}")
        with pytest.raises(DataError) as refused:
            server.reload()
        assert len(refused.value.problems) == 2
    finally:
        server.configuration.write_text(good)
    assert get(server, "/collections/sites")["id"] == "sites"


def test_a_configuration_that_pygeoapi_does_not_start_on_shows_its_log(tmp_path):
    configuration = a_configuration()
    del configuration["server"]["languages"]
    configuration["server"]["language"] = "no-such-language-tag-at-all!"
    (tmp_path / "c.yml").write_text(yaml.safe_dump(configuration))
    (tmp_path / "o.yml").write_text(yaml.safe_dump(OPENAPI))
    with pytest.raises(Unavailable, match=r"(?s)pygeoapi did not become ready.*the end of its log:.*Error"):
        PygeoapiServer(tmp_path / "c.yml", tmp_path / "o.yml", tmp_path / "run").start()


def test_a_page_points_at_nobody_where_no_mail_is_told(server):
    def mails() -> list[str]:
        pages = [
            requests.get(f"{server.url}{path}", params={"f": "html"}, timeout=30).text for path in ("/", "/collections")
        ]
        assert all("Contact" in page for page in pages)
        return [mail for page in pages for mail in re.findall('href="mailto:([^"]*)"', page)]

    assert mails() == ["test@example.org"] * 3
    good = server.configuration.read_text()
    configuration = yaml.safe_load(good)
    configuration["metadata"]["contact"] = {"name": "Test", "url": "https://example.org/contact"}
    server.configuration.write_text(yaml.safe_dump(configuration))
    try:
        server.reload()
        assert mails() == []
        assert 'href="https://example.org/contact"' in requests.get(f"{server.url}/?f=html", timeout=30).text
    finally:
        server.configuration.write_text(good)
        server.reload()
    assert len(mails()) == 3
