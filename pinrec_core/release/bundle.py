"""The layout of one release and the checks every reader of one makes.

    model/              the candidate's model directory as it was, manifest included (its items.parquet is the id map)
    index/              the ANN index; index.json names the fingerprint of the model its vectors came from
    histories.parquet   per user the last engagements up to the end of the dataset, in ascending user_id
    generation.json     how queries are generated and merged
    evaluation.json, per_user.parquet, verdict.json    why it may be served
    manifest.json       kind "release"; its fingerprint is the release id
"""

from __future__ import annotations

import json
from pathlib import Path

from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, read_manifest

MODEL = "model"
INDEX = "index"
INDEX_DESCRIPTION = f"{INDEX}/index.json"
CURVE = f"{INDEX}/curve.json"  # not in the manifest
HISTORIES = "histories.parquet"
GENERATION = "generation.json"
EVALUATION = "evaluation.json"
PER_USER = "per_user.parquet"
VERDICT = "verdict.json"
EVIDENCE = frozenset({EVALUATION, PER_USER, VERDICT})  # why it may be served; everything else is what is served
REQUIRED = (f"{MODEL}/manifest.json", INDEX_DESCRIPTION, HISTORIES, GENERATION, EVALUATION, PER_USER, VERDICT)
FACTS = ("surface", "date", "dataset_fingerprint", "model_fingerprint", "evaluation_fingerprint",
         "verdict_fingerprint", "index")


def content_of(manifest: Manifest) -> dict[str, str]:
    """sha256 of every file that shapes answers: two releases that agree here serve the same."""
    return {name: entry.sha256 for name, entry in manifest.files.items() if name not in EVIDENCE}


def read_release(directory: Path, release_id: str) -> Manifest:
    """Check a release as a whole: every file's hash, its id, and that model and index belong together.

    Raises IntegrityError naming both fingerprints when something does not hold.
    """
    manifest = read_manifest(directory, "release")
    if manifest.fingerprint != release_id:
        raise IntegrityError(f"{directory}: its manifest has fingerprint {manifest.fingerprint}, the release asked for "
                             f"is {release_id}; the manifest was edited, build the release again")
    missing = [name for name in REQUIRED if name not in manifest.files]
    missing += [name for name in FACTS if name not in manifest.facts]
    if missing:
        raise IntegrityError(f"{directory}: release {release_id[:12]} lacks {', '.join(missing)}; build it again")
    _check_parts(directory, manifest)
    return manifest


def _check_parts(directory: Path, manifest: Manifest) -> None:
    expected = manifest.facts["model_fingerprint"]
    model = read_manifest(directory / MODEL, "model", verify=False).fingerprint  # files hashed by the release already
    index = json.loads((directory / INDEX_DESCRIPTION).read_bytes()).get("model_fingerprint")
    for part, found in ((MODEL, model), (INDEX, index)):
        if found != expected:
            raise IntegrityError(f"{directory}: {part} belongs to model {found}, the release is of model {expected}; "
                                 "build the release again")
