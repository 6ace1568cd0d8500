"""Every setting of a configuration file with type, default, limits and the comment beside it, made from the sections.

    for section in explained(): ...            # [log], [aggregate], ..., [gate.rules.beats_baseline], [targets.NAME]

The reference of the documentation is written from it, so that it says what the code does.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from pinrec_core.config.comments import comments_of
from pinrec_core.config.section import Incidental, Section
from pinrec_core.config.whole import Config

_LIMITS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}",
           "min_length": "length at least {}", "max_length": "length at most {}"}
_NAMES = {"floors": "SURFACE", "surfaces": "SURFACE", "experts": "SURFACE", "steps": "STEP", "targets": "NAME",
          "schedules": "NAME", "slices": "KIND"}


@dataclass(frozen=True)
class Setting:
    """One setting."""

    name: str  # as it is written in the file
    type: str  # "int", "text", "list of text", "full, sampled" for a choice
    default: str  # as JSON; "required" if there is none
    limits: tuple[str, ...]  # "above 0", "at most 1"
    comment: str  # what stands beside the field
    choices: dict[str, str]  # value -> its comment, where the values are few
    incidental: bool  # no fingerprint knows it: a change makes nothing anew


@dataclass(frozen=True)
class ExplainedSection:
    """One section: its place in the file, what it is, its settings; sections below it come as their own."""

    path: str  # "" for the top of the file, else "gate.rules.beats_baseline"; names that are free are in capitals
    about: str  # first paragraph of the class's docstring
    settings: tuple[Setting, ...]


def explained(cls: type[Section] = Config, path: str = "") -> Iterator[ExplainedSection]:
    """A section and, in the order of the file, all sections below it."""
    below, own, comments = [], [], _inherited_comments(cls)
    for field_name, field in cls.model_fields.items():
        name = field.alias or field_name
        nested = _section_in(field.annotation)
        if nested:
            below.append((nested, _path_below(path, name, field.annotation)))
        if type_text(field.annotation) != "section":
            own.append(_setting(name, field, comments.get(field_name, "")))
    yield ExplainedSection(path, (cls.__doc__ or "").split("\n\n")[0].strip(), tuple(own))
    for nested, place in below:
        yield from explained(nested, place)


def _inherited_comments(cls: type) -> dict[str, str]:
    """Comments of all fields; a class's own win over those of its bases."""
    merged: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Section) and base is not Section:
            merged |= {name: text for name, text in comments_of(base).items() if text}
    return merged


def _setting(name: str, field: FieldInfo, comment: str) -> Setting:
    choices = {str(member.value): comments_of(kind).get(member.name, "")
               for kind in _parts(field.annotation) if isinstance(kind, type) and issubclass(kind, enum.Enum)
               for member in kind}
    limits = tuple(text.format(f"{getattr(mark, bound):g}") for mark in [*field.metadata, *_marks(field.annotation)]
                   for bound, text in _LIMITS.items() if getattr(mark, bound, None) is not None)
    default = "required" if field.is_required() else json.dumps(to_jsonable_python(
        field.get_default(call_default_factory=True), by_alias=True), ensure_ascii=False)
    return Setting(name, type_text(field.annotation), default, limits, comment, choices, Incidental in field.metadata)


def type_text(annotation: Any) -> str:
    """A type as words: what is written in a TOML file."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin is typing.Literal:
        return " or ".join(str(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_text(part) for part in arguments if part is not type(None))
    if origin in (tuple, list, set, frozenset):
        return f"list of {type_text(arguments[0])}"
    if origin is dict:
        return f"table: {type_text(arguments[0])} -> {type_text(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " or ".join(str(member.value) for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {str: "text", bool: "true or false", Any: "any value"}.get(annotation) or annotation.__name__


def _parts(annotation: Any) -> list[Any]:
    """The type itself and all it is made of."""
    return [annotation, *(part for inner in typing.get_args(annotation) for part in _parts(inner))]


def _marks(annotation: Any) -> list[Any]:
    """The limits of a type inside another one, as in `Share | None`; pydantic lifts only the outermost."""
    fields = (mark for part in _parts(annotation) for mark in getattr(part, "__metadata__", ()))
    return [mark for field in fields for mark in getattr(field, "metadata", ())]


def _section_in(annotation: Any) -> type[Section] | None:
    return next((part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, Section)), None)


def _path_below(path: str, name: str, annotation: Any) -> str:
    """Where a section stands: under its name, and under a free name for each table around it."""
    place = f"{path}.{name}" if path else name
    tables = str(annotation).count("dict[")
    free = [_NAMES.get(name, "NAME"), "METRIC"][:tables]
    listed = typing.get_origin(annotation) is tuple
    return ".".join([place, *free]) + ("[]" if listed else "")
