"""Generation as one function of tensors: new tokens in, the query vectors of all steps out. What serves is made of it.

The history's tokens are read behind those that were read before (`Past`), so a returning user costs only what is new.
Then each step asks one vector per outcome and time offset; one outcome's vector at the first offset is the next token.

Suffixes: B requests, T new tokens, P tokens read before, L columns attended to (start token, P, T, generated ones),
N keys and values of all blocks, H heads, S head width, W width, D item dimension, K action bits, O outcomes, F time
offsets, M = O * F queries of a step, G steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pinrec_core.model.attention import NOWHERE, Places
from pinrec_core.model.conditions import Conditions, elapsed_offset
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.seats import EvenSeats


class Tokens(NamedTuple):
    """Tokens of histories that were not read before, right-padded; position 1 is the first of a history."""

    vector_BTD: Tensor  # unit item vectors
    taken_BTK: Tensor  # float: the actions taken on the item, one column per bit
    surface_BT: Tensor
    time_BT: Tensor  # UTC ms
    previous_BT: Tensor  # time of the token before, 0 = there is none
    position_BT: Tensor  # NOWHERE = padding


class Past(NamedTuple):
    """The tokens before them, which an earlier call has read."""

    memory_BNHPS: Tensor  # keys and values, block after block
    position_BP: Tensor  # NOWHERE = padding
    time_BP: Tensor


class Asked(NamedTuple):
    """What each request is asked."""

    now_B: Tensor  # UTC ms
    surface_B: Tensor
    outcome_O: Tensor  # action bit numbers
    ahead_F: Tensor  # seconds from now at which the offsets begin
    chosen_BG: Tensor  # place in `outcome_O` of the outcome whose vector is fed back after each step


class Seen(NamedTuple):
    """What tokens and queries attend to."""

    places: Places
    memory: tuple[Tensor, ...]  # key, value of each block in turn, [B, H, L, S]


class Generation(nn.Module):
    """All steps of a finished model's generation."""

    def __init__(self, model: PinRec, steps: int):
        super().__init__()
        self.model, self.backbone, self.steps = model.eval(), model.backbone, steps
        with torch.no_grad():  # the start token is the same for everybody
            place, nowhere = (Places(*2 * (torch.zeros(1, columns, dtype=torch.long),)) for columns in (1, 0))
            x_11W = (model.start_W + model.position.weight[0]).view(1, 1, -1)
            hidden_11W, memory = self._read(x_11W, place, Seen(nowhere, self._empty()))
        self.register_buffer("start_11W", hidden_11W.clone(), persistent=False)
        self.register_buffer("start_N1H1S", torch.stack(memory), persistent=False)

    def forward(self, tokens: Tokens, past: Past, asked: Asked) -> tuple[Tensor, Tensor]:
        """Unit query vectors [B, G * M, D] (step-major, then outcome, then offset), and what the new tokens add to the
        memory, [B, N, H, T, S]."""
        fresh, seen = Places(tokens.position_BT, tokens.time_BT), self._begin(past)
        hidden_BTW, memory = self._read(self._history(tokens), fresh, seen)
        seen = _joined(seen, fresh, memory)
        column_B1 = (tokens.position_BT < NOWHERE).sum(dim=1, keepdim=True)  # of the last token, behind the start token
        start_B1W, start_B1 = self.start_11W.expand(column_B1.shape[0], -1, -1), torch.zeros_like(column_B1)
        hidden_BW = _at(column_B1, torch.cat([start_B1W, hidden_BTW], dim=1))[:, 0]
        last = Places(*(_at(column_B1, torch.cat([start_B1, column_BT], dim=1)) for column_BT in fresh))
        vectors = []
        for step in range(self.steps):
            vectors.append(self._ask(hidden_BW, last, seen, asked))
            if step + 1 < self.steps:
                x_B1W, last = self._feed(vectors[-1], asked.chosen_BG[:, step, None], last, asked)
                hidden_B1W, grown = self._read(x_B1W, last, seen)
                seen, hidden_BW = _joined(seen, last, grown), hidden_B1W[:, 0]
        return torch.cat(vectors, dim=1), torch.stack(memory, dim=1)

    def _begin(self, past: Past) -> Seen:
        """The start token and what was read before."""
        rows = past.position_BP.shape[0]
        place = past.position_BP.new_zeros(rows, 1)
        start = (memory.expand(rows, -1, -1, -1) for memory in self.start_N1H1S)
        return Seen(Places(torch.cat([place, past.position_BP], dim=1), torch.cat([place, past.time_BP], dim=1)),
                    tuple(torch.cat(pair, dim=2) for pair in zip(start, past.memory_BNHPS.unbind(1), strict=True)))

    def _history(self, tokens: Tokens) -> Tensor:
        """Embeddings [B, T, W] of the history's tokens."""
        model = self.model
        x_BTW = model.token_of(tokens.vector_BTD, tokens.time_BT, tokens.previous_BT) + model.surface(tokens.surface_BT)
        position_BT = tokens.position_BT.clamp(max=model.position.num_embeddings - 1)
        return x_BTW + tokens.taken_BTK @ model.action.weight + model.position(position_BT)

    def _feed(self, vector_BMD: Tensor, chosen_B1: Tensor, last: Places, asked: Asked) -> tuple[Tensor, Places]:
        """The chosen outcome's vector as the next token: its embedding [B, 1, W] and its place."""
        model = self.model
        vector_BOD = vector_BMD.unflatten(1, (asked.outcome_O.shape[0], -1))[:, :, 0]
        vector_B1D = _at(chosen_B1, vector_BOD)
        place = Places(last.position_BL + 1, asked.now_B[:, None])
        x_B1W = model.token_of(vector_B1D, place.time_BL, last.time_BL) + model.surface(asked.surface_B)[:, None]
        return x_B1W + model.action(asked.outcome_O[chosen_B1]) + model.position(place.position_BL), place

    def _read(self, x_BTW: Tensor, places: Places, seen: Seen) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Hidden states [B, T, W] of tokens behind what is seen, and the keys and values they leave."""
        backbone, memory = self.backbone, []
        mask = backbone.bias(places, _beside(seen.places, places))
        for number, block in enumerate(backbone.blocks):
            memory += block.keys_values(x_BTW)
            key, value = (torch.cat([seen.memory[n], memory[n]], dim=2) for n in (2 * number, 2 * number + 1))
            x_BTW = block(x_BTW, key, value, mask)
        if backbone.conditioned is None:
            return backbone.norm(x_BTW), tuple(memory)
        return x_BTW, (*memory, *backbone.conditioned.keys_values(x_BTW))

    def _ask(self, hidden_BW: Tensor, last: Places, seen: Seen, asked: Asked) -> Tensor:
        """Unit query vectors [B, M, D] at the newest tokens.

        Offsets count from the request; the model is told the gap from the newest token, so what has passed since is
        added.
        """
        B, *shape = hidden_BW.shape[0], asked.outcome_O.shape[0], asked.ahead_F.shape[0]
        told_BF = elapsed_offset(last.time_BL, asked.now_B[:, None], asked.ahead_F, self.model.config.offsets_s)
        M = math.prod(shape)
        condition_NC = self.model.condition(Conditions(
            asked.outcome_O[None, :, None].expand(B, *shape).reshape(-1),
            asked.surface_B[:, None].expand(B, M).reshape(-1), told_BF[:, None].expand(B, *shape).reshape(-1)))
        hidden_NW = hidden_BW[:, None].expand(B, M, -1).reshape(B * M, -1)
        if (block := self.backbone.conditioned) is not None:
            here = Places(*(column.expand(B, M) for column in last))
            mask = self.backbone.bias(here, seen.places)
            hidden_NW = self.backbone.norm(block(hidden_NW, condition_NC, *seen.memory[-2:], mask, EvenSeats(B)))
        return self.model.vector_of(hidden_NW, condition_NC).view(B, M, -1)

    def _empty(self) -> tuple[Tensor, ...]:
        """The memory of nothing."""
        config = self.model.config
        return (torch.zeros(1, config.heads, 0, config.width // config.heads),) * (2 * config.layers)


def _at(column_B1: Tensor, x_BTX: Tensor) -> Tensor:
    """One column of each row, [B, 1, ...]."""
    trailing = x_BTX.shape[2:]
    return x_BTX.gather(1, column_B1.view(-1, 1, *(1 for _ in trailing)).expand(-1, -1, *trailing))


def _beside(first: Places, second: Places) -> Places:
    """The columns of one behind those of the other."""
    return Places(*(torch.cat(pair, dim=1) for pair in zip(first, second, strict=True)))


def _joined(seen: Seen, places: Places, memory: tuple[Tensor, ...]) -> Seen:
    """What is seen once tokens were read."""
    return Seen(_beside(seen.places, places),
                tuple(torch.cat(pair, dim=2) for pair in zip(seen.memory, memory, strict=True)))
