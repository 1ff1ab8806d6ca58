"""The manual against the program: commands, options, links, and the site that is built from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from rimrep_assets.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def sections(text: str) -> dict[str, str]:
    """Headings of the second level of docs/commands.md that are commands, and what stands below each."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {title.split()[1]: body for title, body in found.items() if title.startswith("rimrep ")}


def slug(heading: str) -> str:
    words = re.sub(r"[^\w\s-]", "", re.sub(r"`", "", heading)).strip().lower()
    return re.sub(r"[-\s]+", "-", words)


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)}


def broken_links(page: Path) -> list[str]:
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.fixture(scope="module")
def documented() -> dict[str, str]:
    return sections((ROOT / "docs/commands.md").read_text())


def test_the_manual_has_every_command_and_no_other(documented):
    assert sorted(documented) == sorted(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_manual_has_every_option_of_a_command_and_no_other(documented, command):
    known = {
        option for p in COMMANDS[command].params for option in (*p.opts, *p.secondary_opts) if option.startswith("--")
    }
    told = set(re.findall(r"--[a-z][a-z-]*", documented[command]))
    assert told - {"--help"} == known - {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_named_in_the_manual_exist(page):
    named = re.findall(r"(?:`|^\s*(?:\$ )?)rimrep ([a-z]+)", page.read_text(), flags=re.MULTILINE)
    assert set(named) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_link_to_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](#one-thing) [b](#another) [c](nothing.md) [d](https://example.org)\n")
    assert broken_links(page) == ["#another", "nothing.md"]


def test_every_variable_that_the_program_reads_is_in_the_manual():
    source = "\n".join(path.read_text() for path in (ROOT / "rimrep_assets").rglob("*.py"))
    told = (ROOT / "docs/commands.md").read_text()
    read = r"""(?:\.get\(|_VARIABLE = )["']((?:RIMREP|AWS|XDG|DAGSTER)_[A-Z0-9_]+)["']"""
    named = set(re.findall(read, source))
    assert {"RIMREP_STORE", "RIMREP_CATALOG_COMMIT", "AWS_ACCESS_KEY_ID"} <= named
    assert [name for name in sorted(named) if f"`{name}`" not in told] == []


def test_the_site_builds_and_its_pages_fetch_nothing(tmp_path):
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        html = page.read_text()
        fetched = re.findall(r"""<(?:script|img)[^>]+src="?(https?://[^"\s>]+)""", html)
        fetched += re.findall(r"""<link[^>]+rel="?(?:stylesheet|preconnect)"?[^>]+href="?(https?://[^"\s>]+)""", html)
        fetched += re.findall(r"""<link[^>]+href="?(https?://[^"\s>]+)"?[^>]+rel="?(?:stylesheet|preconnect)""", html)
        assert fetched == [], page.name
