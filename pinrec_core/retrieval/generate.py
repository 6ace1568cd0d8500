"""Query generation: the history is read once, then each step gives one vector per outcome and time offset.

One outcome's vector at the earliest offset ("now", unless it has no share) is fed back as the next token. The steps
themselves are model.generation.Generation; here a batch is laid out for it.

The answer to a request depends on the request alone: which outcome is fed back is drawn from a digest of the request's
own content and the configured seed, never from a generator shared with whatever else is in the batch.

Legend: B requests, T history tokens, O outcomes, F time offsets asked for, G steps, Q = G * O * F queries (step-major,
then outcome, then offset), D item dimension, E columns of biases that continue an item's vector in the index, P tokens
read before, N keys and values of all blocks, H heads, S head width, K action bits, I items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinrec_core.config import GenerationConfig
from pinrec_core.data.batch import History
from pinrec_core.errors import ConfigError
from pinrec_core.model.attention import NOWHERE
from pinrec_core.model.generation import Asked, Past, Tokens
from pinrec_core.model.pinrec import MAX_GENERATED, PinRec
from pinrec_core.retrieval.engine import Engine, Inputs, TorchEngine
from pinrec_core.retrieval.plan import Plan, Question, asked_offsets, outcomes_of
from pinrec_core.retrieval.prefixes import PrefixCache

_PLANS = 1000  # plans kept; requests may ask for any shares


@dataclass(frozen=True)
class Queries:
    """Generated query vectors of a batch."""

    vector_BQD: np.ndarray  # float32, unit
    search_BQD: np.ndarray  # float32, the same as the index takes them: continued where items have score biases
    plan: Plan

    @property
    def kind_Q(self) -> np.ndarray:
        """Numbers queries by what they are continued with: one kind per outcome where items have action biases."""
        tail_QE = self.search_BQD[0, :, self.vector_BQD.shape[2]:] if len(self.search_BQD) else np.zeros((0, 0))
        if tail_QE.shape[1] < 2:  # one number, alike for all
            return np.zeros(self.vector_BQD.shape[1], np.int64)
        return np.unique(tail_QE, axis=0, return_inverse=True)[1].ravel()


class Generator:
    """Generates queries for one model and one set of settings; calls change nothing but what `prefixes` remembers."""

    def __init__(self, model: PinRec, generation: GenerationConfig, search_vectors_ID: np.ndarray,
                 engine: Engine | None = None, prefixes: PrefixCache | None = None):
        """`search_vectors_ID` are those of PinRec.search_vectors; the engine is torch unless another is given.

        Raises ConfigError for more steps than the model has positions for, or offset shares that do not fit it.
        """
        if generation.steps > MAX_GENERATED:
            raise ConfigError(f"generation.steps {generation.steps} exceeds the {MAX_GENERATED} the model holds; lower "
                              "it")
        self.model, self.generation, self.prefixes = model, generation, prefixes
        self.search_vectors_ID, self.engine = search_vectors_ID, engine or TorchEngine(model, generation.steps)
        self.offset_F, self.offset_share_F = asked_offsets(model.config, generation)
        self._plans: dict[tuple, Plan] = {}
        self.ahead_F = np.array((0.0, *model.config.offsets_s), np.float32)[self.offset_F]  # where each bucket begins

    def __call__(self, histories: Sequence[History], question: Question) -> Queries:
        """Query vectors for each history: per step one for every outcome of the question, in its order, and offset.

        A context item, if any, is already the last token of its history. Raises ConfigError for an unknown surface or
        a history longer than the model holds.
        """
        packed = [history.packed_T4 for history in histories]
        known = [None if self.prefixes is None else self.prefixes.known(packed_T4) for packed_T4 in packed]
        plan, asked = self._plan(question), self._asked(packed, question)
        computed = self.engine(Inputs(self._tokens(packed, _lengths(known)), self._past(packed, known), asked))
        if self.prefixes is not None:
            for row in zip(packed, known, computed.memory_BNHTS, strict=True):
                self.prefixes.keep(*row)
        B, Q, D = computed.vector_BQD.shape
        search_MD = self.model.search_queries(computed.vector_BQD.reshape(-1, D), np.tile(plan.outcome_Q, B))
        return Queries(computed.vector_BQD, search_MD.reshape(B, Q, -1), plan)

    def _tokens(self, packed: list[np.ndarray], start_B: list[int]) -> Tokens:
        """What is not known of each history, right-padded to one length, of at least one column."""
        limit = self.model.position.num_embeddings - MAX_GENERATED
        if packed and (longest := max(map(len, packed))) > limit:
            raise ConfigError(f"history of {longest} tokens is longer than the model holds ({limit}); cut it")
        width = max((len(packed_T4) - start for packed_T4, start in zip(packed, start_B, strict=True)), default=0)
        shape = len(packed), max(width, 1)
        new_BT4, previous_BT = np.zeros((*shape, 4), np.int64), np.zeros(shape, np.int64)
        position_BT = np.full(shape, NOWHERE, np.int64)
        for row, (packed_T4, start) in enumerate(zip(packed, start_B, strict=True)):
            new = len(packed_T4) - start
            new_BT4[row, :new], position_BT[row, :new] = packed_T4[start:], np.arange(start + 1, start + new + 1)
            if start:
                previous_BT[row, 0] = packed_T4[start - 1, 3]
        item_BT, actions_BT, surface_BT, time_BT = np.ascontiguousarray(np.moveaxis(new_BT4, 2, 0))
        previous_BT[:, 1:] = time_BT[:, :-1]
        taken_BTK = ((actions_BT[:, :, None] >> np.arange(self.model.action.num_embeddings)) & 1).astype(np.float32)
        vector_BTD = np.ascontiguousarray(self.search_vectors_ID[item_BT][:, :, : self.model.config.item_dim])
        return Tokens(vector_BTD, taken_BTK, surface_BT, time_BT, previous_BT, position_BT)

    def _past(self, packed: list[np.ndarray], known: list[np.ndarray | None]) -> Past:
        """What is known of each history, right-padded to one length."""
        config, length_B = self.model.config, _lengths(known)
        shape = len(packed), max(length_B, default=0)
        memory_BNHPS = np.zeros((shape[0], 2 * config.layers, config.heads, shape[1], config.width // config.heads),
                                np.float32)
        position_BP, time_BP = np.full(shape, NOWHERE, np.int64), np.zeros(shape, np.int64)
        for row, (packed_T4, length) in enumerate(zip(packed, length_B, strict=True)):
            if length:
                memory_BNHPS[row, :, :, :length] = known[row]
                position_BP[row, :length], time_BP[row, :length] = np.arange(1, length + 1), packed_T4[:length, 3]
        return Past(memory_BNHPS, position_BP, time_BP)

    def _asked(self, packed: list[np.ndarray], question: Question) -> Asked:
        names = self.model.log.surface_names
        if question.surface not in names:
            raise ConfigError(f"surface {question.surface!r} is unknown to the model; it knows {list(names)}")
        surface_B = np.full(len(packed), names.index(question.surface), np.int64)
        chosen_BG = draw_outcomes(packed, question.time_B, tuple(question.shares.values()), self.generation)
        return Asked(np.asarray(question.time_B, np.int64), surface_B, outcomes_of(self.model, question), self.ahead_F,
                     chosen_BG)

    def _plan(self, question: Question) -> Plan:
        """What is asked for, query by query; the same for all requests with the same shares."""
        key = tuple(question.shares.items())
        if key not in self._plans:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            self._plans[key] = self._planned(question)
        return self._plans[key]

    def _planned(self, question: Question) -> Plan:
        outcome_O = outcomes_of(self.model, question)
        shape = self.generation.steps, len(outcome_O), len(self.offset_F)
        step_Q, o_Q, f_Q = (axis.ravel() for axis in np.indices(shape))
        return Plan(outcome_O[o_Q], self.offset_F[f_Q], step_Q, np.array(list(question.shares.values()))[o_Q],
                    np.array(self.offset_share_F)[f_Q], self.generation.step_decay ** step_Q.astype(np.float64))


def draw_outcomes(packed: list[np.ndarray], time_B: np.ndarray, shares: tuple[float, ...],
                  generation: GenerationConfig) -> np.ndarray:
    """Position in `shares` of the outcome fed back after each step, [B, G]; a function of each request's content.

    Histories are given as History.packed_T4.
    """
    edges = np.cumsum(shares) / np.sum(shares)
    uniform_BG = np.empty((len(packed), generation.steps))
    for row, packed_T4 in enumerate(packed):
        digest = hashlib.shake_128(f"{generation.seed}:{int(time_B[row])}:{shares}".encode())
        digest.update(packed_T4.tobytes())
        words = np.frombuffer(digest.digest(8 * generation.steps), dtype="<u8")
        uniform_BG[row] = (words >> np.uint64(11)) * 2.0**-53
    return np.minimum(np.searchsorted(edges, uniform_BG, side="right"), len(shares) - 1)


def recent(history: History, limit: int) -> History:
    """A history without its oldest tokens, at most `limit` left; they go an eighth of `limit` at a time.

    So a history that grows keeps its beginning, and with it what was read of it, for as many requests.

    >>> [len(recent(History(*4 * (np.arange(n),)), 64).item_T) for n in (64, 65, 72, 73)]
    [64, 57, 64, 57]
    """
    step = max(1, limit // 8)
    dropped = -(-max(0, len(history.item_T) - limit) // step) * step
    return History(*(column[dropped:] for column in history)) if dropped else history


def _lengths(known: list[np.ndarray | None]) -> list[int]:
    return [0 if memory_NHPS is None else memory_NHPS.shape[2] for memory_NHPS in known]
