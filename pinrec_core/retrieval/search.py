"""The search of one batch: the index's neighbours of each query, and what counted transitions add to them.

A model with transitions scores an item by a product of experts (Hinton, 2002): p(item) ~ p_query * (1 + c / FAINT)^w,
where c is how much the item follows the request's latest items. In the units of the index, which are those of the score
over the model's scale, a follower gets w * log(1 + c / FAINT) / scale on top. Items that follow nothing get nothing, so
the best k of neighbours and followers together are the best k of all.

Legend: B requests, P kept queries per request, K neighbours, C followers of a request, I items, D columns of the index.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinrec_core.data.batch import HistoryBatch
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import bonus, latest_first
from pinrec_core.retrieval.compress import KeptQueries
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.schemas import NO_ITEM

MOST_FOLLOWERS = 500  # heaviest followers of a request that are scored; further ones hardly gain a place


class Followers(NamedTuple):
    """Items that follow what a request's history ends with, NO_ITEM-padded; no columns without transitions."""

    item_BC: np.ndarray
    bonus_BC: np.ndarray  # float32, in units of the index

    @classmethod
    def of(cls, model: PinRec, batch: HistoryBatch) -> Followers:
        """The followers of each history."""
        if not model.transition_weight:
            return cls(np.zeros((len(batch), 0), np.int64), np.zeros((len(batch), 0), np.float32))
        latest_BL = latest_first(batch.item_BT.numpy(), batch.length_B.numpy())
        item_BC, weight_BC = model.transitions.followers(latest_BL, MOST_FOLLOWERS)
        return cls(item_BC, bonus(weight_BC) * (model.transition_weight / model.scale.item()))

    def rows(self, chosen_B: np.ndarray) -> Followers:
        """Those of some of the requests."""
        return Followers(self.item_BC[chosen_B], self.bonus_BC[chosen_B])


def search(index: ItemIndex, kept: KeptQueries, k: int, *, exhaustive: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores and items of the k nearest of every kept query, [B, P, K]; NO_ITEM and -inf at padding."""
    mask = kept.kept_BP
    score_MK, item_MK = index.search(kept.vector_BPD[mask], k, exhaustive=exhaustive)
    shape = (*mask.shape, score_MK.shape[1])
    score_BPK, item_BPK = np.full(shape, -np.inf, np.float32), np.full(shape, NO_ITEM, np.int64)
    score_BPK[mask], item_BPK[mask] = score_MK, item_MK
    return score_BPK, item_BPK


def join(score_BPK: np.ndarray, item_BPK: np.ndarray, followers: Followers,
         own_BPC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best K of each query's neighbours and the request's followers; `own_BPC` are the followers' index scores.

    A follower among the neighbours counts once, with its bonus.
    """
    K = item_BPK.shape[2]
    repeated_BPK = _contained(item_BPK, followers.item_BC)
    followed_BPC = own_BPC + followers.bonus_BC[:, None]
    score_BPM = np.concatenate([np.where(repeated_BPK, -np.inf, score_BPK), followed_BPC], axis=2)
    item_BPM = np.concatenate([np.where(repeated_BPK, NO_ITEM, item_BPK),
                               np.broadcast_to(followers.item_BC[:, None], own_BPC.shape)], axis=2)
    score_BPM[item_BPM == NO_ITEM] = -np.inf
    best_BPK = np.argsort(-score_BPM, axis=2, kind="stable")[:, :, :K]
    return np.take_along_axis(score_BPM, best_BPK, axis=2), np.take_along_axis(item_BPM, best_BPK, axis=2)


def own_scores(kept: KeptQueries, followers: Followers, vectors_ID: np.ndarray) -> np.ndarray:
    """What the index would score each follower at for each query, [B, P, C]; padding queries find nothing."""
    vectors_BCD = vectors_ID[np.maximum(followers.item_BC, 0)]
    own_BPC = np.einsum("bpd,bcd->bpc", kept.vector_BPD, vectors_BCD[..., : kept.vector_BPD.shape[2]], optimize=True)
    if vectors_BCD.shape[2] > kept.vector_BPD.shape[2]:  # the bias column, which queries are continued by 1 for
        own_BPC = own_BPC + vectors_BCD[:, None, :, -1]
    return np.where(kept.kept_BP[:, :, None], own_BPC, -np.inf).astype(np.float32)


def _contained(item_BPK: np.ndarray, item_BC: np.ndarray) -> np.ndarray:
    """bool [B, P, K]: is the item among those of its request?"""
    span = max(item_BPK.max(initial=0), item_BC.max(initial=0)) + 1
    row_B = np.arange(len(item_BC))
    known = np.where(item_BC == NO_ITEM, -1, row_B[:, None] * span + item_BC)
    return np.isin(row_B[:, None, None] * span + item_BPK, known) & (item_BPK != NO_ITEM)
