"""A dataset in memory from a few feed views told by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinrec_core.config import LogConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.manifest import Manifest, write_manifest
from pinrec_core.schemas import ITEMS, NO_ITEM, SEQUENCES, SPLITS, VIEWS

LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",),
                item_types=("pin", "query"))
QUERY = 9  # the one item that is not retrievable
TRAIN_END, EVAL_END = 1000, 1200


def item_table() -> pa.Table:
    """Ten items without content; the last one is a query."""
    count = QUERY + 1
    return pa.table({
        "item_id": [f"i{k}" for k in range(count)], "item_type": [0] * QUERY + [1],
        "id_hash": pa.array([k * 0x9E3779B97F4A7C15 % 2**64 for k in range(count)], pa.uint64()),
        "content": [None] * count, "attributes": [[]] * count, "title": [None] * count, "created_ms": [None] * count,
        "train_count": [1] * count}, schema=ITEMS)


def build(views: list[tuple], splits: dict[int, str]) -> Dataset:
    """Views are (user, surface code, start, context, [(item, action bits), ...]); engagements follow from them."""
    views = sorted(views, key=lambda v: (v[0], v[2]))
    engaged = sorted((user, start + rank, n, item, bits, surface) for n, (user, surface, start, _, shown)
                     in enumerate(views) for rank, (item, bits) in enumerate(shown) if bits & LOG.positive_mask)
    n_users = len(splits)
    column = lambda k: np.array([e[k] for e in engaged], np.int64)  # noqa: E731
    shown = [pair for view in views for pair in view[4]]
    facts = {"log": LOG.model_dump(mode="json"), "train_end_ms": TRAIN_END, "eval_end_ms": EVAL_END}
    manifest = Manifest(kind="dataset", code_version="", config_fingerprint="", parents={}, counts={}, facts=facts,
                        files={})
    return Dataset(
        manifest=manifest, log=LOG, items=item_table(),
        user_ids=pa.array([str(u) for u in range(n_users)]),
        split_U=np.array([SPLITS.index(splits[u]) for u in range(n_users)], np.int8),
        offsets_U1=np.searchsorted(column(0), np.arange(n_users + 1)),
        item_E=column(3), actions_E=column(4), surface_E=column(5), time_E=column(1), view_E=column(2),
        view_user_V=np.array([v[0] for v in views]), view_surface_V=np.array([v[1] for v in views]),
        view_start_V=np.array([v[2] for v in views]), view_context_V=np.array([v[3] for v in views]),
        view_offsets_V1=np.cumsum([0] + [len(v[4]) for v in views]),
        shown_item_X=np.array([item for item, _ in shown]), shown_actions_X=np.array([bits for _, bits in shown]))


def save(dataset: Dataset, folder: Path) -> Path:
    """The dataset as a directory that `Dataset.open` reads; users who never engaged come last then."""
    users, tables = dataset.user_ids.to_pylist(), {}
    engaged = zip(("item", "actions", "surface", "timestamp_ms", "view"),
                  (dataset.item_E, dataset.actions_E, dataset.surface_E, dataset.time_E, dataset.view_E), strict=True)
    lists = {name: np.split(column, dataset.offsets_U1[1:-1]) for name, column in engaged}
    tables["sequences"] = [{"user_id": user, "split": int(dataset.split_U[row])}
                           | {name: column[row].tolist() for name, column in lists.items()}
                           for row, user in enumerate(users) if len(lists["item"][row])]
    shown = [np.split(column, dataset.view_offsets_V1[1:-1]) for column in (dataset.shown_item_X,
                                                                           dataset.shown_actions_X)]
    tables["views"] = [{"user_id": users[user], "split": int(dataset.split_U[user]), "view": row,
                        "surface": int(dataset.view_surface_V[row]), "start_ms": int(dataset.view_start_V[row]),
                        "context_item": int(dataset.view_context_V[row]), "item": items.tolist(),
                        "actions": actions.tolist(), "position": list(range(len(items)))}
                       for row, (user, items, actions) in enumerate(zip(dataset.view_user_V, *shown, strict=True))]
    for name, schema in (("sequences", SEQUENCES), ("views", VIEWS)):
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(tables[name], schema), folder / name / "part-00000.parquet")
    pq.write_table(dataset.items, folder / "items.parquet")
    write_manifest(folder, kind="dataset", facts=dataset.manifest.facts)
    return folder


@pytest.fixture
def save_dataset():
    """The writer of a dataset directory, for tests of whole steps."""
    return save


@pytest.fixture
def build_dataset():
    """The writer itself, for tests that tell other views."""
    return build


@pytest.fixture
def dataset() -> Dataset:
    """User 0 trains on home (five engagements) and search; 1 validates; 2 trains, silent; 3 trains late only."""
    return build([
        (0, 0, 100, NO_ITEM, [(1, 1), (2, 0), (3, 3)]),
        (0, 0, 200, NO_ITEM, [(4, 2), (5, 4)]),
        (0, 1, 300, QUERY, [(6, 1), (7, 0)]),
        (0, 0, 400, NO_ITEM, [(8, 1), (1, 0)]),
        (0, 0, 1000, NO_ITEM, [(2, 1), (2, 2), (3, 0)]),
        (1, 0, 500, NO_ITEM, [(1, 1)]),
        (1, 0, 900, NO_ITEM, [(2, 1), (QUERY, 1)]),
        (1, 1, 950, QUERY, [(5, 2)]),
        (2, 0, 600, NO_ITEM, [(1, 0), (2, 0)]),
        (3, 0, 1100, NO_ITEM, [(7, 1)]),
        (3, 1, 1110, QUERY, [(7, 1)]),
        (3, 1, 1120, QUERY, [(7, 1), (8, 1)]),
    ], {0: "train", 1: "validation", 2: "train", 3: "train"})
