"""Tables of Markdown, and nested settings as one list of dotted names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; a bar or a line break in a cell does not end it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def flattened(settings: Any, name: str = "") -> dict[str, Any]:
    """Values by dotted name; an empty object is a value."""
    if not isinstance(settings, dict) or not settings:
        return {name: settings}
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flattened(value, f"{name}.{key}" if name else str(key))
    return found


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
