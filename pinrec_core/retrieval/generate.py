"""Query generation: the history is read once, then each step gives one vector per outcome and time offset.

One outcome's vector at the earliest offset ("now", unless it has no share) is fed back as the next token.

The answer to a request depends on the request alone: which outcome is fed back is drawn from a digest of the request's
own content and the configured seed, never from a generator shared with whatever else is in the batch.

Legend: B requests, T history tokens, O outcomes, F time offsets asked for, S steps, Q = S * O * F queries (step-major,
then outcome, then offset), D item dimension.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pinrec_core.config import GenerationConfig, ModelConfig
from pinrec_core.data.batch import HistoryBatch
from pinrec_core.errors import ConfigError
from pinrec_core.model.conditions import Conditions, elapsed_offset
from pinrec_core.model.pinrec import MAX_GENERATED, PinRec
from pinrec_core.model.states import States


class Question(NamedTuple):
    """What all requests of a batch are asked."""

    surface: str
    shares: Mapping[str, float]  # positive action -> share of the candidates, > 0, largest first
    time_B: Tensor  # int64 UTC ms of each request


@dataclass(frozen=True)
class Queries:
    """Generated query vectors of a batch, in generation order: by step, larger outcome shares first, sooner first."""

    vector_BQD: np.ndarray  # float32, unit
    search_BQD: np.ndarray  # float32, the same as the index takes them: continued where items have score biases
    outcome_Q: np.ndarray  # action bit number each query asks for
    offset_Q: np.ndarray  # time-offset bucket, counted from the request: 0 = "now"
    step_Q: np.ndarray  # from 0
    share_Q: np.ndarray  # share of the query's outcome
    offset_share_Q: np.ndarray  # share of the query's offset
    decay_Q: np.ndarray  # step_decay ** step

    @property
    def kind_Q(self) -> np.ndarray:
        """Numbers queries by what they are continued with: one kind per outcome where items have action biases."""
        tail_QE = self.search_BQD[:1, :, self.vector_BQD.shape[2]:].reshape(len(self.outcome_Q), -1)
        return np.unique(tail_QE, axis=0, return_inverse=True)[1].ravel()

    @property
    def weight_Q(self) -> np.ndarray:
        """Budget share of each query: outcome share times offset share times step decay, normalised to sum to 1."""
        weight_Q = self.share_Q * self.offset_share_Q * self.decay_Q
        return weight_Q / weight_Q.sum()


@torch.inference_mode()
def generate(model: PinRec, batch: HistoryBatch, question: Question, generation: GenerationConfig,
             item_vectors_ID: Tensor | None = None) -> Queries:
    """Query vectors for each history: per step one for every outcome of the question, in its order, and every offset.

    A context item, if any, is already the last token of its history. `item_vectors_ID` spares encoding the history's
    items again. Raises ConfigError for an unknown surface, more steps than the model has positions for, or offset
    shares that do not fit the model.
    """
    surface_code, shares = _surface_code(model, question.surface), list(question.shares.values())
    if generation.steps > MAX_GENERATED:
        raise ConfigError(f"generation.steps {generation.steps} exceeds the {MAX_GENERATED} the model holds; lower it")
    outcomes = torch.tensor([model.log.positive_actions.index(action) for action in question.shares])
    offsets, offset_shares = asked_offsets(model.config, generation)
    chosen_BS = draw_outcomes(batch, question.time_B, shares, generation)
    surface_B = torch.full((len(batch),), surface_code)
    states = model.encode(batch, item_vectors_ID, room=generation.steps - 1)
    rows, vectors = torch.arange(len(batch)), []
    for step in range(generation.steps):
        vector_BOFD = _ask(model, states, outcomes, offsets, question)
        vectors.append(vector_BOFD.flatten(1, 2))
        if step + 1 < generation.steps:
            chosen_B = chosen_BS[:, step]
            model.extend(states, vector_BOFD[rows, chosen_B, 0], outcomes[chosen_B], surface_B, question.time_B)
    step_Q, o_Q, f_Q = (axis.ravel() for axis in np.indices((generation.steps, len(shares), len(offsets))))
    vector_BQD, outcome_Q = torch.cat(vectors, dim=1).float().numpy(), outcomes.numpy()[o_Q]
    search_MD = model.search_queries(vector_BQD.reshape(-1, vector_BQD.shape[2]), np.tile(outcome_Q, len(batch)))
    return Queries(
        vector_BQD=vector_BQD, search_BQD=search_MD.reshape(*vector_BQD.shape[:2], -1), outcome_Q=outcome_Q,
        offset_Q=offsets.numpy()[f_Q], step_Q=step_Q, share_Q=np.array(shares)[o_Q],
        offset_share_Q=np.array(offset_shares)[f_Q], decay_Q=generation.step_decay ** step_Q.astype(np.float64))


def asked_offsets(model: ModelConfig, generation: GenerationConfig) -> tuple[Tensor, list[float]]:
    """The time offsets with a share, soonest first, and their shares; all alike unless configured.

    Raises ConfigError if the shares are not one per offset the model knows.
    """
    shares = generation.offset_shares or (1 / model.offset_buckets,) * model.offset_buckets
    if len(shares) != model.offset_buckets:
        raise ConfigError(f"generation.offset_shares {list(shares)} are {len(shares)}, the model has "
                          f"{model.offset_buckets} time offsets; give one share each, or none for equal shares")
    asked = [offset for offset, share in enumerate(shares) if share > 0]
    return torch.tensor(asked), [shares[offset] for offset in asked]


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


def _ask(model: PinRec, states: States, outcomes: Tensor, offsets: Tensor, asked: Question) -> Tensor:
    """One query vector per request, outcome and offset, asked of the newest token, [B, O, F, D].

    Offsets count from the request; the model is told the gap from the newest token, so what has passed since is added.
    """
    shape = len(states.last_B), len(outcomes), len(offsets)
    row_N = torch.arange(shape[0]).repeat_interleave(shape[1] * shape[2])
    action_N = outcomes.repeat_interleave(shape[2]).repeat(shape[0])
    ahead_F = torch.tensor((0.0, *model.config.offsets_s))[offsets]  # a bucket starts where the one before it ends
    told_BF = elapsed_offset(states.last.time_BL[:, None], asked.time_B[:, None], ahead_F, model.config.offsets_s)
    conditions = Conditions(action_N, torch.full_like(action_N, _surface_code(model, asked.surface)),
                            told_BF[:, None].expand(shape).reshape(-1))
    return model.query(states, row_N, states.last_B[row_N], conditions).view(*shape, -1)


def _surface_code(model: PinRec, surface: str) -> int:
    names = model.log.surface_names
    if surface not in names:
        raise ConfigError(f"surface {surface!r} is unknown to the model; it knows {list(names)}")
    return names.index(surface)
