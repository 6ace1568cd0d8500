"""What all sections share: immutable, strict, read from JSON."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinrec_core.errors import ConfigError, explain

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]


def is_folder_below_root(path: str) -> bool:
    """Whether a path of a pod is absolute, not / itself, and leads nowhere by `..`: what a volume is mounted at."""
    parts = PurePosixPath(path)
    return parts.is_absolute() and parts != PurePosixPath("/") and ".." not in parts.parts


class Level(StrEnum):
    """What becomes of a rule that fails."""

    ERROR = "error"  # what it judges is rejected
    WARN = "warn"  # it is told


class Incidental:
    """Marks a setting that says how a step runs and changes nothing of what it writes: no fingerprint knows it."""


class Section(BaseModel):
    """Base of all sections: immutable, strict about unknown keys, comparable by value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def shaping(self) -> dict[str, Any]:
        """What shapes an output: all settings as JSON values but the incidental ones."""
        incidental = {name for name, field in type(self).model_fields.items() if Incidental in field.metadata}
        return self.model_dump(mode="json", exclude=incidental)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a section from the JSON string a component received. Raises ConfigError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(explain(cls, error)) from error
