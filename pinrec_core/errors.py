"""The errors a user can cause or meet. Every message names the thing, the value, the limit and the next step."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ValidationError

EXIT_PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: not done and not wrong, call again


class PinrecError(Exception):
    """Base of every error whose message is meant for a person; the CLI prints it as one line."""


class ConfigError(PinrecError):
    """A setting is unknown, out of range, or contradicts another."""


class DataError(PinrecError):
    """An event log, catalog or dataset cannot be used as it is."""


class IntegrityError(PinrecError):
    """A file or directory is incomplete, altered, or belongs to something else."""


class ConflictError(PinrecError):
    """Somebody else changed the document between our read and our write."""


class StorageError(PinrecError):
    """Object storage did not answer in time, or refused."""


class MemoryRanOut(PinrecError):
    """A step needed more memory than it had."""


class TrainingError(PinrecError):
    """Training cannot go on, for example because the loss is no longer finite."""


class RankLost(TrainingError):
    """Another process of this training died or went silent: an echo of what happened there, not an error of its own."""


class Preempted(PinrecError):
    """Training was asked to stop and has written its place; the same call goes on from there."""


class TemporaryError(PinrecError):
    """A service is not to be reached or busy, and nothing is wrong with what was asked; the same call may do later."""


class ReleaseRejected(PinrecError):
    """The gate refused the candidate; nothing was changed."""


def explain(cls: type[BaseModel], error: ValidationError) -> str:
    """One line per problem: key, what is wrong, the value; the nearest name for an unknown key."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or cls.__name__
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), _field_names(cls), n=1)
            text = "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
        elif problem["type"] != "value_error":
            text += f" (got {problem['input']!r})"
        lines.append(f"{key}: {text}")
    return "; ".join(lines)


def _field_names(cls: type[BaseModel]) -> list[str]:
    """Names of all keys of a section and the sections below it."""
    names = []
    for name, field in cls.model_fields.items():
        names.append(field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += _field_names(field.annotation)
    return names
