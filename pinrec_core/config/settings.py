"""A configuration as a list of settings, each beside its default: what `pinrec config show` and `diff` print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from pinrec_core.config.section import Section
from pinrec_core.config.whole import Config


class Setting(NamedTuple):
    """One setting of a configuration; values as JSON has them."""

    key: str
    value: Any
    default: Any  # None also where there is none
    required: bool  # there is no default

    @property
    def differs(self) -> bool:
        """Whether the configuration says something of its own."""
        return self.required or self.value != self.default


class Change(NamedTuple):
    """A setting that two configurations do not have in common."""

    key: str
    first: Any  # None where only the second has the key
    second: Any


def settings_of(config: Config) -> list[Setting]:
    """Every setting, defaults included, in the order of the sections."""
    return list(_of_section(config, ""))


def changes(first: Config, second: Config) -> list[Change]:
    """What differs from the first to the second, in the order of the sections."""
    old, new = ({one.key: one.value for one in settings_of(config)} for config in (first, second))
    keys = list(dict.fromkeys([*old, *new]))
    return [Change(key, old.get(key), new.get(key)) for key in keys
            if (key in old) != (key in new) or old.get(key) != new.get(key)]


def _of_section(section: Section, above: str) -> Iterator[Setting]:
    for name, field in type(section).model_fields.items():
        key, value = above + (field.alias or name), getattr(section, name)
        if isinstance(value, Section):
            if not field.is_required() and field.get_default(call_default_factory=True) is None:
                yield Setting(key, "on", None, False)  # naming it switched it on
            yield from _of_section(value, f"{key}.")
        elif _holds_sections(value):
            yield from _of_table(value, f"{key}.")
        else:
            default = None if field.is_required() else _plain(field.get_default(call_default_factory=True))
            yield Setting(key, _plain(value), default, field.is_required())


def _of_table(value: Any, above: str) -> Iterator[Setting]:
    """Of sections under names that the user chose, or in a list."""
    for name, one in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(one, Section):
            yield from _of_section(one, f"{above}{name}.")
        else:
            yield from _of_table(one, f"{above}{name}.")


def _holds_sections(value: Any) -> bool:
    if isinstance(value, BaseModel):
        return True
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return any(_holds_sections(one) for one in held)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.value if hasattr(value, "value") else value
