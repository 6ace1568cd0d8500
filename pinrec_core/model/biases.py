"""Score biases: what an item is worth whoever asks, learned per surface and per action, or counted per surface.

Legend: N queries, M queries of a search, P items, K items of one query, I all items, S surfaces, A positive actions,
E columns that continue an item's vector in the index.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.rows import gather


class ScoreBias(nn.Module):
    """The biases a model has; all of them are 0, as of an average item, for items never trained on."""

    known_I: Tensor  # 1.0 where the item was trained on
    log_exposure_SI: Tensor

    def __init__(self, config: ModelConfig, log: LogConfig, known_I: Tensor):
        super().__init__()
        items, surfaces = len(known_I), len(log.surface_names)
        self.register_buffer("known_I", known_I, persistent=False)
        self.surface_SI = nn.Parameter(torch.zeros(surfaces, items)) if config.item_bias else None
        self.action_AI = nn.Parameter(torch.zeros(len(log.positive_actions), items)) if config.action_bias else None
        self.register_buffer("log_exposure_SI", torch.zeros(surfaces if config.exposure_half_life_days else 0, items))

    @property
    def tables(self) -> list[nn.Parameter]:
        """The learned ones."""
        return [table for table in (self.surface_SI, self.action_AI) if table is not None]

    @property
    def counts_exposure(self) -> bool:
        """Whether it is known how often surfaces showed an item lately."""
        return len(self.log_exposure_SI) > 0

    def codes(self, asked: Conditions) -> Tensor:
        """One-hot codes [N, S + A] of what the learned biases depend on."""
        codes = ((self.surface_SI, asked.surface_N), (self.action_AI, asked.action_N))
        return torch.cat([F.one_hot(code_N, len(table)) for table, code_N in codes if table is not None], dim=1).float()

    def of(self, item_P: Tensor) -> Tensor:
        """Learned biases [S + A, P] of items."""
        rows = [gather(table, torch.arange(len(table))[:, None], item_P) for table in self.tables]
        return torch.cat(rows) * self.known_I[item_P]

    def paired(self, asked: Conditions, item_NK: Tensor) -> Tensor:
        """Learned bias [N, K] of items that each query has for itself."""
        codes = ((self.surface_SI, asked.surface_N), (self.action_AI, asked.action_N))
        added = [gather(table, code_N[:, None], item_NK) for table, code_N in codes if table is not None]
        return sum(added, torch.zeros(item_NK.shape)) * self.known_I[item_NK]

    def columns(self, surface: int, exposure: float) -> Tensor:
        """What continues the items' vectors in the index of a surface, [I, E]: its bias, counted exposure with the
        given weight included, and one column per action."""
        columns = []
        if self.surface_SI is not None or self.counts_exposure:
            bias_I = torch.zeros(len(self.known_I)) if self.surface_SI is None else self.surface_SI[surface]
            counted_I = self.log_exposure_SI[surface] if self.counts_exposure else torch.zeros(())
            columns.append((bias_I + exposure * counted_I)[:, None])
        if self.action_AI is not None:
            columns.append(self.action_AI.T)
        return torch.cat([torch.zeros(len(self.known_I), 0), *columns], dim=1) * self.known_I[:, None]

    def continued(self, vector_MD: np.ndarray, action_M: np.ndarray) -> np.ndarray:
        """Queries for actions, continued so that they meet `columns`, [M, D + E]."""
        parts = [vector_MD]
        if self.surface_SI is not None or self.counts_exposure:
            parts.append(np.ones((len(vector_MD), 1), np.float32))
        if self.action_AI is not None:
            parts.append(np.eye(len(self.action_AI), dtype=np.float32)[action_M])
        return np.concatenate(parts, axis=1)
