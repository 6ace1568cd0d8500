"""Gradients of one step over all ranks: summed, measured, clipped.

Each rank's loss is its part of the whole (see Objective), so the sum of the ranks' gradients is the gradient. It
travels in one flat tensor after the backward pass. DistributedDataParallel would send it in buckets meanwhile; but it
sees only what runs through `forward`, and its sends would meet those of the gathered vectors in an order that differs
from rank to rank where the batch of one lacks a type of item.
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
    parameters = [parameter for parameter in parameters if not is_shard(parameter)]
    had = loss.new_tensor([parameter.grad is not None for parameter in parameters])
    told = torch.cat([loss.detach().view(1), had, *(_flat(parameter) for parameter in parameters)])
    loss, had, *sums = ranks.all_sum(told).split([1, len(had), *(parameter.numel() for parameter in parameters)])
    for parameter, some, gradient in zip(parameters, had.tolist(), sums, strict=True):
        parameter.grad = gradient.view_as(parameter) if some else None
    return loss.squeeze()


def clip_gradients(parameters: Sequence[nn.Parameter], most: float, ranks: Ranks) -> Tensor:
    """Scale gradients so that their norm over all parameters is at most `most`; returns the norm before it (scalar).

    A parameter whose rows are spread over ranks (see RowShards) adds the rows of all.
    """
    given = [parameter for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in given if not is_shard(parameter)])
    shards = [parameter.grad for parameter in given if is_shard(parameter)]
    if any(is_shard(parameter) for parameter in parameters):
        norm = (norm**2 + ranks.all_sum(torch.nn.utils.get_total_norm(shards) ** 2)).sqrt()
    torch.nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return norm


def is_shard(parameter: nn.Parameter) -> bool:
    """Whether the other ranks have other rows of this parameter, instead of the same ones."""
    return getattr(parameter, "is_shard", False)


def _flat(parameter: nn.Parameter) -> Tensor:
    gradient = parameter.grad
    return parameter.new_zeros(parameter.numel()) if gradient is None else gradient.flatten()
