"""A model under test, asked in the dataset's terms.

A model answers in the codes it was trained with. The candidate usually shares them with the dataset; the live release
was trained on another day's item table and perhaps another vocabulary. Codes are therefore translated by name: items by
item_id, surfaces and actions by theirs. History tokens of items or surfaces the model does not know are left out, as
they would be if it were asked today; retrieved items the dataset does not know keep their place and hit nothing.

Legend: R requests, N list length, T targets, I items, M kept queries, K depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from pinrec_core.config import GenerationConfig, IndexConfig
from pinrec_core.data.batch import History
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.evaluation.metrics import best_ranks, target_ranks
from pinrec_core.model.pinrec import PinRec
from pinrec_core.progress import counted
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.retriever import Retriever
from pinrec_core.schemas import NO_ITEM

_CHUNK = 2048  # requests whose query lists are held at a time


class Answers(NamedTuple):
    """What one row of the table is measured from."""

    item_RN: np.ndarray  # ranked list of each request, dataset item indices
    rank_T: np.ndarray  # rank of each target in the list
    best_rank_T: np.ndarray | None  # its rank in the best of the request's query lists; None for a plain list
    vectors: float  # mean number of kept queries per request; NaN for a plain list


def plain_answers(item_RN: np.ndarray, cohort: Cohort) -> Answers:
    """Answers of a system that gives one list per request, such as a baseline."""
    return Answers(item_RN, target_ranks(item_RN, cohort.request_T, cohort.item_T), None, float("nan"))


@dataclass(frozen=True)
class Translation:
    """Lookup tables between the dataset's codes and a model's."""

    item_to_model_I: np.ndarray  # NO_ITEM = the model does not know it
    item_to_dataset_I: np.ndarray  # NO_ITEM = the dataset does not know it
    surface_to_model: np.ndarray  # -1 = the model does not know it and pools nothing
    action_to_model: tuple[int, ...]  # bit of the model per bit of the dataset, 0 = the model does not know it

    @classmethod
    def between(cls, dataset: Dataset, model: PinRec) -> Translation:
        """Match items, surfaces and actions by name."""
        ours, theirs = dataset.items["item_id"].combine_chunks(), model.items["item_id"].combine_chunks()
        surfaces = {name: code for code, name in enumerate(model.log.surface_names)}
        pooled = surfaces.get(model.log.pooled_surface, -1)
        bits = {name: 1 << code for code, name in enumerate(model.log.action_names)}
        return cls(
            item_to_model_I=_positions(ours, theirs), item_to_dataset_I=_positions(theirs, ours),
            surface_to_model=np.array([surfaces.get(name, pooled) for name in dataset.log.surface_names]),
            action_to_model=tuple(bits.get(name, 0) for name in dataset.log.action_names))

    def history(self, history: History) -> History:
        """A history in the model's codes, without the tokens it has no code for."""
        item_T, surface_T = self.item_to_model_I[history.item_T], self.surface_to_model[history.surface_T]
        actions_T = np.zeros_like(history.actions_T)
        for bit, theirs in enumerate(self.action_to_model):
            actions_T |= ((history.actions_T >> bit) & 1) * theirs
        known_T = (item_T != NO_ITEM) & (surface_T >= 0)
        return History(item_T[known_T], actions_T[known_T], surface_T[known_T], history.time_T[known_T])

    def items(self, item_RN: np.ndarray) -> np.ndarray:
        """Retrieved items as dataset indices; NO_ITEM stays."""
        return np.where(item_RN == NO_ITEM, NO_ITEM, self.item_to_dataset_I[np.maximum(item_RN, 0)])


def suited(generation: GenerationConfig, model: PinRec) -> GenerationConfig:
    """The settings without what a model of other offsets or actions cannot be asked.

    Offset shares of another number of offsets go: all offsets alike. Budgets lose the actions that the model does not
    know, and a surface without any left takes the model's training shares.
    """
    offsets = generation.offset_shares if len(generation.offset_shares) == model.config.offset_buckets else ()
    known = {surface: {action: share for action, share in shares.items() if action in model.log.positive_actions}
             for surface, shares in generation.budgets.items()}
    return generation.model_copy(update={"offset_shares": offsets, "budgets": known})


def fresh_retriever(model: PinRec, surface: str, generation: GenerationConfig,
                    allowed_I: np.ndarray | None = None) -> Retriever:
    """The retriever that serves, over an index built afresh: exact up to the default limit, IVF beyond.

    `allowed_I` (bool) says which items it holds, None = all that are retrievable.
    """
    vectors_ID = model.search_vectors(surface).numpy()
    index = ItemIndex.build(vectors_ID, model.retrievable_I.numpy() if allowed_I is None else allowed_I,
                            IndexConfig())
    return Retriever(model, index, generation, vectors_ID)


def ask(retriever: Retriever, dataset: Dataset, cohort: Cohort, depth: int) -> Answers:
    """Every request of the cohort put to a retriever, whose lists are as long as it is configured for.

    Each kept query is also looked at by itself, `depth` items deep.
    """
    translation, limit = Translation.between(dataset, retriever.model), retriever.model.config.max_length
    lists, best, kept = [], [np.zeros(0, np.int64)], 0
    for start in counted(range(0, max(len(cohort), 1), _CHUNK), "ask", "chunks of requests"):
        stop = min(start + _CHUNK, len(cohort))
        histories = [translation.history(h) for h in cohort.histories(dataset, start, stop, limit)]
        found, queries = retriever.retrieve_lists(histories, cohort.surface, cohort.requests.time_R[start:stop],
                                                  depth=depth)
        mine = slice(*cohort.requests.offsets_R1[[start, stop]])
        lists.append(translation.items(found.item_RN))
        best.append(best_ranks(translation.items(queries.item_MK), queries.request_M, cohort.request_T[mine] - start,
                               cohort.item_T[mine]))
        kept += len(queries.request_M)
    item_RN = np.concatenate(lists)
    rank_T = target_ranks(item_RN, cohort.request_T, cohort.item_T)
    return Answers(item_RN, rank_T, np.concatenate(best), kept / len(cohort) if len(cohort) else float("nan"))


def _positions(names, among) -> np.ndarray:
    """Position of each name among the others, NO_ITEM where it is absent."""
    return pc.fill_null(pc.index_in(names, value_set=among), NO_ITEM).to_numpy(zero_copy_only=False).astype(np.int64)
