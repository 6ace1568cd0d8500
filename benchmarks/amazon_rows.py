"""The rows of benchmarks/amazon.py: each trains on the cut dataset and gives ranked lists for requests.

Suffixes: R requests, N list length, I items, H history.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from leave_one_out import LeaveOneOut
from sasrec import SasrecConfig, train_sasrec

from pinrec_core.config import Config, GenerationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests
from pinrec_core.evaluation.baselines import latest_items
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.evaluation.metrics import ndcg, target_ranks
from pinrec_core.evaluation.subject import fresh_retriever
from pinrec_core.logs.importers.amazon import SURFACE
from pinrec_core.model.transitions import DECAY, LATEST, count_transitions
from pinrec_core.training.pretrain import fit_base
from pinrec_core.training.validation import TOP, Validation

Lists = Callable[[Dataset, Requests, int], np.ndarray]  # (histories' dataset, requests, n) -> items [R, n], best first
Train = Callable[[LeaveOneOut, Config, int, float], Lists]  # (data, config, seed, deadline) -> lists
_REQUESTS = 2048  # scored at a time


def popularity(data: LeaveOneOut, config: Config, seed: int, deadline: float) -> Lists:
    """The most bought items, the same list for everyone."""
    order_I = np.argsort(-data.training.items["train_count"].to_numpy(), kind="stable")
    return lambda full, requests, n: np.broadcast_to(order_I[:n], (len(requests), min(n, len(order_I))))


def cooccurrence(data: LeaveOneOut, config: Config, seed: int, deadline: float) -> Lists:
    """What follows the latest items of the history: untrained transitions, weighted by 1 / gap, window 10."""
    training = data.training
    user_E = np.repeat(np.arange(training.n_users), np.diff(training.offsets_U1))
    followers = count_transitions(training.item_E, user_E, training.retrievable_I)

    def lists(full: Dataset, requests: Requests, n: int) -> np.ndarray:
        return followers.rank(latest_items(full, Cohort.of(requests), LATEST), DECAY, n)

    return lists


def sasrec(settings: SasrecConfig) -> Train:
    """SASRec with the given settings; the weights of best NDCG on the validation items are kept, as PinRec's are."""

    def train(data: LeaveOneOut, config: Config, seed: int, deadline: float) -> Lists:
        def validate(scorer) -> float:
            rank_T = target_ranks(_scored(scorer, data.full, asked, TOP), np.arange(len(asked)), asked.item_T)
            return float(ndcg(rank_T, np.arange(len(asked)), len(asked), TOP).mean())

        training, asked = data.training, sampled(data.validation, config)
        scorer = train_sasrec(training.item_E, training.offsets_U1, training.n_items, replace(settings, seed=seed),
                              validate, deadline)
        return functools.partial(_scored, scorer)

    return train


def pinrec(**changes) -> Train:
    """PinRec as the configuration has it, with some of its [model] settings changed."""

    def train(data: LeaveOneOut, config: Config, seed: int, deadline: float) -> Lists:
        model = type(config.model).model_validate(config.model.model_dump() | changes)
        pretrain = config.pretrain.model_copy(update={"seed": seed})
        with tempfile.TemporaryDirectory() as folder:
            validation = Validation(data.full, [sampled(data.validation, config)], pretrain.validation_metric)
            fit = fit_base(data.training, validation, model, pretrain, Path(folder) / "metrics.jsonl", deadline)
        return functools.partial(_retrieved, fresh_retriever(fit.model, SURFACE, GenerationConfig(steps=1)))

    return train


def sampled(requests: Requests, config: Config) -> Requests:
    """At most `pretrain.validation_users` of the validation requests, the same for every row and seed."""
    kept = np.random.default_rng(0).permutation(len(requests))[:config.pretrain.validation_users]
    return requests.take(np.sort(kept))


def _scored(scorer, full: Dataset, requests: Requests, n: int) -> np.ndarray:
    out = []
    for first in range(0, len(requests), _REQUESTS):
        part = requests.take(np.arange(first, min(first + _REQUESTS, len(requests))))
        histories = part.histories(full, scorer.model.config.max_length)
        scores_RI = scorer([history.item_T for history in histories])
        out.append(torch.from_numpy(scores_RI).topk(min(n, scores_RI.shape[1])).indices.numpy())
    return np.concatenate(out)


def _retrieved(retriever, full: Dataset, requests: Requests, n: int) -> np.ndarray:
    histories = requests.histories(full, retriever.model.config.max_length)
    return retriever.retrieve(histories, requests.surface, requests.time_R, n=n).item_RN


BCE = SasrecConfig(loss="bce", patience=5, validate_every=4)
SOFTMAX = SasrecConfig(loss="softmax", patience=5, validate_every=2)
ROWS: dict[str, Train] = {
    "popularity": popularity, "cooccurrence": cooccurrence,
    "sasrec_bce": sasrec(BCE), "sasrec_softmax": sasrec(SOFTMAX),
    "sasrec_sampled": sasrec(replace(SOFTMAX, negatives=2048)),
    "pinrec": pinrec(), "pinrec_ids_only": pinrec(use_content=False), "pinrec_content_only": pinrec(use_ids=False)}
DETERMINISTIC = ("popularity", "cooccurrence")


def grid_of(row: str, config: Config) -> list[tuple[dict, Train]]:
    """Settings tried when tuning a row on the validation items."""
    if not row.startswith("sasrec"):
        return [({}, ROWS[row])]
    base = BCE if row == "sasrec_bce" else SOFTMAX
    grid = [{"dropout": dropout, "learning_rate": rate} for dropout in (0.3, 0.5) for rate in (5e-4, 1e-3)]
    return [(settings, sasrec(replace(base, **settings))) for settings in grid]
