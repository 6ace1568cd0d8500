"""Which matrix products of a step are made in bfloat16.

On a CPU a product in bfloat16 is compiled for its very shape (oneDNN): the first of a shape takes milliseconds, and
what is compiled is kept, megabytes for a large weight gradient. So items are rounded up to a few numbers (see
model/rows.py), and products over the tokens and queries of a batch, whose numbers follow the lengths of the histories,
stay in float32 there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from pinrec_core.config import Precision, TrainConfig


@dataclass(frozen=True)
class Products:
    """The type of the products of a training run, as contexts to make them in."""

    device: str
    kind: torch.dtype

    @classmethod
    def of(cls, config: TrainConfig, device: torch.device) -> Products:
        """As configured."""
        return cls(device.type, torch.bfloat16 if config.precision is Precision.BFLOAT16 else torch.float32)

    def rounded(self) -> contextlib.AbstractContextManager:
        """For products whose number of rows has been rounded up: those of the item encoder."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.kind is torch.bfloat16)

    def ragged(self) -> contextlib.AbstractContextManager:
        """For products over the tokens and queries of a batch."""
        return contextlib.nullcontext() if self.device == "cpu" else self.rounded()
