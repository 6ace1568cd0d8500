"""Sampled softmax with correction for how the negatives were drawn (paper section 3).

Suffixes: N targets, Q distinct queries that ask for them, P shared pool of negatives, K ignored items of a target's own
feed view, G groups of targets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinrec_core.training.negatives import Negatives


def sampled_softmax(positive_N: Tensor, log_z_Q: Tensor, query_N: Tensor, negatives: Negatives,
                    view_NK: Tensor | None = None, *, correct_positive: bool = False) -> Tensor:
    """Negative log-likelihood [N] of each target against the pool and its own view's ignored items.

    The full softmax needs Z = e^s+ + sum over all other items j of e^s_j. A pool in which j is expected E_j times gives
    the unbiased estimate sum over pool of e^(s_j - log E_j), so each pool logit is lowered by log E_j and

        loss = -s+ + log( e^s+ + sum_pool e^(s_j - log E_j) + sum_view e^s_k ).

    The positive is not sampled, so its logit stays as it is (arXiv 2507.09331); `correct_positive=True` gives the
    classic form, which lowers it too. Ignored items of the view are there with certainty and need no correction; -inf
    marks padding.

    positive_N: logits of the targets. log_z_Q: log of the sum over the pool, once per query (pool.py makes it).
    query_N: each target's query. view_NK: logits of shown and ignored items.
    """
    if correct_positive:
        positive_N = positive_N - negatives.log_expected_N
    log_z_N = log_z_Q[query_N]
    if not negatives.whole:  # a whole pool has the positive in it
        log_z_N = torch.logaddexp(positive_N, log_z_N)
    if view_NK is not None and view_NK.shape[1]:
        log_z_N = torch.cat([log_z_N[:, None], view_NK], dim=1).logsumexp(1)
    return log_z_N - positive_N


def least_of_groups(loss_N: Tensor, weight_N: Tensor, group_N: Tensor) -> Tensor:
    """Mean over groups (scalar) of the least loss of each, weighted by the mean weight of the group's targets.

    The relaxation inside a feed view: one of the group's items must be found, whichever is nearest. Groups are numbered
    from 0 without gaps; where each target is alone this is the weighted mean over targets. 0 without any target.
    """
    if not len(group_N):
        return loss_N.sum()
    none_G = loss_N.new_zeros(int(group_N.max()) + 1)
    least_G = none_G.scatter_reduce(0, group_N, loss_N, "amin", include_self=False)
    weight_G = none_G.scatter_reduce(0, group_N, weight_N.to(loss_N.dtype), "mean", include_self=False)
    return (least_G * weight_G).mean()
