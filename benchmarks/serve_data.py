"""Registries of benchmarks/serve.py: invented logs and untrained models taken through the project's own release steps.

Items lie in clusters, as the contents of a catalogue do; users engage with a few clusters each. Models are those of
serve_model.py. What is measured is speed: how good the found items are means nothing.

Suffixes: I items, U users, E engagements, C clusters, D content dimension.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from serve_model import invented_model

from pinrec_core import storage
from pinrec_core.config import EvaluationConfig, GateConfig, GenerationConfig, IndexConfig, LogConfig, ModelConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.evaluate import evaluate
from pinrec_core.manifest import write_manifest
from pinrec_core.model.io import save_model
from pinrec_core.registry import Alias, Aliases, aliases_path, verification_path
from pinrec_core.release.build import build_index
from pinrec_core.release.checks import verify
from pinrec_core.release.gate import gate
from pinrec_core.schemas import ITEMS, SEQUENCES, VIEWS

logger = logging.getLogger("pinrec")
SURFACE = "home"
LOG = LogConfig(surfaces=(SURFACE,), positive_actions=("click", "save"))
GENERATION = GenerationConfig(steps=3, candidates=100, merge_cosine=1.0)  # 2 outcomes x 3 steps, none merged
INDEX = IndexConfig(min_ann_recall=0.97)  # above 50,000 items: the cheapest search that finds so much
CONTENT, ITEMS_PER_CLUSTER, CLUSTERS_PER_USER = 64, 100, 4
USERS, ASKED = 20_000, 50  # ASKED = users that are evaluated, so that there is something to judge
DAY_MS = 86_400_000
END_MS = 20_000 * DAY_MS


class Case(NamedTuple):
    """Sizes of a release."""

    width: int
    layers: int
    items: int
    history: int = 64  # engagements of every user

    @property
    def data(self) -> str:
        """Names the folder of its log."""
        return f"{self.items // 1000}k-h{self.history}"

    @property
    def name(self) -> str:
        """Names its own folder."""
        return f"w{self.width}-l{self.layers}-{self.data}"


def registry_of(case: Case, work: Path) -> Path:
    """A registry whose live release has these sizes, made once below `work`."""
    registry = work / case.name / "registry"
    if not Path(aliases_path(str(registry))).exists():
        logger.info("%s: making a release", case.name)
        _make(case, work, registry)
    return registry


def _make(case: Case, work: Path, registry: Path) -> None:
    dataset = work / case.data
    if not dataset.exists():
        with storage.staged_directory(dataset) as aside:
            _write_dataset(aside, case.items, case.history)
    with storage.staged_directory(work / case.name) as aside:
        _write_model(aside / "model", case, dataset)
        evaluate(dataset, aside / "model", aside / "evaluation", surface=SURFACE, generation=GENERATION, index=INDEX,
                 evaluation=EvaluationConfig(ks=(10,), bootstrap_samples=10, max_users=ASKED), registry="")
        gate([aside / "evaluation"], aside / "verdict",
             gate=GateConfig(floors={SURFACE: {"recall@10": 0.0}}, min_users=1))
        release_id = build_index(dataset, aside / "verdict", str(aside / "registry"), surface=SURFACE,
                                 generation=GENERATION, index=INDEX)
        found = verify(aside / "registry" / "releases" / release_id, release_id, dataset, INDEX)
        storage.write_bytes(verification_path(str(aside / "registry"), release_id), found.model_dump_json().encode())
        aliases = Aliases(revision=1, surfaces={SURFACE: Alias(live=release_id)})  # as promote would write it
        storage.write_bytes(aliases_path(str(aside / "registry")), aliases.model_dump_json().encode())


def _write_model(folder: Path, case: Case, dataset: Path) -> None:
    opened = Dataset.open(dataset)
    config = ModelConfig(width=case.width, layers=case.layers, heads=4, item_dim=64, max_length=case.history,
                         use_ids=False, dropout=0.0)
    folder.mkdir()
    save_model(invented_model(config, LOG, opened.items, opened), folder)
    (folder / "metrics.jsonl").write_text('{"stage": "finetune", "epoch": 0, "step": 0, "loss": 0.0}\n')
    write_manifest(folder, kind="model", parents={"dataset": opened.manifest.fingerprint})


def _write_dataset(folder: Path, items: int, length: int) -> None:
    """Users with `length` engagements each, up to two days before the end, and the few that are evaluated one more."""
    generator = np.random.default_rng(0)
    pq.write_table(_items(items, generator), folder / "items.parquet")
    clusters = items // ITEMS_PER_CLUSTER
    mine_UC = generator.integers(clusters, size=(USERS, CLUSTERS_PER_USER))
    picked_E = generator.integers(CLUSTERS_PER_USER, size=USERS * length)
    item_E = mine_UC[np.repeat(np.arange(USERS), length), picked_E] + clusters * generator.integers(
        ITEMS_PER_CLUSTER, size=USERS * length)
    time_E = np.tile(END_MS - 3 * DAY_MS - np.arange(length)[::-1] * 3_600_000, USERS)
    user_ids = [f"u{user:07}" for user in range(USERS)]
    _write(folder / "sequences", SEQUENCES, USERS, length, user_id=user_ids, split=np.zeros(USERS), item=item_E,
           actions=generator.integers(1, 4, size=USERS * length), surface=np.zeros(USERS * length),
           timestamp_ms=time_E, view=np.tile(np.arange(length), USERS))
    _write(folder / "views", VIEWS, ASKED, 1, user_id=user_ids[:ASKED], split=np.zeros(ASKED), surface=np.zeros(ASKED),
           view=np.full(ASKED, length), start_ms=np.full(ASKED, END_MS - DAY_MS), context_item=np.full(ASKED, -1),
           item=item_E[::length][:ASKED], actions=np.ones(ASKED), position=np.zeros(ASKED))
    (folder / "statistics.json").write_text(json.dumps({}))
    facts = {"log": LOG.model_dump(mode="json"), "date": "2024-10-03", "train_end_ms": END_MS - 2 * DAY_MS,
             "eval_end_ms": END_MS}
    write_manifest(folder, kind="dataset", counts={"users": USERS}, facts=facts)


def _write(folder: Path, schema: pa.Schema, rows: int, length: int, **columns) -> None:
    """One part of a table whose lists all have one length."""
    offsets, arrays = pa.array(np.arange(rows + 1) * length, pa.int32()), []
    for field in schema:
        if pa.types.is_list(field.type):
            flat = pa.array(columns[field.name]).cast(field.type.value_type)
            arrays.append(pa.ListArray.from_arrays(offsets, flat).cast(field.type))
        else:
            arrays.append(pa.array(columns[field.name]).cast(field.type))
    folder.mkdir()
    pq.write_table(pa.table(arrays, schema=schema), folder / "part-00000.parquet")


def _items(count: int, generator: np.random.Generator) -> pa.Table:
    """Item i is of cluster i modulo their number."""
    clusters = count // ITEMS_PER_CLUSTER
    centre_CD = generator.normal(size=(clusters, CONTENT)).astype(np.float32)
    content_ID = centre_CD[np.arange(count) % clusters] + 0.5 * generator.normal(
        size=(count, CONTENT)).astype(np.float32)
    index = np.arange(count)
    content = pa.FixedSizeListArray.from_arrays(pa.array(content_ID.ravel()), CONTENT)
    known = {"item_id": pa.array([f"item-{number}" for number in index]), "content": content,
             "item_type": pa.array(np.zeros(count, np.int8)), "id_hash": pa.array(index.astype(np.uint64)),
             "attributes": pa.ListArray.from_arrays(np.zeros(count + 1, np.int32), pa.array([], pa.uint64())),
             "train_count": pa.array(np.ones(count, np.int64))}
    columns = [known[field.name].cast(field.type) if field.name in known else pa.nulls(count, field.type)
               for field in ITEMS]
    return pa.table(columns, schema=ITEMS)
