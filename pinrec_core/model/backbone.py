"""Causal pre-LN Transformer (GPT-2 family; paper section 2), with a last block that can be told what is asked for.

Suffixes: B batch, T tokens, W width, H heads, S head width, L columns attended to, N queries, M most queries of a row,
C condition width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.config import Conditioning, ModelConfig
from pinrec_core.model.attention import Places, RelativeBias, attention
from pinrec_core.model.dropout import dropout
from pinrec_core.model.seats import EvenSeats, Seats
from pinrec_core.model.states import States


class Block(nn.Module):
    """Attention and MLP, each behind a layer norm and added to the residual."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.query = nn.Linear(config.width, config.width)
        self.key_value = nn.Linear(config.width, 2 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.mlp = nn.Sequential(nn.Linear(config.width, 4 * config.width), nn.GELU(),
                                 nn.Linear(4 * config.width, config.width))
        _init_block(self, config.layers)

    def keys_values(self, x_BTW: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each [B, H, T, S]."""
        key_BTW, value_BTW = self.key_value(self.norm_attention(x_BTW)).chunk(2, dim=-1)
        return self._split(key_BTW), self._split(value_BTW)

    def forward(self, x_BTW: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Attend (causally when `mask` is None, else as it says) and apply the MLP."""
        x_BTW = x_BTW + self._drop(self.attend(self.query(self.norm_attention(x_BTW)), key, value, mask))
        return x_BTW + self._drop(self.mlp(self.norm_mlp(x_BTW)))

    def attend(self, query_BTW: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """What queries gather from the columns they see, [B, T, W]."""
        attended = attention(self._split(query_BTW), key, value, mask, self.dropout if self.training else 0.0)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _split(self, x_BTW: Tensor) -> Tensor:
        """Heads apart: [B, H, T, S]."""
        return x_BTW.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class ConditionedBlock(Block):
    """A block that runs for queries alone: it reads the tokens' states, under norms that the condition sets.

    Scale and shift of both norms and the gates of what is added to the residual come from the condition, all zero at
    the start, so that the block begins as the identity (adaLN-zero: DiT, arXiv 2212.09748). Keys and values are those
    of the unconditioned tokens: one pass over the history serves every condition.
    """

    def __init__(self, config: ModelConfig, condition_width: int):
        super().__init__(config)
        self.modulation = nn.Linear(condition_width, 6 * config.width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x_NW: Tensor, condition_NC: Tensor, key: Tensor, value: Tensor, mask: Tensor,
                seats: Seats | EvenSeats) -> Tensor:
        """States [N, W] of queries under their conditions; the mask is [B, H or 1, M, L]."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(F.silu(condition_NC)).chunk(6, dim=-1)
        query_NW = self.query(self.norm_attention(x_NW) * (1 + scale_a) + shift_a)
        attended_NW = seats.collect(self.attend(seats.spread(query_NW), key, value, mask))
        x_NW = x_NW + gate_a * self._drop(attended_NW)
        return x_NW + gate_m * self._drop(self.mlp(self.norm_mlp(x_NW) * (1 + scale_m) + shift_m))


class Backbone(nn.Module):
    """A stack of blocks over the tokens, and the state of a query at any of them."""

    def __init__(self, config: ModelConfig, condition_width: int):
        super().__init__()
        self.conditioned = None
        if config.conditioning is Conditioning.BACKBONE:
            self.conditioned = ConditionedBlock(config, condition_width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers - (self.conditioned is not None)))
        self.bias = RelativeBias(config)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x_BTW: Tensor, states: States) -> None:
        """Run whole sequences, the start token first, and keep all that queries need in `states`."""
        length = x_BTW.shape[1]
        mask = None  # causal
        if self.bias.tables:
            mask = self.bias(*2 * (Places(torch.arange(length)[None], states.places.time_BL[:, :length]),))
        for block in self.blocks:
            x_BTW = block(x_BTW, *block.keys_values(x_BTW), mask)
        if self.conditioned is None:
            states.hidden_BLW = self.norm(x_BTW)
        else:
            states.hidden_BLW, states.key_value = x_BTW, self.conditioned.keys_values(x_BTW)

    def answer(self, states: States, row_N: Tensor, column_N: Tensor, condition_NC: Tensor) -> Tensor:
        """State [N, W] of a query at each (row, column) under its condition."""
        hidden_NW = states.hidden_BLW[row_N, column_N]
        if self.conditioned is None:
            return hidden_NW
        seats = Seats.of(row_N, len(states.last_B))
        query = Places(*(seats.spread(values) for values in states.places.at(row_N, column_N)))
        mask = self.bias(query, states.places)
        return self.norm(self.conditioned(hidden_NW, condition_NC, *states.key_value, mask, seats))


def _init_block(block: Block, layers: int) -> None:
    """Weights of variance 1 / fan-in, whatever the width; what adds to the residual is scaled by 1 / sqrt(2 layers)."""
    for linear, scale in ((block.query, 1.0), (block.key_value, 1.0), (block.mlp[0], 1.0),
                          (block.out, (2 * layers) ** -0.5), (block.mlp[2], (2 * layers) ** -0.5)):
        nn.init.normal_(linear.weight, std=scale * linear.in_features**-0.5)
        nn.init.zeros_(linear.bias)
