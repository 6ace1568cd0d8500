"""What components share: how outputs are described to KFP, where a run leaves its results, how a training is started.

Takes KFP artifacts by their attributes alone, so that a step imports nothing of kfp through it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.image import RUN_UID
from pinrec_core.config import LaunchConfig
from pinrec_core.errors import EXIT_PREEMPTED, MemoryRanOut, PinrecError, Preempted, StorageError
from pinrec_core.manifest import Manifest
from pinrec_core.report.run_folder import LAST_LINES, record_failure, run_folder
from pinrec_core.report.step_end import is_memory_error, memory_in_words
from pinrec_core.report.step_marks import Took, step_taken
from pinrec_core.store import address
from pinrec_core.training.job import Job
from pinrec_core.training.launch.start import launch

logger = logging.getLogger("pinrec")


def describe(artifact: Any, manifest: Manifest, **more: str) -> None:
    """Put fingerprint, kind, counts and what else tells it apart on an artifact, where the KFP interface shows them.

    Of one in a store also where that is: "data".
    """
    artifact.metadata.update({"kind": manifest.kind, "fingerprint": manifest.fingerprint, **manifest.counts, **more})
    if (there := address(artifact.path)) != artifact.path:
        artifact.metadata["data"] = there


def uri_of(artifact: Any) -> str:
    """Where other tasks find the data of an artifact: in the store if they are in one, else where KFP keeps it."""
    there = address(artifact.path)
    return artifact.uri if there == artifact.path else there


def log_metrics(metrics: Any, values: Mapping[str, Any]) -> None:
    """Log every finite number and write all of them to the artifact's file.

    The file must be there: a Metrics output without one is a miss in KFP's local cache. Numbers that are not finite
    cannot cross KFP's JSON and are left out.
    """
    numbers = {name: value for name, value in values.items() if _is_number(value)}
    for name, value in numbers.items():
        metrics.log_metric(name, value)
    Path(metrics.path).write_text(json.dumps(numbers, indent=1), "utf-8")


def write_summary(summary: Any, headline: str, sentences: Iterable[str]) -> None:
    """Write what a step found as Markdown, which the KFP interface shows: one bold line, then one point a sentence."""
    points = [f"- {sentence}" for sentence in sentences]
    Path(summary.path).write_text("\n".join([f"**{headline}**", "", *points]), "utf-8")


def folder_of(registry: str, run_id: str) -> str:
    """The run's folder. Inside a loop KFP's local runner appends "/<iteration>" to the job name; the run is before."""
    return run_folder(registry, run_id.partition("/")[0])


def pod_folder(registry: str) -> str:
    """Where cached steps leave what they may not know the run for: by the id that their pod has, "" without one."""
    run = os.environ.get(RUN_UID, "")
    return run_folder(registry, run) if registry and run else ""


@contextlib.contextmanager
def recorded(registry: str, run_id: str, step: str) -> Iterator[Took]:
    """Leave in the run's folder what a step takes and, if it fails, why, with the last lines of its log.

    A task that is cached may not know the run: run_id is "" then, and its folder that of its pod's run, if it is in
    one. pinrec run keeps the ends of those too. Raises what the block raises, for want of memory MemoryRanOut.
    """
    folder = folder_of(registry, run_id) if run_id else pod_folder(registry)
    with _last_lines() as lines, step_taken(folder, step) as took:
        try:
            yield took
        except Exception as error:
            message = str(error) if isinstance(error, PinrecError) else f"{type(error).__name__}: {error}"
            message = memory_in_words(step, error) if is_memory_error(error) else message
            if folder:
                trace = "".join(traceback.format_exception(error)).splitlines()
                with contextlib.suppress(StorageError):  # what ends the step is told, not that it cannot be kept
                    record_failure(folder, step, message, [*lines, *trace[-LAST_LINES // 2:]])
            if is_memory_error(error):
                raise MemoryRanOut(message) from error
            raise


@contextlib.contextmanager
def _last_lines() -> Iterator[deque[str]]:
    """What was logged last while the block runs."""
    lines: deque[str] = deque(maxlen=LAST_LINES // 2)
    listener = logging.Handler()
    listener.emit = lambda record: lines.append(f"{record.levelname} {record.getMessage()}")
    logging.getLogger().addHandler(listener)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(listener)


def train(job: Job, section: str, took: Took) -> Manifest:
    """Train where section [launch], as JSON, says. A preempted step ends with exit code 75, so that it is tried again.

    The memory of the training's processes counts as the step's, in other pods too.
    Raises what launch raises.
    """
    try:
        return launch(job, LaunchConfig.parse(section), took.others_kib)
    except Preempted as stopped:
        logger.warning("%s", stopped)
        sys.exit(EXIT_PREEMPTED)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
