"""Rows of large tables, whose gradient holds the rows that were read and nothing else.

The gradient of plain indexing is as large as the table: at ten million items it costs more than everything else in a
step. `gather` leaves a sparse one behind, and training/optimizer.py updates the rows it names.
"""

from __future__ import annotations

import torch
from torch import Tensor


class _Gather(torch.autograd.Function):
    """table[index], with a sparse (COO) gradient."""

    @staticmethod
    def forward(ctx, table: Tensor, *index: Tensor) -> Tensor:
        """Remember where was read, not what."""
        index = torch.broadcast_tensors(*index)
        ctx.save_for_backward(*index)
        ctx.shape = table.shape
        return table[index]

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """One entry per place read; a place read twice is there twice."""
        index = ctx.saved_tensors
        place = torch.stack([part.flatten() for part in index])
        rows = torch.sparse_coo_tensor(place, grad.reshape(-1, *ctx.shape[len(index):]), ctx.shape,
                                       check_invariants=False)
        return rows, *(None for _ in index)


def gather(table: Tensor, *index: Tensor) -> Tensor:
    """table[index] (integer indices that broadcast with each other), with a sparse gradient for a table that learns."""
    return _Gather.apply(table, *index)
