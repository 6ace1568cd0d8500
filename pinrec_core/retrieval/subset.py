"""Some of the indexed items, in the forms in which a search and its callers take them.

Legend: N indexed items, I all items.
"""

from __future__ import annotations

from typing import NamedTuple

import faiss
import numpy as np


class Subset(NamedTuple):
    """Items a search is restricted to."""

    held_I: np.ndarray  # bool by dense item index; items past its end are not in the subset
    n_items: int
    selector: faiss.IDSelector | None  # by row of the index; None = every row

    @classmethod
    def everything(cls, item_N: np.ndarray) -> Subset:
        """All indexed items."""
        held_I = np.zeros(item_N.max(initial=-1) + 1, bool)
        held_I[item_N] = True
        return cls(held_I, len(item_N), None)

    @classmethod
    def of(cls, item_N: np.ndarray, chosen_I: np.ndarray) -> Subset:
        """The indexed items among those that `chosen_I` marks."""
        kept_N = chosen_I[item_N]
        bitmap = np.packbits(kept_N, bitorder="little")
        return cls.everything(item_N[kept_N])._replace(selector=faiss.IDSelectorBitmap(bitmap))

    def holds(self, item: np.ndarray) -> np.ndarray:
        """bool, in the shape of `item`: is the item in the subset? NO_ITEM is not."""
        known = (item >= 0) & (item < len(self.held_I))
        known[known] = self.held_I[item[known]]
        return known
