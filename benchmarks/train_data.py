"""Data of benchmarks/train.py: invented engagements of any size, and Beauty's reviews in RecBole's format.

Suffixes: U users, E engagements, I items.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from pinrec_core.config import LogConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.manifest import Manifest
from pinrec_core.schemas import ITEMS, SPLITS

LOG = LogConfig(surfaces=("shop",), positive_actions=("purchase",))  # as the leave-one-out benchmark has it
END_MS = 10**12
MINUTE_MS = 60_000


def invented_dataset(items: int, length: int, users: int) -> Dataset:
    """Every user has `length` clicks, a minute apart, on items drawn by a power law (a share of 1 / rank)."""
    generator = np.random.default_rng(0)
    count = users * length
    item_E = np.minimum(np.exp(generator.random(count) * np.log(items)), items - 1).astype(np.int32)
    time_E = np.tile(END_MS - (length - np.arange(length)) * MINUTE_MS, users)
    nothing = np.zeros(0, np.int64)
    facts = {"log": LOG.model_dump(mode="json"), "train_end_ms": END_MS, "eval_end_ms": END_MS + 1}
    return Dataset(
        manifest=Manifest(kind="dataset", code_version="", config_fingerprint="", parents={}, counts={}, facts=facts,
                          files={}),
        log=LOG, items=_items(items), user_ids=pa.array(np.arange(users)).cast(pa.string()),
        split_U=np.full(users, SPLITS.index("train"), np.int8), offsets_U1=np.arange(users + 1) * length,
        item_E=item_E, actions_E=np.ones(count, np.int32), surface_E=np.zeros(count, np.int8), time_E=time_E,
        view_E=np.arange(count), view_user_V=nothing, view_surface_V=nothing, view_start_V=nothing,
        view_context_V=nothing, view_offsets_V1=np.zeros(1, np.int64), shown_item_X=nothing, shown_actions_X=nothing)


def _items(count: int) -> pa.Table:
    """Items without content; all have been trained on."""
    index = np.arange(count)
    known = {"item_id": pa.array(index).cast(pa.string()), "item_type": pa.array(np.zeros(count, np.int8)),
             "id_hash": pa.array(index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)),
             "attributes": pa.ListArray.from_arrays(np.zeros(count + 1, np.int32), pa.array([], pa.uint64())),
             "train_count": pa.array(np.ones(count, np.int64))}
    columns = [known[field.name].cast(field.type) if field.name in known else pa.nulls(count, field.type)
               for field in ITEMS]
    return pa.table(columns, schema=ITEMS)


def write_peer_reviews(full: Dataset, path: Path) -> None:
    """All reviews in RecBole's atomic format, a user's in order; it leaves out the last two of each user by itself."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    user_E = np.repeat(np.arange(full.n_users), np.diff(full.offsets_U1))
    place_E = np.arange(len(user_E)) - full.offsets_U1[user_E]
    aside = path.with_suffix(".part")
    with open(aside, "w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        file.writelines(f"{user}\t{item}\t{place}\n" for user, item, place in zip(user_E, full.item_E, place_E,
                                                                                 strict=True))
    aside.replace(path)
