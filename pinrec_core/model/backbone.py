"""Causal pre-LN Transformer with a key-value cache (GPT-2 family; paper section 2).

Suffixes: B batch, T tokens, W width, H heads, S head width, L cached columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.config import ModelConfig


@dataclass
class Cache:
    """Keys and values of the tokens seen so far, with room for generated ones behind the padded history."""

    valid_BL: Tensor  # bool: columns a query may attend to
    position_B: Tensor  # position of the next token of each row
    time_B: Tensor  # UTC ms of each row's last token, 0 if none
    used: int  # columns filled
    keys: list[Tensor] = field(default_factory=list)  # per layer [B, H, L, S]
    values: list[Tensor] = field(default_factory=list)


class Block(nn.Module):
    """Attention and MLP, each behind a layer norm and added to the residual."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.mlp = nn.Sequential(nn.Linear(config.width, 4 * config.width), nn.GELU(),
                                 nn.Linear(4 * config.width, config.width))

    def project(self, x_BTW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, H, T, S]."""
        b, t, w = x_BTW.shape
        qkv = self.qkv(self.norm_attention(x_BTW)).view(b, t, 3, self.heads, w // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, x_BTW: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Attend (causally when `mask` is None, else where it is True) and apply the MLP."""
        p = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p, is_causal=mask is None)
        x_BTW = x_BTW + F.dropout(self.out(attended.transpose(1, 2).flatten(2)), p)
        return x_BTW + F.dropout(self.mlp(self.norm_mlp(x_BTW)), p)


class Backbone(nn.Module):
    """A stack of blocks; `forward` for whole sequences, `forward_cached` to go on from a cache."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        for block in self.blocks:
            _init_block(block, config.layers)

    def forward(self, x_BTW: Tensor, cache: Cache | None = None) -> Tensor:
        """Hidden states [B, T, W] of whole sequences; keys and values are stored in `cache` if given."""
        for block in self.blocks:
            q, k, v = block.project(x_BTW)
            if cache is not None:
                room = cache.valid_BL.shape[1] - k.shape[2]
                cache.keys.append(F.pad(k, (0, 0, 0, room)))
                cache.values.append(F.pad(v, (0, 0, 0, room)))
            x_BTW = block(x_BTW, q, k, v, None)
        return self.norm(x_BTW)

    def forward_cached(self, x_BW: Tensor, cache: Cache) -> Tensor:
        """Hidden state [B, W] of one more token per row; the cache must already count it as valid."""
        x_B1W = x_BW[:, None]
        column, mask = cache.used - 1, cache.valid_BL[:, None, None, :]
        for layer, block in enumerate(self.blocks):
            q, k, v = block.project(x_B1W)
            cache.keys[layer][:, :, column] = k[:, :, 0]
            cache.values[layer][:, :, column] = v[:, :, 0]
            x_B1W = block(x_B1W, q, cache.keys[layer], cache.values[layer], mask)
        return self.norm(x_B1W)[:, 0]


def _init_block(block: Block, layers: int) -> None:
    """Weights of variance 1 / fan-in, whatever the width; what adds to the residual is scaled by 1 / sqrt(2 layers)."""
    added = (block.out, block.mlp[2])
    for linear in (block.qkv, block.mlp[0], *added):
        scale = (2 * layers) ** -0.5 if any(linear is one for one in added) else 1.0
        nn.init.normal_(linear.weight, std=scale * linear.in_features**-0.5)
        nn.init.zeros_(linear.bias)


def padding_mask(length_B: Tensor, columns: int) -> Tensor:
    """bool [B, columns]: True where a column holds a token."""
    return torch.arange(columns, device=length_B.device)[None] < length_B[:, None]
