"""validate_data: the checks between aggregation and training. Errors stop the run, warnings are told and kept.

    pinrec validate-data --config FILE --dataset DIR --output DIR
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from pinrec_core.config import LogConfig, ValidateConfig
from pinrec_core.errors import DataError
from pinrec_core.logs.checks.drift import drift_findings
from pinrec_core.logs.checks.finding import ERROR, WARN, Finding
from pinrec_core.logs.checks.rules import count_findings, day_finding, last_day_findings, surface_findings
from pinrec_core.logs.checks.tables import table_findings
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest, write_manifest
from pinrec_core.storage import read_bytes, staged_directory, write_bytes

logger = logging.getLogger("pinrec")


def validate_data(dataset: Path, output: Path, *, validate: ValidateConfig) -> Manifest:
    """Judge a training dataset and write validation.json with every rule's observed value, limit and sentence.

    Raises DataError naming every rule that fails with severity "error", with up to five offending rows each; then
    nothing is written. Raises IntegrityError if the dataset is incomplete or altered.
    """
    dataset = Path(dataset)
    manifest = read_manifest(dataset, "dataset")
    facts = read_facts(dataset)
    findings = judge_dataset(dataset, manifest, facts, validate)
    warnings = [finding for finding in findings if not finding.passed and finding.severity == WARN]
    errors = [finding for finding in findings if not finding.passed and finding.severity == ERROR]
    for finding in warnings:
        logger.warning("validate: %s", finding.told())
    if errors:
        raise DataError(f"{dataset}: {len(errors)} of {len(findings)} checks failed\n"
                        + "\n".join(f"  {finding.told()}" for finding in errors)
                        + "\nRepair the log, or change the limit in [validate] if the data is as it should be")
    skipped = sum(finding.observed is None for finding in findings)
    logger.info("validate: %d checks passed, %d warned, %d skipped", len(findings) - len(warnings) - skipped,
                len(warnings), skipped)
    with staged_directory(output) as aside:
        document = {"passed": True, "warnings": [finding.rule for finding in warnings], "notes": facts["warnings"],
                    "rules": [finding.as_json() for finding in findings]}
        write_bytes(str(aside / "validation.json"), json.dumps(document, indent=1, ensure_ascii=False).encode())
        return write_manifest(aside, kind="validation", config_fingerprint=fingerprint_of(validate),
                              parents={"dataset": manifest.fingerprint},
                              counts={"rules": len(findings), "warnings": len(warnings), "skipped": skipped})


def judge_dataset(dataset: Path, manifest: Manifest, facts: dict[str, Any], limits: ValidateConfig) -> list[Finding]:
    """Every rule's finding, passed or not, in a fixed order. `facts` as read_facts gives them."""
    log = LogConfig.model_validate(manifest.facts["log"])
    findings = [*count_findings(manifest, facts, limits), day_finding(log, facts, limits),
                *surface_findings(log, facts, limits), *last_day_findings(facts, limits),
                *drift_findings(log, facts, limits), *table_findings(dataset, manifest, log)]
    return [replace(finding, severity=WARN) if finding.base in limits.warn else finding for finding in findings]


def read_facts(dataset: Path) -> dict[str, Any]:
    """statistics.json of a dataset, with what sketches.json holds under "sketches". Raises DataError if it is old."""
    if not (dataset / "sketches.json").is_file():
        raise DataError(f"{dataset}: has no sketches.json, so an older version wrote it; aggregate the log again")
    return json.loads(read_bytes(str(dataset / "statistics.json"))) | {
        "sketches": json.loads(read_bytes(str(dataset / "sketches.json")))}
