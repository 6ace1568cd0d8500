"""Read a run folder: every part that is there, a word for every part that is not, and what became of the run.

A part that cannot be read never stops the report; it is named in `notes` instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pinrec_core import storage
from pinrec_core.errors import PinrecError
from pinrec_core.release.promote import Promotion, Rejection
from pinrec_core.release.ready import Ready
from pinrec_core.release.verdict import (
    EVALUATIONS_FOLDER,
    EXHIBITS_FOLDER,
    FLOOR_RULE,
    VERDICT_NAME,
    Decision,
    RuleResult,
    Verdict,
    parse_verdict,
)
from pinrec_core.report import run_folder


class RunStatus(StrEnum):
    """How a run ended."""

    PROMOTED = "promoted"
    READY = "ready"  # verified, and the run was not to promote
    REJECTED = "rejected"
    FAILED = "failed"


class SummaryRow(NamedTuple):
    """One line of the table that a run ends with; None where there is no number."""

    surface: str
    metric: str
    recall: float | None  # observed value of the metric
    low: float | None
    high: float | None
    baseline: str  # name of the best baseline, "" if none
    baseline_value: float | None
    floor: float | None
    verdict: str  # "promote" or "reject"
    n: int | None  # users

    @property
    def below_baseline(self) -> str:
        """A sentence if the best baseline does better than the candidate, else ""."""
        if self.recall is None or self.baseline_value is None or self.recall >= self.baseline_value:
            return ""
        return (f"{self.surface} {self.metric} {self.recall:.3f} (n = {self.n}) is below baseline {self.baseline} "
                f"{self.baseline_value:.3f}")


@dataclass
class RunFacts:
    """Everything a run folder holds."""

    verdict: Verdict | None = None
    evaluations: dict[str, dict] = field(default_factory=dict)
    exhibits: dict[str, dict] = field(default_factory=dict)
    training: dict[str, list[dict]] = field(default_factory=dict)
    verifications: dict[str, dict] = field(default_factory=dict)
    promotion: Promotion | None = None
    ready: Ready | None = None
    rejection: Rejection | None = None
    failure: dict | None = None
    data: dict | None = None
    statistics: dict | None = None
    validation: dict | None = None
    steps: dict[str, dict] = field(default_factory=dict)  # by name
    notes: list[str] = field(default_factory=list)  # what is absent or unreadable

    @property
    def status(self) -> RunStatus:
        """What the folder itself proves: an alias moved or could, the gate refused, or neither, which is a failure."""
        if self.promotion or self.ready:
            return RunStatus.PROMOTED if self.promotion else RunStatus.READY
        refused = self.rejection or (self.verdict and self.verdict.decision is Decision.REJECT)
        return RunStatus.REJECTED if refused else RunStatus.FAILED

    @property
    def date(self) -> str:
        """Last day of the data, "" if it was not recorded."""
        known = (self.data or {}).get("facts")
        return str(known.get("date", "")) if isinstance(known, dict) else ""

    @property
    def releases(self) -> dict[str, str]:
        """Surface -> release that this run made live, found live, or left to be promoted."""
        if not self.promotion:
            return dict(self.ready.releases) if self.ready else {}
        return {surface: move.live for surface, move in self.promotion.moved.items()} | self.promotion.unchanged

    @property
    def last_result(self) -> str:
        """The last step whose result is here, "" if there is none."""
        found = (("verify-release", self.verifications), ("gate", self.verdict), ("finetune", self.training),
                 ("validate-data", self.data))
        return next((step for step, result in found if result), "")

    @property
    def reasons(self) -> list[str]:
        """Why not everything was promoted, most telling first."""
        reasons = [f"step {self.failure.get('step', '?')}: {self.failure.get('message', '?')}"] if self.failure else []
        if self.verdict:
            return reasons + self.verdict.reasons
        return reasons + list(self.rejection.reasons if self.rejection else ())


def read_facts(folder: Path) -> RunFacts:
    """Read whatever the folder holds; never raises for a missing or broken part."""
    facts = RunFacts()
    read = _Reader(Path(folder), facts.notes)
    facts.verdict = read.part(VERDICT_NAME, parse_verdict, "the gate did not run")
    facts.promotion = read.part(run_folder.PROMOTION, _model(Promotion))
    facts.ready = read.part(run_folder.READY, _model(Ready))
    facts.rejection = read.part(run_folder.REJECTION, _model(Rejection))
    facts.failure = read.part(run_folder.FAILURE, _json)
    facts.data = read.part(run_folder.DATA, _json, "the dataset was not recorded")
    facts.statistics = read.part(run_folder.STATISTICS, _json, "data statistics were not recorded")
    facts.validation = read.part(run_folder.VALIDATION, _json)
    facts.exhibits = read.folder(EXHIBITS_FOLDER, _json)
    facts.steps = read.folder(run_folder.STEPS_FOLDER, _json)
    facts.evaluations = read.folder(EVALUATIONS_FOLDER, _json, "no surface was evaluated")
    facts.verifications = read.folder(run_folder.VERIFICATIONS_FOLDER, _json, "no release was verified")
    facts.training = read.folder(run_folder.TRAINING_FOLDER, _json_lines, "no training metrics were recorded")
    return facts


def summary_table(run_dir: str | Path) -> list[SummaryRow]:
    """One row per surface and floor, for the table a run prints; empty without a verdict and evaluations."""
    with storage.local_tree(str(run_dir)) as folder:
        return summary_rows(read_facts(folder))


def summary_rows(facts: RunFacts) -> list[SummaryRow]:
    """The same from facts that are read already. Without a verdict, the evaluations' metrics stand alone."""
    if facts.verdict is None:
        return [_row(surface, metric, evaluation, None, "") for surface, evaluation in sorted(facts.evaluations.items())
                for metric in (evaluation.get("metrics") or {}) if metric.startswith("recall@")]
    rows = []
    for surface, judged in sorted(facts.verdict.surfaces.items()):
        evaluation = facts.evaluations.get(surface, {})
        by_metric = {rule.metric: rule for rule in judged.rules if rule.rule == FLOOR_RULE}
        names = list(by_metric) or sorted({rule.metric for rule in judged.rules if rule.metric}) or [""]
        rows += [_row(surface, name, evaluation, by_metric.get(name), judged.decision.value) for name in names]
    return rows


def number(value: Any) -> float | None:
    """A finite number out of a bare number or a {"value": ...} statistic, else None."""
    value = value.get("value") if isinstance(value, dict) else value
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _row(surface: str, metric: str, evaluation: dict, rule: RuleResult | None, decision: str) -> SummaryRow:
    statistic = (evaluation.get("metrics") or {}).get(metric)
    statistic = statistic if isinstance(statistic, dict) else {"value": statistic}
    best = (evaluation.get("best_baseline") or {}).get(metric) or {}
    return SummaryRow(
        surface=surface, metric=metric, recall=number(statistic), low=number(statistic.get("low")),
        high=number(statistic.get("high")), baseline=str(best.get("name", "")), baseline_value=number(best),
        floor=rule.limit if rule else None, verdict=decision, n=statistic.get("n"))


class _Reader:
    """Reads parts of one folder and notes what it could not."""

    def __init__(self, root: Path, notes: list[str]):
        self.root, self.notes = root, notes

    def part(self, name: str, parse: Callable[[Path], Any], absent: str = "") -> Any:
        """One file, None if absent or broken."""
        if not (self.root / name).is_file():
            if absent:
                self.notes.append(f"{absent} ({name} is absent)")
            return None
        try:
            return parse(self.root / name)
        except (ValueError, OSError, PinrecError) as error:  # ValidationError and JSONDecodeError are ValueErrors
            self.notes.append(f"{name} cannot be read: {_first_problem(error)}")
            return None

    def folder(self, name: str, parse: Callable[[Path], Any], absent: str = "") -> dict[str, Any]:
        """All readable files of a folder by stem."""
        paths = sorted((self.root / name).glob("*.json*"))
        if not paths and absent:
            self.notes.append(f"{absent} ({name}/ is absent)")
        parts = {path.stem: self.part(f"{name}/{path.name}", parse) for path in paths}
        return {stem: part for stem, part in parts.items() if part is not None}


def _json(path: Path) -> dict:
    return _object(path.read_bytes())


def _object(text: str | bytes) -> dict:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"not a JSON object but a {type(content).__name__}")
    return content


def _json_lines(path: Path) -> list[dict]:
    return [_object(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _model(kind) -> Callable[[Path], Any]:
    return lambda path: kind.model_validate_json(path.read_bytes())


def _first_problem(error: Exception) -> str:
    return error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
