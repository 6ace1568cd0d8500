"""The comments beside the fields of a class, from its source: what a field means is written there and nowhere else."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from functools import cache
from typing import NamedTuple


class _Span(NamedTuple):
    name: str
    first: int  # lines of the statement within the class's source
    last: int


def first_paragraph(cls: type) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


@cache
def comments_of(cls: type) -> dict[str, str]:
    """Comment of each field (or enum member) that has one, on one line; {} for a class without a source.

    A comment line between two fields goes on with the comment of the field above it, unless the field below has none
    of its own: then it is that one's.
    """
    try:
        source = inspect.cleandoc("\n" + inspect.getsource(cls))
    except (OSError, TypeError):
        return {}
    spans, lines, alone = _spans(source), *_comment_lines(source)
    beside = {span: [lines[n] for n in range(span.first, span.last + 1) if n in lines] for span in spans}
    first = next((n for n in range(spans[0].first, 0, -1) if n - 1 not in alone), 1) if spans else 0
    above = _block(alone, first) if spans and not beside[spans[0]] else []
    for span, after in zip(spans, [*spans[1:], None], strict=True):
        beside[span], above = above + beside[span], []
        between = _block(alone, span.last + 1)
        if after and not beside[after] and span.last + len(between) + 1 == after.first:
            above = between
        else:
            beside[span] += between
    return {span.name: " ".join(" ".join(words).split()) for span, words in beside.items() if words}


def _spans(source: str) -> list[_Span]:
    """The fields and members of the one class that a source holds."""
    spans = []
    for node in ast.parse(source).body[0].body:
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        if isinstance(target, ast.Name):
            spans.append(_Span(target.id, node.lineno, node.end_lineno or node.lineno))
    return spans


def _comment_lines(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Comment of each line that has one, and of those among them that hold nothing else."""
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline)
              if token.type == tokenize.COMMENT]
    every = {token.start[0]: token.string.lstrip("# ") for token in tokens}
    return every, {token.start[0]: every[token.start[0]] for token in tokens if token.line.lstrip().startswith("#")}


def _block(lines: dict[int, str], first: int) -> list[str]:
    """Comments of lines that follow each other."""
    words = []
    while first in lines:
        words.append(lines[first])
        first += 1
    return words
