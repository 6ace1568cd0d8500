"""The layout of one release and the checks every reader of one makes.

    model/              the candidate's model directory as it was, manifest included (its items.parquet is the id map)
    index/              the ANN index; index.json names the fingerprint of the model its vectors came from, vectors.npy
                        holds them, biases included, for all items
    engine/             the model's generation as graphs for onnxruntime, unless it is configured to run in torch
    histories.parquet   per user the last engagements up to the end of the dataset, in ascending user_id
    generation.json     how queries are generated and merged
    evaluation.json, per_user.parquet, verdict.json    why it may be served
                        (of a refreshed release: what they said of the model before items were added)
    lineage.json        the manifests of all it came from, and the files of its events
    card.md             all of it for a person
    manifest.json       kind "release"; its fingerprint is the release id

Beside the manifest, as they differ from run to run, and each with a hash of its own (see sealed):

    built.json          who built it when, with which code in which image
    index/curve.json    milliseconds by search setting, unless the index is exact
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, file_problems, fingerprint_of, parse_manifest, read_manifest
from pinrec_core.release.plain_data import not_plain
from pinrec_core.release.sealed import read_sealed
from pinrec_core.storage import MANIFEST_NAME

MODEL = "model"
INDEX = "index"
INDEX_DESCRIPTION = f"{INDEX}/index.json"
VECTORS = f"{INDEX}/vectors.npy"
ENGINE = "engine"
CURVE = f"{INDEX}/curve.json"  # not in the manifest
BUILT = "built.json"  # the same
LINEAGE = "lineage.json"
CARD = "card.md"
HISTORIES = "histories.parquet"
GENERATION = "generation.json"
EVALUATION = "evaluation.json"
PER_USER = "per_user.parquet"
VERDICT = "verdict.json"
EVIDENCE = frozenset({EVALUATION, PER_USER, VERDICT})  # why it may be served
ABOUT = frozenset({LINEAGE, CARD, BUILT, CURVE})  # for people; everything else is what is served
REQUIRED = (f"{MODEL}/manifest.json", INDEX_DESCRIPTION, VECTORS, HISTORIES, GENERATION, EVALUATION, PER_USER, VERDICT,
            LINEAGE, CARD)
FACTS = ("surface", "date", "dataset_fingerprint", "model_fingerprint", "evaluation_fingerprint",
         "verdict_fingerprint", "index")
REFRESHED_FROM = "refreshed_from"  # fact of a refreshed release: the one it added items to
EVALUATED_MODEL = "evaluated_model_fingerprint"  # fact of a refreshed release: the model its evidence is about
NEW_ITEMS = "new_items"  # count of a refreshed release: the items that were added


def content_of(manifest: Manifest) -> dict[str, str]:
    """sha256 of every file that shapes answers: two releases that agree here serve the same."""
    return {name: entry.sha256 for name, entry in manifest.files.items() if name not in EVIDENCE | ABOUT}


def served_fingerprint(manifest: Manifest) -> str:
    """One fingerprint of that."""
    return fingerprint_of(json.dumps(content_of(manifest), sort_keys=True))


def taken_over(manifest: Manifest) -> dict[str, str]:
    """sha256 of every file that a refresh takes over: all but model, index, and what is said of the release."""
    return {name: entry.sha256 for name, entry in manifest.files.items()
            if Path(name).parts[0] not in (MODEL, INDEX) and name not in ABOUT}


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
    """Check a release as a whole: every file's hash, its id, that model and index belong together, that all is data.

    Raises IntegrityError naming both fingerprints when something does not hold.
    """
    for problem in problems_of(directory, release_id):
        raise IntegrityError(problem)
    return manifest_of(directory)


def manifest_of(directory: Path) -> Manifest:
    """The manifest alone, whatever may be wrong with the rest. Raises IntegrityError if there is none."""
    try:
        return parse_manifest((directory / MANIFEST_NAME).read_bytes(), "release", directory)
    except FileNotFoundError as error:
        raise IntegrityError(f"{directory}: no {MANIFEST_NAME}, so the release is incomplete; build it "
                             "again") from error


def problems_of(directory: Path, release_id: str) -> Iterator[str]:
    """A sentence for everything about a release that does not hold; what cannot be looked at any more is left out."""
    try:
        manifest = manifest_of(directory)
    except IntegrityError as error:
        yield f"{error}; the release asked for is {release_id}"
        return
    if manifest.fingerprint != release_id:
        yield (f"{directory / MANIFEST_NAME}: has fingerprint {manifest.fingerprint}, the release asked for is "
               f"{release_id}; it was edited, build the release again")
    missing = [name for name in REQUIRED if name not in manifest.files]
    missing += [name for name in FACTS if name not in manifest.facts]
    if missing:
        yield f"{directory}: release {release_id[:12]} lacks {', '.join(missing)}; build it again"
    altered = list(file_problems(directory, manifest))
    yield from altered
    if not altered and not missing:  # their content is that of the manifest; is it what it has to be?
        yield from not_plain(directory, manifest)
        yield from _foreign_parts(directory, manifest)
    yield from _sealed_problems(directory, manifest, release_id)


def _sealed_problems(directory: Path, manifest: Manifest, release_id: str) -> Iterator[str]:
    approximate = manifest.facts.get("index") != "flat"
    for name in (BUILT, CURVE) if approximate else (BUILT,):
        try:
            read_sealed(directory / name, release_id)
        except IntegrityError as error:
            yield str(error)


def _foreign_parts(directory: Path, manifest: Manifest) -> Iterator[str]:
    expected = manifest.facts["model_fingerprint"]
    try:
        model = read_manifest(directory / MODEL, "model", verify=False).fingerprint
        index = json.loads((directory / INDEX_DESCRIPTION).read_bytes()).get("model_fingerprint")
    except (IntegrityError, ValueError, AttributeError) as error:
        yield f"{directory}: model and index do not say what they belong to ({error}); build the release again"
        return
    for part, found in ((MODEL, model), (INDEX, index)):
        if found != expected:
            yield (f"{directory}: {part} belongs to model {found}, the release is of model {expected}; build the "
                   "release again")
