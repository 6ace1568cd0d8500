"""Id tables whose rows are spread over the ranks, for catalogues whose tables one device cannot hold.

Rank r holds rows [r c, (r + 1) c), c = ceil(rows / ranks). A lookup sends each distinct row number to the rank that has
the row, and the row comes back; in the backward pass the gradients take the same way, so that a shard's gradient is
whole on its rank and nothing of the size of a table ever travels or is held.

Why an own module, and not one of the two that exist:
- DTensor with RowwiseParallel (tried with torch 2.13 and gloo) gives the same vectors, but every rank looks up every
  rank's ids, their gradient is made whole on each rank (its placement is Replicate: the memory that sharding should
  save), ranks that ask for different numbers of ids crash gloo, and neither clip_grad_norm_ nor the fused AdamW takes
  it beside ordinary tensors.
- TorchRec does it this way and far more (planning, fused optimisers), but needs FBGEMM, and a release of both fits one
  release of torch: worth it on GPUs by the dozen, not for one lookup.
Suffixes: N row numbers asked for, M distinct ones, W ranks, D width of a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.model.item_encoder import ID_STD, whole_tables
from pinrec_core.training.ranks import Ranks

SHARD_FROM_BYTES = 64 << 20  # id tables of one model: below it, summing their gradient costs less than asking around
BLOCK_BYTES = 16 << 20  # drawn or gathered at a time


class RowShards(nn.Module):
    """What nn.Embedding is, with this rank's rows of the table only."""

    def __init__(self, rows: int, width: int, ranks: Ranks):
        super().__init__()
        self.rows, self.width, self.ranks = rows, width, ranks
        self.each = -(-rows // ranks.size)
        self.first = ranks.rank * self.each  # number of the first row that is here
        self.weight = nn.Parameter(torch.empty(self._count(ranks.rank), width))
        self.weight.is_shard = True

    def forward(self, row_N: Tensor) -> Tensor:
        """Rows [N, D] of the whole table. All ranks look up at the same time, one that needs nothing too."""
        distinct_M, place_N = row_N.unique(return_inverse=True)
        asked_W = torch.bincount(distinct_M // self.each, minlength=self.ranks.size)
        one_W = [1] * self.ranks.size
        given_W = self.ranks.exchange(asked_W, one_W, one_W).tolist()
        wanted = self.ranks.exchange(distinct_M, asked_W.tolist(), given_W)
        own_D = F.embedding(wanted - self.first, self.weight, sparse=True)
        return F.embedding(place_N, self.ranks.exchange(own_D, given_W, asked_W.tolist()))

    @torch.no_grad()
    def draw(self, std: float) -> None:
        """Normal initial values: the very numbers that nn.init.normal_ draws for the whole table, a block at a time."""
        first, last = self.first, self.first + len(self.weight)
        for start, block in _drawn(self.rows, self.width, std):
            low, high = max(first, start), min(last, start + len(block))
            if low < high:
                self.weight[low - first:high - first] = block[low - start:high - start]

    @torch.no_grad()
    def gather(self, path: Path) -> Tensor | None:
        """The whole table on the rank that writes, None on the others.

        It is mapped from a file at `path`, which is filled a block at a time: no rank has to hold it in memory.
        """
        size, writer = self.ranks.size, self.ranks.is_writer
        whole = None
        if writer:
            whole = torch.from_file(str(path), shared=True, size=self.rows * self.width, dtype=self.weight.dtype)
            whole = whole.view(self.rows, self.width)
        step = max(BLOCK_BYTES // (4 * self.width), 1)
        for start in range(0, self.each, step):
            sent_W = [max(0, min(step, self._count(rank) - start)) for rank in range(size)]
            block = self.ranks.exchange(self.weight[start:start + step], [sent_W[self.ranks.rank]] + [0] * (size - 1),
                                        sent_W if writer else [0] * size)
            if writer:
                for rank, part in enumerate(block.cpu().split(sent_W)):
                    whole[rank * self.each + start:rank * self.each + start + len(part)] = part
        return whole

    def _count(self, rank: int) -> int:
        """Rows that a rank holds; the last ones may hold fewer."""
        return max(0, min(self.each, self.rows - rank * self.each))

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:
        """Take one's own rows where the whole table is given, as from a model directory."""
        given = state_dict.get(prefix + "weight")
        if given is not None and len(given) == self.rows:
            state_dict = {**state_dict, prefix + "weight": given[self.first:self.first + len(self.weight)]}
        super()._load_from_state_dict(state_dict, prefix, *rest)


def id_tables(ranks: Ranks, count: int, rows: int, width: int) -> nn.ModuleList:
    """The id tables of a model: whole on every rank, or spread over the ranks if they are large."""
    if ranks.size == 1 or 4 * count * rows * width < SHARD_FROM_BYTES:
        return whole_tables(count, rows, width)
    return sharded_tables(ranks, count, rows, width)


def sharded_tables(ranks: Ranks, count: int, rows: int, width: int) -> nn.ModuleList:
    """What whole_tables makes, spread over the ranks: the same values, and the generator left in the same state."""
    tables = nn.ModuleList(RowShards(rows, width, ranks) for _ in range(count))
    for std in (1.0, ID_STD):  # nn.Embedding draws values of its own first
        for table in tables:
            table.draw(std)
    return tables


def gathered_weights(model: nn.Module, folder: Path, ranks: Ranks) -> dict[str, Tensor] | None:
    """The state of a model with sharded tables as that of an ordinary one, on the rank that writes; None elsewhere.

    Large tables are mapped from files in `folder`, which the caller removes.
    """
    state = model.state_dict()
    for name, table in model.named_modules():
        if isinstance(table, RowShards):
            state[f"{name}.weight"] = table.gather(folder / f"{name}.rows")
    return state if ranks.is_writer else None


def _drawn(rows: int, width: int, std: float) -> Iterator[tuple[int, Tensor]]:
    """Blocks (first row, normal values [rows, width]) in order, as if all had been drawn at once.

    torch draws normal numbers by sixteens; a block that is no multiple of them would shift all that follow.
    """
    step = max(BLOCK_BYTES // (64 * width), 1) * 16
    starts = list(range(0, max(rows - step, 1), step))  # the last block has up to two steps, never a few rows
    for start, stop in zip(starts, [*starts[1:], rows], strict=True):
        yield start, torch.empty(stop - start, width).normal_(std=std)
