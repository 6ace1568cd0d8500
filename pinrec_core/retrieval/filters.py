"""What a request may be answered with: items of some types only, and none of those it excludes (already seen).

Item types restrict the search itself, by a bitmap that the index keeps per set of types. A request's exclusions are its
own and few, so the search goes deeper by their number and leaves them out. Either way a request gets what an index of
its allowed items alone would give.

Legend: R requests, X excluded items, I items, any other axes as those of what is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pinrec_core.errors import ConfigError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.subset import Subset
from pinrec_core.schemas import NO_ITEM


class Filters(NamedTuple):
    """The filters of some requests."""

    subset: Subset  # what is searched for all of them
    excluded_RX: np.ndarray  # each one's exclusions among it, distinct, first; then NO_ITEM

    @classmethod
    def of(cls, model: PinRec, index: ItemIndex, requests: int, exclude_R: Sequence[np.ndarray] | None,
           item_types: tuple[str, ...]) -> Filters:
        """Filters as they are asked for.

        Raises ConfigError for a type that is not retrievable, for exclusions that are not one array per request, or for
        an item the model does not have.
        """
        subset = _of_types(model, index, item_types)
        if exclude_R is None:
            return cls(subset, np.zeros((requests, 0), np.int64))
        if len(exclude_R) != requests:
            raise ConfigError(f"{len(exclude_R)} lists of excluded items for {requests} requests; give one per request")
        distinct_R = [np.unique(np.asarray(items, np.int64)) for items in exclude_R]
        for items in distinct_R:
            if len(items) and not NO_ITEM <= items[0] <= items[-1] < model.n_items:
                wrong = items[0] if items[0] < NO_ITEM else items[-1]
                raise ConfigError(f"excluded item {wrong} is not among the {model.n_items} items of the model; exclude "
                                  "dense item indices")
        distinct_R = [items[subset.holds(items)] for items in distinct_R]
        excluded_RX = np.full((requests, max(map(len, distinct_R), default=0)), NO_ITEM, np.int64)
        for row, items in enumerate(distinct_R):
            excluded_RX[row, : len(items)] = items
        return cls(subset, excluded_RX)

    @property
    def most_excluded(self) -> int:
        """Most exclusions of a request."""
        return self.excluded_RX.shape[1]

    def rows(self, chosen_R: np.ndarray) -> Filters:
        """Those of some of the requests."""
        excluded_RX = self.excluded_RX[chosen_R]
        if not self.most_excluded:
            return Filters(self.subset, excluded_RX)
        return Filters(self.subset, excluded_RX[:, (excluded_RX != NO_ITEM).any(axis=0)])

    def allowed(self, n: int) -> int | np.ndarray:
        """How many of n wanted items each request can have, [R]; n itself where nothing is excluded."""
        if not self.most_excluded:
            return min(n, self.subset.n_items)
        return np.minimum(n, self.subset.n_items - (self.excluded_RX != NO_ITEM).sum(axis=1))

    def excludes(self, item_RM: np.ndarray) -> np.ndarray:
        """bool, in the shape of the items [R, ...]: does the request exclude the item?"""
        return contained(item_RM, self.excluded_RX) if self.most_excluded else np.zeros(item_RM.shape, bool)


def contained(item_RM: np.ndarray, item_RX: np.ndarray) -> np.ndarray:
    """bool, in the shape of `item_RM` [R, ...]: is the item among those of its request, [R, X]? NO_ITEM never is."""
    span = max(item_RM.max(initial=0), item_RX.max(initial=0)) + 1
    row_R = np.arange(len(item_RX)) * span
    known = np.where(item_RX == NO_ITEM, -1, row_R[:, None] + item_RX)
    return np.isin(row_R.reshape(-1, *[1] * (item_RM.ndim - 1)) + item_RM, known) & (item_RM != NO_ITEM)


def _of_types(model: PinRec, index: ItemIndex, item_types: tuple[str, ...]) -> Subset:
    log = model.log
    for name in item_types:
        if name not in log.retrievable_types:
            raise ConfigError(f"item type {name!r} cannot be retrieved; retrievable types are "
                              f"{list(log.retrievable_types)}")
    wanted = frozenset(item_types)
    if not wanted or wanted == set(log.retrievable_types):
        return index.everything
    codes = [log.item_types.index(name) for name in wanted]
    return index.subset(wanted, lambda: np.isin(model.item_encoder.features.type_I.numpy(), codes))
