"""What a release knows of an item, what is near it, and why it is or is not in a user's list.

Legend: I all items, N indexed items, D item dimension.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from pinrec_core.release import bundle
from pinrec_core.release.answer import nearest_id
from pinrec_core.release.inspect.asked import named
from pinrec_core.release.load import LoadedRelease

_BLOCK = 65536  # vectors compared at a time


class Neighbour(BaseModel):
    """An item near another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    item_id: str
    title: str | None
    cosine: float  # of the two items' vectors, biases apart


class InspectedItem(BaseModel):
    """One item of a release, known or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    item_id: str
    surface: str
    release_id: str
    known: bool  # False: all below is empty
    nearest: str | None = None  # of an unknown id: the likeliest that was meant
    title: str | None = None
    item_type: str = ""
    retrievable: bool = False  # of a type that is retrieved
    indexed: bool = False  # and in the index: neither an allow list nor anything else leaves it out
    train_count: int = 0  # positive engagements by train users; 0 = cold: described by its content alone
    in_histories: int = 0  # users whose history, as the release holds it, has the item
    has_content: bool = False
    attributes: int = 0
    created_ms: int | None = None  # UTC
    neighbours: list[Neighbour] = []  # nearest indexed items, itself left out


def inspect_item(release: LoadedRelease, item_id: str, neighbours: int = 10) -> InspectedItem:
    """What there is to know; an unknown id is an answer, not an error."""
    row, base = row_of(release, item_id), {"item_id": item_id, "surface": release.surface,
                                           "release_id": release.release_id}
    if row < 0:
        return InspectedItem(**base, known=False, nearest=nearest_id(release.model.items["item_id"], item_id))
    item = release.model.items.slice(row, 1).to_pylist()[0]
    return InspectedItem(
        **base, known=True, title=item["title"], item_type=release.model.log.item_types[item["item_type"]],
        retrievable=bool(release.model.retrievable_I[row]), indexed=is_indexed(release, row),
        train_count=item["train_count"], in_histories=_users_with(release, row),
        has_content=item["content"] is not None, attributes=len(item["attributes"]), created_ms=item["created_ms"],
        neighbours=_neighbours(release, row, neighbours))


def row_of(release: LoadedRelease, item_id: str) -> int:
    """Dense index of an item, -1 if the release does not know it."""
    return pc.index(release.model.items["item_id"], item_id).as_py()


def is_indexed(release: LoadedRelease, row: int) -> bool:
    """Whether the index has it."""
    return bool(release.retriever.index.everything.holds(np.array([row]))[0])


def _users_with(release: LoadedRelease, row: int) -> int:
    items = pq.read_table(release.directory / bundle.HISTORIES, columns=["item"])["item"].combine_chunks()
    has = pc.equal(pc.list_flatten(items), row)
    return len(pc.unique(pc.list_parent_indices(items).filter(has)))


def _neighbours(release: LoadedRelease, row: int, n: int) -> list[Neighbour]:
    """Exact, over the very vectors that the index was built of."""
    retriever = release.retriever
    dimension, item_N = release.model.config.item_dim, retriever.index.item_N
    mine_D = retriever.search_vectors_ID[row, :dimension]
    blocks = [retriever.search_vectors_ID[item_N[start:start + _BLOCK], :dimension] @ mine_D
              for start in range(0, len(item_N), _BLOCK)]
    cosine_N = np.where(item_N == row, -np.inf, np.concatenate(blocks))
    best = np.argsort(-cosine_N, kind="stable")[: min(n, int((item_N != row).sum()))]
    return [Neighbour(item_id=item_id, title=title, cosine=float(cosine_N[place]))
            for place, (item_id, title) in zip(best, named(release, item_N[best].tolist()), strict=True)]
