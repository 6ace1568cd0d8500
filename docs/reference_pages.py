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
from pinrec_core.config.explained import ExplainedSection, Setting, explained
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
    """Every section and setting as Markdown."""
    return "\n\n".join(_section(section) for section in explained())


def commands() -> str:
    """Every command with arguments and options as Markdown, by typer's own writer."""
    command = typer.main.get_command(whole_app(Settings()))
    context = typer.Context(command, info_name="pinrec")
    text = get_docs_for_click(obj=command, ctx=context, name="pinrec", indent=1)
    return _plain_outside_code(re.sub(r"^\* `--?(?:h, --)?help`.*\n", "", text, flags=re.MULTILINE))


PAGES: dict[str, Callable[[], str]] = {"configuration": configuration, "commands": commands}


def _section(section: ExplainedSection) -> str:
    title = f"`[{section.path}]`" if section.path else "Top of the file"
    rows = [_row(setting) for setting in section.settings]
    table = ["| setting | type | default | what it says |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([f"{'###' if '.' in section.path else '##'} {title}", "", _cell(section.about), "", *table])


def _row(setting: Setting) -> str:
    limits = f" ({', '.join(setting.limits)})" if setting.limits else ""
    default = setting.default if setting.default == "required" else f"`{_toml(setting.default)}`"
    told = [_cell(setting.comment)] if setting.comment else []
    told += [f"`{value}`: {_cell(comment)}" for value, comment in setting.choices.items() if comment]
    told += ["(changes nothing that is written)"] if setting.incidental else []
    return f"| `{setting.name}` | {_cell(setting.type)}{limits} | {default} | {'; '.join(told)} |"


def _toml(default: str) -> str:
    return {"null": "not set"}.get(default, default).replace("|", "\\|")


def _cell(text: str) -> str:
    """Text that stands in a table cell as it is: no bar ends it, no `<name>` is taken for HTML."""
    return _plain_outside_code(" ".join(text.split()).replace("|", "\\|"))


def _plain_outside_code(text: str) -> str:
    """Text whose angle brackets, stars and underscores are themselves, except inside code."""
    parts = _CODE.split(text)
    return "".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))


if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
