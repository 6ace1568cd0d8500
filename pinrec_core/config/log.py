"""[log]: the vocabulary of the events."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pinrec_core.config.section import Section

MAX_ACTIONS = 31  # actions are bits of an int32


class LogConfig(Section):
    """The vocabulary of the event log: which surfaces and actions exist and what they mean."""

    surfaces: tuple[str, ...] = Field(min_length=1)  # surfaces that get a model, an index and a release of their own
    pooled_surface: str = ""  # name under which all other surfaces are kept as history; "" = quarantine their rows
    impression_action: str = "impression"  # the action that says "was shown"
    positive_actions: tuple[str, ...] = Field(min_length=1)  # outcomes that enter histories and are retrieved for
    negative_actions: tuple[str, ...] = ()  # outcomes that are recorded as labels but never become history or target
    item_types: tuple[str, ...] = ("pin",)  # every item type that may occur
    retrievable_types: tuple[str, ...] = ("pin",)  # item types that are indexed, retrieved and counted as targets

    @property
    def surface_names(self) -> tuple[str, ...]:
        """All surfaces by code: the modelled ones, then the pooled one if any."""
        return self.surfaces + ((self.pooled_surface,) if self.pooled_surface else ())

    @property
    def action_names(self) -> tuple[str, ...]:
        """All actions by bit number: positive ones first, then negative ones. Impressions are no bit."""
        return self.positive_actions + self.negative_actions

    @property
    def positive_mask(self) -> int:
        """Bit mask of the positive actions."""
        return (1 << len(self.positive_actions)) - 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for kind, names in (("surface", self.surface_names), ("item type", self.item_types),
                            ("action", (*self.action_names, self.impression_action))):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{kind} {repeated[0]!r} is named more than once; keep one")
        if len(self.action_names) > MAX_ACTIONS:
            raise ValueError(f"{len(self.action_names)} actions, at most {MAX_ACTIONS} fit; pool rare ones")
        for name in self.retrievable_types:
            if name not in self.item_types:
                raise ValueError(f"retrievable type {name!r} is not among item_types {list(self.item_types)}")
        return self
