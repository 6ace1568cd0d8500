"""Sampled softmax with correction for how the negatives were drawn (paper section 3).

Suffixes: N targets, P shared pool of negatives, K ignored items of a target's own feed view.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinrec_core.training.negatives import Negatives


def sampled_softmax(positive_N: Tensor, pool_NP: Tensor, negatives: Negatives, view_NK: Tensor | None = None, *,
                    correct_positive: bool = False) -> Tensor:
    """Negative log-likelihood [N] of each target against the pool and its own view's ignored items.

    The full softmax needs Z = e^s+ + sum over all other items j of e^s_j. A pool in which j is expected E_j times gives
    the unbiased estimate sum over pool of e^(s_j - log E_j), so each pool logit is lowered by log E_j and

        loss = -s+ + log( e^s+ + sum_pool e^(s_j - log E_j) + sum_view e^s_k ).

    The positive is not sampled, so its logit stays as it is (arXiv 2507.09331); `correct_positive=True` gives the
    classic form, which lowers it too. Ignored items of the view are there with certainty and need no correction; -inf
    marks padding.

    positive_N: logits of the targets. pool_NP: logits of the pool. view_NK: logits of shown and ignored items.
    """
    if correct_positive:
        positive_N = positive_N - negatives.log_expected_N
    if negatives.whole:
        log_z_N = pool_NP.logsumexp(1)  # has the positive in it; nothing to correct, and half the time
    else:
        corrected_NP = (pool_NP - negatives.log_expected_P).masked_fill(negatives.banned_NP, float("-inf"))
        log_z_N = torch.logaddexp(positive_N, corrected_NP.logsumexp(1))
    if view_NK is not None and view_NK.shape[1]:
        log_z_N = torch.cat([log_z_N[:, None], view_NK], dim=1).logsumexp(1)
    return log_z_N - positive_N
