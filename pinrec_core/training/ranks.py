"""The processes of one training: who they are, and what they tell each other.

    torchrun --nproc-per-node 2 -m pinrec_core.training.worker JOB.json

Every process (rank) holds the same model and takes its rows of each step's batch; see docs/training.md. A group of one
needs no torch.distributed: all that follows then hands back what it was given.
Suffixes: N rows of this rank, W ranks, P rows that all ranks have alike, D width of a row.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from pinrec_core.errors import ConfigError, IntegrityError, RankLost

logger = logging.getLogger("pinrec")
TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what describes a group to its members
T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The group as one of its members sees it. Every method but the properties is to be called by all ranks alike.

    Raises RankLost where another rank has died or does not answer in time.
    """

    rank: int = 0  # this process, from 0
    size: int = 1  # processes
    timeout_s: float = 600.0  # how long it waits for the others

    @classmethod
    def join(cls, timeout_s: float = 600.0, environment: Mapping[str, str] = os.environ) -> Ranks:
        """The group that torchrun's variables describe, or one process without them. Waits until all have come.

        What a process has joined it stays in until it ends; `timeout_s` is that of the first time then.
        gloo carries tensors of the CPU, nccl those of CUDA devices; each rank takes the device of its LOCAL_RANK.
        Raises ConfigError for variables that are missing or no numbers, RankLost when ranks stay away.
        """
        if environment.get("WORLD_SIZE", "1") == "1":
            return cls()
        ranks = cls(*_described(environment), timeout_s)
        if not dist.is_initialized():
            cuda = torch.cuda.is_available()
            if cuda:
                torch.cuda.set_device(int(environment.get("LOCAL_RANK", "0")))
            with ranks._answered():
                dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", rank=ranks.rank,
                                        world_size=ranks.size, timeout=timedelta(seconds=ranks.timeout_s))
            atexit.register(_leave)
            if not ranks.is_writer:
                logger.setLevel(logging.WARNING)  # one rank tells what goes well, each what does not
        return ranks

    @property
    def is_writer(self) -> bool:
        """Whether this rank writes files; the others only compute."""
        return self.rank == 0

    @property
    def rows(self) -> slice:
        """This rank's rows of a batch: every `size`-th, so that rows sorted by length are shared out evenly."""
        return slice(self.rank, None, self.size)

    def total(self, count: int) -> int:
        """The sum of a number over ranks."""
        return count if self.size == 1 else int(self.all_sum(torch.tensor(count)))

    def share(self, count: int) -> float:
        """This rank's share of a count, by which its mean becomes its part of the mean over all; 0 if all have none."""
        return 1.0 if self.size == 1 else count / max(self.total(count), 1)

    def any(self, here: bool) -> bool:
        """Whether it holds on some rank: how ranks agree to stop at the same step."""
        return self.total(int(here)) > 0

    def all_sum(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, elementwise; bit for bit the same everywhere, so that all decide alike by it."""
        return self._reduce(tensor, dist.ReduceOp.SUM)

    def all_max(self, tensor: Tensor) -> Tensor:
        """The greatest over ranks, elementwise."""
        return self._reduce(tensor, dist.ReduceOp.MAX)

    def gather(self, own_N: Tensor) -> Tensor:
        """The rows of all ranks, of each as many as it has, in the order of ranks. Gives no gradient."""
        if self.size == 1:
            return own_N
        sizes = self._stack(torch.tensor([len(own_N)], device=own_N.device)).tolist()
        padded = own_N.new_zeros(max(sizes), *own_N.shape[1:])
        padded[:len(own_N)] = own_N
        rows = self._stack(padded).split(max(sizes) or 1)
        return torch.cat([part[:size] for part, size in zip(rows, sizes, strict=False)] or [own_N])

    def own_part(self, x_P: Tensor) -> Tensor:
        """This rank's part of what all have: ceil(P / W) rows everywhere, for which the first ones come again."""
        if self.size == 1:
            return x_P
        each = -(-len(x_P) // self.size)
        return x_P[torch.arange(self.rank * each, (self.rank + 1) * each, device=x_P.device) % max(len(x_P), 1)]

    def join_parts(self, own_ND: Tensor, count: int) -> Tensor:
        """The `count` rows whose parts the ranks made (see own_part), differentiable.

        The gradient of a row is the sum of what all ranks' losses make of it, and goes to the rank that made the row.
        """
        return own_ND if self.size == 1 else _JoinedParts.apply(own_ND, self)[:count]

    def exchange(self, sent_ND: Tensor, sent_W: list[int], received_W: list[int]) -> Tensor:
        """Rows to and from every rank, `sent_W` and `received_W` of them, in the order of ranks; differentiable."""
        return sent_ND if self.size == 1 else _Exchanged.apply(sent_ND, sent_W, received_W, self)

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank; any value that can be pickled."""
        box = [value]
        if self.size > 1:
            with self._answered():
                dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather_values(self, value: T) -> list[T]:
        """The values of all ranks, in their order, on every rank; any that can be pickled."""
        values = [value] * self.size
        if self.size > 1:
            with self._answered():
                dist.all_gather_object(values, value)
        return values

    def check_same(self, what: str, fingerprint: str) -> None:
        """Raises IntegrityError unless all ranks name the same: their batches would not fit together."""
        told_W = self.gather_values(fingerprint)
        for rank, told in enumerate(told_W):
            if told != told_W[0]:
                raise IntegrityError(f"{what} is {told[:12]} on rank {rank} and {told_W[0][:12]} on rank 0; give all "
                                     "ranks the same dataset, base model and configuration")

    def _reduce(self, tensor: Tensor, how: dist.ReduceOp) -> Tensor:
        if self.size == 1:
            return tensor
        reduced = tensor.clone()
        with self._answered():
            dist.all_reduce(reduced, how)
        return reduced

    def _stack(self, own_N: Tensor) -> Tensor:
        """[W * N, ...] from [N, ...] of every rank."""
        parts = [torch.empty_like(own_N) for _ in range(self.size)]
        with self._answered():
            dist.all_gather(parts, own_N.contiguous())
        return torch.cat(parts)

    def _sum_parts(self, stacked: Tensor) -> Tensor:
        """This rank's [N, ...] of the sum over ranks of [W * N, ...]."""
        each = [len(stacked) // self.size] * self.size
        return self._send(stacked, each, each).unflatten(0, (self.size, -1)).sum(0)

    def _send(self, sent: Tensor, sent_W: list[int], received_W: list[int]) -> Tensor:
        received = sent.new_empty(sum(received_W), *sent.shape[1:])
        with self._answered():
            dist.all_to_all_single(received, sent.contiguous(), received_W, sent_W)
        return received

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        """Say what a failed exchange means. (nccl may end the process by itself, with a message of its own.)"""
        try:
            yield
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0].split(". ")[0]
            raise RankLost(
                f"rank {self.rank} of {self.size}: another process of this training ended or did not answer within "
                f"{self.timeout_s:g} s (rank_timeout_s): {reason}; see the logs of the other ranks, then start them "
                "all again") from error


ALONE = Ranks()


class _JoinedParts(torch.autograd.Function):
    """All ranks' rows forward, the sum of all ranks' gradients back."""

    @staticmethod
    def forward(ctx, own_ND: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks._stack(own_ND)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return ctx.ranks._sum_parts(gradient), None


class _Exchanged(torch.autograd.Function):
    """Rows to their receivers forward, their gradients to the senders back."""

    @staticmethod
    def forward(ctx, sent_ND: Tensor, sent_W: list[int], received_W: list[int], ranks: Ranks) -> Tensor:
        ctx.back = received_W, sent_W
        ctx.ranks = ranks
        return ranks._send(sent_ND, sent_W, received_W)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return ctx.ranks._send(gradient, *ctx.back), None, None, None


def _described(environment: Mapping[str, str]) -> tuple[int, int]:
    missing = [name for name in TORCHRUN if not environment.get(name)]
    if missing:
        raise ConfigError(f"WORLD_SIZE is {environment['WORLD_SIZE']}, but {', '.join(missing)} is not set; start the "
                          "ranks with torchrun, or unset WORLD_SIZE for one process")
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except ValueError as error:
        raise ConfigError(f"RANK and WORLD_SIZE must be numbers: {error}") from error
    if not 0 <= rank < size:
        raise ConfigError(f"RANK {rank} must lie below WORLD_SIZE {size}")
    return rank, size


def _leave() -> None:
    """Free the group's threads and devices when the process ends."""
    if dist.is_initialized():
        dist.destroy_process_group()
