"""The commands of a page of docs/: its blocks marked `sh`, whether they need a cluster, and what they print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
NEEDS_CLUSTER = "<!-- needs a cluster -->"
_STEP = re.compile(r"\n```sh\n(?P<body>.*?)\n```\n(?:\n```text\n(?P<shown>.*?)\n```\n)?", re.DOTALL)
_BLOCK = re.compile(r"(?P<before>[^\n]*)\n```sh\n(?P<body>.*?)\n```\n", re.DOTALL)


class Block(NamedTuple):
    """One block of commands."""

    line: int  # of its first command in the page
    body: str
    needs_cluster: bool

    @property
    def commands(self) -> list[str]:
        """Its commands, one a line; continued lines are joined."""
        return [line for line in self.body.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(page: str) -> list[Block]:
    """Every block of a page."""
    text = (ROOT / page).read_text("utf-8")
    return [Block(text.count("\n", 0, found.start("body")) + 1, found["body"], found["before"] == NEEDS_CLUSTER)
            for found in _BLOCK.finditer(text)]


class Step(NamedTuple):
    """One block of commands, and what the page says comes of it."""

    line: int  # of its first command in the page
    body: str
    shown: tuple[str, ...]  # lines of the block marked `text` right below, none if there is none


def steps(page: str) -> list[Step]:
    """Every block of a page with the output that it shows."""
    text = (ROOT / page).read_text("utf-8")
    return [Step(text.count("\n", 0, found.start("body")) + 1, found["body"],
                 tuple((found["shown"] or "").splitlines())) for found in _STEP.finditer(text)]
