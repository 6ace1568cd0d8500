"""log of the sum over the pool of e^(s - log E), the part of the sampled softmax that every target pays for.

Written plainly, [Q, P] logits are made, corrected, masked, exponentiated and summed, and autograd keeps most of these
and walks back through them. Here a block of queries stays in the cache from its logits to its softmax, the one thing
that is kept; the way back is two matrix products. Same value, same gradient.

Suffixes: Q queries, P pool, E width of the two factors of the logits, X banned pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pinrec_core.model.rows import missing
from pinrec_core.training.negatives import Negatives

_BLOCK = 256  # queries at a time
_BANNED = -1e30  # logit of a banned place: a finite one, so that a query whose whole pool is banned needs no exception


class _LogZ(torch.autograd.Function):
    """log-sum-exp [Q] of corrected logits, and its gradient: the softmax of each row, times the other factor."""

    @staticmethod
    def forward(ctx, query_QE: Tensor, vectors_PE: Tensor, negatives: Negatives, kind: torch.dtype) -> Tensor:
        """Block by block; products and the kept softmax are of type `kind`, everything between is of the queries'."""
        query, vectors = (F.pad(factor.to(kind), (0, 0, 0, missing(len(factor)))) for factor in (query_QE, vectors_PE))
        log_expected = F.pad(negatives.log_expected_P, (0, missing(len(vectors_PE))), value=-_BANNED)
        softmax_QP, log_z_Q = query.new_empty(len(query), len(vectors)), query_QE.new_empty(len(query))
        query_X, place_X = negatives.banned
        starts = range(0, len(query) + _BLOCK, _BLOCK)
        first_X = torch.searchsorted(query_X, torch.tensor(starts, device=query_X.device)).tolist()
        for number, start in enumerate(starts[:-1]):
            rows, banned = slice(start, start + _BLOCK), slice(*first_X[number:number + 2])
            logits = (query[rows] @ vectors.T).to(query_QE.dtype).sub_(log_expected)
            logits[query_X[banned] - start, place_X[banned]] = _BANNED
            softmax = logits.softmax(1)
            log_z_Q[rows] = logits.amax(1) - softmax.amax(1).log()  # the softmax of the largest logit m is e^m / Z
            softmax_QP[rows] = softmax
        ctx.save_for_backward(query, vectors, softmax_QP)
        ctx.sizes = len(query_QE), len(vectors_PE)
        return log_z_Q[:len(query_QE)]

    @staticmethod
    def backward(ctx, grad_Q: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """d log Z / d logit is the softmax."""
        query, vectors, softmax_QP = ctx.saved_tensors
        queries, places = ctx.sizes
        grad_Q1 = F.pad(grad_Q, (0, len(query) - queries))[:, None]
        grad_QE = (softmax_QP @ vectors).to(grad_Q.dtype) * grad_Q1
        grad_PE = (softmax_QP.T @ (query * grad_Q1).to(query.dtype)).to(grad_Q.dtype)
        return grad_QE[:queries], grad_PE[:places], None, None


def log_z(query_QE: Tensor, vectors_PE: Tensor, negatives: Negatives, kind: torch.dtype | None = None) -> Tensor:
    """log sum over the pool of e^(logit - log E) [Q], without what is banned; no more than -1e29 where all is.

    `kind` is the type of the matrix products and of what is kept for the way back, [Q, P] of it; by default that of the
    queries.
    """
    return _LogZ.apply(query_QE, vectors_PE, negatives, kind or query_QE.dtype)
