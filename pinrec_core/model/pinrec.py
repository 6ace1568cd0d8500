"""PinRec: histories in, unit query vectors for a wanted outcome out (paper sections 1 and 2).

Suffixes: B batch rows, T history tokens, W hidden width, D item dimension, N queries or items, I all items, K action
bits, A positive actions, X masked tokens, C condition width.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.data.batch import HistoryBatch
from pinrec_core.errors import ConfigError
from pinrec_core.model.backbone import Backbone
from pinrec_core.model.biases import ScoreBias
from pinrec_core.model.conditions import ConditionEmbedding, Conditions
from pinrec_core.model.dropout import dropout
from pinrec_core.model.experts import Experts
from pinrec_core.model.features import ItemFeatures
from pinrec_core.model.item_encoder import IdTables, ItemEncoder, whole_tables
from pinrec_core.model.states import States
from pinrec_core.model.time_features import TimeFeatures
from pinrec_core.model.transitions import Transitions

MAX_GENERATED = 32  # positions kept for a start token, a context token and generated tokens


class PinRec(nn.Module):
    """The model of one release. `action_shares[surface][action]` are the training frequencies of each outcome."""

    def __init__(self, config: ModelConfig, log: LogConfig, items: pa.Table,
                 action_shares: dict[str, dict[str, float]], id_tables: IdTables = whole_tables):
        super().__init__()
        self.config, self.log, self.items, self.action_shares = config, log, items, action_shares
        self.transitions: Transitions | None = None  # counted by pretrain, if the configuration wants them
        self.experts = Experts()  # what counted knowledge is worth beside the network
        features = ItemFeatures(items, log, config)
        self.item_encoder = ItemEncoder(features, len(log.item_types), config, id_tables)
        self.time_features = TimeFeatures(config)
        self.token = nn.Linear(config.item_dim + self.time_features.width, config.width)
        self.start_W = nn.Parameter(torch.zeros(config.width))
        self.surface = nn.Embedding(len(log.surface_names), config.width)
        self.action = nn.Embedding(len(log.action_names), config.width)
        self.position = nn.Embedding(config.max_length + MAX_GENERATED, config.width)
        self.condition = ConditionEmbedding(config, log)
        self.backbone = Backbone(config, self.condition.width)
        self.head = nn.Sequential(nn.Linear(config.width + self.condition.width, 2 * config.width), nn.GELU(),
                                  nn.Linear(2 * config.width, config.item_dim))
        self.past_action = nn.Sequential(nn.LayerNorm(config.width),
                                         nn.Linear(config.width, len(log.positive_actions)))
        self.bias = ScoreBias(config, log, features.known_I)
        self.log_temperature = nn.Parameter(torch.tensor(-math.log(config.initial_temperature)))
        for table in (self.surface, self.action, self.position):
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
    def trained_I(self) -> Tensor:
        """bool [I]: items that train users engaged with; all others are described by content alone."""
        return self.item_encoder.features.known_I > 0

    @property
    def scale(self) -> Tensor:
        """exp(temperature): logits = scale * <query, item vector>; clamped so that tau stays above its minimum."""
        return self.log_temperature.clamp(max=-math.log(self.config.min_temperature)).exp()

    def item_vectors(self, index_N: Tensor) -> Tensor:
        """Unit vectors [N, D] of items."""
        return self.item_encoder(index_N)

    def logits(self, query_ND: Tensor, asked: Conditions, vectors_PD: Tensor, item_P: Tensor) -> Tensor:
        """The network's scores [N, P] of shared items: scale * <query, vector> + biases."""
        query_NE, vectors_PE = self.factors(query_ND, asked, vectors_PD, item_P)
        return query_NE @ vectors_PE.T

    def factors(self, query_ND: Tensor, asked: Conditions, vectors_PD: Tensor,
                item_P: Tensor) -> tuple[Tensor, Tensor]:
        """The two matrices [N, E] and [P, E] whose product these scores are."""
        query_ND = self.scale * query_ND
        if not self.bias.tables:
            return query_ND, vectors_PD
        # All in one product: adding a gathered [N, P] and spreading its gradient would take far longer.
        return (torch.cat([query_ND, self.bias.codes(asked)], dim=1),
                torch.cat([vectors_PD, self.bias.of(item_P).T], dim=1))

    def paired_logits(self, query_ND: Tensor, asked: Conditions, vectors_NKD: Tensor, item_NK: Tensor) -> Tensor:
        """Scores [N, K] of items that each query has for itself."""
        logits_NK = self.scale * torch.einsum("nd,nkd->nk", query_ND, vectors_NKD)
        return logits_NK + self.bias.paired(asked, item_NK) if self.bias.tables else logits_NK

    @torch.no_grad()
    def search_vectors(self, surface: str) -> Tensor:
        """What the index of a surface holds, [I, D + E]: unit vectors, continued by the biases over the scale.

        The inner product with `search_queries` is the score over the scale, so an index ranks by the score.
        """
        biases_IE = self.bias.columns(self.log.surface_names.index(surface), self.experts.exposure)
        return torch.cat([self.all_item_vectors(), biases_IE / self.scale], dim=1)

    def search_queries(self, vector_MD: np.ndarray, action_M: np.ndarray) -> np.ndarray:
        """Unit queries for actions as the index of a surface takes them, [M, D + E]."""
        return self.bias.continued(vector_MD, action_M)

    @torch.no_grad()
    def all_item_vectors(self, block: int = 8192) -> Tensor:
        """Unit vectors [I, D] of the whole table, in evaluation mode, `block` items at a time."""
        training = self.training
        self.eval()
        vectors_ID = torch.empty(self.n_items, self.config.item_dim)
        for index_N in torch.arange(self.n_items).split(block):
            vectors_ID[index_N[0]:index_N[-1] + 1] = self.item_vectors(index_N)
        self.train(training)
        return vectors_ID

    def encode(self, batch: HistoryBatch, item_vectors_ID: Tensor | None = None) -> States:
        """Read each history once.

        Raises ConfigError for a history longer than the model holds.
        """
        x_BTW, masked_BT = self._tokens(batch, item_vectors_ID)
        x = torch.cat([self.start_W.expand(len(batch), 1, -1), x_BTW], dim=1)
        if x.shape[1] > self.position.num_embeddings:
            raise ConfigError(f"history of {x.shape[1] - 1} tokens is longer than the model holds "
                              f"({self.position.num_embeddings - 1}); cut it to max_length {self.config.max_length}")
        p = self.config.dropout if self.config.embedding_dropout is None else self.config.embedding_dropout
        states = States.of(batch, masked_BT)
        self.backbone(dropout(x + self.position.weight[: x.shape[1]], p, self.training), states)
        return states

    def query(self, states: States, row_N: Tensor, column_N: Tensor, conditions: Conditions) -> Tensor:
        """Unit queries [N, D] at hidden columns: q = L2norm(O(h, e_action, e_surface, e_offset)), as configured."""
        condition_NC = self.condition(conditions)
        return self.vector_of(self.backbone.answer(states, row_N, column_N, condition_NC), condition_NC)

    def vector_of(self, hidden_NW: Tensor, condition_NC: Tensor) -> Tensor:
        """Unit queries [N, D] of queries' states under their conditions."""
        return F.normalize(self.head(torch.cat([hidden_NW, condition_NC], dim=-1)).float(), dim=-1)

    def action_loss(self, states: States, actions_BT: Tensor) -> Tensor:
        """Binary cross-entropy (scalar) of the positive actions of tokens whose action was masked; 0 if none was.

        Tokens of unknown action (no bit set, padding among them) are left out. The token's own state predicts: it knows
        the item and all before it, but not what was done.
        """
        row, token = (states.masked_BT & (actions_BT > 0)).nonzero(as_tuple=True)
        logits_XA = self.past_action(states.hidden_BLW[row, token + 1])
        taken_XA = self._bits(actions_BT[row, token])[:, : logits_XA.shape[1]]
        loss = F.binary_cross_entropy_with_logits(logits_XA, taken_XA, reduction="sum")
        return loss / max(taken_XA.numel(), 1)

    def _tokens(self, batch: HistoryBatch, item_vectors_ID: Tensor | None) -> tuple[Tensor, Tensor]:
        """Token embeddings [B, T, W] and which tokens' actions are masked; each distinct item is encoded once.

        Actions are masked at random in training, so that they are never relied on.
        """
        item_BT = batch.item_BT.clamp(min=0)
        if item_vectors_ID is None:
            distinct, inverse_BT = item_BT.unique(return_inverse=True)
            vectors_BTD = self.item_vectors(distinct)[inverse_BT] if item_BT.numel() else \
                self.token.weight.new_zeros(*item_BT.shape, self.config.item_dim)
        else:
            vectors_BTD = item_vectors_ID[item_BT]
        previous_BT = F.pad(batch.time_BT, (1, 0))[:, :-1]
        x_BTW = self.token_of(vectors_BTD, batch.time_BT, previous_BT) + self.surface(batch.surface_BT)
        masked_BT = torch.zeros(item_BT.shape, dtype=torch.bool)
        if self.training:
            masked_BT = torch.rand(item_BT.shape) < self.config.action_mask
        taken_BTK = self._bits(batch.actions_BT.masked_fill(masked_BT, 0))
        return x_BTW + taken_BTK @ self.action.weight, masked_BT

    def token_of(self, vector: Tensor, time: Tensor, previous: Tensor) -> Tensor:
        """What is common to read and generated tokens [..., W]: item and time, joined at one scale.

        A unit vector of D dimensions has coordinates of 1 / sqrt(D), time features are of order 1 and would drown it.
        """
        scaled = vector * self.config.item_dim**0.5
        return self.token(torch.cat([scaled, self.time_features(time, previous)], dim=-1))

    def _bits(self, actions: Tensor) -> Tensor:
        """Action bits apart, float [..., K]."""
        return ((actions[..., None] >> torch.arange(self.action.num_embeddings)) & 1).float()
