"""What a query is asked for: an outcome on a surface, at an offset from now (paper section 2).

Suffixes: N queries, C width of the condition.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pinrec_core.config import Conditioning, LogConfig, ModelConfig


class Conditions(NamedTuple):
    """One wanted outcome per query."""

    action_N: Tensor  # bit number of the wanted action
    surface_N: Tensor  # code of the surface it is to happen on
    offset_N: Tensor  # bucket of the time until it happens, 0 = now; 0 everywhere in a model without offsets


def elapsed_offset(last_ms: Tensor, asked_ms: Tensor, ahead_s: Tensor | float, offsets_s: tuple[float, ...]) -> Tensor:
    """Offset bucket, in the shape of its arguments, of what is to happen `ahead_s` after it is asked for.

    Offsets are trained as the gap from a history's last token, so the time that has passed since then is part of them;
    behind an empty history (time 0) none has.
    """
    passed_s = torch.where(last_ms > 0, (asked_ms - last_ms).clamp(min=0), 0) / 1000
    return (torch.tensor(offsets_s, dtype=passed_s.dtype) <= (passed_s + ahead_s)[..., None]).sum(dim=-1)


class ConditionEmbedding(nn.Module):
    """Learned embeddings of the parts of a condition that the model is told of, side by side."""

    def __init__(self, config: ModelConfig, log: LogConfig):
        super().__init__()
        sizes = {}
        if config.conditioning is not Conditioning.NONE:
            sizes |= {"action_N": len(log.action_names), "surface_N": len(log.surface_names)}
        if config.offsets_s:
            sizes |= {"offset_N": len(config.offsets_s) + 1}
        self.tables = nn.ModuleDict({part: nn.Embedding(size, config.width) for part, size in sizes.items()})
        self.width = config.width * len(sizes)  # 0 = unconditioned
        for table in self.tables.values():
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, conditions: Conditions) -> Tensor:
        """Embeddings [N, C] of conditions; C is 0 in a model that is told nothing."""
        parts = [table(getattr(conditions, part)) for part, table in self.tables.items()]
        return torch.cat(parts, dim=-1) if parts else torch.empty(len(conditions.action_N), 0)
