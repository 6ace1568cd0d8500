"""Which tokens a query may see, and what their distance is worth: causal masks and learned relative biases.

Distance in positions is bucketed as in T5 (arXiv 1910.10683), the gap in time on a logarithmic scale as in HSTU
(arXiv 2402.17152); each bucket has a learned logit per head, shared by all blocks.
Suffixes: B batch, Q queries, L columns seen, H heads; B may be 1 where all rows are alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.config import AttentionBias, ModelConfig
from pinrec_core.model.dropout import dropout

NOWHERE = 2**31 - 1  # position of a column that holds no token: later than every query, so never seen
POSITION_BUCKETS = 32  # the first half are single distances, the rest grow up to FAR_POSITIONS
FAR_POSITIONS = 256  # every distance from here on is one bucket
TIME_BUCKETS = 64  # two per doubling of (1 s + gap); the last one is for tokens without a time


class Places(NamedTuple):
    """Where tokens or queries stand in their history."""

    position_BL: Tensor  # 0 = the start token; NOWHERE = no token
    time_BL: Tensor  # UTC ms of the token; 0 = it has none

    def at(self, row: Tensor, column: Tensor) -> Places:
        """The places of some of the columns, in the shape of `row` and `column`."""
        return Places(self.position_BL[row, column], self.time_BL[row, column])


class RelativeBias(nn.Module):
    """The attention mask of a model: bool without learned biases, additive logits with them."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        buckets = {AttentionBias.NONE: (), AttentionBias.POSITION: (POSITION_BUCKETS,),
                   AttentionBias.POSITION_TIME: (POSITION_BUCKETS, TIME_BUCKETS)}[config.attention_bias]
        self.tables = nn.ModuleList(nn.Embedding(count, config.heads) for count in buckets)
        for table in self.tables:
            nn.init.zeros_(table.weight)

    def forward(self, query: Places, seen: Places) -> Tensor:
        """Mask [B, H or 1, Q, L] for scaled_dot_product_attention: bool (True = seen), or logits to add."""
        distance_BQL = query.position_BL[:, :, None] - seen.position_BL[:, None]
        visible_B1QL = (distance_BQL >= 0)[:, None]
        if not self.tables:
            return visible_B1QL
        bias_BQLH = self.tables[0](position_buckets(distance_BQL))
        for table in self.tables[1:]:
            bias_BQLH = bias_BQLH + table(time_buckets(query.time_BL[:, :, None], seen.time_BL[:, None]))
        return bias_BQLH.permute(0, 3, 1, 2).masked_fill(~visible_B1QL, float("-inf"))


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float) -> Tensor:
    """What queries gather [B, H, Q, S] from what they see, a share p of the weights dropped; causal without a mask.

    torch's own, which on a CPU draws its masks slowly (see dropout.py); there the same is written out where p is not 0.
    """
    if not p or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p, is_causal=mask is None)
    logits_BHQL = query * query.shape[-1]**-0.5 @ key.transpose(-2, -1)
    if mask is None:
        mask = torch.ones(logits_BHQL.shape[-2:], dtype=torch.bool).tril()
    logits_BHQL = logits_BHQL.masked_fill(~mask, -math.inf) if mask.dtype is torch.bool else logits_BHQL + mask
    return dropout(logits_BHQL.softmax(-1), p, True) @ value


def position_buckets(distance: Tensor) -> Tensor:
    """Bucket of each distance in positions (>= 0; less counts as 0): exact when near, logarithmic beyond."""
    near = POSITION_BUCKETS // 2
    distance = distance.clamp(min=0, max=FAR_POSITIONS)
    growth = (distance.clamp(min=near) / near).log() / math.log(FAR_POSITIONS / near)
    far = near + (growth * (POSITION_BUCKETS - near)).long()
    return torch.where(distance < near, distance, far.clamp(max=POSITION_BUCKETS - 1))


def time_buckets(later: Tensor, earlier: Tensor) -> Tensor:
    """Bucket of the gap between times (UTC ms); the last bucket where either is 0, that is unknown."""
    gap_s = (later - earlier).clamp(min=0).float() / 1000
    bucket = (2 * torch.log2(1 + gap_s)).long().clamp(max=TIME_BUCKETS - 2)
    return bucket.masked_fill((later == 0) | (earlier == 0), TIME_BUCKETS - 1)
