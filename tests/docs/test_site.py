"""The site: built with every warning as an error, complete, and reading nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from page import ROOT

from pinrec_core.cli.entry import Settings
from pinrec_core.config.keys import all_keys
from pipelines.cli import whole_app

pytest.importorskip("sphinx", reason="the site needs pinrec[docs]")
DOCS = ROOT / "docs"


def build(source: Path, destination: Path) -> subprocess.CompletedProcess:
    """What `make docs` runs."""
    return subprocess.run([sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-d",
                           destination.with_suffix(".doctrees"), source, destination], cwd=ROOT, text=True,
                          capture_output=True, check=False)


class Loaded(HTMLParser):
    """What a page makes a browser fetch by itself, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.fetched += [named[key] for key in ("src", "srcset", "data", "poster") if named.get(key)]
        if tag == "link" and named.get("rel") not in ("next", "prev", "index", "search", "author", "top"):
            self.fetched.append(named.get("href") or "")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        """All that stands on the page."""
        return "".join(self.words)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site."""
    destination = tmp_path_factory.mktemp("docs") / "site"
    done = build(DOCS, destination)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return destination


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Loaded]:
    """Path below the site -> page."""
    return {path.relative_to(site).as_posix(): Loaded(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_every_page_of_docs_is_there(pages):
    written = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    assert len(written) > 25 and written <= set(pages)


def test_nothing_is_fetched_from_elsewhere(site, pages):
    outside = {name: [url for url in page.fetched if re.match(r"(https?:)?//", url)] for name, page in pages.items()}
    assert not {name: urls for name, urls in outside.items() if urls}
    styles = [path for path in site.rglob("*.css") if re.search(r"(url\(|@import)\W*(https?:)?//", path.read_text())]
    assert not styles


def test_every_setting_has_its_row(pages):
    text = pages["configuration.html"].text
    assert len(all_keys()) > 200 and "made from the code" not in text
    for key in all_keys():
        assert (f"[{key.entry}]" if key.section else key.name.rpartition(".")[2]) in text, key.name
        assert " ".join(key.meaning.replace("`", "").split()) in " ".join(text.split()), key.name


def leaves(group, words: tuple[str, ...] = ("pinrec",)) -> Iterator[tuple[str, list[str]]]:
    """Every command as it is called, with its options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*words, name))
        else:
            yield " ".join((*words, name)), [option for each in command.params for option in each.opts]


def test_every_command_and_option_is_named(pages):
    text = pages["commands.html"].text
    found = dict(leaves(typer.main.get_command(whole_app(Settings()))))
    assert len(found) > 35
    for command, options in found.items():
        own = text.split(f"$ {command} ", 1)
        assert len(own) == 2, command
        part = re.split(r"\$ pinrec ", own[1])[0]
        assert not [option for option in options if option.startswith("--") and option not in part], command


@pytest.fixture
def small(tmp_path) -> Path:
    """Sources of a site of two pages, with the project's settings."""
    source = tmp_path / "docs"
    source.mkdir()
    shutil.copy(DOCS / "reference_pages.py", source)
    settings = (DOCS / "conf.py").read_text("utf-8")
    (source / "conf.py").write_text(settings.replace("str(Path(__file__).parents[1])", repr(str(ROOT))))
    shutil.copytree(DOCS / "static", source / "static")
    (source / "index.md").write_text("# A\n\n[y](configuration.md#c)\n\n```{toctree}\nconfiguration\n```\n")
    (source / "configuration.md").write_text("# B\n\n## C\n\n<!-- made from the code: configuration -->\n")
    return source


def test_every_broken_link_is_told_and_ends_the_build(small, tmp_path):
    """A page, a heading of another page, a heading of the page itself, a picture: none of them is there."""
    broken = ["[x](nowhere.md)", "[x](configuration.md#other)", "[x](#own)", "![x](picture.png)"]
    page = (small / "index.md").read_text()
    (small / "index.md").write_text("\n\n".join([page, *broken]))
    done = build(small, tmp_path / "site")
    assert done.returncode != 0
    for word in ("nowhere.md", "other", "own", "picture.png"):
        assert any("WARNING" in line and word in line for line in done.stderr.splitlines()), (word, done.stderr)
    assert done.stderr.count("WARNING") == len(broken)


def test_what_is_made_from_the_code_is_made_in_every_build(small, tmp_path):
    """Its file is the same when the code has changed, so that Sphinx would take it for up to date."""
    made = tmp_path / "site/configuration.html"
    for _ in range(2):
        assert build(small, tmp_path / "site").returncode == 0
        assert "lookback_days" in made.read_text("utf-8")
        made.write_text("old")
        later = made.stat().st_mtime + 1000
        os.utime(made, (later, later))


def test_make_builds_what_is_tested():
    done = subprocess.run(["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True)
    command = next(line for line in done.stdout.splitlines() if "sphinx-build" in line)
    assert {"--fail-on-warning", "docs", "work/site"} <= set(command.split())


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(page):
    text = (ROOT / page).read_text("utf-8")
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert targets
    assert not [target for target in targets if target and not (ROOT / page).parent.joinpath(target).exists()]
