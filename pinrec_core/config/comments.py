"""The comments beside the fields of a section or the members of an enum: their explanation, read from the source.

A comment on the field's own lines belongs to it; so do comment lines right below, which go on. Comment lines that begin
a sentence (a capital) above a field without a comment of its own belong to the field below.
"""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from functools import cache


@cache
def comments_of(cls: type) -> dict[str, str]:
    """Name -> comment of every field or member that a class declares itself, in order; "" where there is none."""
    source = textwrap.dedent(inspect.getsource(cls))
    spans = _spans(ast.parse(source).body[0])
    beside, alone = _comments(source)
    found, taken = {}, set()
    for index, (name, first, last) in enumerate(spans):
        below = _run_of(alone, last + 1)
        following = spans[index + 1] if index + 1 < len(spans) else None
        if below and following and _leads(alone[below[0]], beside, following):
            below = []  # they are about the next one
        own = [beside[line] for line in range(first, last + 1) if line in beside]
        above = [line for line in reversed(_run_of(alone, first - 1, step=-1)) if line not in taken]
        taken.update(below)
        found[name] = " ".join([*(alone[line] for line in above), *own, *(alone[line] for line in below)])
    return found


def _spans(tree: ast.stmt) -> list[tuple[str, int, int]]:
    """(name, first line, last line) of every field `name: type` and member `NAME = value`."""
    spans = []
    for node in getattr(tree, "body", []):
        target = node.target if isinstance(node, ast.AnnAssign) else (
            node.targets[0] if isinstance(node, ast.Assign) else None)
        if isinstance(target, ast.Name) and target.id != "model_config" and not target.id.startswith("_"):
            spans.append((target.id, node.lineno, node.end_lineno or node.lineno))
    return spans


def _comments(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Line -> comment: those beside code, and those that have a line for themselves."""
    beside: dict[int, str] = {}
    alone: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            place = alone if not token.line[: token.start[1]].strip() else beside
            place[token.start[0]] = token.string.lstrip("#").strip()
    return beside, alone


def _run_of(alone: dict[int, str], line: int, step: int = 1) -> list[int]:
    """The comment lines from a line on, without a gap."""
    lines = []
    while line in alone:
        lines.append(line)
        line += step
    return lines


def _leads(text: str, beside: dict[int, str], following: tuple[str, int, int]) -> bool:
    """Whether a comment line opens what is said of the field below instead of going on with the one above."""
    _, first, last = following
    return text[:1].isupper() and not any(line in beside for line in range(first, last + 1))
