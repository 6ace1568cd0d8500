"""A release in memory, ready to answer: checked as a whole, then model, index and settings of one fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pinrec_core.config import EngineKind, GenerationConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.release import bundle
from pinrec_core.release.verification import require_verification
from pinrec_core.retrieval.engine import open_engine
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.prefixes import PrefixCache
from pinrec_core.retrieval.retriever import Retriever


@dataclass(frozen=True)
class LoadedRelease:
    """One verified release."""

    directory: Path
    manifest: Manifest
    model: PinRec
    retriever: Retriever

    @property
    def release_id(self) -> str:
        """The fingerprint under which it is known."""
        return self.manifest.fingerprint

    @property
    def surface(self) -> str:
        """The surface it answers for."""
        return self.manifest.facts["surface"]

    def retriever_on(self, engine: EngineKind, prefix_mb: float = 0.0) -> Retriever:
        """The same retriever computing on another engine, with a memory of so many MB for what it read of histories."""
        known, folder = self.retriever, self.directory / bundle.ENGINE
        return Retriever(self.model, known.index, known.generation, known.search_vectors_ID,
                         engine=open_engine(engine, self.model, known.generation.steps, folder),
                         prefixes=PrefixCache(prefix_mb) if prefix_mb else None)


def load_release(directory: Path, release_id: str) -> LoadedRelease:
    """Check every hash and load. Raises IntegrityError if anything is altered, missing, or of another release."""
    return _loaded(directory, bundle.read_release(directory, release_id))


def load_verified(registry: str, release_id: str, directory: Path, *, prefix_mb: float = 0.0) -> LoadedRelease:
    """Load a release of a registry, a copy of which is `directory`, on the engine its verification chose.

    `prefix_mb` is the memory for what was read of histories (see PrefixCache). Raises IntegrityError also if there is
    no passing verification of it.
    """
    manifest = bundle.read_release(directory, release_id)
    engine = require_verification(registry, release_id, manifest).engine
    loaded = _loaded(directory, manifest)
    return replace(loaded, retriever=loaded.retriever_on(engine, prefix_mb))


def _loaded(directory: Path, manifest: Manifest) -> LoadedRelease:
    model = load_model(directory / bundle.MODEL, verify=False)  # hashed just before, as files of the release
    generation = GenerationConfig.parse((directory / bundle.GENERATION).read_text("utf-8"))
    index = ItemIndex.load(directory / bundle.INDEX)
    vectors_ID = _vectors(directory / bundle.VECTORS, model, index)
    return LoadedRelease(directory, manifest, model, Retriever(model, index, generation, vectors_ID))


def _vectors(path: Path, model: PinRec, index: ItemIndex) -> np.ndarray:
    """What the index was built of, for all items; mapped, so that processes of one machine share it."""
    vectors_ID = np.load(path, mmap_mode="r", allow_pickle=False)
    expected = (model.n_items, index.dimension)
    if vectors_ID.shape != expected or vectors_ID.dtype != np.float32:
        raise IntegrityError(f"{path}: {vectors_ID.dtype} of shape {vectors_ID.shape}, model and index need float32 of "
                             f"{expected}; build the release again")
    return vectors_ID
