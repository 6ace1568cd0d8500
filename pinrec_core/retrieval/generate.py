"""Query generation: the history is read once, then each step gives one vector per outcome and one of them is fed back.

The answer to a request depends on the request alone: which outcome is fed back is drawn from a digest of the request's
own content and the configured seed, never from a generator shared with whatever else is in the batch.

Legend: B requests, T history tokens, O outcomes, S steps, Q = S * O queries (step-major), D item dimension.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pinrec_core.config import GenerationConfig
from pinrec_core.data.batch import HistoryBatch
from pinrec_core.errors import ConfigError
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.pinrec import MAX_GENERATED, PinRec
from pinrec_core.model.states import States


class Question(NamedTuple):
    """What all requests of a batch are asked."""

    surface: str
    shares: Mapping[str, float]  # positive action -> share of the candidates, > 0, largest first
    time_B: Tensor  # int64 UTC ms of each request


@dataclass(frozen=True)
class Queries:
    """Generated query vectors of a batch, in generation order: step by step, larger outcome shares first."""

    vector_BQD: np.ndarray  # float32, unit
    outcome_Q: np.ndarray  # action bit number each query asks for
    step_Q: np.ndarray  # from 0
    share_Q: np.ndarray  # share of the query's outcome
    decay_Q: np.ndarray  # step_decay ** step

    @property
    def weight_Q(self) -> np.ndarray:
        """Budget share of each query: outcome share times step decay, normalised to sum to 1."""
        weight_Q = self.share_Q * self.decay_Q
        return weight_Q / weight_Q.sum()


@torch.inference_mode()
def generate(model: PinRec, batch: HistoryBatch, question: Question, generation: GenerationConfig,
             item_vectors_ID: Tensor | None = None) -> Queries:
    """Query vectors for each history: per step one for every outcome of the question, in the question's order.

    A context item, if any, is already the last token of its history. `item_vectors_ID` spares encoding the history's
    items again. Raises ConfigError for an unknown surface or more steps than the model has positions for.
    """
    surface_code, shares = _surface_code(model, question.surface), list(question.shares.values())
    if generation.steps > MAX_GENERATED:
        raise ConfigError(f"generation.steps {generation.steps} exceeds the {MAX_GENERATED} the model holds; lower it")
    outcomes = torch.tensor([model.log.positive_actions.index(action) for action in question.shares])
    chosen_BS = draw_outcomes(batch, question.time_B, shares, generation)
    surface_B = torch.full((len(batch),), surface_code)
    states = model.encode(batch, item_vectors_ID, room=generation.steps - 1)
    rows, vectors = torch.arange(len(batch)), []
    for step in range(generation.steps):
        vector_BOD = _ask(model, states, outcomes, surface_code)
        vectors.append(vector_BOD)
        if step + 1 < generation.steps:
            chosen_B = chosen_BS[:, step]
            model.extend(states, vector_BOD[rows, chosen_B], outcomes[chosen_B], surface_B, question.time_B)
    step_Q = np.repeat(np.arange(generation.steps), len(shares))
    return Queries(
        vector_BQD=torch.cat(vectors, dim=1).float().numpy(), outcome_Q=np.tile(outcomes.numpy(), generation.steps),
        step_Q=step_Q, share_Q=np.tile(np.array(shares), generation.steps),
        decay_Q=generation.step_decay ** step_Q.astype(np.float64))


def draw_outcomes(batch: HistoryBatch, time_B: Tensor, shares: list[float], generation: GenerationConfig) -> Tensor:
    """Position in `shares` of the outcome fed back after each step, [B, S]; a function of each request's content."""
    edges = np.cumsum(shares) / np.sum(shares)
    uniform_BS = np.empty((len(batch), generation.steps))
    columns = [column.numpy() for column in (batch.item_BT, batch.actions_BT, batch.surface_BT, batch.time_BT)]
    for row, length in enumerate(batch.length_B.tolist()):
        digest = hashlib.shake_128(f"{generation.seed}:{int(time_B[row])}:{shares}".encode())
        for column in columns:
            digest.update(column[row, :length].tobytes())
        words = np.frombuffer(digest.digest(8 * generation.steps), dtype="<u8")
        uniform_BS[row] = (words >> np.uint64(11)) * 2.0**-53
    return torch.from_numpy(np.minimum(np.searchsorted(edges, uniform_BS, side="right"), len(shares) - 1))


def _ask(model: PinRec, states: States, outcomes: Tensor, surface_code: int) -> Tensor:
    """One query vector per request and outcome, asked of the newest token, [B, O, D]."""
    row_N = torch.arange(len(states.last_B)).repeat_interleave(len(outcomes))
    action_N = outcomes.repeat(len(states.last_B))
    conditions = Conditions(action_N, torch.full_like(action_N, surface_code), torch.zeros_like(action_N))
    return model.query(states, row_N, states.last_B[row_N], conditions).unflatten(0, (-1, len(outcomes)))


def _surface_code(model: PinRec, surface: str) -> int:
    names = model.log.surface_names
    if surface not in names:
        raise ConfigError(f"surface {surface!r} is unknown to the model; it knows {list(names)}")
    return names.index(surface)
