"""The layout of one release and the checks every reader of one makes.

    model/              the candidate's model directory as it was, manifest included (its items.parquet is the id map)
    index/              the ANN index; index.json names the fingerprint of the model its vectors came from, vectors.npy
                        holds them, biases included, for all items
    engine/             the model's generation as graphs for onnxruntime, unless it is configured to run in torch
    histories.parquet   per user the last engagements up to the end of the dataset, in ascending user_id
    generation.json     how queries are generated and merged
    evaluation.json, per_user.parquet, verdict.json    why it may be served
                        (of a refreshed release: what they said of the model before items were added)
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
VECTORS = f"{INDEX}/vectors.npy"
ENGINE = "engine"
CURVE = f"{INDEX}/curve.json"  # not in the manifest
HISTORIES = "histories.parquet"
GENERATION = "generation.json"
EVALUATION = "evaluation.json"
PER_USER = "per_user.parquet"
VERDICT = "verdict.json"
EVIDENCE = frozenset({EVALUATION, PER_USER, VERDICT})  # why it may be served; everything else is what is served
REQUIRED = (f"{MODEL}/manifest.json", INDEX_DESCRIPTION, VECTORS, HISTORIES, GENERATION, EVALUATION, PER_USER, VERDICT)
FACTS = ("surface", "date", "dataset_fingerprint", "model_fingerprint", "evaluation_fingerprint",
         "verdict_fingerprint", "index")
REFRESHED_FROM = "refreshed_from"  # fact of a refreshed release: the one it added items to
EVALUATED_MODEL = "evaluated_model_fingerprint"  # fact of a refreshed release: the model its evidence is about
NEW_ITEMS = "new_items"  # count of a refreshed release: the items that were added


def content_of(manifest: Manifest) -> dict[str, str]:
    """sha256 of every file that shapes answers: two releases that agree here serve the same."""
    return {name: entry.sha256 for name, entry in manifest.files.items() if name not in EVIDENCE}


def taken_over(manifest: Manifest) -> dict[str, str]:
    """sha256 of every file that a refresh takes over: all but model and index."""
    return {name: entry.sha256 for name, entry in manifest.files.items() if Path(name).parts[0] not in (MODEL, INDEX)}


def evaluated_model(manifest: Manifest) -> str:
    """Fingerprint of the model that was evaluated: the release's own, but for items that refreshes have added."""
    return str(manifest.facts.get(EVALUATED_MODEL, manifest.facts["model_fingerprint"]))


def serves_already(live: Manifest, manifest: Manifest) -> bool:
    """Whether a live release serves all that another one would: the same, or the same with items added."""
    if REFRESHED_FROM not in live.facts:
        return content_of(live) == content_of(manifest)
    mine, theirs = ({name: sha256 for name, sha256 in taken_over(one).items() if name not in EVIDENCE}
                    for one in (live, manifest))
    return (mine, evaluated_model(live), live.config_fingerprint) == (
        theirs, manifest.facts["model_fingerprint"], manifest.config_fingerprint)


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
