"""validate_data: the checks between aggregation and training. Any failure stops the run and says everything at once.

    pinrec validate --dataset DIR --output DIR
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pinrec_core.config import LogConfig, ValidateConfig
from pinrec_core.errors import DataError
from pinrec_core.logs.checks.rules import Finding, count_findings, day_finding, surface_findings
from pinrec_core.logs.checks.tables import table_findings
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest, write_manifest
from pinrec_core.storage import read_bytes, staged_directory, write_bytes

logger = logging.getLogger("pinrec")


def validate_data(dataset: Path, output: Path, *, validate: ValidateConfig) -> Manifest:
    """Judge a training dataset and write validation.json with every rule's observed value, limit and sentence.

    Raises DataError naming every rule that fails, with an example row where there is one; then nothing is written.
    Raises IntegrityError if the dataset is incomplete or altered.
    """
    dataset = Path(dataset)
    manifest = read_manifest(dataset, "dataset")
    findings = judge_dataset(dataset, manifest, validate)
    failed = [finding for finding in findings if not finding.passed]
    if failed:
        raise DataError(f"{dataset}: {len(failed)} of {len(findings)} checks failed\n"
                        + "\n".join(f"  {_told(finding)}" for finding in failed)
                        + "\nRepair the log, or change the limit in [validate] if the data is as it should be")
    logger.info("validate: %d checks passed", len(findings))
    with staged_directory(output) as aside:
        document = {"passed": True, "rules": [finding.as_json() for finding in findings]}
        write_bytes(str(aside / "validation.json"), json.dumps(document, indent=1, ensure_ascii=False).encode())
        return write_manifest(aside, kind="validation", config_fingerprint=fingerprint_of(validate),
                              parents={"dataset": manifest.fingerprint}, counts={"rules": len(findings)})


def judge_dataset(dataset: Path, manifest: Manifest, limits: ValidateConfig) -> list[Finding]:
    """Every rule's finding, passed or not, in a fixed order."""
    log = LogConfig.model_validate(manifest.facts["log"])
    facts = json.loads(read_bytes(str(dataset / "statistics.json")))
    return [*count_findings(manifest, facts, limits), day_finding(log, facts, limits),
            *surface_findings(log, facts, limits), *table_findings(dataset, manifest, log)]


def _told(finding: Finding) -> str:
    example = f"; for example {json.dumps(finding.example, ensure_ascii=False)}" if finding.example is not None else ""
    return f"{finding.rule}: observed {finding.observed:g}, limit {finding.limit:g}: {finding.sentence}{example}"
