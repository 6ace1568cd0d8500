"""How a request is turned down: a status and one JSON object {error, field?, hint?}, the same for every route."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic import BaseModel, ValidationError

from pinrec_core.errors import PinrecError

_COMPARED = 64  # characters of a name that are compared with known ones; longer names are not misspelt ones
_LISTED = 10  # known names that a hint lists


class Problem(BaseModel):
    """What is wrong with a request, or why it cannot be answered now."""

    error: str
    field: str | None = None  # of the request, nested ones with dots: history.3.action
    hint: str | None = None


class Declined(PinrecError):
    """The request is not answered; `status` says whose matter that is."""

    def __init__(self, status: int, error: str, *, field: str | None = None, hint: str | None = None,
                 retry_after_s: int = 0):
        super().__init__(error)
        self.status, self.retry_after_s = status, retry_after_s  # 0 = trying again does not help
        self.problem = Problem(error=error, field=field, hint=hint)


def invalid(error: ValidationError, model: type[BaseModel]) -> Declined:
    """The first of the problems of a body, 400 if it is not JSON at all."""
    problems = error.errors(include_url=False, include_input=False)
    first = problems[0]
    if first["type"] == "json_invalid":
        return Declined(400, f"the body is not JSON: {first['ctx']['error']}")
    path = [str(part) for part in first["loc"]] or [first.get("ctx", {}).get("field", "body")]
    hint = None
    if first["type"] == "extra_forbidden" and len(path) == 1:
        hint = nearest(path[0], model.model_fields)
    more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return Declined(422, f"{'.'.join(path)}: {first['msg'].removeprefix('Value error, ')}{more}",
                    field=".".join(path), hint=hint)


def unknown(what: str, name: str, known: Iterable[str], field: str) -> Declined:
    """A name that is not among the known ones."""
    return Declined(422, f"{what} {name[:_COMPARED]!r} is unknown", field=field, hint=nearest(name, known))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean ...? There are ...`; None if nothing is known."""
    names = sorted(known)
    if not names:
        return None
    near = difflib.get_close_matches(name[:_COMPARED], names, n=1, cutoff=0.0)
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    return f"did you mean {near[0]!r}? There are {listed}"
