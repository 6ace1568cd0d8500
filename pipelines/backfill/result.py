"""What came of one date of a backfill."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from pinrec_core.cli.exit_codes import EXIT_FAILED, EXIT_REJECTED
from pipelines.conclusion import Conclusion
from pipelines.local import LocalRun


class DateStatus(StrEnum):
    """How a date ended."""

    PROMOTED = "promoted"
    READY = "ready"
    REJECTED = "rejected"
    FAILED = "failed"
    NOT_RUN = "not run"  # it depends on a date that failed

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do for the date."""
        return self in (DateStatus.PROMOTED, DateStatus.READY, DateStatus.REJECTED)


class DateResult(BaseModel):
    """One line of a backfill's table."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    date: str
    status: DateStatus
    sentence: str  # of the run, or why it did not run
    metrics: dict[str, dict[str, float | None]] = {}  # surface -> metric with a floor -> value
    releases: tuple[str, ...] = ()  # that could go live, or did
    seconds: float = 0.0
    steps: int = 0  # tasks of the run
    reused: int = 0  # of them those that were not executed
    again: bool = False  # an earlier backfill has done it all; seconds and steps are those of then
    run_id: str = ""
    report: str = ""
    dataset: str = ""  # where the date's dataset is, "" if there is none

    @classmethod
    def of(cls, date: str, done: LocalRun, ended: Conclusion, seconds: float, dataset: str) -> Self:
        """Of a run that has ended."""
        metrics = {surface: {name: metric["value"] for name, metric in entry["metrics"].items()}
                   for surface, entry in ended.outcome["surfaces"].items()}
        return cls(date=date, status=DateStatus(ended.status), sentence=ended.outcome["sentence"], metrics=metrics,
                   releases=tuple(ended.outcome["releases"].values()), seconds=round(seconds, 1), steps=len(done.tasks),
                   reused=sum(task.state == "cached" for task in done.tasks), run_id=done.run_id,
                   report=ended.outcome["report"], dataset=dataset)


def exit_code(results: list[DateResult]) -> int:
    """1 if any date failed or did not run, else 3 if any was rejected, else 0."""
    statuses = {result.status for result in results}
    if statuses & {DateStatus.FAILED, DateStatus.NOT_RUN}:
        return EXIT_FAILED
    return EXIT_REJECTED if DateStatus.REJECTED in statuses else 0
