"""The search of one batch: the index's neighbours of each query, and what counted experts say of a request's items.

Experts that depend on the history (see model.experts) speak of few items: what follows the latest ones, and the history
itself. In the units of the index, which are those of the score over the model's scale, these get their log-odds over
the scale on top; all others get nothing. The best k of all are therefore among these items and the neighbours, as long
as the index gives one more neighbour for every item that loses by it. What a request's filters leave out is looked for
by neither.

Legend: B requests, P kept queries per request, K neighbours, C items that experts speak of, I items, D columns of the
index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pinrec_core.data.batch import History, collate
from pinrec_core.model.experts import Spoken
from pinrec_core.model.pinrec import PinRec
from pinrec_core.retrieval.compress import KeptQueries
from pinrec_core.retrieval.filters import Filters, contained
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.schemas import NO_ITEM

MOST_FOLLOWERS = 500  # heaviest followers of a request that are scored; further ones hardly gain a place


class Adjusted(NamedTuple):
    """Items of each request whose scores experts change, NO_ITEM-padded; no columns without such experts."""

    item_BC: np.ndarray
    bonus_BC: np.ndarray  # float32, in units of the index; below 0 for what is to be found less

    @classmethod
    def of(cls, model: PinRec, histories: Sequence[History]) -> Adjusted:
        """What the model's experts say of each history."""
        experts = model.experts
        if not (experts.transitions or experts.repeats):
            return cls(np.zeros((len(histories), 0), np.int64), np.zeros((len(histories), 0), np.float32))
        spoken = Spoken.of(collate(list(histories)), model.transitions, model.retrievable_I.numpy(),
                           MOST_FOLLOWERS if experts.transitions else 0)
        return cls(spoken.item_BC, spoken.log_odds(experts) / np.float32(model.scale.item()))

    def within(self, filters: Filters) -> Adjusted:
        """Without what is not searched or is excluded."""
        if not self.item_BC.shape[1]:
            return self
        kept_BC = filters.subset.holds(self.item_BC) & ~filters.excludes(self.item_BC)
        return Adjusted(np.where(kept_BC, self.item_BC, NO_ITEM), np.where(kept_BC, self.bonus_BC, 0))

    @property
    def losers(self) -> int:
        """Most items of a request that lose."""
        return int((self.bonus_BC < 0).sum(axis=1).max(initial=0))

    def rows(self, chosen_B: np.ndarray) -> Adjusted:
        """Those of some of the requests."""
        return Adjusted(self.item_BC[chosen_B], self.bonus_BC[chosen_B])


class Sought(NamedTuple):
    """What a batch looks for: its queries, the items it has its own scores for, and what it must not find."""

    kept: KeptQueries
    adjusted: Adjusted  # within the filters
    filters: Filters

    def rows(self, chosen_B: np.ndarray) -> Sought:
        """The same for some of the requests."""
        return Sought(*(part.rows(chosen_B) for part in self))


def best_items(index: ItemIndex, sought: Sought, k: int, vectors_ID: np.ndarray, *,
               exhaustive: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores and items of the k best of every kept query, [B, P, K], all experts included.

    NO_ITEM and -inf at padding and where there are no more. `vectors_ID` is what the index was built of.
    """
    k = min(k, sought.filters.subset.n_items)
    found = search(index, sought.kept, k + sought.adjusted.losers, sought.filters, exhaustive=exhaustive)
    if not sought.adjusted.item_BC.shape[1]:
        return found
    return join(*found, sought.adjusted, own_scores(sought.kept, sought.adjusted, vectors_ID), k)


def search(index: ItemIndex, kept: KeptQueries, k: int, filters: Filters, *,
           exhaustive: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores and items of the k nearest of every kept query, [B, P, K]; NO_ITEM and -inf at padding."""
    mask = kept.kept_BP
    score_MK, item_MK = index.search(kept.search_BPD[mask], k + filters.most_excluded, subset=filters.subset,
                                     exhaustive=exhaustive)
    shape = (*mask.shape, score_MK.shape[1])
    if len(score_MK) == mask.size:  # no padding
        score_BPK, item_BPK = score_MK.reshape(shape), item_MK.reshape(shape)
    else:
        score_BPK, item_BPK = np.full(shape, -np.inf, np.float32), np.full(shape, NO_ITEM, np.int64)
        score_BPK[mask], item_BPK[mask] = score_MK, item_MK
    return _without_excluded(score_BPK, item_BPK, filters, k) if filters.most_excluded else (score_BPK, item_BPK)


def _without_excluded(score_BPK: np.ndarray, item_BPK: np.ndarray, filters: Filters,
                      k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k that are not excluded, in their order."""
    out_BPK = filters.excludes(item_BPK)
    order_BPK = np.argsort(out_BPK, axis=2, kind="stable")[:, :, : min(k, filters.subset.n_items)]
    score_BPK, item_BPK = np.where(out_BPK, -np.inf, score_BPK), np.where(out_BPK, NO_ITEM, item_BPK)
    return np.take_along_axis(score_BPK, order_BPK, axis=2), np.take_along_axis(item_BPK, order_BPK, axis=2)


def join(score_BPK: np.ndarray, item_BPK: np.ndarray, adjusted: Adjusted, own_BPC: np.ndarray,
         k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best k of each query's neighbours and the adjusted items; `own_BPC` are the latter's index scores.

    An adjusted item among the neighbours counts once, with its bonus.
    """
    repeated_BPK = contained(item_BPK, adjusted.item_BC)
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

