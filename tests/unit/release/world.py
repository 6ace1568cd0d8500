"""A small real world: a dataset, untrained models, and the steps of a release with the settings they share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from pinrec_core.config import (
    EvaluationConfig,
    GateConfig,
    GenerationConfig,
    IndexConfig,
    LogConfig,
    ModelConfig,
    Policy,
)
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.evaluate import evaluate
from pinrec_core.manifest import Manifest, read_manifest, write_manifest
from pinrec_core.model.experts import Experts
from pinrec_core.model.io import save_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.registry import verification_path
from pinrec_core.release import bundle
from pinrec_core.release.build import build_index
from pinrec_core.release.checks import verify
from pinrec_core.release.provenance.built import write_built
from pinrec_core.release.sealed import write_sealed
from pinrec_core.schemas import ITEMS, SEQUENCES, VIEWS
from pinrec_core.storage import write_bytes
from pinrec_core.training.counts import transitions_of

LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",))
N_ITEMS, N_USERS = 120, 60
DAY_MS = 86_400_000
END_MS = 20_000 * DAY_MS  # end of the evaluation window
TRAIN_END_MS = END_MS - 2 * DAY_MS
GENERATION = GenerationConfig(steps=2, candidates=20, engine="torch")  # tracing takes seconds, see test_engines.py


def evaluate_model(world: Path, name: str, surface: str, registry: str = "", output: str = "",
                   index: IndexConfig | None = None) -> Path:
    """Evaluate world/model-<name> for real."""
    output = world / (output or f"evaluation-{name}")
    evaluate(world / "dataset", world / f"model-{name}", output, surface=surface, generation=GENERATION,
             evaluation=EvaluationConfig(ks=(10, 20), bootstrap_samples=50), index=index or IndexConfig(),
             registry=registry)
    return output


def verify_here(world: Path, registry: Path | str, release_id: str) -> None:
    """The checks of verify_release without its process, which test_verify starts for real."""
    found = verify(Path(registry, "releases", release_id), release_id, world / "dataset", IndexConfig())
    assert found.passed
    write_bytes(verification_path(str(registry), release_id), found.model_dump_json().encode())


def gate_config(floor: float = 0.0, policy: Policy = Policy.ALL, **settings) -> GateConfig:
    """Floors on recall@10 that 60 users are enough for."""
    settings = {"floors": {surface: {"recall@10": floor} for surface in LOG.surfaces}, "min_users": 20} | settings
    return GateConfig(policy=policy, **settings)


ANY_CHANGE = {"change_against_live": {"tolerance": 1.0}}  # rules that let a candidate lose all against live


def build(world: Path, verdict: Path, registry: Path | str, surface: str, **settings) -> str:
    """build_index with the settings of the evaluation."""
    settings = {"generation": GENERATION, "index": IndexConfig()} | settings
    return build_index(world / "dataset", verdict, str(registry), surface=surface, **settings)


def reseal(folder: Path, **facts) -> Manifest:
    """Give an altered release a manifest under which all hashes hold, as a forger would."""
    old = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    curve = folder / bundle.CURVE
    kept = json.loads(curve.read_bytes()) if curve.is_file() else None
    for path in (folder / bundle.BUILT, curve):
        path.unlink(missing_ok=True)
    new = write_manifest(folder, kind="release", config_fingerprint=old.config_fingerprint, parents=old.parents,
                         facts=old.facts | facts, counts=old.counts)
    write_built(folder, new.fingerprint)
    if kept:
        write_sealed(curve, new.fingerprint, {name: kept[name] for name in kept if name not in ("release", "sha256")})
    return new


def write_model(folder: Path, items: pa.Table, seed: int, dataset: Path, transitions: bool = True,
                log: LogConfig = LOG) -> None:
    """An untrained model with weights large enough that users get different answers."""
    torch.manual_seed(seed)
    config = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=256, id_dim=16,
                         item_bias=True, action_bias=True, transitions=transitions, repeats=transitions)
    model = PinRec(config, log, items, {surface: {"click": 0.6, "save": 0.4} for surface in log.surfaces})
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5)
    if transitions:
        model.transitions, model.experts = transitions_of(Dataset.open(dataset), 0.0), Experts(1.0, -1.0)
    folder.mkdir()
    save_model(model, folder)
    (folder / "metrics.jsonl").write_text('{"stage": "finetune", "epoch": 1, "step": 1, "loss": 1.0}\n')
    write_manifest(folder, kind="model", parents={"dataset": read_manifest(dataset, "dataset").fingerprint})


def item_table(n_items: int = N_ITEMS) -> pa.Table:
    rng = np.random.default_rng(0)
    titles = [None if n % 3 else f"title {n}" for n in range(n_items)]
    return pa.table({
        "item_id": [f"i{n}" for n in range(n_items)], "item_type": np.zeros(n_items, np.int8),
        "id_hash": rng.integers(2**63, size=n_items).astype(np.uint64),
        "content": [rng.normal(size=8).astype(np.float32).tolist() for _ in range(n_items)],
        "attributes": [[int(n % 7)] for n in range(n_items)], "title": titles, "created_ms": [None] * n_items,
        "train_count": np.ones(n_items, np.int64)}, schema=ITEMS)


def write_catalog(folder: Path, names: list[str], *, described: bool = True) -> str:
    """New pins with content and an attribute, or without both."""
    rng = np.random.default_rng(len(names))
    folder.mkdir()
    content = [rng.normal(size=8).tolist() if described else None for _ in names]
    table = pa.table({"item_id": names, "item_type": ["pin"] * len(names),
                      "content": pa.array(content, pa.list_(pa.float32())),
                      "attributes": pa.array([["new"] if described else [] for _ in names], pa.list_(pa.string())),
                      "title": [f"new {name}" for name in names]})
    pq.write_table(table, folder / "part.parquet")
    return str(folder)


def write_dataset(folder: Path, items: pa.Table, log: LogConfig = LOG) -> None:
    """Users with 12 engagements each over six days, the last two of which are the evaluation window."""
    rng = np.random.default_rng(1)
    sequences, views = [], []
    for user in range(N_USERS):
        time = np.sort(END_MS - rng.integers(1, 6 * DAY_MS, size=12))
        time[-2:] = np.maximum(time[-2:], TRAIN_END_MS + np.array([1, 2]))
        surface, item = rng.integers(2, size=12), rng.integers(N_ITEMS, size=12)
        surface[-2:] = 0, 1
        actions = rng.integers(1, 4, size=12)
        user_id, split = f"u{user:03}", int(user % 10 == 9) * 2
        sequences.append((user_id, split, item, actions, surface, time, np.arange(12)))
        views += [(user_id, split, surface[n], n, time[n], -1, [item[n]], [actions[n]], [0]) for n in range(12)]
    write_tables(folder, items, sequences, views, log)


def write_tables(folder: Path, items: pa.Table, sequences: list[tuple], views: list[tuple],
                 log: LogConfig = LOG) -> None:
    """A dataset directory from rows of schemas.SEQUENCES and schemas.VIEWS."""
    for name, rows, schema in (("sequences", sequences, SEQUENCES), ("views", views, VIEWS)):
        (folder / name).mkdir(parents=True)
        by_column = zip(zip(*rows, strict=True), schema, strict=True)
        columns = [pa.array(list(column), field.type) for column, field in by_column]
        pq.write_table(pa.table(columns, schema=schema), folder / name / "part-00000.parquet")
    pq.write_table(items, folder / "items.parquet")
    (folder / "statistics.json").write_text("{}")
    facts = {"log": log.model_dump(mode="json"), "date": "2024-10-03", "train_end_ms": TRAIN_END_MS,
             "eval_end_ms": END_MS}
    write_manifest(folder, kind="dataset", counts={"users": len(sequences)}, facts=facts)
