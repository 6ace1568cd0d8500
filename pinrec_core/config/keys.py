"""Every key of a configuration file by its dotted name: what it means, its type, its default, its limits.

The meaning is the comment beside the field in these modules, read from the source, so that it is said once. A field
without one inherits that of the field it overrides, or takes the docstring of its type. Shown by `pinrec config
explain KEY`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pinrec_core.config.comments import comments_of, first_paragraph
from pinrec_core.config.limits import limits_of, type_of
from pinrec_core.config.section import Incidental, Section
from pinrec_core.config.whole import Config
from pinrec_core.errors import ConfigError

REQUIRED = "required"  # in place of a default
_CHOSEN = {"floors": ("SURFACE", "METRIC"), "experts": ("SURFACE",), "slices": ("SLICE",), "targets": ("TARGET",),
           "schedules": ("SCHEDULE",), "steps": ("STEP",), "tolerations": ("NUMBER",),
           "ranges": ("SECTION", "KEY")}  # names that the user chooses


class Key(NamedTuple):
    """One key. Parts in capitals stand for names that the user chooses."""

    name: str  # "pretrain.batch_size", "targets.TARGET.image"
    meaning: str
    kind: str  # type in words
    default: str  # as JSON, or REQUIRED
    limits: str  # "" = none beside the type
    choices: dict[str, str]  # of a key with fixed values: value -> meaning, "" = its name says it
    incidental: bool  # changes nothing of what is written
    section: bool  # has keys below it
    entry: str  # of a table of sections: what one of them is called; else the name


@cache
def all_keys() -> tuple[Key, ...]:
    """Every key there is, sections before what they hold, in the order of the sources."""
    return tuple(_keys_of(Config, ""))


def find_keys(name: str) -> list[Key]:
    """The key of this name, with names that the user chose or the capitals for them; else all that end in it.

    Raises ConfigError naming the nearest if there is none.
    """
    parts = name.split(".")
    exact = [key for key in all_keys() if any(_matches(one.split("."), parts) for one in (key.name, key.entry))]
    if exact:
        return exact[:1]
    ending = [key for key in all_keys() if _matches(key.name.split(".")[-len(parts):], parts)]
    if ending:
        return ending
    raise ConfigError(f"unknown key {name!r}; {_nearest(name)}")


def _nearest(name: str) -> str:
    """Within its section where there is one; else by the whole name, or by its last part where that is nearer."""
    section, _, last = name.rpartition(".")
    known = [key.name for key in all_keys()]
    inside = [key for key in known if section and key.rpartition(".")[0] == section]
    ends = {key.rpartition(".")[2]: key for key in reversed(inside or known)}
    whole = [] if inside else difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    near = whole or [ends[end] for end in difflib.get_close_matches(last, ends, n=1, cutoff=0.0)]
    return f"did you mean {near[0]!r}? `pinrec config explain` lists all keys"


def _matches(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(wanted == part or wanted.isupper()
                                              for wanted, part in zip(pattern, parts, strict=True))


def _keys_of(cls: type[Section], above: str) -> Iterator[Key]:
    for name, field in cls.model_fields.items():
        key = above + (field.alias or name)
        inner, chosen = _inner(field.annotation, _CHOSEN.get(name, ()))
        entry = ".".join([key, *chosen]) if inner else key
        yield _key(cls, name, field, key, entry)
        if inner:
            yield from _keys_of(inner, f"{entry}.")


def _inner(annotation: Any, chosen: tuple[str, ...]) -> tuple[type[Section] | None, tuple[str, ...]]:
    """The section that a field holds, itself or by names that the user chooses, and these names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, chosen
    arguments = get_args(annotation)
    candidates = arguments[1:] if get_origin(annotation) is dict else arguments
    for candidate in candidates:
        found, names = _inner(candidate, chosen)
        if found:
            return found, names
    return None, ()


def _key(cls: type[Section], name: str, field: FieldInfo, key: str, entry: str) -> Key:
    meaning, section = _meaning(cls, name, field), _inner(field.annotation, ())[0] is not None
    schema = cls.model_json_schema()
    own = schema["properties"][field.alias or name]
    choices = _choices(field.annotation)
    return Key(key, meaning, type_of(own, schema), _default(field), limits_of(own, schema), choices,
               Incidental in field.metadata, section, entry)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its own defaults"
    return json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _meaning(cls: type[Section], name: str, field: FieldInfo) -> str:
    for owner in cls.__mro__:
        if comment := comments_of(owner).get(name, ""):
            return comment
        if owner is Section:
            break
    for kind in _types(field.annotation):
        if issubclass(kind, BaseModel | StrEnum):
            return first_paragraph(kind)
    return ""


def _choices(annotation: Any) -> dict[str, str]:
    for kind in _types(annotation):
        if issubclass(kind, StrEnum):
            return {member.value: comments_of(kind).get(member.name, "") for member in kind}
    return {}


def _types(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)
