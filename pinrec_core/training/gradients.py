"""Gradients of one step over all ranks: summed, measured, clipped.

Each rank's loss is its part of the whole (see Objective), so the sum of the ranks' gradients is the gradient. Dense
ones travel in one flat tensor after the backward pass, sparse ones as the rows they have. DistributedDataParallel would
send buckets meanwhile; but it sees only what runs through `forward`, and its sends would meet those of the gathered
vectors in an order that differs from rank to rank where the batch of one lacks a type of item.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pinrec_core.training.ranks import Ranks


def sum_gradients(parameters: Sequence[nn.Parameter], loss: Tensor, ranks: Ranks) -> Tensor:
    """The loss of all ranks (scalar); each parameter's gradient becomes the sum of all ranks'.

    A parameter that got a gradient on no rank has none after it, as in one process. The gradient of a shard is whole
    already: the lookup has brought it to the one rank that has the rows.
    """
    if ranks.size == 1:
        return loss.detach()
    shared = [parameter for parameter in parameters if not is_shard(parameter)]
    kinds = ranks.all_max(torch.tensor([_kind(parameter.grad) for parameter in shared])).tolist()
    dense = [parameter for parameter, kind in zip(shared, kinds, strict=True) if kind == _DENSE]
    told = torch.cat([loss.detach().view(1), *(_flat(parameter) for parameter in dense)])
    loss, *sums = ranks.all_sum(told).split([1, *(parameter.numel() for parameter in dense)])
    for parameter, gradient in zip(dense, sums, strict=True):
        parameter.grad = gradient.view_as(parameter)
    for parameter, kind in zip(shared, kinds, strict=True):
        if kind > _DENSE:
            parameter.grad = _sum_of_rows(parameter, kind - _DENSE, ranks)
    return loss.squeeze()


def clip_gradients(parameters: Sequence[nn.Parameter], most: float, ranks: Ranks) -> Tensor:
    """Scale gradients so that their norm over all parameters is at most `most`; returns the norm before it (scalar).

    As torch.nn.utils.clip_grad_norm_, which knows neither sparse gradients (they are coalesced here, so that a row that
    was read twice is summed before it counts) nor parameters whose rows are spread over ranks: all rows count.
    """
    given = [parameter for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([_values(parameter) for parameter in given if not is_shard(parameter)])
    if any(is_shard(parameter) for parameter in parameters):
        of_shards = torch.nn.utils.get_total_norm([_values(parameter) for parameter in given if is_shard(parameter)])
        norm = (norm**2 + ranks.all_sum(of_shards**2)).sqrt()
    if not norm <= most:  # also where it is NaN
        for parameter in given:
            _values(parameter).mul_(most / (norm + 1e-6))
    return norm


def is_shard(parameter: nn.Parameter) -> bool:
    """Whether the other ranks have other rows of this parameter, instead of the same ones."""
    return getattr(parameter, "is_shard", False)


_DENSE = 1  # kind of a gradient; 0 = there is none, 1 + d = sparse in its first d dimensions


def _kind(gradient: Tensor | None) -> int:
    if gradient is None:
        return 0
    return _DENSE + gradient.sparse_dim() if gradient.is_sparse else _DENSE


def _flat(parameter: nn.Parameter) -> Tensor:
    gradient = parameter.grad
    return parameter.new_zeros(parameter.numel()) if gradient is None else gradient.flatten()


def _sum_of_rows(parameter: nn.Parameter, dims: int, ranks: Ranks) -> Tensor:
    """The sum of all ranks' sparse gradients; this rank may have none."""
    place = torch.empty(0, dims, dtype=torch.int64, device=parameter.device)
    values = parameter.new_empty(0, *parameter.shape[dims:])
    if parameter.grad is not None:
        place, values = parameter.grad.coalesce().indices().T, parameter.grad.coalesce().values()
    place, values = ranks.gather(place), ranks.gather(values)
    return torch.sparse_coo_tensor(place.T, values, parameter.shape).coalesce()


def _values(parameter: nn.Parameter) -> Tensor:
    """The gradient itself, or the rows of a sparse one, to be changed in place."""
    if not parameter.grad.is_sparse:
        return parameter.grad
    parameter.grad = parameter.grad.coalesce()
    return parameter.grad.values()
