"""What a gate reads of an evaluation: the numbers, what they were measured on, and the live release beside them.

Only what decides is typed here; NaN and null are let through on purpose, because the rules turn them into a named
failure instead of a parse error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import read_manifest

EVALUATION_NAME = "evaluation.json"
PER_USER_NAME = "per_user.parquet"
_PLAIN_NAME = re.compile(r"[\w-][\w. -]*")  # evaluations are copied to <surface>.json: no path may hide in the name


class Statistic(BaseModel):
    """A mean over users with its interval; n = users."""

    model_config = ConfigDict(frozen=True)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None


class LiveComparison(BaseModel):
    """The live release on the same users, and candidate minus live with a paired interval."""

    model_config = ConfigDict(frozen=True)
    release_id: str
    metrics: dict[str, Statistic]
    difference: dict[str, Statistic]

    @field_validator("metrics", mode="before")
    @classmethod
    def _plain_numbers(cls, metrics: Any) -> Any:
        """Accept a bare number in place of a statistic."""
        if not isinstance(metrics, dict):
            return metrics
        return {name: value if isinstance(value, dict) else {"value": value} for name, value in metrics.items()}


class Evidence(BaseModel):
    """One evaluation, as the rules see it."""

    model_config = ConfigDict(frozen=True)
    surface: str
    metrics: dict[str, Statistic]
    model_path: str
    model_fingerprint: str
    dataset_fingerprint: str
    live: LiveComparison | None  # required: an evaluation that does not say is not one without a live release
    fingerprint: str  # of the evaluation's manifest
    directory: Path


def read_evidence(directory: Path) -> Evidence:
    """Read and verify one evaluation directory. Raises IntegrityError if altered, incomplete or not an evaluation."""
    manifest = read_manifest(directory, "evaluation")
    for name in (EVALUATION_NAME, PER_USER_NAME):
        if name not in manifest.files:
            raise IntegrityError(f"{directory}: its manifest does not name {name}; rerun evaluate")
    path = Path(directory, EVALUATION_NAME)
    try:
        content = _Content.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise IntegrityError(f"{path}: not an evaluation: {where}: {problem['msg']}; rerun evaluate") from error
    missing = sorted({"model", "dataset"} - manifest.parents.keys())
    if missing:
        raise IntegrityError(f"{directory}: its manifest does not name the {' and '.join(missing)} it measured; rerun "
                             "evaluate")
    if not _PLAIN_NAME.fullmatch(content.surface):
        raise IntegrityError(f"{path}: surface {content.surface!r} cannot name a file; use letters, digits, _ . and -")
    return Evidence(**dict(content), model_fingerprint=manifest.parents["model"],
                    dataset_fingerprint=manifest.parents["dataset"], fingerprint=manifest.fingerprint,
                    directory=Path(directory))


class _Content(BaseModel):
    surface: str
    metrics: dict[str, Statistic]
    model_path: str
    live: LiveComparison | None
