"""refresh: the live release of a surface learns of new items without training. `pinrec index refresh --surface S ...`.

The live model places by content what a catalog has and it does not know, the index is built anew, and the release that
comes of it is verified. All else, the evidence included, is the live release's, byte for byte.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.config import GenerationConfig, IndexConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.logs.catalog import read_catalog
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest, write_manifest
from pinrec_core.model.extend import extend_items
from pinrec_core.model.files import TRAINING
from pinrec_core.model.io import load_model, save_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.release import bundle
from pinrec_core.release.build import publish
from pinrec_core.release.index import write_index
from pinrec_core.release.news import News, news_of
from pinrec_core.release.provenance.built import write_built
from pinrec_core.release.provenance.card import write_card
from pinrec_core.release.provenance.lineage import lineage_of_refresh, write_lineage
from pinrec_core.release.verification import require_verification
from pinrec_core.release.verify import verify_release

log = logging.getLogger("pinrec")


class Refreshed(NamedTuple):
    """What came of a refresh."""

    release_id: str  # "" if there was nothing new
    sentence: str


class _Base(NamedTuple):
    """The live release that items are added to."""

    directory: Path
    manifest: Manifest
    model: PinRec

    @classmethod
    def read(cls, directory: Path, release_id: str) -> _Base:
        """Check every hash and load the model."""
        return cls(directory, bundle.read_release(directory, release_id),
                   load_model(directory / bundle.MODEL, verify=False))


def refresh(registry: str, surface: str, catalog: str, *, dataset: Path, index: IndexConfig | None = None) -> Refreshed:
    """Write and verify a release of the live model that knows the catalog's new items too; no alias moves.

    `dataset` is the one the live release was evaluated on: on it the new release must still reach the evaluated recall.
    `index` None builds and verifies the index as that of the live release. Nothing new, or a release that is there and
    verified already, is no error: the sentence says so. Raises PinrecError if nothing is live on the surface or the
    verification fails, DataError if the catalog cannot be used, IntegrityError if the live release was altered.
    """
    live = registry_.live_release(registry, surface)
    if live is None:
        raise PinrecError(f"surface {surface!r} has no live release in {registry} that items could be added to; run "
                          "the pipeline until it promotes, or check surface and registry")
    with storage.local_tree(registry_.release_path(registry, live)) as directory:
        base = _Base.read(directory, live)
        news = news_of(base.model, read_catalog(catalog, base.model.log))
        if not news.items.num_rows:
            return _told("", f"{surface}: nothing new in {catalog}, the live release stays as it is", news)
        index = index or _index_config(directory)
        manifest = _write(registry, base, news, index, Dataset.open(dataset))
    what = f"{surface}: release {manifest.fingerprint} has {news.items.num_rows} new items beside {base.model.n_items}"
    if _is_verified(registry, manifest):
        return _told(manifest.fingerprint, f"{what}; nothing new, it was there and verified already", news)
    verify_release(registry, manifest.fingerprint, dataset=dataset, index=index)
    return _told(manifest.fingerprint, f"{what}; verified", news)


def _write(registry: str, base: _Base, news: News, index: IndexConfig, dataset: Dataset) -> Manifest:
    """Publish the release; the same news of the same live release always make the same one."""
    live = base.manifest
    with tempfile.TemporaryDirectory(prefix="pinrec-refresh-") as aside:
        folder = Path(aside)
        extended = extend_items(base.model, news.items)
        fingerprint = _write_model(extended, base, folder / bundle.MODEL)
        _take_over(base, folder)
        indexed = write_index(folder, extended, live.facts["surface"], index, dataset)
        generation = GenerationConfig.parse((folder / bundle.GENERATION).read_text("utf-8"))
        counts = live.counts | {"items": extended.n_items, "indexed_items": indexed.description["items"],
                                bundle.NEW_ITEMS: news.items.num_rows}
        lineage = lineage_of_refresh(folder, base.directory, live.fingerprint)
        write_lineage(folder, lineage)
        write_card(folder, live.facts["surface"], lineage, counts, refreshed_from=live.fingerprint)
        manifest = write_manifest(
            folder, kind="release", config_fingerprint=fingerprint_of(generation, index),
            parents=live.parents | {"model": fingerprint, bundle.REFRESHED_FROM: live.fingerprint}, counts=counts,
            facts=live.facts | {"model_fingerprint": fingerprint, "index": indexed.description["kind"],
                                bundle.REFRESHED_FROM: live.fingerprint,
                                bundle.EVALUATED_MODEL: bundle.evaluated_model(live),
                                "catalog_sha256": news.catalog_sha256})
        indexed.write_curve(folder, manifest.fingerprint)
        write_built(folder, manifest.fingerprint)
        publish(registry, folder, manifest)
    return manifest


def _write_model(extended: PinRec, base: _Base, folder: Path) -> str:
    """Write the extended model as the live one's child; returns its fingerprint."""
    parent = read_manifest(base.directory / bundle.MODEL, "model", verify=False)
    folder.mkdir()
    save_model(extended, folder)
    if (training := base.directory / bundle.MODEL / TRAINING).is_file():
        shutil.copyfile(training, folder / TRAINING)
    manifest = write_manifest(
        folder, kind="model", config_fingerprint=parent.config_fingerprint,
        parents=parent.parents | {"extended": parent.fingerprint}, facts=parent.facts,
        counts=parent.counts | {"items": extended.n_items})
    return manifest.fingerprint


def _take_over(base: _Base, folder: Path) -> None:
    for name in bundle.taken_over(base.manifest):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base.directory / name, folder / name)


def _index_config(directory: Path) -> IndexConfig:
    """How the index of a release was built and verified."""
    return IndexConfig.model_validate(json.loads((directory / bundle.INDEX_DESCRIPTION).read_bytes())["config"])


def _is_verified(registry: str, manifest: Manifest) -> bool:
    try:
        require_verification(registry, manifest.fingerprint, manifest)
    except IntegrityError:  # none, a failed one, or one of something else: verify now
        return False
    return True


def _told(release_id: str, sentence: str, news: News) -> Refreshed:
    told = "; ".join([sentence, *news.remarks])
    log.info("refresh: %s", told)
    return Refreshed(release_id, told)
