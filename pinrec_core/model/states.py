"""What one pass over histories leaves behind, for queries to be made from.

Suffixes: B batch, T history tokens, W width, L columns (start token, T tokens), H heads, S head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pinrec_core.data.batch import HistoryBatch
from pinrec_core.model.attention import NOWHERE, Places


@dataclass
class States:
    """Hidden states of every token, and the keys and values by which queries of a conditioned block attend to them.

    Column 0 is the start token and answers an empty history, column t answers one of t tokens.
    """

    places: Places  # of all columns
    masked_BT: Tensor  # bool: this token's action was hidden from the model (training only)
    last_B: Tensor  # column of each row's newest token
    hidden_BLW: Tensor | None = None
    key_value: tuple[Tensor, Tensor] | None = None  # of the conditioned block, each [B, H, L, S]

    @classmethod
    def of(cls, batch: HistoryBatch, masked_BT: Tensor) -> States:
        """Empty states for a batch."""
        column_L = torch.arange(batch.item_BT.shape[1] + 1)
        position_BL = torch.where(column_L <= batch.length_B[:, None], column_L, NOWHERE)
        return cls(Places(position_BL, F.pad(batch.time_BT, (1, 0))), masked_BT, batch.length_B)

    @property
    def last(self) -> Places:
        """Place [B] of each row's newest token."""
        return self.places.at(torch.arange(len(self.last_B)), self.last_B)
