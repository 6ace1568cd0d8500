"""gate: evaluations and rules in, one verdict out. `pinrec gate EVALUATION... --output DIR`.

The verdict directory is self-contained: verdict.json, and of every evaluation its numbers and per-user values, so
that a report or a promotion needs nothing else.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from pinrec_core.config import GateConfig
from pinrec_core.errors import ConfigError
from pinrec_core.manifest import fingerprint_of, write_manifest
from pinrec_core.release.evidence import (
    EVALUATION_NAME,
    EXHIBITS_NAME,
    PER_USER_NAME,
    DataChecks,
    Evidence,
    read_data_checks,
    read_evidence,
)
from pinrec_core.release.rules.surface import surface_rules
from pinrec_core.release.verdict import (
    EVALUATIONS_FOLDER,
    EXHIBITS_FOLDER,
    VERDICT_NAME,
    SurfaceVerdict,
    Verdict,
    decide_run,
    decide_surface,
)
from pinrec_core.storage import MANIFEST_NAME, staged_directory, write_bytes

log = logging.getLogger("pinrec")


def gate(evaluations: list[Path], output: Path, *, gate: GateConfig, validation: Path | None = None) -> Verdict:
    """Judge all surfaces and write the verdict directory (kind "verdict") to `output`.

    `validation` is what validate_data wrote of the evaluated dataset, for rule data_health, which fails without it. A
    reject is a verdict like any other, not an error. Raises IntegrityError if an evaluation or the validation is
    altered or incomplete, ConfigError if two evaluations are of the same surface.
    """
    evidence = _by_surface(evaluations)
    checks = read_data_checks(validation) if validation else None
    verdict = judge(evidence, gate, checks)
    with staged_directory(output) as folder:
        for surface, item in evidence.items():
            _copy_evaluation(item, folder / EVALUATIONS_FOLDER, surface)
            _copy_exhibits(item, folder / EXHIBITS_FOLDER, surface)
        write_bytes(str(folder / VERDICT_NAME), verdict.model_dump_json(indent=1).encode())
        write_manifest(folder, kind="verdict", config_fingerprint=fingerprint_of(gate),
                       parents={f"evaluation.{s}": item.fingerprint for s, item in evidence.items()}
                       | ({"validation": checks.fingerprint} if checks else {}),
                       counts={"surfaces": len(verdict.surfaces), "passed": len(verdict.passed)},
                       facts={"decision": verdict.decision.value, "policy": verdict.policy.value})
    for kind, sentences in (("rejected", verdict.reasons), ("warning", verdict.warnings)):
        for sentence in sentences:
            log.warning("gate: %s: %s", kind, sentence)
    log.info("gate: %s; %d of %d surfaces passed", verdict.decision.value, len(verdict.passed), len(verdict.surfaces))
    return verdict


def judge(evidence: dict[str, Evidence], gate: GateConfig, checks: DataChecks | None = None) -> Verdict:
    """The verdict over every surface that has a floor or an evaluation; pure."""
    surfaces = {surface: _judge_surface(surface, evidence.get(surface), gate, checks)
                for surface in sorted({*gate.floors, *evidence})}
    return Verdict(decision=decide_run(gate.policy, surfaces), policy=gate.policy, surfaces=surfaces)


def _judge_surface(surface: str, evidence: Evidence | None, gate: GateConfig,
                   checks: DataChecks | None) -> SurfaceVerdict:
    rules = surface_rules(surface, evidence, gate, checks)
    if evidence is None:
        return SurfaceVerdict(decision=decide_surface(rules, ""), rules=rules)
    return SurfaceVerdict(
        decision=decide_surface(rules, evidence.fingerprint), rules=rules, model_path=evidence.model_path,
        model_fingerprint=evidence.model_fingerprint, dataset_fingerprint=evidence.dataset_fingerprint,
        evaluation_fingerprint=evidence.fingerprint, live_release=evidence.live.release_id if evidence.live else None)


def _by_surface(evaluations: list[Path]) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {}
    for directory in evaluations:
        item = read_evidence(Path(directory))
        if item.surface in found:
            raise ConfigError(f"two evaluations of surface {item.surface!r}: {found[item.surface].directory} and "
                              f"{directory}; pass one of them")
        found[item.surface] = item
    return dict(sorted(found.items()))


def _copy_evaluation(evidence: Evidence, folder: Path, surface: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(evidence.directory / EVALUATION_NAME, folder / f"{surface}.json")
    shutil.copyfile(evidence.directory / PER_USER_NAME, folder / f"{surface}.{PER_USER_NAME}")
    shutil.copyfile(evidence.directory / MANIFEST_NAME, folder / f"{surface}.manifest")  # for the release's lineage


def _copy_exhibits(evidence: Evidence, folder: Path, surface: str) -> None:
    """For the report; nothing is judged by them, so an evaluation may have none."""
    if (evidence.directory / EXHIBITS_NAME).is_file():
        folder.mkdir(exist_ok=True)
        shutil.copyfile(evidence.directory / EXHIBITS_NAME, folder / f"{surface}.json")
