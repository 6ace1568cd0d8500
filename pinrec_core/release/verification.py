"""The document verify_release leaves at <registry>/verifications/<id>.json and promote demands.

Like a verdict it cannot contradict itself: `passed` is derived from the checks, and all required checks must be there.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pinrec_core import storage
from pinrec_core.config import EngineKind, IndexConfig, Level
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, code_fingerprint, fingerprint_of
from pinrec_core.registry import verification_path

REQUIRED_CHECKS = frozenset({"integrity", "replay_recall", "ann_recall", "vectors", "engine", "latency"})
FINGERPRINTS = ("dataset_fingerprint", "model_fingerprint", "evaluation_fingerprint", "verdict_fingerprint")


class Check(BaseModel):
    """One thing verified; observed and limit are None where it is not a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    level: Level = Level.ERROR
    passed: bool
    observed: float | None = None
    limit: float | None = None
    n: int | None = None  # users behind it
    sentence: str

    @property
    def rejects(self) -> bool:
        """Whether the release is unfit for it."""
        return not self.passed and self.level is Level.ERROR


class EngineTrial(BaseModel):
    """How one engine answered the replayed requests."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: EngineKind
    p50_ms: float
    p99_ms: float
    loss: float  # of recall, against torch
    limit: float
    n: int  # users behind it
    passed: bool
    sentence: str


class Verification(BaseModel):
    """What a clean process found when it loaded and replayed a release."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    release_id: str
    surface: str
    passed: bool
    fingerprints: dict[str, str]  # the release's facts, by name
    checks: tuple[Check, ...]
    measured: dict[str, float] = {}  # load_s, peak_rss_mb, p50_ms, p99_ms
    engine: EngineKind = EngineKind.TORCH  # that serves
    engines: tuple[EngineTrial, ...] = ()
    settings: str = ""  # settings_of what it was verified with

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        complete = {check.name for check in self.checks} >= REQUIRED_CHECKS
        if self.passed != (complete and not any(check.rejects for check in self.checks)):
            raise ValueError(f"passed {self.passed} does not follow from its checks")
        return self

    @property
    def reasons(self) -> list[str]:
        """Sentences of the checks that make it unfit."""
        return [check.sentence for check in self.checks if check.rejects]


def settings_of(index: IndexConfig) -> str:
    """What a verification depends on beside release and dataset: the demands, and the code that puts them."""
    return fingerprint_of(index, code_fingerprint())


def fingerprints_of(manifest: Manifest) -> dict[str, str]:
    """What a verification and the release it is about must agree on."""
    return {name: str(manifest.facts[name]) for name in FINGERPRINTS}


def require_verification(registry: str, release_id: str, manifest: Manifest) -> Verification:
    """The passing verification of a release. Raises IntegrityError if absent, failed, or about something else."""
    path = verification_path(registry, release_id)
    data = storage.read_versioned(path).data
    if data is None:
        raise IntegrityError(f"release {release_id} has no verification at {path}; run verify_release on it")
    try:
        found = Verification.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{path}: not a usable verification: {error.errors(include_url=False)[0]['msg']}; run "
                             "verify_release again") from error
    if not found.passed:
        raise IntegrityError(f"release {release_id} did not pass verification: {'; '.join(found.reasons)}; see {path}")
    for name, here, there in (("release_id", found.release_id, release_id),
                              *((k, found.fingerprints.get(k), v) for k, v in fingerprints_of(manifest).items())):
        if here != there:
            raise IntegrityError(f"{path}: {name} is {here}, the release has {there}; run verify_release again")
    return found
