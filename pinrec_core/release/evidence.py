"""What a gate reads: of an evaluation the numbers, what they were measured on and what they are compared with; of the
dataset what its checks found.

Only what decides is typed here; NaN and null are let through on purpose, because the rules turn them into a named
failure instead of a parse error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import read_manifest

EVALUATION_NAME = "evaluation.json"
PER_USER_NAME = "per_user.parquet"
EXHIBITS_NAME = "exhibits.json"
VALIDATION_NAME = "validation.json"
_PLAIN_NAME = re.compile(r"[\w-][\w. -]*")  # evaluations are copied to <surface>.json: no path may hide in the name
_Model = TypeVar("_Model", bound=BaseModel)


class Statistic(BaseModel):
    """A mean over users with its interval; n = users (of coverage and distinct items: lists)."""

    model_config = ConfigDict(frozen=True)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None


class Comparison(BaseModel):
    """Something else on the same users, and candidate minus it with a paired interval."""

    model_config = ConfigDict(frozen=True)
    metrics: dict[str, Statistic]
    difference: dict[str, Statistic]

    @field_validator("metrics", mode="before")
    @classmethod
    def _plain_numbers(cls, metrics: Any) -> Any:
        """Accept a bare number in place of a statistic."""
        if not isinstance(metrics, dict):
            return metrics
        return {name: value if isinstance(value, dict) else {"value": value} for name, value in metrics.items()}


class LiveComparison(Comparison):
    """The live release, on all targets and on slices of them."""

    release_id: str
    slices: dict[str, dict[str, Comparison]] = {}  # kind -> name -> the same over a part of the targets


class Embedding(BaseModel):
    """How the item vectors lie."""

    model_config = ConfigDict(frozen=True)
    items: int
    effective_rank: float | None
    dimension: int
    duplicate_share: float | None


class _Content(BaseModel):
    """Of evaluation.json what decides."""

    model_config = ConfigDict(frozen=True)
    surface: str
    metrics: dict[str, Statistic]
    model_path: str
    live: LiveComparison | None  # required: an evaluation that does not say is not one without a live release
    baselines: dict[str, Comparison] = {}
    embedding: Embedding | None = None


class Evidence(_Content):
    """One evaluation, as the rules see it."""

    model_fingerprint: str
    dataset_fingerprint: str
    fingerprint: str  # of the evaluation's manifest
    directory: Path


class DataCheck(BaseModel):
    """One rule of validate_data."""

    model_config = ConfigDict(frozen=True)
    rule: str
    passed: bool
    sentence: str


class _Validation(BaseModel):
    """Of validation.json what decides."""

    model_config = ConfigDict(frozen=True)
    rules: tuple[DataCheck, ...]


class DataChecks(_Validation):
    """What validate_data found of a dataset."""

    dataset_fingerprint: str
    fingerprint: str  # of the validation's manifest


def read_evidence(directory: Path) -> Evidence:
    """Read and verify one evaluation directory. Raises IntegrityError if altered, incomplete or not an evaluation."""
    manifest = read_manifest(directory, "evaluation")
    for name in (EVALUATION_NAME, PER_USER_NAME):
        if name not in manifest.files:
            raise IntegrityError(f"{directory}: its manifest does not name {name}; rerun evaluate")
    path = Path(directory, EVALUATION_NAME)
    content = _parse(_Content, path, "not an evaluation", "rerun evaluate")
    missing = sorted({"model", "dataset"} - manifest.parents.keys())
    if missing:
        raise IntegrityError(f"{directory}: its manifest does not name the {' and '.join(missing)} it measured; rerun "
                             "evaluate")
    if not _PLAIN_NAME.fullmatch(content.surface):
        raise IntegrityError(f"{path}: surface {content.surface!r} cannot name a file; use letters, digits, _ . and -")
    return Evidence(**dict(content), model_fingerprint=manifest.parents["model"],
                    dataset_fingerprint=manifest.parents["dataset"], fingerprint=manifest.fingerprint,
                    directory=Path(directory))


def read_data_checks(directory: Path) -> DataChecks:
    """Read and verify what validate_data wrote. Raises IntegrityError if altered, incomplete or something else."""
    manifest = read_manifest(directory, "validation")
    if VALIDATION_NAME not in manifest.files or "dataset" not in manifest.parents:
        raise IntegrityError(f"{directory}: its manifest does not name {VALIDATION_NAME} and the dataset it is about; "
                             "rerun validate_data")
    content = _parse(_Validation, Path(directory, VALIDATION_NAME), "not a validation", "rerun validate_data")
    return DataChecks(**dict(content), dataset_fingerprint=manifest.parents["dataset"],
                      fingerprint=manifest.fingerprint)


def _parse(kind: type[_Model], path: Path, wrong: str, remedy: str) -> _Model:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise IntegrityError(f"{path}: {wrong}: {where}: {problem['msg']}; {remedy}") from error
