"""Who answers in the cold benchmark, and how the answers are measured.

Suffixes: R requests, N list length, T targets, U users, I items, C content, L history items.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from surfaces_models import Models
from surfaces_rows import Row, Source

from pinrec_core.config import Config, ModelConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.baselines import baseline_lists, latest_items
from pinrec_core.evaluation.cohort import Cohort, build_cohort
from pinrec_core.evaluation.metrics import recall, target_ranks, user_means
from pinrec_core.evaluation.subject import ask, fresh_retriever
from pinrec_core.logs.catalog import read_catalog
from pinrec_core.model.extend import extend_items
from pinrec_core.model.features import ItemFeatures
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.release.news import news_of
from pinrec_core.schemas import NO_ITEM

KS = (50, 100)
COLD, KNOWN = "cold", "known"  # targets that were held out, all others
SAYS = {
    "refreshed": "trained without them, then given their content, as `pinrec index refresh` does",
    "refreshed_spared": "the same with cold_negatives = false: what nobody has met is no random negative",
    "catalogued": "trained with them in the catalog and never met: cold negatives among others",
    "catalogued_spared": "the same with cold_negatives = false",
    "warm": "trained with all their events, and asked with histories that have them",
    "content_mean": "content nearest to the mean of the history, history left out; untrained",
    "content_last": "content nearest to the history's last item (the context item, if any); untrained",
    "cooccurrence": "what follows the history's items; untrained",
    "popularity": "most engaged with; untrained",
    "chance": "k of all retrievable items drawn at random",
}


@dataclass
class Measured:
    """One row on one surface with one seed."""

    users: list[str]
    columns: dict[str, np.ndarray] = field(default_factory=dict)  # "cold@50" -> share of each user's targets found
    found: dict[str, tuple[int, int]] = field(default_factory=dict)  # the same over all targets: (found, targets)
    places: float = float("nan")  # share of the lists' first 50 places that held-out items take


class Asked:
    """The requests of one surface in one dataset, and which of their targets were held out."""

    def __init__(self, data: Dataset, surface: str, config: Config, held: list[str]):
        self.data, self.surface, self.config = data, surface, config
        self.cohort: Cohort = build_cohort(data, surface, config.evaluation)
        self.held_I = np.isin(data.items["item_id"].to_numpy(), held)
        self.retrievable = int(data.retrievable_I.sum())

    def of_model(self, model: PinRec) -> Measured:
        """Lists of the code that serves."""
        retriever = fresh_retriever(model, self.surface, self.config.generation)
        return self.of_lists(ask(retriever, self.data, self.cohort, 1).item_RN)

    def baselines(self) -> dict[str, Measured]:
        """All that needs no training."""
        counted = baseline_lists(self.data, self.cohort, max(KS), self.config.evaluation)
        lists = {name: counted[name] for name in ("cooccurrence", "popularity")}
        limit = self.config.model.max_length
        lists |= {"content_mean": content_lists(self.data, self.cohort, limit, limit),
                  "content_last": content_lists(self.data, self.cohort, 1, limit)}
        return {name: self.of_lists(item_RN) for name, item_RN in lists.items()} | {"chance": self._chance()}

    def of_lists(self, item_RN: np.ndarray) -> Measured:
        """Share of each user's cold, and of all other targets, that the lists have."""
        cohort = self.cohort
        found, rank_T = self._empty(), target_ranks(item_RN, cohort.request_T, cohort.item_T)
        for name, wanted_T in self._kinds().items():
            for k in KS:
                share_R = recall(rank_T[wanted_T], cohort.request_T[wanted_T], len(cohort), k)
                found.columns[f"{name}@{k}"] = user_means(share_R, cohort.row_R, len(cohort.user_U))
                found.found[f"{name}@{k}"] = int((rank_T[wanted_T] < k).sum()), int(wanted_T.sum())
        first_RN = item_RN[:, :KS[0]]
        listed = first_RN[first_RN != NO_ITEM]
        found.places = float(self.held_I[listed].mean())
        return found

    def _chance(self) -> Measured:
        """What a list of k items drawn at random finds in the mean."""
        found = self._empty()
        for name, wanted_T in self._kinds().items():
            has_R = np.bincount(self.cohort.request_T[wanted_T], minlength=len(self.cohort)) > 0
            for k in KS:
                share_R = np.where(has_R, k / self.retrievable, np.nan)
                found.columns[f"{name}@{k}"] = user_means(share_R, self.cohort.row_R, len(self.cohort.user_U))
        found.places = float(self.held_I[self.data.retrievable_I].mean())
        return found

    def _kinds(self) -> dict[str, np.ndarray]:
        cold_T = self.held_I[self.cohort.item_T]
        return {COLD: cold_T, KNOWN: ~cold_T}

    def _empty(self) -> Measured:
        return Measured(self.data.user_ids.take(self.cohort.user_U).to_pylist())


def trained(models: Models, seed: int, surface: str, **settings: bool) -> PinRec:
    """The model of a surface, trained as configured but for some settings on what `models` has as dataset."""
    train = [section.model_copy(update=settings) for section in (models.config.pretrain, models.config.finetune)]
    row = Row("cold", Source.FINETUNED, "as the configuration says", models.config.model, *train)
    return load_model(models.finetuned(row, seed, surface))


def refreshed(model: PinRec, catalog: Path) -> PinRec:
    """The model with all that a catalog has and it does not know."""
    return extend_items(model, news_of(model, read_catalog(str(catalog), model.log)).items)


def content_lists(data: Dataset, cohort: Cohort, latest: int, limit: int) -> np.ndarray:
    """The items whose content is nearest to the mean of that of each request's `latest` last items, [R, N].

    Content vectors have length 1; what the last `limit` items of the history are is left out.
    """
    content_IC = ItemFeatures(data.items, data.log, ModelConfig()).content_IC.numpy()
    seen_RL = latest_items(data, cohort, limit)
    known_RL = seen_RL[:, :latest] != NO_ITEM
    mean_RC = (content_IC[seen_RL[:, :latest]] * known_RL[:, :, None]).sum(axis=1)
    score_RI = mean_RC @ content_IC.T
    score_RI[:, ~data.retrievable_I] = -np.inf
    row, place = np.nonzero(seen_RL != NO_ITEM)
    score_RI[row, seen_RL[row, place]] = -np.inf
    return torch.from_numpy(score_RI).topk(max(KS), dim=1).indices.numpy()
