"""How a plain table is read as an event log or a catalog: which column, or which constant, fills each field."""

from __future__ import annotations

from enum import StrEnum
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator, model_validator

from pinrec_core.config import Section

CONSTANT_FIELDS = ("item_type", "surface", "action")  # fields that may be the same for every row


class TimeUnit(StrEnum):
    """How a timestamp column is written. Columns of a timestamp type need no unit."""

    S = "s"  # seconds since 1970 UTC, decimals allowed
    MS = "ms"
    US = "us"
    ISO = "iso"  # text such as 2026-01-31T12:00:00+08:00; without an offset it is read in `timezone`


class CatalogMapping(Section):
    """The catalog file of an import; "" = the file has no such column."""

    path: str  # file, absolute or relative to the folder of the events
    item_id: str = "item_id"  # column
    item_type: str = ""  # column; "" = the constant, or "item_type" if there is none
    item_type_constant: str = ""
    content: str = ""  # column of number lists (Parquet or JSON Lines)
    attributes: str = ""  # column of text lists, or of text with `attribute_separator` in it
    attribute_separator: str = ","
    title: str = ""  # column
    created: str = ""  # column, written like `created_unit` says
    created_unit: TimeUnit = TimeUnit.MS

    @model_validator(mode="after")
    def _one_item_type(self) -> Self:
        _refuse_both("catalog", "item_type", self.item_type, self.item_type_constant)
        return self


class EventMapping(Section):
    """Columns and constants of the event files; a field with a constant has no column."""

    user_id: str = "user_id"  # column
    item_id: str = "item_id"  # column
    timestamp: str = "timestamp_ms"  # column
    timestamp_unit: TimeUnit = TimeUnit.MS
    timezone: str = "UTC"  # IANA zone of the partitions' days, and of ISO text without an offset
    item_type: str = ""  # column; "" = the constant, or "item_type" if there is none
    item_type_constant: str = ""
    surface: str = ""  # column; "" = the constant, or "surface" if there is none
    surface_constant: str = ""
    action: str = ""  # column; "" = the constant, or "action" if there is none
    action_constant: str = ""
    request_id: str = ""  # column; "" = unknown
    position: str = ""  # column; "" = unknown
    context_item_id: str = ""  # column; "" = unknown
    catalog: CatalogMapping | None = None  # None = a catalog of the ids in the events, nothing else known of them

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no IANA time zone; write for example 'Asia/Shanghai'") from error
        return name

    @model_validator(mode="after")
    def _columns_or_constants(self) -> Self:
        for field in CONSTANT_FIELDS:
            _refuse_both("events", field, getattr(self, field), getattr(self, f"{field}_constant"))
        for field in ("user_id", "item_id", "timestamp"):
            if not getattr(self, field):
                raise ValueError(f"{field} names no column; every event needs one")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """EVENTS field -> column of the file, without the constants and the unknown ones."""
        fields = {name: getattr(self, name) for name in ("user_id", "item_id", "request_id", "position",
                                                         "context_item_id")}
        fields["timestamp_ms"] = self.timestamp
        for name in CONSTANT_FIELDS:
            fields[name] = getattr(self, name) or ("" if name in self.constants else name)
        return {name: column for name, column in fields.items() if column}

    @property
    def constants(self) -> dict[str, str]:
        """EVENTS field -> the text that fills it."""
        return {name: getattr(self, f"{name}_constant") for name in CONSTANT_FIELDS
                if getattr(self, f"{name}_constant")}


def _refuse_both(owner: str, field: str, column: str, constant: str) -> None:
    if column and constant:
        raise ValueError(f"{owner}: {field} has both a column {column!r} and a constant {constant!r}; keep one")
