"""Count-min sketch (Cormode and Muthukrishnan, 2005): how often an item was a target, in fixed memory.

The estimate never lies below the truth; width should be several times the number of distinct items.
"""

from __future__ import annotations

import torch
from torch import Tensor

PRIME = (1 << 31) - 1  # hashes are (a x + b) mod p mod width, with products that fit into int64


class CountMinSketch:
    """Streaming counts of non-negative item indices below 2^31."""

    def __init__(self, width: int, depth: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.counts = torch.zeros(depth, width, dtype=torch.int64)
        self.a_R = torch.randint(1, PRIME, (depth, 1), generator=generator, device="cpu").to(self.counts.device)
        self.b_R = torch.randint(0, PRIME, (depth, 1), generator=generator, device="cpu").to(self.counts.device)
        self.total = 0

    def add(self, item_N: Tensor) -> None:
        """Count every given item once per occurrence."""
        for row, columns in zip(self.counts, self._columns(item_N), strict=True):
            row.index_add_(0, columns, torch.ones_like(columns))
        self.total += len(item_N)

    def frequency(self, item_N: Tensor) -> Tensor:
        """Estimated share [N] of each item among all counted, float64 in [0, 1]."""
        counts_RN = torch.stack([row[columns] for row, columns in
                                 zip(self.counts, self._columns(item_N), strict=True)])
        return counts_RN.amin(0).double() / max(self.total, 1)

    def state_dict(self) -> dict[str, Tensor | int]:
        """What has been counted; the hash functions follow from the seed."""
        return {"counts": self.counts, "total": self.total}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Go on from what `state_dict` gave."""
        self.counts.copy_(state["counts"])
        self.total = state["total"]

    def _columns(self, item_N: Tensor) -> Tensor:
        return (self.a_R * item_N + self.b_R) % PRIME % self.counts.shape[1]
