"""The search of one batch: the index's neighbours of each query, and what counted experts say of a request's items.

Experts that depend on the history (see model.experts) speak of few items: what follows the latest ones, and the history
itself. In the units of the index, which are those of the score over the model's scale, these get their log-odds over
the scale on top; all others get nothing. The best k of all are therefore among these items and the neighbours, as long
as the index gives one more neighbour for every item that loses by it.

Legend: B requests, P kept queries per request, K neighbours, C items that experts speak of, I items, D columns of the
index.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinrec_core.data.batch import HistoryBatch
from pinrec_core.model.experts import Spoken
from pinrec_core.model.pinrec import PinRec
from pinrec_core.retrieval.compress import KeptQueries
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.schemas import NO_ITEM

MOST_FOLLOWERS = 500  # heaviest followers of a request that are scored; further ones hardly gain a place


class Adjusted(NamedTuple):
    """Items of each request whose scores experts change, NO_ITEM-padded; no columns without such experts."""

    item_BC: np.ndarray
    bonus_BC: np.ndarray  # float32, in units of the index; below 0 for what is to be found less

    @classmethod
    def of(cls, model: PinRec, batch: HistoryBatch) -> Adjusted:
        """What the model's experts say of each history."""
        experts = model.experts
        if not (experts.transitions or experts.repeats):
            return cls(np.zeros((len(batch), 0), np.int64), np.zeros((len(batch), 0), np.float32))
        spoken = Spoken.of(batch, model.transitions, model.retrievable_I.numpy(),
                           MOST_FOLLOWERS if experts.transitions else 0)
        return cls(spoken.item_BC, spoken.log_odds(experts) / np.float32(model.scale.item()))

    @property
    def losers(self) -> int:
        """Most items of a request that lose."""
        return int((self.bonus_BC < 0).sum(axis=1).max(initial=0))

    def rows(self, chosen_B: np.ndarray) -> Adjusted:
        """Those of some of the requests."""
        return Adjusted(self.item_BC[chosen_B], self.bonus_BC[chosen_B])


def search(index: ItemIndex, kept: KeptQueries, k: int, *, exhaustive: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores and items of the k nearest of every kept query, [B, P, K]; NO_ITEM and -inf at padding."""
    mask = kept.kept_BP
    score_MK, item_MK = index.search(kept.search_BPD[mask], k, exhaustive=exhaustive)
    shape = (*mask.shape, score_MK.shape[1])
    score_BPK, item_BPK = np.full(shape, -np.inf, np.float32), np.full(shape, NO_ITEM, np.int64)
    score_BPK[mask], item_BPK[mask] = score_MK, item_MK
    return score_BPK, item_BPK


def join(score_BPK: np.ndarray, item_BPK: np.ndarray, adjusted: Adjusted, own_BPC: np.ndarray,
         k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of each query's neighbours and the adjusted items; `own_BPC` are the latter's index scores.

    An adjusted item among the neighbours counts once, with its bonus.
    """
    repeated_BPK = _contained(item_BPK, adjusted.item_BC)
    adjusted_BPC = own_BPC + adjusted.bonus_BC[:, None]
    score_BPM = np.concatenate([np.where(repeated_BPK, -np.inf, score_BPK), adjusted_BPC], axis=2)
    item_BPM = np.concatenate([np.where(repeated_BPK, NO_ITEM, item_BPK),
                               np.broadcast_to(adjusted.item_BC[:, None], own_BPC.shape)], axis=2)
    score_BPM[item_BPM == NO_ITEM] = -np.inf
    best_BPK = np.argsort(-score_BPM, axis=2, kind="stable")[:, :, :k]
    return np.take_along_axis(score_BPM, best_BPK, axis=2), np.take_along_axis(item_BPM, best_BPK, axis=2)


def own_scores(kept: KeptQueries, adjusted: Adjusted, vectors_ID: np.ndarray) -> np.ndarray:
    """What the index would score each adjusted item at for each query, [B, P, C]; padding queries find nothing."""
    vectors_BCD = vectors_ID[np.maximum(adjusted.item_BC, 0)]
    own_BPC = np.einsum("bpd,bcd->bpc", kept.search_BPD, vectors_BCD, optimize=True)
    return np.where(kept.kept_BP[:, :, None], own_BPC, -np.inf).astype(np.float32)


def _contained(item_BPK: np.ndarray, item_BC: np.ndarray) -> np.ndarray:
    """bool [B, P, K]: is the item among those of its request?"""
    span = max(item_BPK.max(initial=0), item_BC.max(initial=0)) + 1
    row_B = np.arange(len(item_BC))
    known = np.where(item_BC == NO_ITEM, -1, row_B[:, None] * span + item_BC)
    return np.isin(row_B[:, None, None] * span + item_BPK, known) & (item_BPK != NO_ITEM)
