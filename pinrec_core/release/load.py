"""A release in memory, ready to answer: checked as a whole, then model, index and settings of one fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pinrec_core.config import GenerationConfig
from pinrec_core.manifest import Manifest
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.release import bundle
from pinrec_core.retrieval.index import ItemIndex
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


def load_release(directory: Path, release_id: str) -> LoadedRelease:
    """Check every hash and load. Raises IntegrityError if anything is altered, missing, or of another release."""
    manifest = bundle.read_release(directory, release_id)
    model = load_model(directory / bundle.MODEL, verify=False)  # hashed just above, as files of the release
    generation = GenerationConfig.parse((directory / bundle.GENERATION).read_text("utf-8"))
    index = ItemIndex.load(directory / bundle.INDEX)
    vectors_ID = model.search_vectors(manifest.facts["surface"])
    return LoadedRelease(directory, manifest, model, Retriever(model, index, generation, vectors_ID))
