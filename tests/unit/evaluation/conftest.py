"""A tiny dataset written as aggregate_logs writes it, and an untrained model of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.manifest import write_manifest
from pinrec_core.model.experts import Experts
from pinrec_core.model.io import save_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import Transitions
from pinrec_core.schemas import ITEMS, SEQUENCES, SPLITS, VIEWS

DAY = 86_400_000
TRAIN_END, EVAL_END = 10 * DAY, 12 * DAY
CLICK, SAVE, HIDE = 1, 2, 4
LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",),
                item_types=("pin", "query"), retrievable_types=("pin",))


def item_table(names: list[str]) -> pa.Table:
    """Items by name; a name that starts with q is a query."""
    numbers = [sum(ord(c) * 31**i for i, c in enumerate(name)) for name in names]
    content = [np.random.default_rng(n).normal(size=8).astype(np.float32).tolist() for n in numbers]
    return pa.table({
        "item_id": names, "item_type": [int(name.startswith("q")) for name in names],
        "id_hash": pa.array(numbers, pa.uint64()), "content": content, "attributes": [[] for _ in names],
        "title": [None] * len(names), "created_ms": [None] * len(names), "train_count": [1] * len(names)}, schema=ITEMS)


def write_dataset(folder: Path, items: list[str], views: list[tuple]) -> Path:
    """A dataset from (user, split, surface, start_ms, context name or "", [(item name, action bits), ...]) views."""
    place = {name: row for row, name in enumerate(items)}
    for part in ("sequences", "views"):
        (folder / part).mkdir(parents=True)
    rows, tokens = [], {}
    for view, (user, split, surface, start, context, shown) in enumerate(sorted(views, key=lambda v: (v[0], v[3]))):
        code = LOG.surface_names.index(surface)
        rows.append({"user_id": user, "split": SPLITS.index(split), "surface": code, "view": view, "start_ms": start,
                     "context_item": place.get(context, -1), "item": [place[name] for name, _ in shown],
                     "actions": [bits for _, bits in shown], "position": list(range(len(shown)))})
        row = tokens.setdefault(user, {"user_id": user, "split": SPLITS.index(split), "item": [], "actions": [],
                                       "surface": [], "timestamp_ms": [], "view": []})
        for order, (name, bits) in enumerate(shown):
            if bits & LOG.positive_mask:
                for column, value in (("item", place[name]), ("actions", bits), ("surface", code),
                                      ("timestamp_ms", start + order), ("view", view)):
                    row[column].append(value)
    pq.write_table(pa.Table.from_pylist(rows, VIEWS), folder / "views" / "part-00000.parquet")
    pq.write_table(pa.Table.from_pylist([tokens[user] for user in sorted(tokens)], SEQUENCES),
                   folder / "sequences" / "part-00000.parquet")
    pq.write_table(item_table(items), folder / "items.parquet")
    write_manifest(folder, kind="dataset", facts={"log": LOG.model_dump(mode="json"), "train_end_ms": TRAIN_END,
                                                  "eval_end_ms": EVAL_END, "date": "1970-01-12", "content_dim": 8})
    return folder


def write_model(folder: Path, items: list[str], follows: dict[str, list[str]] | None = None, **settings) -> Path:
    """An untrained model directory over the items; what `follows` an item is above all others, where it is given."""
    torch.manual_seed(0)
    config = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16,
                         transitions=follows is not None, **settings)
    model = PinRec(config, LOG, item_table(items), {s: {"click": 0.75, "save": 0.25} for s in LOG.surfaces})
    if follows is not None:
        told = [follows.get(name, []) for name in items]
        followers = np.array([items.index(name) for names in told for name in names])
        model.transitions = Transitions(np.cumsum([0, *map(len, told)]), followers, np.full(len(followers), 1e6))
        model.experts = Experts(transitions=2.0)
    folder.mkdir(parents=True)
    save_model(model.eval(), folder)
    write_manifest(folder, kind="model", facts={"stage": "base"})
    return folder


ITEM_NAMES = [f"p{n}" for n in range(40)] + ["q0", "q1"]


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """What tests need to make variants: the item names, the length of a day, and the writers."""
    return SimpleNamespace(items=ITEM_NAMES, day=DAY, write_dataset=write_dataset, write_model=write_model)


@pytest.fixture(scope="session")
def views() -> list[tuple]:
    """What five users did. Home: targets a {p1 click, p2 click+save}, b {p2}, c {p5}; d saw only; e is of search."""
    return [
        ("a", "train", "home", 1 * DAY, "", [("p1", CLICK), ("p2", CLICK), ("p9", 0)]),
        ("a", "train", "search", 9 * DAY, "q0", [("p3", SAVE)]),
        ("a", "train", "home", 10 * DAY, "", [("p1", CLICK), ("p2", CLICK | SAVE), ("p4", HIDE)]),
        ("a", "train", "home", 11 * DAY, "", [("p1", CLICK)]),
        ("b", "validation", "home", 2 * DAY, "", [("p2", CLICK)]),
        ("b", "validation", "home", 9 * DAY, "", [("p5", CLICK)]),
        ("b", "validation", "home", 11 * DAY, "", [("p2", SAVE), ("q1", CLICK)]),
        ("c", "heldout", "home", 11 * DAY, "", [("p5", CLICK)]),
        ("c", "heldout", "home", 12 * DAY, "", [("p6", CLICK)]),
        ("d", "train", "home", 10 * DAY, "", [("p1", 0), ("p2", HIDE)]),
        ("e", "train", "home", 3 * DAY, "", [("p2", CLICK), ("p7", CLICK)]),
        ("e", "train", "search", 10 * DAY, "q0", [("p3", CLICK), ("p8", 0)]),
        ("e", "train", "search", 11 * DAY, "q1", [("p8", CLICK), ("p7", SAVE)]),
    ]


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory, views) -> Path:
    """The views above as a dataset directory."""
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset", ITEM_NAMES, views)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory) -> Path:
    """An untrained model over the dataset's items."""
    return write_model(tmp_path_factory.mktemp("models") / "model", ITEM_NAMES)
