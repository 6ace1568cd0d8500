"""The run folder `<registry>/runs/<run_id>/`: each step leaves its result here, and the report needs nothing else.

    data.json, statistics.json           record_data: counts of the dataset manifest and its statistics
    training/<name>.jsonl                record_training: metrics of pretraining and of each surface's fine-tuning
    settings/<name>.json                 record_training: the model's settings and those of its training
    verdict.json, evaluations/<s>.json, exhibits/<s>.json    record_gate
    verifications/<s>.json               record_verification
    promotion.json | ready.json | rejection.json    record_promotion, record_ready, record_rejection
    validation.json                      record_validation: every check of the data
    steps/<step>.json                    record_begin, record_step: attempts, seconds and peak memory of the last one
    failure.json                         record_failure: the first step that failed, its message, its last lines
    message.json, message.txt            notify: what was told of the run, and to whom

Files may be missing in any combination. Folders are local paths or gs:// URIs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from pinrec_core import storage
from pinrec_core.errors import ConfigError
from pinrec_core.manifest import read_manifest
from pinrec_core.model.files import DESCRIPTION, TRAINING
from pinrec_core.release.promote import Promotion, Rejection
from pinrec_core.release.provenance.settings import training_settings
from pinrec_core.release.ready import Ready
from pinrec_core.release.verdict import EVALUATIONS_FOLDER, EXHIBITS_FOLDER, VERDICT_NAME, read_verdict
from pinrec_core.store import address

DATA = "data.json"
STATISTICS = "statistics.json"
TRAINING_FOLDER = "training"
SETTINGS_FOLDER = "settings"
VERIFICATIONS_FOLDER = "verifications"
PROMOTION = "promotion.json"
READY = "ready.json"
REJECTION = "rejection.json"
FAILURE = "failure.json"
VALIDATION = "validation.json"
STEPS_FOLDER = "steps"
MESSAGE = "message.json"
MESSAGE_TEXT = "message.txt"
LAST_LINES = 20  # of a failed step's log, kept
_NAME = re.compile(r"[\w-][\w. -]*")


def run_folder(registry: str, run_id: str) -> str:
    """Where the folder of a run is. Raises ConfigError if the id could point elsewhere."""
    return storage.join(registry, "runs", _plain(run_id))


def record_data(run: str, dataset: Path, uri: str = "") -> None:
    """Keep the dataset's counts, date, statistics and place. Raises IntegrityError if the dataset is altered.

    `uri` says where it is when that is not the local path read here (another pod's disk).
    """
    manifest = read_manifest(dataset, "dataset", verify=False)
    known = {"fingerprint": manifest.fingerprint, "counts": manifest.counts, "facts": manifest.facts,
             "uri": uri or str(dataset.absolute())}
    _write(run, DATA, known)
    storage.write_bytes(storage.join(run, STATISTICS), (Path(dataset) / STATISTICS).read_bytes())


def record_validation(run: str, validation: Path) -> None:
    """Keep what was found of the data."""
    storage.write_bytes(storage.join(run, VALIDATION), (Path(validation) / VALIDATION).read_bytes())


def record_begin(run: str, step: str, attempts: int = 1) -> None:
    """Keep that a step has begun, so many times more than it had."""
    name = _step_file(step)
    _write(run, name, {"step": step, "attempts": _attempts(run, name) + attempts, "seconds": None, "peak_mb": None})


def record_step(run: str, step: str, seconds: float, peak_kib: int = 0) -> None:
    """Keep what the last attempt of a step took. 0 KiB = the peak is not known; peak_mb is in MiB."""
    name, peak_mb = _step_file(step), round(peak_kib / 1024, 1) if peak_kib else None
    _write(run, name, {"step": step, "attempts": max(1, _attempts(run, name)), "seconds": round(seconds, 2),
                       "peak_mb": peak_mb})


def record_training(run: str, name: str, model: Path) -> None:
    """Keep the metrics of one training, under a name such as "pretrain" or "finetune home", and its settings."""
    place = address(model)
    metrics = storage.read_bytes(storage.join(place, "metrics.jsonl"))
    storage.write_bytes(storage.join(run, TRAINING_FOLDER, f"{_plain(name)}.jsonl"), metrics)
    if storage.exists(storage.join(place, TRAINING)):  # a curve alone comes without
        files = (storage.read_bytes(storage.join(place, part)) for part in (DESCRIPTION, TRAINING))
        _write(run, f"{SETTINGS_FOLDER}/{_plain(name)}.json", training_settings(*map(json.loads, files)))


def record_gate(run: str, verdict: Path) -> None:
    """Keep the verdict and the evaluations it judged. Raises IntegrityError if the verdict directory is altered."""
    _, manifest = read_verdict(verdict)
    kept = [name for name in manifest.files if name.endswith(".json")
            and name.split("/")[0] in (EVALUATIONS_FOLDER, EXHIBITS_FOLDER)]
    for name in (*kept, VERDICT_NAME):
        storage.write_bytes(storage.join(run, name), (Path(verdict) / name).read_bytes())


def record_verification(run: str, verification: dict) -> None:
    """Keep what verify_release returned."""
    _write(run, f"{VERIFICATIONS_FOLDER}/{_plain(verification['surface'])}.json", verification)


def record_promotion(run: str, promotion: Promotion) -> None:
    """Keep what promote returned."""
    _write(run, PROMOTION, promotion.model_dump(mode="json"))


def record_ready(run: str, ready: Ready) -> None:
    """Keep what could go live."""
    _write(run, READY, ready.model_dump(mode="json"))


def record_rejection(run: str, rejection: Rejection) -> None:
    """Keep why nothing was promoted; call it with `rejection_of(...)` before `reject`, which may raise."""
    _write(run, REJECTION, rejection.model_dump(mode="json"))


def record_failure(run: str, step: str, message: str, lines: Iterable[str] = ()) -> None:
    """Keep which step failed, what it said, and the last lines of its log. The first to fail stays."""
    if not storage.exists(storage.join(run, FAILURE)):
        _write(run, FAILURE, {"step": step, "message": message, "lines": list(lines)[-LAST_LINES:]})


def record_message(run: str, message: dict, text: str) -> None:
    """Keep what was told of the run, as JSON and to read."""
    _write(run, MESSAGE, message)
    storage.write_bytes(storage.join(run, MESSAGE_TEXT), text.encode())


def _step_file(step: str) -> str:
    return f"{STEPS_FOLDER}/{_plain(step)}.json"


def _attempts(run: str, name: str) -> int:
    """How often the step has begun, as its record says; 0 without one that can be read."""
    try:
        return int(json.loads(storage.read_versioned(storage.join(run, name)).data or b"")["attempts"])
    except (ValueError, KeyError, TypeError):
        return 0


def _write(run: str, name: str, content: dict) -> None:
    storage.write_bytes(storage.join(run, name), json.dumps(content, indent=1, default=str).encode())


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name a file of a run; use letters, digits, _ . and -")
    return name
