"""Queries, which come as one list, beside the rows they belong to: what attention needs is padded per row.

Suffixes: N queries, B rows, M most queries of a row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Seats(NamedTuple):
    """Where queries of many rows sit when padded to one number of queries per row."""

    row_N: Tensor
    seat_N: Tensor  # counts the queries of a row from 0
    shape: tuple[int, int]  # B rows, M seats

    @classmethod
    def of(cls, row_N: Tensor, rows: int) -> Seats:
        """Seat queries in their given order; rows need not be sorted."""
        order, count_B = row_N.argsort(stable=True), torch.bincount(row_N, minlength=rows)
        first_B = count_B.cumsum(0) - count_B
        seat_N = torch.empty_like(row_N)
        seat_N[order] = torch.arange(len(row_N)) - first_B[row_N[order]]
        return cls(row_N, seat_N, (rows, max(count_B.tolist(), default=0)))

    def spread(self, x_NX: Tensor) -> Tensor:
        """[N, ...] to [B, M, ...], zero where nobody sits."""
        return x_NX.new_zeros(*self.shape, *x_NX.shape[1:]).index_put((self.row_N, self.seat_N), x_NX)

    def collect(self, x_BMX: Tensor) -> Tensor:
        """[B, M, ...] back to [N, ...]."""
        return x_BMX[self.row_N, self.seat_N]


class EvenSeats(NamedTuple):
    """Queries of a batch in which each row has as many, row after row (see Seats)."""

    rows: int

    def spread(self, x_NX: Tensor) -> Tensor:
        """[B * M, ...] to [B, M, ...]."""
        return x_NX.unflatten(0, (self.rows, -1))

    def collect(self, x_BMX: Tensor) -> Tensor:
        """[B, M, ...] back to [B * M, ...]."""
        return x_BMX.flatten(0, 1)
