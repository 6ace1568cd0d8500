"""Which matrix products of a step are made in bfloat16, and sizes that such products are made for.

On a CPU a product in bfloat16 is compiled for its very shape (oneDNN): the first of a shape takes milliseconds, and
what is compiled is kept, megabytes for a large weight gradient. So rows are rounded up to a multiple of ROUND, a few
shapes altogether, and products over the tokens and queries of a batch, whose numbers follow the lengths of the
histories, stay in float32 there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pinrec_core.config import Precision, TrainConfig

ROUND = 128  # rows


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


def missing(rows: int) -> int:
    """How many rows are missing from a round number of them."""
    return -rows % ROUND


def round_up(index_N: Tensor) -> Tensor:
    """The given indices, the last one repeated until their number is round."""
    return F.pad(index_N, (0, missing(len(index_N))), value=int(index_N[-1])) if len(index_N) else index_N
