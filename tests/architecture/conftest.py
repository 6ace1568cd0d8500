"""The project's own Python files, parsed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project folder."""
    return ROOT


@pytest.fixture(scope="session")
def sources() -> dict[Path, ast.Module]:
    """Relative path -> syntax tree of every file of the product (tests are not part of it)."""
    paths = [p for top in ("pinrec_core", "components", "pipelines") for p in sorted((ROOT / top).rglob("*.py"))]
    assert len(paths) > 40, "the project's sources were not found"
    return {p.relative_to(ROOT): ast.parse(p.read_text("utf-8")) for p in paths}
