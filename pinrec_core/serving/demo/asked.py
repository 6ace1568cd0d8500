"""What the page asks for beside items: query strings as pydantic models, every length bounded."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinrec_core.serving.declined import invalid
from pinrec_core.serving.messages import Id, Name

MAX_LISTED = 100  # users or items of one answer
MAX_HISTORY = 500  # engagements of one answer

Listed = Annotated[int, Field(ge=1, le=MAX_LISTED)]


class Asked(BaseModel):
    """A query string; every value comes as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    surface: Name


class UsersAsked(Asked):
    """Users of a release, in the order of their ids."""

    prefix: Annotated[str, Field(max_length=512)] = ""
    skip: int = Field(default=0, ge=0)
    limit: Listed = 20


class HistoryAsked(Asked):
    """One user's latest engagements."""

    user_id: Id
    limit: int = Field(default=MAX_HISTORY, ge=1, le=MAX_HISTORY)


class ItemsAsked(Asked):
    """Items by a part of their title, or the beginning of their id."""

    text: Annotated[str, Field(min_length=1, max_length=128)]
    limit: Listed = 20


Query = TypeVar("Query", bound=Asked)


def asked(request: Request, model: type[Query]) -> Query:
    """The request's query string. Raises Declined for what it does not allow."""
    try:
        return model.model_validate_strings(dict(request.query_params))
    except ValidationError as error:
        raise invalid(error, model) from None
