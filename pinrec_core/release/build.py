"""build_index: a passed surface of a verdict becomes one immutable release. `pinrec build-index --surface S ...`.

The verdict is re-read and everything is checked against it: a surface that did not pass, a model that is not the
evaluated one, a dataset that is not the evaluated one are refused.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path

from pinrec_core import storage
from pinrec_core.config import EngineKind, GenerationConfig, IndexConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.manifest import Manifest, fingerprint_of, write_manifest
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.registry import release_path
from pinrec_core.release import bundle
from pinrec_core.release.evidence import PER_USER_NAME
from pinrec_core.release.histories import write_histories
from pinrec_core.release.index import write_index
from pinrec_core.release.provenance.built import write_built
from pinrec_core.release.provenance.card import write_card
from pinrec_core.release.provenance.lineage import lineage_of, write_lineage
from pinrec_core.release.verdict import (
    EVALUATIONS_FOLDER,
    VERDICT_NAME,
    SurfaceVerdict,
    Verdict,
    read_verdict,
)
from pinrec_core.release.waiver import passing, reasons, surface_reasons
from pinrec_core.retrieval.engine import write_graphs
from pinrec_core.store import address, fetch, manifest_of

log = logging.getLogger("pinrec")


def build_index(dataset: Path, verdict: Path, registry: str, *, surface: str, generation: GenerationConfig,
                index: IndexConfig, forced: bool = False) -> str:
    """Write the surface's release to `<registry>/releases/<id>/` and return its id, the manifest's fingerprint.

    A release that is there already is reused. `forced` also builds what failed comparisons alone: only a forced
    promotion makes such a release live. Raises PinrecError if the verdict did not pass the surface,
    IntegrityError if the model or the dataset is not the one that was evaluated, or anything was altered; what
    `write_index` raises.
    """
    judged, verdict_manifest = read_verdict(verdict)
    passed = _passed_surface(judged, surface, forced)
    opened = Dataset.open(dataset)
    _same("dataset", str(dataset), opened.manifest.fingerprint, passed.dataset_fingerprint)
    with tempfile.TemporaryDirectory(prefix="pinrec-release-") as aside:
        folder = Path(aside)
        model = _take_model(passed, folder / bundle.MODEL)
        _same_items(model, opened, passed.model_path)
        users = write_histories(opened, folder / bundle.HISTORIES, model.config.max_length)
        storage.write_bytes(str(folder / bundle.GENERATION), generation.model_dump_json(indent=1).encode())
        _take_evidence(Path(verdict), folder, surface)
        indexed = write_index(folder, model, surface, index, opened)
        _write_engine(model, generation, folder / bundle.ENGINE)
        counts = {"users": users, "items": model.n_items, "indexed_items": indexed.description["items"]}
        lineage = lineage_of(folder, Path(dataset), Path(verdict), surface)
        write_lineage(folder, lineage)
        write_card(folder, surface, lineage, counts)
        manifest = write_manifest(
            folder, kind="release", config_fingerprint=fingerprint_of(generation, index), counts=counts,
            parents={"dataset": passed.dataset_fingerprint, "model": passed.model_fingerprint,
                     "evaluation": passed.evaluation_fingerprint, "verdict": verdict_manifest.fingerprint},
            facts=_facts(surface, opened, passed, verdict_manifest, folder) | {"index": indexed.description["kind"]})
        indexed.write_curve(folder, manifest.fingerprint)
        write_built(folder, manifest.fingerprint)
        publish(registry, folder, manifest)
    return manifest.fingerprint


def _passed_surface(judged: Verdict, surface: str, forced: bool) -> SurfaceVerdict:
    if surface not in judged.surfaces:
        raise PinrecError(f"the verdict says nothing about surface {surface!r}; it judged {sorted(judged.surfaces)}")
    found = judged.surfaces[surface]
    if surface not in passing(judged, forced):
        why = surface_reasons(found, forced) or reasons(judged, forced)
        raise PinrecError(f"the verdict did not pass surface {surface!r}: {'; '.join(why)}")
    return found


def _take_model(passed: SurfaceVerdict, target: Path) -> PinRec:
    """Copy the evaluated model directory, file by file as its manifest names them, and load the copy."""
    manifest = manifest_of(passed.model_path, "model")
    _same("model", passed.model_path, manifest.fingerprint, passed.model_fingerprint)
    fetch(address(passed.model_path), manifest, target)
    return load_model(target, verify=False)


def _same(what: str, where: str, found: str, judged: str) -> None:
    if found != judged:
        raise IntegrityError(f"{what} {where} has fingerprint {found}, the verdict is about {judged}; pass the "
                             f"{what} that was evaluated, or evaluate and gate again")


def _same_items(model: PinRec, dataset: Dataset, model_path: str) -> None:
    """Histories hold item indices of the dataset; they must mean the same items to the model."""
    if not model.items["item_id"].equals(dataset.items["item_id"]):
        raise IntegrityError(f"model {model_path} has {model.n_items} items, the dataset {dataset.n_items}, and "
                             "their ids or order differ; train on this dataset")


def _write_engine(model: PinRec, generation: GenerationConfig, folder: Path) -> None:
    if generation.engine is not EngineKind.TORCH:
        folder.mkdir()
        write_graphs(model, generation.steps, folder)


def _take_evidence(verdict: Path, folder: Path, surface: str) -> None:
    evaluations = verdict / EVALUATIONS_FOLDER
    shutil.copyfile(verdict / VERDICT_NAME, folder / bundle.VERDICT)
    shutil.copyfile(evaluations / f"{surface}.json", folder / bundle.EVALUATION)
    shutil.copyfile(evaluations / f"{surface}.{PER_USER_NAME}", folder / bundle.PER_USER)


def _facts(surface: str, dataset: Dataset, passed: SurfaceVerdict, verdict_manifest: Manifest, folder: Path) -> dict:
    metrics = json.loads((folder / bundle.EVALUATION).read_bytes())["metrics"]
    return {"surface": surface, "date": dataset.manifest.facts["date"], "asked_ms": dataset.eval_end_ms,
            "dataset_fingerprint": passed.dataset_fingerprint, "model_fingerprint": passed.model_fingerprint,
            "evaluation_fingerprint": passed.evaluation_fingerprint,
            "verdict_fingerprint": verdict_manifest.fingerprint,
            "recall": {name: metric["value"] for name, metric in metrics.items()}}


def publish(registry: str, folder: Path, manifest: Manifest) -> None:
    """Upload unless the very same release is there; one that is there and altered is an error, never overwritten."""
    target = release_path(registry, manifest.fingerprint)
    if not storage.exists(storage.join(target, storage.MANIFEST_NAME)):
        storage.upload_tree(folder, target)
        log.info("build_index: wrote release %s (%s)", manifest.fingerprint, manifest.facts["surface"])
        return
    with storage.local_tree(target) as there:
        bundle.read_release(there, manifest.fingerprint)
    log.info("build_index: release %s is there already, reused", manifest.fingerprint)
