"""From a row to per-user numbers on one surface: its merged list, its vectors by themselves, its outcome budgets.

Column keys are (metric,) over all targets, ("unseen " + metric,) of lists without what the history has, ("action",
name, metric) over targets of one true action, ("steps", S, metric) for other numbers of generation steps, and ("lift",
a, b) for recall on targets of action b with the whole budget on action a ("" = the shares seen in training).
Suffixes: R requests, T targets, N list length, M queries, U users, H history.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from leave_one_out import without_seen
from surfaces_rows import Row

from pinrec_core.config import Config, GenerationConfig
from pinrec_core.data.batch import collate
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort, build_cohort
from pinrec_core.evaluation.metrics import NEVER, best_ranks, coverage, distinct_items
from pinrec_core.evaluation.slices import slices_of
from pinrec_core.evaluation.subject import Answers, ask, fresh_retriever, plain_answers, suited
from pinrec_core.evaluation.table import Table
from pinrec_core.model.pinrec import PinRec
from pinrec_core.retrieval.budget import resolve_shares
from pinrec_core.retrieval.retriever import Retriever

VECTORS = (1, 6, 16)  # numbers of vectors at which rows are compared
VECTOR_DEPTH = 10  # items looked at per vector
LIFT_AT = 50  # length of the list of the outcome lift, where the configured ks have it
_CHUNK = 2048  # requests asked at a time
Key = tuple[str, ...]


@dataclass
class Measured:
    """One row on one surface with one seed."""

    columns: dict[Key, np.ndarray] = field(default_factory=dict)  # per-user values
    facts: dict[str, float] = field(default_factory=dict)  # coverage, distinct items, mean kept vectors


class Surface:
    """The requests of one surface and how answers to them are measured."""

    def __init__(self, data: Dataset, name: str, config: Config):
        self.data, self.name, self.config = data, name, config
        self.cohort: Cohort = build_cohort(data, name, config.evaluation)
        self.retrievable = int(data.retrievable_I.sum())
        histories = self.cohort.histories(data, 0, len(self.cohort), max(config.evaluation.ks) // 2)
        self.seen_RH = collate(histories).item_BT.numpy()  # of the latest: of no more can a list be left long enough

    def of_lists(self, item_RN: np.ndarray) -> Measured:
        """A system that gives one list; as one vector it is that list."""
        return self._of_answers(plain_answers(item_RN, self.cohort), VECTORS[:1])

    def of_model(self, model: PinRec, row: Row, steps: list[int]) -> Measured:
        """A PinRec row at the configured number of steps, and at each of the given ones."""
        retriever = self._retriever(row, model)
        found = self._of_answers(self._ask(retriever, retriever.generation), ())
        for count, rank_T in self._first_vectors(retriever, VECTORS[:1] if row.one_vector else VECTORS).items():
            found.columns |= self._unordered(rank_T, count)
        for count in [] if row.one_vector else steps:
            other = retriever.generation.model_copy(update={"steps": count})
            known = other == retriever.generation
            part = found if known else self._of_answers(self._ask(retriever, other), ())
            found.columns |= {("steps", str(count), key[0]): value_U for key, value_U in part.columns.items()
                              if len(key) == 1 and key[0].startswith("recall")}
            found.facts |= {f"steps {count} {name}": value for name, value in part.facts.items()
                            if not name.startswith("steps")}
        return found

    def lift(self, model: PinRec, row: Row) -> Measured:
        """Recall on targets of each action, with the whole budget on one action and with the training shares."""
        k = LIFT_AT if LIFT_AT in self.config.evaluation.ks else min(self.config.evaluation.ks)
        retriever, found = self._retriever(row, model), Measured()
        asked = [action for action, share in model.action_shares[self.name].items() if share > 0]
        for action in ["", *asked]:
            budgets = {self.name: {action: 1.0}} if action else {}
            answers = self._ask(retriever, retriever.generation.model_copy(update={"budgets": budgets}))
            for key, value_U in self._of_answers(answers, ()).columns.items():
                if key[0] == "action" and key[2] == f"recall@{k}":
                    found.columns["lift", action, key[1]] = value_U
        return found

    def _retriever(self, row: Row, model: PinRec) -> Retriever:
        return fresh_retriever(model, self.name, self._generation(row, model))

    def _generation(self, row: Row, model: PinRec) -> GenerationConfig:
        """One query a step, for the most frequent action, where the outcome changes nothing or one vector is wanted."""
        generation, shares = suited(self.config.generation, model), model.action_shares[self.name]
        if row.conditioned and not row.one_vector:
            return generation
        budgets = {self.name: {max(shares, key=shares.get): 1.0}}
        steps = 1 if row.one_vector else generation.steps
        return generation.model_copy(update={"budgets": budgets, "steps": steps})

    def _ask(self, retriever: Retriever, generation: GenerationConfig) -> Answers:
        other = Retriever(retriever.model, retriever.index, generation, retriever.search_vectors_ID)
        return ask(other, self.data, self.cohort, max(self.config.evaluation.ks))

    def _first_vectors(self, retriever: Retriever, counts: tuple[int, ...]) -> dict[int, np.ndarray]:
        """Rank of each target in the best of the first vectors in generation order, none of them merged, by count.

        Vectors that are equal to the last bit may still join (a cosine above 1 by rounding); they find the same items.
        """
        per_step = len(resolve_shares(self.name, retriever.model.log, retriever.generation,
                                      retriever.model.action_shares))
        steps = math.ceil(max(counts) / per_step)
        other = Retriever(retriever.model, retriever.index, retriever.generation.model_copy(
            update={"steps": steps, "merge_cosine": 1.0}), retriever.search_vectors_ID)
        ranks = {count: np.full(len(self.cohort.item_T), NEVER, np.int64) for count in counts}
        for start in range(0, len(self.cohort), _CHUNK):
            stop = min(start + _CHUNK, len(self.cohort))
            histories = self.cohort.histories(self.data, start, stop, retriever.model.config.max_length)
            _, lists = other.retrieve_lists(histories, self.name, self.cohort.requests.time_R[start:stop], n=1,
                                            depth=VECTOR_DEPTH)
            place_M = np.arange(len(lists.request_M)) - np.searchsorted(lists.request_M, lists.request_M)
            mine = slice(*self.cohort.requests.offsets_R1[[start, stop]])
            for count, rank_T in ranks.items():
                kept_M = place_M < count
                rank_T[mine] = best_ranks(lists.item_MK[kept_M], lists.request_M[kept_M],
                                          self.cohort.request_T[mine] - start, self.cohort.item_T[mine])
        return ranks

    def _of_answers(self, answers: Answers, vectors: tuple[int, ...]) -> Measured:
        """Recall of lists, over all targets and by action; `vectors` says as how many vectors a list also counts."""
        columns = self._columns(answers._replace(best_rank_T=None), self.config.evaluation.ks)
        columns |= self._unseen(answers)
        for count in vectors:
            columns |= self._unordered(answers.rank_T, count)
        facts = {"vectors": answers.vectors if not math.isnan(answers.vectors) else 1.0}
        for k in self.config.evaluation.ks:
            facts[f"coverage@{k}"] = coverage(answers.item_RN, k, self.retrievable)
            facts[f"distinct@{k}"] = float(distinct_items(answers.item_RN, k))
        return Measured(columns, facts)

    def _unseen(self, answers: Answers) -> dict[Key, np.ndarray]:
        """Recall of the lists without what the request's history has, at cut-offs that are left long enough."""
        longest = max(self.config.evaluation.ks)
        unseen = plain_answers(without_seen(answers.item_RN, self.seen_RH, longest), self.cohort)
        ks = tuple(k for k in self.config.evaluation.ks if 2 * k <= longest)
        return {("unseen " + key[0],): value_U for key, value_U in self._columns(unseen, ks).items() if len(key) == 1}

    def _unordered(self, rank_T: np.ndarray, count: int) -> dict[Key, np.ndarray]:
        """Unordered recall of so many vectors, over all targets and by action."""
        columns = self._columns(Answers(np.zeros((0, 0), np.int64), rank_T, None, float(count)), (VECTOR_DEPTH,))
        return {(*key[:-1], f"unordered_{key[-1]} of {count}"): value_U for key, value_U in columns.items()}

    def _columns(self, answers: Answers, ks: tuple[int, ...]) -> dict[Key, np.ndarray]:
        table = Table(self.cohort, ks)
        table.add("", answers)
        table.add_slices("", answers, {"action": slices_of(self.cohort, self.data)["action"]})
        return {key[1:]: value_U for key, value_U in table.columns.items() if not key[-1].startswith("hit_rate")}
