"""Time as numbers: absolute time on fixed periods, the gap to the previous event on log-spaced ones (paper section 1).

The two longest periods exceed what most logs cover, so on them time runs one way: they tell an old fashion from a new.

Suffixes: P fixed periods, G gap frequencies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pinrec_core.config import ModelConfig

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PERIODS_MS = (HOUR_MS // 4, HOUR_MS, DAY_MS, 7 * DAY_MS, 91 * DAY_MS, 365 * DAY_MS, 4 * 365 * DAY_MS, 16 * 365 * DAY_MS)
GAP_FREQUENCIES = 8
LONGEST_GAP_S = 90 * 86_400.0


class TimeFeatures(nn.Module):
    """Absolute-time sinusoids (sin, cos per period); gap cosines with learnable phase, and log gap; each can be off."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.absolute, self.relative = config.absolute_time, config.relative_time
        self.width = self.absolute * 2 * len(PERIODS_MS) + self.relative * (GAP_FREQUENCIES + 1)
        self.register_buffer("periods_P", torch.tensor(PERIODS_MS), persistent=False)
        exponents = torch.linspace(math.log(10.0), math.log(LONGEST_GAP_S), GAP_FREQUENCIES)
        self.register_buffer("frequencies_G", 2 * math.pi / exponents.exp(), persistent=False)
        if self.relative:
            self.phases_G = nn.Parameter(torch.zeros(GAP_FREQUENCIES))

    def forward(self, time: Tensor, previous: Tensor) -> Tensor:
        """Features [..., width] of times and the times before them (UTC ms, int64; 0 = there is none before)."""
        parts = [time.new_empty(*time.shape, 0, dtype=torch.float32)]
        if self.absolute:
            # The remainder is taken on integers: float32 could not hold milliseconds since 1970.
            phase = (time[..., None] % self.periods_P).float() / self.periods_P * (2 * math.pi)
            parts += [phase.sin(), phase.cos()]
        if self.relative:
            gap_s = torch.where(previous > 0, (time - previous).clamp(min=0), 0).float() / 1000
            gap_s = gap_s.clamp(max=LONGEST_GAP_S)[..., None]
            waves = torch.cos(gap_s * self.frequencies_G + self.phases_G)
            parts += [waves, torch.log1p(gap_s) / math.log1p(LONGEST_GAP_S)]
        return torch.cat(parts, dim=-1)
