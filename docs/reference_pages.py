"""The pages that are made from the code: docs/configuration.md from the sections, docs/commands.md from the commands.

A page with the line `<!-- made from the code: NAME -->` gets the text in its place while Sphinx reads it (`setup`); the
file itself stays as it is. To see the text alone:

    python docs/reference_pages.py configuration
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from typer.cli import get_docs_for_click

from pinrec_core.cli.entry import Settings
from pinrec_core.config.keys import REQUIRED, Key, all_keys
from pipelines.cli import whole_app

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_MARK = re.compile(r"<!-- made from the code: (\w+) -->")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for this. The pages are read anew in every build: their files stay the same when the code changes."""
    app.connect("source-read", lambda _, __, source: source.__setitem__(0, fill(source[0])))
    app.connect("env-get-outdated", lambda _, env, *__: [name for name in PAGES if name in env.found_docs])
    return {"parallel_read_safe": True}


def fill(page: str) -> str:
    """A page with its marks replaced. Raises KeyError for a name that is not in PAGES."""
    return _MARK.sub(lambda found: PAGES[found[1]](), page)


def configuration() -> str:
    """Every section and setting as Markdown: what `pinrec config explain` tells, as tables."""
    top = ["## Top of the file", "", *_table([key for key in all_keys() if "." not in key.name and not key.section])]
    return "\n".join([*top, *(line for key in all_keys() if key.section for line in _section(key))])


def commands() -> str:
    """Every command with arguments and options as Markdown, by typer's own writer."""
    command = typer.main.get_command(whole_app(Settings()))
    context = typer.Context(command, info_name="pinrec")
    text = get_docs_for_click(obj=command, ctx=context, name="pinrec", indent=1)
    return _plain_outside_code(re.sub(r"^\* `--?(?:h, --)?help`.*\n", "", text, flags=re.MULTILINE))


PAGES: dict[str, Callable[[], str]] = {"configuration": configuration, "commands": commands}


def _section(section: Key) -> list[str]:
    own = [key for key in all_keys() if key.name.rpartition(".")[0] == section.entry and not key.section]
    level = "###" if "." in section.entry else "##"
    return ["", f"{level} `[{section.entry}]`", "", _cell(section.meaning), "", *_table(own)]


def _table(keys: list[Key]) -> list[str]:
    head = ["| setting | type | default | what it says |", "|---|---|---|---|"]
    return [*head, *map(_row, keys)] if keys else []


def _row(key: Key) -> str:
    limits = f" ({_cell(key.limits)})" if key.limits else ""
    default = key.default if key.default == REQUIRED else f"`{_default(key.default)}`"
    told = [_cell(key.meaning)] if key.meaning else []
    told += [f"`{value}`: {_cell(meaning)}" for value, meaning in key.choices.items() if meaning]
    told += ["(changes nothing that is written)"] if key.incidental else []
    return f"| `{key.name.rpartition('.')[2]}` | {_cell(key.kind)}{limits} | {default} | {'; '.join(told)} |"


def _default(default: str) -> str:
    return {"null": "not set"}.get(default, default).replace("|", "\\|")


def _cell(text: str) -> str:
    """Text that stands in a table cell as it is: nothing in it ends the cell, is a link, or is emphasised."""
    return _plain_outside_code(" ".join(text.split()), re.compile(r"[\\\[*]")).replace("|", "\\|")


def _plain_outside_code(text: str, escaped: re.Pattern = re.compile("(?!)")) -> str:
    """Text whose angle brackets, and what else is to be escaped, are themselves, except inside code."""
    parts = _CODE.split(text)
    return "".join(part if index % 2 else escaped.sub(r"\\\g<0>", part.replace("<", "&lt;"))
                   for index, part in enumerate(parts))


if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
