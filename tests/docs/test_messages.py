"""Every message that the documentation quotes is one that the code has, and that a test provokes and reads.

A quoted message stands in a block of its own lines and begins with `error:`, `Failed:` or the like; `...` in it stands
for what differs. Its fixed parts must be those of one string of the sources, and some words of one of them, in a row,
must stand in a string of a test outside this folder: what tests look for in a message is shorter than the message.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from page import ROOT

QUOTED = re.compile(r"^ *(error|rejected|preempted|too old|Failed|Rejected|not sent)(: |, )")
FIXED = 10  # characters of a part that tells a message from others
IN_A_ROW = 3  # words of a part that a test has; all of a part with fewer
GAP = re.compile(r"\0|\.\.\.|\{\w*\}|\.\*\??|\[[^\]]*\]\+?(?:\{\d+\})?|\\d\+?")  # what differs: in pages, code, regexes


class Message(NamedTuple):
    """A quoted message."""

    where: str
    text: str


def messages() -> Iterator[Message]:
    """All that the pages quote; a message that goes on in the next lines of an indented block is joined."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        lines = page.read_text("utf-8").splitlines()
        fenced = False
        for number, line in enumerate(lines, 1):
            fenced ^= line.startswith("```")
            if QUOTED.match(line) and (fenced or line.startswith("    ")):
                rest = [] if fenced else _continued(lines[number:])
                yield Message(f"{page.relative_to(ROOT)}:{number}", " ".join([line.strip(), *rest]))


def _continued(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("    ") or QUOTED.match(line):
            return
        yield line.strip()


def fixed_parts(text: str) -> list[str]:
    """What a message always has, in pieces long enough to tell it by."""
    parts = (" ".join(part.replace("\\", "").split()).strip(" :;,().'") for part in GAP.split(text))
    return [part for part in parts if len(part) >= FIXED]


def words_in_a_row(part: str, count: int) -> set[tuple[str, ...]]:
    """Every `count` words of a part that follow each other."""
    words = re.findall(r"\w+", part)
    return {tuple(words[start:start + count]) for start in range(len(words) - count + 1)}


def strings_of(*folders: str) -> Iterator[str]:
    """Every string in the code below folders; docstrings are none."""
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        if "tests/docs" not in path.as_posix():
            yield from _literals(ast.parse(path.read_text("utf-8")))


def _literals(tree: ast.AST) -> Iterator[str]:
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
              if part is not node}
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | told:
            yield node.value


@cache
def in_the_code() -> list[list[str]]:
    """Parts of the strings of the product."""
    return [parts for text in strings_of("pinrec_core", "components", "pipelines") if (parts := fixed_parts(text))]


@cache
def in_the_tests() -> set[tuple[str, ...]]:
    """Two to IN_A_ROW words in a row of the strings of all tests but these."""
    return {words for text in strings_of("tests") for part in GAP.split(text.replace("\\", ""))
            for count in range(2, IN_A_ROW + 1) for words in words_in_a_row(part, count)}


MESSAGES = list(messages())


def test_messages_are_found():
    assert len(MESSAGES) > 30
    assert fixed_parts("error: ...: no run folder; ... below runs/ (n = ...)") == ["no run folder", "below runs/ (n ="]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.where)
def test_the_code_says_it(message):
    said = fixed_parts(message.text.split(": ", 1)[-1])
    assert said, "nothing in it that always is the same"
    known = [parts for parts in in_the_code() if all(part in " ".join(message.text.split()) for part in parts)
             or all(any(part in own for own in parts) for part in said)]
    assert any(max(map(len, parts)) >= FIXED for parts in known), message.text


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.where)
def test_a_test_provokes_it(message):
    parts = fixed_parts(message.text.split(": ", 1)[-1])
    assert any(words_in_a_row(part, min(IN_A_ROW, len(part.split()))) & in_the_tests() for part in parts), message.text


def test_a_message_that_nobody_says_would_be_noticed():
    made_up = Message("here", "error: ...: Jupiter aligns badly tonight; postpone everything")
    with pytest.raises(AssertionError):
        test_the_code_says_it(made_up)
    with pytest.raises(AssertionError):
        test_a_test_provokes_it(made_up)


def test_metrics_of_the_runbook_are_those_of_the_service():
    page = (ROOT / "docs/runbook.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in Path(ROOT / "pinrec_core/serving").rglob("*.py"))
    for name in set(re.findall(r"pinrec_[a-z_]+", page)):
        assert re.sub("_(total|bucket)$", "", name) in code, name
