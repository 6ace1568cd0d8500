"""Every `pinrec` command that a page, the README or a configuration file names exists, with the options it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from page import ROOT

from pinrec_core.cli.entry import Settings
from pipelines.cli import whole_app

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")),
         *sorted((ROOT / "pipelines/configs").glob("*.toml"))]
_INDENTED = re.compile(r"^(?: {4,}|#\s+)\$? ?(pinrec [a-z].*)")  # in a block, or in a comment of a configuration
_FENCED = re.compile(r"^\s*\$? ?(pinrec [a-z].*)")
_IN_TEXT = re.compile(r"`(pinrec [a-z][^`]*)`")
_PROSE = re.compile(r"\s{2,}.*|\s#.*|[\[\]|();]|\s&&.*")  # what stands beside a command in a block, optional marks


class Named(NamedTuple):
    """A command somewhere."""

    where: str
    words: tuple[str, ...]


def named() -> Iterator[Named]:
    """All commands of all pages; lines that end with a backslash are joined."""
    for page in PAGES:
        text = page.read_text("utf-8").replace("\\\n", " ")
        fenced = False
        for number, line in enumerate(text.splitlines(), 1):
            fenced ^= line.startswith("```")
            found = (_FENCED if fenced else _INDENTED).match(line)
            commands = [re.sub(r" +(?=-)", " ", found[1])] if found else _IN_TEXT.findall(line)
            for command in commands:
                yield Named(f"{page.relative_to(ROOT)}:{number}", tuple(_PROSE.sub("", command).split()[1:]))


NAMED = list(named())


@pytest.fixture(scope="module")
def app():
    """`pinrec` with all its commands."""
    return typer.main.get_command(whole_app(Settings()))


def test_commands_are_found():
    assert len(NAMED) > 120
    assert {page for page in ("README.md", "docs/tour.md", "docs/how-to/own_logs.md", "pipelines/configs/tour.toml")
            if not any(each.where.startswith(page) for each in NAMED)} == set()


@pytest.mark.parametrize("each", NAMED, ids=lambda each: each.where)
def test_it_exists_with_its_options(app, each):
    command, words = app, list(each.words)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"pinrec {' '.join(each.words)}"
        command = command.commands[words.pop(0)]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    given = {word.split("=")[0].rstrip(",.:") for word in words if re.match(r"--?[a-z]", word)}
    missing = given - known - {"--help", "-h", "--debug", "--version"}
    assert not missing, f"pinrec {' '.join(each.words)}: no {sorted(missing)}"


def test_what_does_not_exist_would_be_noticed(app):
    for words in (("rnu",), ("run", "--datum", "2026-01-01"), ("registry", "role-back")):
        with pytest.raises(AssertionError):
            test_it_exists_with_its_options(app, Named("here", words))


def test_the_page_of_floors_can_be_copied():
    import tomllib

    from pinrec_core.config import Config

    block = re.search(r"```toml\n(.*?)```", Path(ROOT / "docs/how-to/floors.md").read_text("utf-8"), re.DOTALL)[1]
    tour = tomllib.loads((ROOT / "pipelines/configs/tour.toml").read_text("utf-8"))
    tour["gate"] |= tomllib.loads(block)["gate"]
    assert Config.model_validate(tour).gate.floors["home"]["hit_rate@10"].least == 0.5
