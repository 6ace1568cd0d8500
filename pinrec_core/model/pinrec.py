"""PinRec: histories in, unit query vectors for a wanted outcome out (paper sections 1 and 2).

Suffixes: B batch rows, T history tokens, W hidden width, D item dimension, N queries or items, I all items, K bits.
"""

from __future__ import annotations

import math

import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.config import Conditioning, LogConfig, ModelConfig
from pinrec_core.data.batch import HistoryBatch
from pinrec_core.errors import ConfigError
from pinrec_core.model.backbone import Backbone, Cache, padding_mask
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.features import ItemFeatures
from pinrec_core.model.item_encoder import ItemEncoder
from pinrec_core.model.time_features import TimeFeatures

MAX_GENERATED = 32  # positions kept for a start token, a context token and generated tokens


class PinRec(nn.Module):
    """The model of one release. `action_shares[surface][action]` are the training frequencies of each outcome."""

    def __init__(self, config: ModelConfig, log: LogConfig, items: pa.Table,
                 action_shares: dict[str, dict[str, float]]):
        super().__init__()
        self.config, self.log, self.items, self.action_shares = config, log, items, action_shares
        features = ItemFeatures(items, log, config)
        self.item_encoder = ItemEncoder(features, len(log.item_types), config)
        self.time_features = TimeFeatures()
        self.token = nn.Linear(config.item_dim + TimeFeatures.width, config.width)
        self.start_W = nn.Parameter(torch.zeros(config.width))
        self.surface = nn.Embedding(len(log.surface_names), config.width)
        self.action = nn.Embedding(len(log.action_names), config.width)
        self.position = nn.Embedding(config.max_length + MAX_GENERATED, config.width)
        self.backbone = Backbone(config)
        conditions = (3 if config.offsets_s else 2) if config.conditioning is Conditioning.OUTCOME else 0
        self.query_action = nn.Embedding(len(log.action_names), config.width)
        self.query_surface = nn.Embedding(len(log.surface_names), config.width)
        self.query_offset = nn.Embedding(config.offset_buckets, config.width) if config.offsets_s else None
        self.head = nn.Sequential(nn.Linear(config.width * (1 + conditions), 2 * config.width), nn.GELU(),
                                  nn.Linear(2 * config.width, config.item_dim))
        self.log_temperature = nn.Parameter(torch.tensor(-math.log(config.initial_temperature)))
        for table in (self.surface, self.action, self.position, self.query_action, self.query_surface):
            nn.init.normal_(table.weight, std=0.02)
        if self.query_offset is not None:
            nn.init.normal_(self.query_offset.weight, std=0.02)

    @property
    def n_items(self) -> int:
        """Items the model can encode: rows of its item table."""
        return self.item_encoder.features.n_items

    @property
    def retrievable_I(self) -> Tensor:
        """bool [I]: items of a type that is retrieved."""
        return self.item_encoder.features.retrievable_I

    @property
    def scale(self) -> Tensor:
        """exp(temperature): logits = scale * <query, item vector>; clamped so that tau stays above its minimum."""
        return self.log_temperature.clamp(max=-math.log(self.config.min_temperature)).exp()

    def item_vectors(self, index_N: Tensor) -> Tensor:
        """Unit vectors [N, D] of items."""
        return self.item_encoder(index_N)

    @torch.no_grad()
    def all_item_vectors(self, block: int = 8192) -> Tensor:
        """Unit vectors [I, D] of the whole table, in evaluation mode, `block` items at a time."""
        training = self.training
        self.eval()
        blocks = torch.arange(self.n_items).split(block)
        vectors = torch.cat([self.item_vectors(index) for index in blocks])
        self.train(training)
        return vectors

    def encode(self, batch: HistoryBatch, item_vectors_ID: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Hidden states [B, T + 1, W]: column 0 answers an empty history, column t one of t tokens."""
        x_BTW = self._tokens(batch, item_vectors_ID)
        start_B1W = self.start_W.expand(len(batch), 1, -1)
        x = torch.cat([start_B1W, x_BTW], dim=1)
        if x.shape[1] > self.position.num_embeddings:
            raise ConfigError(f"history of {x.shape[1] - 1} tokens is longer than the model holds "
                              f"({self.position.num_embeddings - 1}); cut it to max_length {self.config.max_length}")
        x = F.dropout(x + self.position.weight[: x.shape[1]], self.config.dropout, self.training)
        return self.backbone(x, cache)

    def prefill(self, batch: HistoryBatch, item_vectors_ID: Tensor | None = None, *,
                room: int) -> tuple[Tensor, Cache]:
        """Hidden state [B, W] after each history, and a cache with room for `room` more tokens."""
        length_B, columns = batch.length_B + 1, batch.item_BT.shape[1] + 1
        valid_BL = F.pad(padding_mask(length_B, columns), (0, room))
        rows = torch.arange(len(batch))
        times = F.pad(batch.time_BT, (1, 0))[rows, batch.length_B]
        cache = Cache(valid_BL=valid_BL, position_B=length_B.clone(), time_B=times, used=columns)
        hidden_BLW = self.encode(batch, item_vectors_ID, cache)
        return hidden_BLW[rows, batch.length_B], cache

    def extend(self, vector_BD: Tensor, action_B: Tensor, surface_B: Tensor, time_B: Tensor, cache: Cache) -> Tensor:
        """Append one generated token per row (its vector stands for the item); returns hidden [B, W]."""
        times = self.time_features(time_B, cache.time_B)
        x_BW = self.token(torch.cat([vector_BD, times], dim=-1)) + self.surface(surface_B) + self.action(action_B)
        x_BW = x_BW + self.position(cache.position_B)
        cache.valid_BL[:, cache.used] = True
        cache.used += 1
        cache.position_B += 1
        cache.time_B = time_B
        return self.backbone.forward_cached(x_BW, cache)

    def query(self, hidden_NW: Tensor, asked: Conditions) -> Tensor:
        """Unit queries [N, D] for wanted outcomes: q = L2norm(O(h, e_action, e_surface, e_offset))."""
        if self.config.conditioning is Conditioning.OUTCOME:
            told = [self.query_action(asked.action_N), self.query_surface(asked.surface_N)]
            told += [] if self.query_offset is None else [self.query_offset(asked.offset_N)]
            hidden_NW = torch.cat([hidden_NW, *told], dim=-1)
        return F.normalize(self.head(hidden_NW), dim=-1)

    def _tokens(self, batch: HistoryBatch, item_vectors_ID: Tensor | None) -> Tensor:
        """Token embeddings [B, T, W]; each distinct item is encoded once."""
        item_BT = batch.item_BT.clamp(min=0)
        if item_vectors_ID is None:
            distinct, inverse_BT = item_BT.unique(return_inverse=True)
            vectors_BTD = self.item_vectors(distinct)[inverse_BT] if item_BT.numel() else \
                self.token.weight.new_zeros(*item_BT.shape, self.config.item_dim)
        else:
            vectors_BTD = item_vectors_ID[item_BT]
        previous_BT = F.pad(batch.time_BT, (1, 0))[:, :-1]
        times = self.time_features(batch.time_BT, previous_BT)
        x_BTW = self.token(torch.cat([vectors_BTD, times], dim=-1)) + self.surface(batch.surface_BT)
        return x_BTW + self._action_embedding(batch.actions_BT)

    def _action_embedding(self, actions_BT: Tensor) -> Tensor:
        """Sum of the embeddings of the actions taken; hidden at random in training, so that it is never relied on."""
        bits_K = torch.arange(self.action.num_embeddings)
        taken_BTK = ((actions_BT[..., None] >> bits_K) & 1).float()
        if self.training and self.config.action_mask:
            taken_BTK = taken_BTK * (torch.rand(*actions_BT.shape, 1) >= self.config.action_mask)
        return taken_BTK @ self.action.weight
