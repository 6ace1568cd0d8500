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
        conditions = 2 if config.conditioning is Conditioning.OUTCOME else 0
        self.query_action = nn.Embedding(len(log.action_names), config.width)
        self.query_surface = nn.Embedding(len(log.surface_names), config.width)
        self.head = nn.Sequential(nn.Linear(config.width * (1 + conditions), 2 * config.width), nn.GELU(),
                                  nn.Linear(2 * config.width, config.item_dim))
        biases = torch.zeros(len(log.surface_names), features.n_items)
        self.item_bias = nn.Parameter(biases) if config.item_bias else None
        self.log_temperature = nn.Parameter(torch.tensor(-math.log(config.initial_temperature)))
        for table in (self.surface, self.action, self.position, self.query_action, self.query_surface):
            nn.init.normal_(table.weight, std=0.02)

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

    def logits(self, query_ND: Tensor, surface_N: Tensor, vectors_PD: Tensor, item_P: Tensor) -> Tensor:
        """Scores [N, P] of shared items: scale * <query, vector> + bias[surface, item]."""
        query_ND = self.scale * query_ND
        if self.item_bias is not None:
            # All in one product: adding a gathered [N, P] and spreading its gradient would take far longer.
            surface_NS = F.one_hot(surface_N, len(self.item_bias)).to(query_ND.dtype)
            query_ND = torch.cat([query_ND, surface_NS], dim=1)
            vectors_PD = torch.cat([vectors_PD, self._bias(item_P).T], dim=1)
        return query_ND @ vectors_PD.T

    def paired_logits(self, query_ND: Tensor, surface_N: Tensor, vectors_NKD: Tensor, item_NK: Tensor) -> Tensor:
        """Scores [N, K] of items that each query has for itself."""
        logits_NK = self.scale * torch.einsum("nd,nkd->nk", query_ND, vectors_NKD)
        if self.item_bias is None:
            return logits_NK
        return logits_NK + self.item_bias[surface_N[:, None], item_NK] * self.item_encoder.features.known_I[item_NK]

    @torch.no_grad()
    def search_vectors(self, surface: str) -> Tensor:
        """What the index of a surface holds, [I, D], or [I, D + 1] with a bias, which is the last column.

        <(query, 1), (vector, bias / scale)> is the score over scale, so an inner-product index ranks by the score.
        """
        vectors_ID = self.all_item_vectors()
        if self.item_bias is None:
            return vectors_ID
        bias_SI = self._bias(torch.arange(self.n_items)) / self.scale
        return torch.cat([vectors_ID, bias_SI[self.log.surface_names.index(surface), :, None]], dim=1)

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
        x_BW = self._token(vector_BD, times) + self.surface(surface_B) + self.action(action_B)
        x_BW = x_BW + self.position(cache.position_B)
        cache.valid_BL[:, cache.used] = True
        cache.used += 1
        cache.position_B += 1
        cache.time_B = time_B
        return self.backbone.forward_cached(x_BW, cache)

    def query(self, hidden_NW: Tensor, action_N: Tensor, surface_N: Tensor) -> Tensor:
        """Unit queries [N, D] for wanted outcomes: q = L2norm(O(h, e_action, e_surface))."""
        if self.config.conditioning is Conditioning.OUTCOME:
            hidden_NW = torch.cat([hidden_NW, self.query_action(action_N), self.query_surface(surface_N)], dim=-1)
        return F.normalize(self.head(hidden_NW), dim=-1)

    def _bias(self, item_P: Tensor) -> Tensor:
        """Score bias [surfaces, P]; 0, as of an average item, for items never trained on: nothing is known of them."""
        return self.item_bias[:, item_P] * self.item_encoder.features.known_I[item_P]

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
        x_BTW = self._token(vectors_BTD, times) + self.surface(batch.surface_BT)
        return x_BTW + self._action_embedding(batch.actions_BT)

    def _token(self, vectors: Tensor, times: Tensor) -> Tensor:
        """Item and time as one embedding. A unit vector has small coordinates, time would drown it: scaled to 1."""
        return self.token(torch.cat([vectors * self.config.item_dim**0.5, times], dim=-1))

    def _action_embedding(self, actions_BT: Tensor) -> Tensor:
        """Sum of the embeddings of the actions taken; hidden at random in training, so that it is never relied on."""
        bits_K = torch.arange(self.action.num_embeddings)
        taken_BTK = ((actions_BT[..., None] >> bits_K) & 1).float()
        if self.training and self.config.action_mask:
            taken_BTK = taken_BTK * (torch.rand(*actions_BT.shape, 1) >= self.config.action_mask)
        return taken_BTK @ self.action.weight
