"""`rimrep up`: what it starts, what a person sees and clicks in Chromium, and that it ends with all its parts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from rimrep_assets_tests.homes import command_environment, rimrep_process
from rimrep_assets_tests.running_platform import RunningPlatform, answer_of, chromium, platform_on, screenshot, wait_for
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_table

DATASETS = ("aims-temp-loggers", "gbrmpa-management-areas", "noaa-crw-chs-dhw")
GROUP_PAGE = "/locations/__repository__@rimrep_assets/asset-groups"


def example_world(root: Path) -> World:
    """The example catalog, committed, with its sources beside it."""
    from rimrep_examples.catalog_repository import make_catalog
    from rimrep_examples.sources import write_sources

    write_sources(root / "sources")
    make_catalog(root / "catalog.git")
    subprocess.run(["git", "clone", "--quiet", root / "catalog.git", root / "catalog"], check=True)
    return World(root)


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> RunningPlatform:
    world = example_world(tmp_path_factory.mktemp("example"))
    with platform_on(world, "--no-sensors") as platform:
        yield platform


def small_world(root: Path) -> World:
    world = World(root)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    return world


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started, and what these started."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def served_links(platform: RunningPlatform, dataset: str) -> list[str]:
    """The links of a collection's page to published files."""
    with urllib.request.urlopen(f"{platform.addresses['pygeoapi']}/collections/{dataset}?f=json") as answer:
        links = [link["href"] for link in json.load(answer)["links"]]
    assert not [link for link in links if link.startswith("/")], links
    return [link for link in links if link.startswith(platform.addresses["files"])]


def test_every_address_that_is_printed_answers(example):
    assert answer_of(f"{example.addresses['dagster']}/server_info") == 200
    assert answer_of(f"{example.addresses['pygeoapi']}/collections") == 200
    assert answer_of(f"{example.addresses['files']}/public/pygeoapi/header.yaml") == 200


def test_the_files_server_shows_nothing_but_the_public_folder(example):
    limited = Path(example.world.store_url) / "limited-access"
    limited.mkdir(exist_ok=True)
    (limited / "secret.txt").write_text("secret")
    (Path(example.world.store_url) / "public" / "way-out").symlink_to(limited)
    base = example.addresses["files"]
    for path in ("limited-access/secret.txt", "public/../limited-access/secret.txt", "public/way-out/secret.txt"):
        assert answer_of(f"{base}/{path}") == 404, path


def test_the_graph_says_of_each_dataset_what_it_is_and_whom_to_ask(example):
    node = example.assets()["noaa-crw-chs-dhw/data"]
    assert node["groupName"] == "noaa_crw_chs_dhw"
    assert node["kinds"] == ["zarr"]
    assert "degree heating weeks" in node["description"]
    assert {owner.get("email") or owner.get("team") for owner in node["owners"]} >= {"gbr_heat_stress"}
    assert {"key": "rimrep/access", "value": "public"} in node["tags"]


def test_a_person_sees_the_graph_materializes_by_a_click_and_finds_the_picture_and_the_page(example):
    with chromium() as page:
        page.goto(f"{example.addresses['dagster']}/asset-groups")
        for dataset in DATASETS:
            page.get_by_text(dataset.replace("-", "_")).first.wait_for()
        screenshot(page, "graph")
        page.goto(f"{example.addresses['dagster']}{GROUP_PAGE}/noaa_crw_chs_dhw")
        page.get_by_role("button", name="Materialize all").click()
        run = wait_for(lambda: example.runs(), 60, "a click launches a run")[0]["runId"]
        assert example.ended(run) == "SUCCESS", example.told(run)
        begin = time.monotonic()
        wait_for(lambda: example.served("noaa-crw-chs-dhw"), 30, "pygeoapi shows the dataset")
        assert time.monotonic() - begin <= 30
        page.wait_for_timeout(1500)
        screenshot(page, "group")
        page.goto(f"{example.addresses['dagster']}/assets/noaa-crw-chs-dhw/release?view=events")
        picture = page.locator("img[src*='quicklook.png']")
        picture.wait_for()
        assert page.evaluate("i => i.naturalWidth", picture.element_handle()) > 400
        picture.scroll_into_view_if_needed()
        screenshot(page, "quicklook")
        page.goto(f"{example.addresses['dagster']}/assets/noaa-crw-chs-dhw/datapackage?view=checks")
        page.get_by_text("values_match_source").first.wait_for()
        screenshot(page, "checks")
        links = served_links(example, "noaa-crw-chs-dhw")
        assert links and all(answer_of(link) == 200 for link in links), links
        page.goto(f"{example.addresses['pygeoapi']}/collections/noaa-crw-chs-dhw?f=html")
        page.get_by_text("NOAA Coral Reef Watch").first.wait_for()
        screenshot(page, "pygeoapi")


def test_a_second_up_says_that_one_runs_and_where(example):
    ended = rimrep_process(example.world, "up")
    assert ended.code == 2
    assert "runs already" in ended.err and example.addresses["dagster"] in ended.err and "rimrep down" in ended.err


def test_a_taken_port_is_named_and_nothing_is_started(tmp_path):
    world = small_world(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = rimrep_process(world, "up", "--dagster-port", str(port))
    assert ended.code == 3
    assert f"port {port} for dagster is taken" in ended.err
    assert not (tmp_path / "data" / "up" / "running.json").exists()


@pytest.mark.long
def test_one_port_asked_for_two_parts_is_named_and_nothing_is_started(tmp_path):
    ended = rimrep_process(small_world(tmp_path), "up", "--dagster-port", "54991", "--files-port", "54991")
    assert ended.code == 3
    assert "port 54991 is asked for more than one part" in ended.err
    assert not (tmp_path / "data" / "up" / "running.json").exists()


@pytest.mark.long
def test_of_two_that_start_at_once_the_second_says_so_and_disturbs_nothing(tmp_path):
    world = small_world(tmp_path)
    folder = tmp_path / "data" / "up"
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        ended = rimrep_process(world, "up")
    assert ended.code == 2
    assert "a platform runs already" in ended.err and "it is starting" in ended.err
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_an_interrupted_start_ends_at_once_with_all_that_had_started(tmp_path):
    world = small_world(tmp_path)
    command = [sys.executable, "-m", "rimrep_assets.cli", "up"]
    environment = {**os.environ, **command_environment(world)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as starting:
        wait_for(lambda: (tmp_path / "data" / "up" / "dagster" / "pid").exists(), 60, "Dagster begins to start")
        everything = family(starting.pid)
        begin = time.monotonic()
        starting.send_signal(signal.SIGINT)
        starting.wait(60)
        assert time.monotonic() - begin < 30
        assert starting.returncode == 130
        wait_for(lambda: gone(everything), 20, "all processes are gone")
    assert not (tmp_path / "data" / "up" / "running.json").exists()


@pytest.mark.long
def test_down_ends_a_platform_that_is_still_starting(tmp_path):
    world = small_world(tmp_path)
    command = [sys.executable, "-m", "rimrep_assets.cli", "up"]
    environment = {**os.environ, **command_environment(world)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as starting:
        wait_for(lambda: (tmp_path / "data" / "up" / "dagster" / "pid").exists(), 60, "Dagster begins to start")
        everything = family(starting.pid)
        ended = rimrep_process(world, "down")
        assert f"ended the platform, process {starting.pid}" in ended.out
        assert starting.wait(20) == 130
        wait_for(lambda: gone(everything), 20, "all processes are gone")


def test_a_port_that_cannot_be_is_refused(tmp_path):
    ended = rimrep_process(small_world(tmp_path), "up", "--dagster-port", "80000")
    assert ended.code == 2 and "80000" in ended.err


def test_a_store_that_is_not_reachable_is_named_and_nothing_is_started(tmp_path):
    from dataclasses import replace

    world = replace(small_world(tmp_path), store_url="s3://nowhere/x")
    world.s3_environment = {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    ended = rimrep_process(world, "up")
    assert ended.code == 3
    assert "s3://nowhere" in ended.err


@pytest.mark.long
def test_a_killed_platform_takes_its_parts_along_and_the_next_one_on_the_same_ports_is_ended_by_down(tmp_path):
    world = small_world(tmp_path)
    with platform_on(world, "--no-sensors") as platform:
        first = dict(platform.addresses)
        everything = family(platform.process.pid)
        assert len(everything) > 5
        os.kill(platform.process.pid, signal.SIGKILL)
        wait_for(lambda: gone(everything), 20, "the parts end with their starter")
    with platform_on(world, "--no-sensors") as platform:
        assert dict(platform.addresses) == first
        platform.launch([f"{TABLE}/data"])
        everything = wait_for(lambda: f if len(f := family(platform.process.pid)) > 5 else None, 10, "parts")
        ended = rimrep_process(world, "down")
        assert ended.code == 0, ended.err
        assert f"process {platform.process.pid}" in ended.out
        wait_for(lambda: gone(everything), 10, "all processes are gone, a run that was under way included")
    again = rimrep_process(world, "down")
    assert (again.code, again.out) == (0, "no platform runs here\n")


@pytest.mark.long
def test_a_part_that_dies_ends_the_platform_with_a_message(tmp_path):
    world = small_world(tmp_path)
    with platform_on(world, "--no-sensors") as platform:
        component = int((tmp_path / "data" / "up" / "files" / "pid").read_text().split()[0])
        everything = family(platform.process.pid)
        os.kill(component, signal.SIGKILL)
        assert platform.process.wait(30) == 3
        wait_for(lambda: gone(everything), 10, "all processes are gone")
        assert "the files server ended by itself" in platform.log.read_text()
