"""Rows of large tables: a gradient that holds the rows that were read and nothing else; and round numbers of rows.

The gradient of plain indexing is as large as the table: at ten million items it costs more than everything else in a
step. `gather` leaves a sparse one behind, and training/optimizer.py updates the rows it names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROUND = 128  # rows: of bfloat16 products a CPU compiles each shape, see training/precision.py


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


def missing(rows: int) -> int:
    """How many rows are missing from a round number of them."""
    return -rows % ROUND


def round_up(index_N: Tensor) -> Tensor:
    """The given indices, the last one repeated until their number is round; none stay none."""
    return F.pad(index_N, (0, missing(len(index_N))), value=int(index_N[-1])) if len(index_N) else index_N
