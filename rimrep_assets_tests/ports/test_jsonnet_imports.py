"""The scan finds every file that the evaluator reads."""

from __future__ import annotations

import pytest

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.ports.jsonnet_evaluator import evaluate
from rimrep_assets.ports.jsonnet_imports import JsonnetFiles, closure, scan

FILES = {
    "a/near.libsonnet": "{near: 1}",
    "lib/far.libsonnet": "{far: importstr 'text.json', deep: (import 'deep.libsonnet').deep}",
    "lib/text.json": "import 'lib/not-code.json'",
    "lib/not-code.json": "{}",
    "lib/deep.libsonnet": "{deep: true}",
    "lib/it's.libsonnet": "{odd: 1}",
    "lib/é.libsonnet": "{accent: 1}",
    "lib/unused.libsonnet": "{}",
}


@pytest.mark.parametrize(
    "main",
    [
        "import 'near.libsonnet'",
        'import "lib/far.libsonnet"',
        "import @'lib/it''s.libsonnet'",
        "import 'lib/it\\'s.libsonnet'",
        "import 'lib/\\u00e9.libsonnet'",
        "import /* a comment */ 'near.libsonnet'",
        "import // a comment\n  # another\n 'lib/deep.libsonnet'",
        "local text = 'import \"'; (import 'near.libsonnet') + {a: text, b: 'x\"'}",
        "{a: (import'near.libsonnet').near, b: importstr 'lib/far.libsonnet'}",
        "{a: importbin 'lib/deep.libsonnet'}",
        "(import '../lib/far.libsonnet') + (import 'lib/deep.libsonnet')",
    ],
)
def test_everything_that_the_evaluator_reads_is_in_the_closure(main):
    files = {**FILES, "a/main.jsonnet": main}
    read = evaluate("a/main.jsonnet", files).imports
    found = closure("a/main.jsonnet", files)
    assert read and set(read) | {"a/main.jsonnet"} == set(found)


@pytest.mark.parametrize(
    "computed", ["import ('near.libsonnet')", "import |||\n  near.libsonnet\n|||", "import 'a' + 'b'"]
)
def test_jsonnet_itself_refuses_imports_that_no_scan_could_find(computed):
    with pytest.raises(DefinitionError):
        evaluate("a/main.jsonnet", {**FILES, "a/main.jsonnet": computed})


def test_a_circle_ends_and_what_is_not_there_is_left_out():
    files = {"a.jsonnet": "(import 'b.libsonnet') + (import 'absent.libsonnet')", "b.libsonnet": "import 'a.jsonnet'"}
    assert closure("a.jsonnet", files) == ("a.jsonnet", "b.libsonnet")
    assert closure("absent.jsonnet", files) == ()


def test_a_file_taken_as_text_and_as_code_is_followed():
    files = {"a.jsonnet": "{t: importstr 'b.libsonnet', c: import 'b.libsonnet'}", "b.libsonnet": "import 'c.json'"}
    assert closure("a.jsonnet", {**files, "c.json": "{}"}) == ("a.jsonnet", "b.libsonnet", "c.json")


def test_a_branch_that_is_never_taken_counts_too():
    assert scan("if false then import 'x.libsonnet' else 1") == (("import", "x.libsonnet"),)


def test_the_environment_s_endpoints_stand_at_the_root():
    texts = {"endpoints/dev.libsonnet": "{}", "endpoints/prod.libsonnet": "{a: 1}", "notes.md": "import 'x'"}
    files = JsonnetFiles(texts, "prod")
    assert files["endpoints.libsonnet"] == "{a: 1}"
    assert "notes.md" not in files
    assert sorted(files) == ["endpoints/dev.libsonnet", "endpoints/prod.libsonnet"]
