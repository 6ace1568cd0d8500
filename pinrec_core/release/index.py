"""The index part of a release: what may be answered with, built, set to the recall it needs, described.

    index/index.faiss, items.npy    what is searched; the search setting is in the file
    index/vectors.npy               the vectors of all items, as the model gives them
    index/index.json                of which model and configuration, its size, and what was found of exact search at
                                    which setting
    index/curve.json                the same with milliseconds; outside the manifest, as they differ from run to run;
                                    not there for an exact index
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from pinrec_core import storage
from pinrec_core.config import GenerationConfig, IndexConfig, IndexKind
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import read_manifest
from pinrec_core.model.pinrec import PinRec
from pinrec_core.release import bundle
from pinrec_core.release.sample import generated_queries, sampled_cohort
from pinrec_core.release.sealed import write_sealed
from pinrec_core.retrieval.allow import allowed_items
from pinrec_core.retrieval.index import INDEX_NAME, ITEMS_NAME, ItemIndex
from pinrec_core.retrieval.kinds import estimate
from pinrec_core.retrieval.retriever import Retriever
from pinrec_core.retrieval.sweep import ANN_K, Sweep, sweep


class IndexPart(NamedTuple):
    """What was written to index/."""

    description: dict[str, Any]  # index.json
    swept: Sweep | None  # None for an exact index

    def write_curve(self, release: Path, release_id: str) -> None:
        """Write curve.json: call it after the release's manifest, which must not know milliseconds."""
        if self.swept:
            curve = self.description["search"] | {"curve": [rung._asdict() for rung in self.swept.rungs]}
            write_sealed(release / bundle.CURVE, release_id, curve)


def write_index(release: Path, model: PinRec, surface: str, config: IndexConfig, dataset: Dataset) -> IndexPart:
    """Index the items that a surface may answer with into a release that has all its other parts.

    An approximate index is set to the cheapest search that reaches `min_ann_recall` on queries generated for users of
    the release's evaluation, from their histories in `dataset`. Raises PinrecError if none reaches it, ConfigError for
    an index over its memory bound, DataError if the allow list leaves no item, IntegrityError if the evaluation was
    made under another one.
    """
    allowed = allowed_items(model, surface, config)
    _check_allow_list(release, surface, allowed.sha256)
    vectors_ID = model.search_vectors(surface).numpy()
    built = ItemIndex.build(vectors_ID, allowed.item_I, config)
    generation = GenerationConfig.parse((release / bundle.GENERATION).read_text("utf-8"))
    swept = _swept(release, Retriever(model, built, generation, vectors_ID), surface, config, dataset)
    (release / bundle.INDEX).mkdir()
    built.save(release / bundle.INDEX)
    np.save(release / bundle.VECTORS, vectors_ID)
    description = {
        "kind": built.kind.value, "items": built.n_items, "dimension": built.dimension,
        "model_fingerprint": read_manifest(release / bundle.MODEL, "model", verify=False).fingerprint,
        "config": config.model_dump(mode="json"), "allow": {"sha256": allowed.sha256, "unknown": allowed.unknown},
        "memory": _memory(release, built, config), "search": _search(swept, config)}
    storage.write_bytes(str(release / bundle.INDEX_DESCRIPTION), json.dumps(description, indent=1).encode())
    return IndexPart(description, swept)


def _check_allow_list(release: Path, surface: str, found: str) -> None:
    """Recall was measured under one allow list; the release may not have another."""
    evaluated = json.loads((release / bundle.EVALUATION).read_bytes()).get("allow_sha256", "")
    if found != evaluated:
        raise IntegrityError(f"the allow list of surface {surface!r} has sha256 {found or 'none'}, that of its "
                             f"evaluation {evaluated or 'none'}; evaluate and gate again")


def _swept(release: Path, retriever: Retriever, surface: str, config: IndexConfig, dataset: Dataset) -> Sweep | None:
    if retriever.index.kind is IndexKind.FLAT:
        return None
    cohort = sampled_cohort(dataset, surface, pq.read_table(release / bundle.PER_USER), config.verify_users)
    query_MD = generated_queries(retriever, dataset, cohort)
    return sweep(retriever.index, query_MD, retriever.search_vectors_ID, config)


def _memory(release: Path, built: ItemIndex, config: IndexConfig) -> dict[str, Any]:
    size = sum((release / bundle.INDEX / name).stat().st_size for name in (INDEX_NAME, ITEMS_NAME))
    told = estimate(built.n_items, built.dimension, config)
    return {"bytes": size, "bytes_per_item": round(size / built.n_items, 1), "estimated_bytes": told.index,
            "estimated_building_bytes": told.building}


def _search(swept: Sweep | None, config: IndexConfig) -> dict[str, Any] | None:
    if swept is None:
        return None
    return {"parameter": swept.parameter, "setting": swept.setting, "queries": swept.queries, "k": ANN_K,
            "min_ann_recall": config.min_ann_recall,
            "curve": [{"setting": rung.setting, "recall": rung.recall} for rung in swept.rungs]}
