"""The messages that the pages quote, and `says`, by which a test claims one of them.

    python -m pytest tests/docs/test_messages.py      every quoted message is claimed, every claim is of a quoted one

A page quotes a message in one of two ways; `...` stands for what differs, and may stand for nothing:

- as a line of a block fenced as `text` (indented lines go on with the one before), unless the block stands right below
  one of `sh` in a page that is executed as it stands: then it is the output, and compared there;
- in the text or in a table between backticks or double quotes, three words or more, unless it is a command, a setting,
  an option, or an expression (_OTHER). So what nobody has thought of counts as a message, and wants a test.

A test that provokes one for real hands all of it to `says`, with the page's words as a literal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pinrec_core.cli.entry import told
from pinrec_core.errors import PinrecError

ROOT = Path(__file__).parents[1]
EXECUTED = ("docs/tour.md",)  # tests/docs/test_tour.py
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}.*$", re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`|\"([^\"\n]+(?:\n[^\"\n]+)?)\"")
_PROGRAMS = "pinrec|pip|python|kubectl|docker|gcloud|make|torchrun|--?[a-z]+"
_EXPRESSIONS = "rate|increase|absent|count by"
_OTHER = re.compile(rf"(?:{_PROGRAMS}|\.ci/engine|{_EXPRESSIONS})\b|[{{<\[]|[\w.]+ = |.*(?:[\w/]<|\w\{{)")
_PREFIXED = re.compile(r"error: |rejected: |preempted: ")  # what the command line puts before an error


class Message(NamedTuple):
    """A quoted message."""

    where: str  # page:line
    text: str  # its words, single spaces between them


@cache
def messages() -> tuple[Message, ...]:
    """All that README and docs/ quote."""
    return tuple(message for page in pages()
                 for message in quoted_by(page.relative_to(ROOT).as_posix(), page.read_text("utf-8")))


def pages() -> list[Path]:
    """README and all of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def quoted_by(page: str, text: str) -> Iterator[Message]:
    """What one page quotes."""
    for line, words in (*_in_blocks(page, text), *_in_text(text)):
        yield Message(f"{page}:{line}", " ".join(words.split()))


def other_blocks(text: str) -> str:
    """The lines of a page's blocks in which no message is looked for: indented ones, and all that are not `text`."""
    fenced = [block[2] for block in _BLOCK.finditer(text) if block[1] != "text"]
    return "\n".join([*fenced, *_INDENTED.findall(_without_fences(text))])


def says(text: str, said: str | BaseException) -> None:
    """Claim a quoted message: fails unless a page quotes `text` and all of it is all that was said.

    `said` is the error that was raised, a sentence, or what a command wrote, of which one whole line must be it.
    """
    assert text in {message.text for message in messages()}, f"no page quotes {text!r}"
    heard = said.splitlines() if isinstance(said, str) else [
        told(said) if _PREFIXED.match(text) and isinstance(said, PinrecError) else str(said)]
    assert any(map(pattern(text).fullmatch, (" ".join(one.split()) for one in heard))), (
        f"a page quotes\n    {text}\nbut what was said is\n    " + "\n    ".join(heard))


def pattern(text: str) -> re.Pattern[str]:
    """A quoted message as a regular expression."""
    return re.compile(".*".join(map(re.escape, text.split("..."))))


def _in_blocks(page: str, text: str) -> Iterator[tuple[int, str]]:
    end = 0
    for block in _BLOCK.finditer(text):
        below_commands = page in EXECUTED and text[:block.start()].endswith("```\n\n") and end == block.start() - 1
        end = block.end()
        if block[1] == "text" and not below_commands:
            first = text.count("\n", 0, block.start(2)) + 1
            for found in re.finditer(r"^\S.*(?:\n +.*)*", block[2], re.MULTILINE):
                yield first + block[2].count("\n", 0, found.start()), found[0]


def _in_text(text: str) -> Iterator[tuple[int, str]]:
    text = _INDENTED.sub("", _without_fences(text))
    for found in _INLINE.finditer(text):
        words = " ".join((found[1] or found[2]).split())
        if words.count(" ") >= 2 and not _OTHER.match(words):
            yield text.count("\n", 0, found.start()) + 1, words


def _without_fences(text: str) -> str:
    """A page without its fenced blocks; every line stays where it was."""
    return _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
