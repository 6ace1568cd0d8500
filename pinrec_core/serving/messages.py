"""What the service is asked and what it answers, as pydantic models: strict about types, keys and ranges.

Unknown surfaces, actions and item types are refused later, by the release that is asked (see translate.py).
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pinrec_core.config import MAX_ACTIONS, ServeConfig

Id = Annotated[str, Field(min_length=1, max_length=512)]
Name = Annotated[str, Field(min_length=1, max_length=128)]
TimeMs = Annotated[int, Field(ge=0, le=253_402_300_799_999)]  # UTC milliseconds, up to the year 9999
Share = Annotated[float, Field(ge=0, le=1)]
_ROUNDING = 1e-6  # by which shares may sum to more than 1


class Message(BaseModel):
    """Base of all requests."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Event(Message):
    """One engagement. Exactly one of action and actions is given."""

    item_id: Id
    action: Name | None = None
    actions: Annotated[list[Name], Field(min_length=1, max_length=MAX_ACTIONS)] | None = None
    surface: Name
    timestamp_ms: TimeMs

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        return _exactly_one(self, "action", "actions")

    @property
    def names(self) -> list[str]:
        """The actions taken."""
        return [self.action] if self.actions is None else self.actions


class Context(Message):
    """The query or close-up item that the feed answers."""

    item_id: Id


class RetrieveRequest(Message):
    """Items for a user on a surface. Exactly one of user_id and history is given."""

    surface: Name
    user_id: Id | None = Field(default=None, description="Whose history is taken from the release and the event store; "
                               "an unknown one is a new user.")
    history: list[Event] | None = Field(default=None, description="Engagements instead of a user's, in any order.")
    context: Context | None = None
    outcomes: dict[Name, Share] | None = Field(default=None, description="Share of the list per action; default: "
                                               "as the release is configured.")
    n: int | None = Field(default=None, ge=1, description="Items wanted; default: as the release is configured.")
    exclude: list[Id] = Field(default_factory=list, description="Items not wanted.")
    exclude_seen: bool = Field(default=False, description="Nor what is in the history.")
    item_types: list[Name] = Field(default_factory=list, max_length=64, description="Only items of these types; "
                                   "default: all that are retrieved.")
    explain: bool = Field(default=False, description="Say more of how the answer came about.")
    time_ms: TimeMs | None = Field(default=None, description="When it is asked; default: now.")

    @field_validator("outcomes")
    @classmethod
    def _shares_of_one_list(cls, outcomes: dict[str, float] | None) -> dict[str, float] | None:
        total = sum((outcomes or {}).values())
        if outcomes is not None and not 0 < total <= 1 + _ROUNDING:
            raise ValueError(f"the shares sum to {total:g}; they must sum to more than 0 and at most 1")
        return outcomes

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        return _exactly_one(self, "user_id", "history")


class EventsRequest(Message):
    """What a user did just now."""

    user_id: Id
    events: list[Event] = Field(min_length=1)


class Found(BaseModel):
    """One retrieved item."""

    item_id: str
    score: float = Field(description="Cosine of the item and the query that found it, plus what score biases and "
                         "counted experts add, over the model's scale.")
    outcome: str = Field(description="Action which that query asked for.")
    step: int = Field(description="Generation step of that query, from 0.")
    offset: int | None = Field(default=None, description="With explain: time-offset bucket it asked for, 0 = now.")
    title: str | None = Field(default=None, description="With explain, where the catalog has one.")


class Unknown(BaseModel):
    """Items that were named and that the release does not know, or tokens it can make nothing of."""

    history: list[str]
    exclude: list[str]


class Explanation(BaseModel):
    """How an answer came about."""

    unknown: Unknown
    budgets: dict[str, float] = Field(description="Share of the list per action that was used.")
    batch: int = Field(description="Requests computed together with this one, itself included.")
    queued_ms: float
    computed_ms: float


class Answer(BaseModel):
    """Items, best first."""

    release_id: str
    surface: str
    history_length: int = Field(description="Engagements that the model was shown.")
    items: list[Found]
    explain: Explanation | None = None


class Stored(BaseModel):
    """How many events were kept."""

    stored: int


def bounded(config: ServeConfig) -> tuple[type[RetrieveRequest], type[EventsRequest]]:
    """Both requests with the limits of a service, so that its OpenAPI page tells them."""
    events = Annotated[list[Event], Field(max_length=config.max_history)]
    return (_narrowed(RetrieveRequest, n=Annotated[int, Field(le=config.max_n)] | None, history=events | None,
                      exclude=Annotated[list[Id], Field(max_length=config.max_exclude)]),
            _narrowed(EventsRequest, events=events))


def _narrowed(model: type[Message], **kinds: object) -> type[Message]:
    """The same message with some fields of narrower types."""
    fields = {name: (kind, model.model_fields[name]) for name, kind in kinds.items()}
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)


def _exactly_one(message: Message, first: str, second: str) -> Message:
    if (getattr(message, first) is None) is (getattr(message, second) is None):
        raise PydanticCustomError("one_of", "give exactly one of {field} and {other}", {"field": first,
                                                                                       "other": second})
    return message
