"""Item vector = L2norm(MLP(content, attributes, hashed ids)), one MLP per item type (paper section 1).

Suffixes: N items asked for, C content, D item dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.config import ModelConfig
from pinrec_core.model.features import ItemFeatures
from pinrec_core.model.rows import round_up

CONTENT_STD = 0.3  # of content coordinates as they enter, whatever their scale in the catalog
ID_STD = 0.1  # of the id tables' initial values
IdTables = Callable[[int, int, int], nn.ModuleList]  # makes so many tables of so many rows of such a width


def whole_tables(count: int, rows: int, width: int) -> nn.ModuleList:
    """Id tables that lie in this process as a whole."""
    tables = nn.ModuleList(nn.Embedding(rows, width, sparse=True) for _ in range(count))
    for table in tables:
        nn.init.normal_(table.weight, std=ID_STD)
    return tables


class ItemEncoder(nn.Module):
    """Encodes item indices into unit vectors."""

    def __init__(self, features: ItemFeatures, n_types: int, config: ModelConfig, id_tables: IdTables = whole_tables):
        super().__init__()
        self.features, self.config = features, config
        width = 0
        if config.use_content:
            self.attributes = nn.EmbeddingBag(config.attribute_buckets, config.attribute_dim, mode="mean", sparse=True)
            nn.init.normal_(self.attributes.weight, std=0.1)
            self.content_scale = CONTENT_STD * features.content_dim**0.5
            width += features.content_dim + config.attribute_dim
        if config.use_ids:
            self.ids = id_tables(config.id_hashes, config.id_buckets, config.id_dim // config.id_hashes)
            width += config.id_dim
        hidden = 2 * config.item_dim
        self.towers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, config.item_dim))
            for _ in range(n_types))
        for tower in self.towers:
            for linear in (tower[0], tower[2]):
                # Without bias and at full scale, items start far apart; a bias would point them all one way.
                nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
                nn.init.zeros_(linear.bias)

    def forward(self, index_N: Tensor) -> Tensor:
        """Unit vectors [N, D] of the given items (indices within the table)."""
        inputs = []
        if self.config.use_content:
            rows, offsets = self.features.attributes_of(index_N)
            inputs += [self.features.content_IC[index_N] * self.content_scale, self.attributes(rows, offsets)]
        if self.config.use_ids:
            inputs.append(self._id_embedding(index_N))
        x = torch.cat(inputs, dim=1)
        return F.normalize(self._towers(x, self.features.type_I[index_N]), dim=1)

    def _towers(self, x: Tensor, type_N: Tensor) -> Tensor:
        """What each item's type makes of its features [N, D]."""
        if len(self.towers) == 1:
            return self.towers[0](x).to(x.dtype)
        out_ND = x.new_zeros(len(x), self.config.item_dim)
        for code, tower in enumerate(self.towers):
            chosen = (type_N == code).nonzero().squeeze(1)
            if len(chosen):
                vectors = tower(x[round_up(chosen)])[:len(chosen)]
                out_ND = out_ND.index_copy(0, chosen, vectors.to(out_ND.dtype))
        return out_ND

    def _id_embedding(self, index_N: Tensor) -> Tensor:
        """Concatenated pieces; zero for items never trained on, and at random in training (see id_dropout)."""
        rows_NH = self.features.id_rows_IH[index_N]
        joined = torch.cat([table(rows_NH[:, h]) for h, table in enumerate(self.ids)], dim=1)
        keep_N = self.features.known_I[index_N]
        if self.training and self.config.id_dropout:
            keep_N = keep_N * (torch.rand_like(keep_N) >= self.config.id_dropout)
        return joined * keep_N[:, None]
