"""The commands of a page of docs/: its blocks marked `sh`, and whether they need a cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
NEEDS_CLUSTER = "<!-- needs a cluster -->"
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
