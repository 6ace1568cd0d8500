"""What a check has seen: how it stands, the limit it was held against, and the next step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")  # user:password@ of a URL


class Status(StrEnum):
    """How a precondition stands."""

    OK = "ok"
    WARN = "warn"  # it may go wrong
    FAIL = "fail"  # it will go wrong
    SKIPPED = "skipped"  # not looked at, and why


@dataclass(frozen=True)
class Finding:
    """One line of each; credentials in URLs are left out."""

    status: Status
    seen: str
    limit: str = ""
    next: str = ""  # what to do, a command where there is one

    def __post_init__(self) -> None:
        for name in ("seen", "limit", "next"):
            object.__setattr__(self, name, _CREDENTIALS.sub("***@", " ".join(getattr(self, name).split())))


def ok(seen: str, limit: str = "") -> Finding:
    """The precondition holds."""
    return Finding(Status.OK, seen, limit)


def warn(seen: str, limit: str, then: str) -> Finding:
    """It may go wrong."""
    return Finding(Status.WARN, seen, limit, then)


def fail(seen: str, limit: str, then: str) -> Finding:
    """It will go wrong."""
    return Finding(Status.FAIL, seen, limit, then)


def skipped(why: str, then: str = "") -> Finding:
    """Not looked at."""
    return Finding(Status.SKIPPED, why, next=then)
