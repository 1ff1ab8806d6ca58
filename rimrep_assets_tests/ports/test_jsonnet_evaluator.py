"""A catalog's jsonnet is rendered from the catalog alone, within limits."""

from __future__ import annotations

import json
import time

import pytest

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.ports.jsonnet_evaluator import evaluate

MAIN = "collections/aims-temp/collection.jsonnet"


def test_imports_are_found_beside_the_file_then_from_the_root_and_all_are_named():
    files = {
        MAIN: "(import 'near.libsonnet') + (import 'lib/far.libsonnet') + (import '../../lib/up.libsonnet')",
        "collections/aims-temp/near.libsonnet": "{near: 1} + (import 'lib/deep.libsonnet')",
        "lib/far.libsonnet": "{far: importstr 'text.md', again: (import 'deep.libsonnet').deep}",
        "lib/text.md": "words",
        "lib/deep.libsonnet": "{deep: true}",
        "lib/up.libsonnet": "{up: 'x'}",
        "lib/unused.libsonnet": "{}",
    }
    done = evaluate(MAIN, files)
    assert done.document == {"near": 1, "deep": True, "far": "words", "again": True, "up": "x"}
    assert set(done.imports) == set(files) - {MAIN, "lib/unused.libsonnet"}


def test_the_environments_endpoints_decide_the_urls():
    def rendered(host: str) -> object:
        files = {
            MAIN: "local e = import 'endpoints.libsonnet'; {href: e.stac + '/collections'}",
            "endpoints.libsonnet": "{stac: 'https://%s'}" % host,  # noqa: UP031
        }
        return evaluate(MAIN, files).document["href"]

    assert rendered("stac.dev.example") == "https://stac.dev.example/collections"
    assert rendered("stac.example") == "https://stac.example/collections"


def test_external_variables_reach_the_document():
    done = evaluate("a.jsonnet", {"a.jsonnet": "function(t) {v: std.extVar('v'), t: t}"}, {"v": "1"}, {"t": "2"})
    assert done.document == {"v": "1", "t": "2"}


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../../etc/passwd", "../../../../../../../../etc/passwd", "..", "lib/../../x", "nowhere.json"],
)
@pytest.mark.parametrize("word", ["import", "importstr", "importbin"])
def test_nothing_outside_the_catalog_can_be_imported(name, word):
    with pytest.raises(DefinitionError, match=r"collection\.jsonnet"):
        evaluate(MAIN, {MAIN: f"{{x: {word} '{name}'}}", "inside.json": "{}"})


def test_the_message_is_jsonnets_own_with_file_and_line():
    with pytest.raises(DefinitionError, match=r"lib/broken\.libsonnet:2"):
        evaluate(MAIN, {MAIN: "import 'lib/broken.libsonnet'", "lib/broken.libsonnet": "{\n a: }"})


def test_infinite_recursion_ends_with_a_message():
    with pytest.raises(DefinitionError, match="max stack frames exceeded"):
        evaluate("a.jsonnet", {"a.jsonnet": "local f(x) = f(x + 1) + 1; {a: f(1)}"})


def test_a_memory_bomb_ends_with_a_message():
    bomb = "local f(s, n) = if n == 0 then s else f(s + s, n - 1); {a: f('0123456789abcdef', 40)}"
    with pytest.raises(DefinitionError, match=r"more than (512 MiB of memory|8 s of CPU time)"):
        evaluate("a.jsonnet", {"a.jsonnet": bomb})


def test_work_without_end_is_stopped():
    endless = "{a: std.foldl(function(a, b) a + b, std.range(1, 100000000), 0)}"
    begin = time.monotonic()
    with pytest.raises(DefinitionError, match=r"did not end within 1 s|of memory|of CPU time"):
        evaluate("a.jsonnet", {"a.jsonnet": endless}, wall_s=1)
    assert time.monotonic() - begin < 5


def test_an_answer_beyond_measure_is_refused():
    with pytest.raises(DefinitionError, match="characters, more than"):
        evaluate("a.jsonnet", {"a.jsonnet": "{a: importstr 'big.md'}", "big.md": "x" * 1_100_000})


def test_a_document_that_is_no_object_is_refused():
    with pytest.raises(DefinitionError, match="renders to list, not to an object"):
        evaluate("a.jsonnet", {"a.jsonnet": "[1]"})


def test_a_main_file_that_is_absent_is_named():
    with pytest.raises(DefinitionError, match=r"the catalog has no a\.jsonnet"):
        evaluate("a.jsonnet", {})


def test_a_plain_json_file_renders_to_itself():
    document = {"ä": [1, 2.5, None, "${HOME}"]}
    assert evaluate("a.json", {"a.json": json.dumps(document)}).document == document
