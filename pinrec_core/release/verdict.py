"""The gate's verdict: every rule's observed value, limit and sentence, and the decision that follows from them.

A verdict cannot contradict itself: on construction and on reading, each decision is derived again from the rules, so
a hand-edited "promote" over a failed rule is refused.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pinrec_core.config import Level, Policy
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, read_manifest
from pinrec_core.release.outcome import FLOOR_RULE, RuleResult

VERDICT_NAME = "verdict.json"
EVALUATIONS_FOLDER = "evaluations"
EXHIBITS_FOLDER = "exhibits"


class Decision(StrEnum):
    """What the gate says, of a surface and of the run."""

    PROMOTE = "promote"
    REJECT = "reject"


class SurfaceVerdict(BaseModel):
    """The decision on one surface and what it rests on; fingerprints are "" if there was no evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    decision: Decision
    model_path: str = ""  # path or URI of the candidate's model directory
    model_fingerprint: str = ""
    dataset_fingerprint: str = ""
    evaluation_fingerprint: str = ""
    live_release: str | None = None  # the release the candidate was compared with
    rules: tuple[RuleResult, ...]

    @property
    def reasons(self) -> list[str]:
        """Sentences of the rules it is rejected for."""
        return [rule.sentence for rule in self.rules if rule.rejects]

    @property
    def warnings(self) -> list[str]:
        """Sentences of the failed rules that are only told."""
        return [rule.sentence for rule in self.rules if not rule.passed and not rule.rejects]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.decision is not decide_surface(self.rules, self.evaluation_fingerprint):
            raise ValueError(f"decision {self.decision.value!r} does not follow from its rules")
        return self


class Verdict(BaseModel):
    """The content of verdict.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    decision: Decision
    policy: Policy
    surfaces: dict[str, SurfaceVerdict]

    @property
    def passed(self) -> list[str]:
        """Surfaces that passed all their rules, sorted; under policy `all` they move only together."""
        return sorted(s for s, verdict in self.surfaces.items() if verdict.decision is Decision.PROMOTE)

    @property
    def reasons(self) -> list[str]:
        """Sentences of all rules that reject, by surface."""
        return [sentence for surface in sorted(self.surfaces) for sentence in self.surfaces[surface].reasons]

    @property
    def warnings(self) -> list[str]:
        """Sentences of all failed rules that are only told, by surface."""
        return [sentence for surface in sorted(self.surfaces) for sentence in self.surfaces[surface].warnings]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.decision is not decide_run(self.policy, self.surfaces):
            raise ValueError(f"decision {self.decision.value!r} does not follow from its surfaces and policy "
                             f"{self.policy.value!r}")
        return self


def decide_surface(rules: tuple[RuleResult, ...], evaluation_fingerprint: str) -> Decision:
    """Promote only with an evaluation, at least one floor that could reject, and no rule that does."""
    has_floor = any(rule.rule == FLOOR_RULE and rule.level is Level.ERROR for rule in rules)
    good = bool(evaluation_fingerprint) and has_floor and not any(rule.rejects for rule in rules)
    return Decision.PROMOTE if good else Decision.REJECT


def decide_run(policy: Policy, surfaces: dict[str, SurfaceVerdict]) -> Decision:
    """Policy `all`: every surface must pass. Policy `each`: one is enough. No surface at all is a reject."""
    passed = [verdict.decision is Decision.PROMOTE for verdict in surfaces.values()]
    good = bool(passed) and (all(passed) if policy is Policy.ALL else any(passed))
    return Decision.PROMOTE if good else Decision.REJECT


def read_verdict(directory: str | Path) -> tuple[Verdict, Manifest]:
    """The verdict in a verdict directory, with its manifest. Raises IntegrityError if altered or contradictory."""
    manifest = read_manifest(directory, "verdict")
    if VERDICT_NAME not in manifest.files:
        raise IntegrityError(f"{directory}: its manifest does not name {VERDICT_NAME}; rerun the gate step")
    return parse_verdict(Path(directory, VERDICT_NAME)), manifest


def parse_verdict(path: Path) -> Verdict:
    """Read one verdict.json. Raises IntegrityError if it is not a verdict or contradicts itself."""
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise IntegrityError(f"{path}: no verdict; run the gate step") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise IntegrityError(f"{path}: not a usable verdict: {where}: {problem['msg']}; rerun the gate step") from error
