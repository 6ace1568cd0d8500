"""lineage.json of a release: the manifests of all that it came from, by fingerprint, and the files of its events.

    {"manifests": {fingerprint: manifest of the dataset, the models, the evaluation, the verdict, the release it is a
                   refresh of},
     "inputs": {"events": {date: [[name, size, rows, mark], ...]}, "catalog": [[name, size, rows, mark], ...]}}

It needs neither a server nor the steps' outputs to be there still, and cannot be made up: each manifest has the
fingerprint under which its child names it, and the files have those that the dataset's manifest names. So it adds
nothing to what distinguishes two releases.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, fingerprint_of_files, read_manifest
from pinrec_core.model.files import TRAINING
from pinrec_core.release import bundle
from pinrec_core.release.verdict import EVALUATIONS_FOLDER

INPUTS = "inputs.json"  # of a dataset
File = tuple[str, int, int, str]  # name, bytes, rows, mark


class Inputs(BaseModel):
    """The files a dataset was aggregated from; empty where the dataset does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    events: dict[str, tuple[File, ...]] = {}  # date of the partition -> its files
    catalog: tuple[File, ...] = ()

    @property
    def fingerprints(self) -> dict[str, str]:
        """What the dataset's manifest calls them."""
        return {"events": fingerprint_of_files(file for files in self.events.values() for file in files),
                "catalog": fingerprint_of_files(self.catalog)}


class Lineage(BaseModel):
    """The content of lineage.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    manifests: dict[str, Manifest]
    inputs: Inputs = Inputs()


def lineage_of(folder: Path, dataset: Path, verdict: Path, surface: str) -> Lineage:
    """Of a release in the making, from the outputs that are at hand; its model is in the folder already."""
    found = [read_manifest(dataset, "dataset", verify=False), read_manifest(verdict, "verdict", verify=False),
             *_models(folder / bundle.MODEL)]
    evaluation = verdict / EVALUATIONS_FOLDER / f"{surface}.manifest"
    if evaluation.is_file():
        found.append(Manifest.model_validate_json(evaluation.read_bytes()))
    inputs = dataset / INPUTS
    return Lineage(manifests={manifest.fingerprint: manifest for manifest in found},
                   inputs=Inputs.model_validate_json(inputs.read_bytes()) if inputs.is_file() else Inputs())


def lineage_of_refresh(folder: Path, base: Path, base_id: str) -> Lineage:
    """Of a refreshed release in the making: that of the release it is a refresh of, that one and the new model."""
    known = read_lineage(base, base_id)
    found = [read_manifest(base, "release", verify=False), *_models(folder / bundle.MODEL)]
    return known.model_copy(update={"manifests": known.manifests | {m.fingerprint: m for m in found}})


def write_lineage(folder: Path, lineage: Lineage) -> None:
    """Write it into a release that has no manifest yet."""
    text = json.dumps(lineage.model_dump(mode="json"), indent=1, sort_keys=True)
    storage.write_bytes(str(folder / bundle.LINEAGE), text.encode())


def read_lineage(folder: Path, release_id: str) -> Lineage:
    """Read it. Raises IntegrityError if it is missing or not true."""
    path = folder / bundle.LINEAGE
    try:
        return parse_lineage(path.read_bytes(), release_id)
    except FileNotFoundError as error:
        raise IntegrityError(f"{path}: missing; build release {release_id} again") from error


def parse_lineage(data: bytes, release_id: str) -> Lineage:
    """Check that every manifest has the fingerprint it is named by, and the inputs those their dataset names.

    Raises IntegrityError with both fingerprints otherwise.
    """
    try:
        lineage = Lineage.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{bundle.LINEAGE} of release {release_id}: not a lineage ({error.error_count()} "
                             "problems); build the release again") from error
    for name, manifest in lineage.manifests.items():
        if manifest.fingerprint != name:
            raise IntegrityError(f"{bundle.LINEAGE} of release {release_id}: the {manifest.kind} {name} has "
                                 f"fingerprint {manifest.fingerprint}; build the release again")
    said = next((m.parents for m in lineage.manifests.values() if m.kind == "dataset"), {})
    for name, found in lineage.inputs.fingerprints.items():
        if lineage.inputs.events and found != said.get(name):
            raise IntegrityError(f"{bundle.LINEAGE} of release {release_id}: its {name} have fingerprint {found}, "
                                 f"those of the dataset {said.get(name)}; build the release again")
    return lineage


def _models(model: Path) -> list[Manifest]:
    """The model's manifest and, where training has kept it, its base's."""
    found = [read_manifest(model, "model", verify=False)]
    if (path := model / TRAINING).is_file() and (base := json.loads(path.read_bytes()).get("base")):
        found.append(Manifest.model_validate(base["manifest"]))
    return found
