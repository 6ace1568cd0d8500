"""What one pass over histories leaves behind, for queries to be made from and for generated tokens to go on from.

Suffixes: B batch, T history tokens, W width, L columns (start token, T tokens, room), H heads, S head width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from pinrec_core.data.batch import HistoryBatch
from pinrec_core.model.attention import NOWHERE, Places


@dataclass
class States:
    """Hidden states of every token, and the keys and values by which later tokens and queries attend to them.

    Column 0 is the start token and answers an empty history, column t answers one of t tokens. `room` empty columns at
    the end take generated tokens, which are written in place.
    """

    places: Places  # of all columns
    masked_BT: Tensor  # bool: this token's action was hidden from the model (training only)
    last_B: Tensor  # column of each row's newest token
    used: int  # columns filled so far, padding included
    hidden_BLW: Tensor | None = None
    keys: list[Tensor] = field(default_factory=list)  # per block [B, H, L, S]
    values: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, batch: HistoryBatch, masked_BT: Tensor, room: int) -> States:
        """Empty states for a batch, with room for generated tokens."""
        used = batch.item_BT.shape[1] + 1
        column_L = torch.arange(used + room)
        position_BL = torch.where(column_L <= batch.length_B[:, None], column_L, NOWHERE)
        return cls(Places(position_BL, F.pad(batch.time_BT, (1, room))), masked_BT, batch.length_B.clone(), used)

    @property
    def last(self) -> Places:
        """Place [B] of each row's newest token."""
        return self.places.at(torch.arange(len(self.last_B)), self.last_B)

    def append(self, time_B: Tensor) -> Places:
        """Take the next free column for one more token per row; returns its place [B, 1]."""
        position_B = self.last.position_BL + 1
        column, self.used = self.used, self.used + 1
        self.places.position_BL[:, column], self.places.time_BL[:, column] = position_B, time_B
        self.last_B = torch.full_like(self.last_B, column)
        return Places(position_B[:, None], time_B[:, None])

    def store(self, block: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a block's keys and values of the newest columns; returns those of all columns to attend to."""
        if block == len(self.keys):  # the history itself: attend to the fresh ones, which have no room at their end
            self.keys.append(self._with_room(key))
            self.values.append(self._with_room(value))
            return key, value
        self.keys[block][:, :, self.used - 1] = key[:, :, 0]
        self.values[block][:, :, self.used - 1] = value[:, :, 0]
        return self.keys[block], self.values[block]

    def store_hidden(self, hidden_BQW: Tensor) -> None:
        """Keep the hidden states of the newest columns."""
        if self.hidden_BLW is None:
            self.hidden_BLW = self._with_room(hidden_BQW)
        else:
            self.hidden_BLW[:, self.used - 1] = hidden_BQW[:, 0]

    def _with_room(self, x: Tensor) -> Tensor:
        room = self.places.position_BL.shape[1] - x.shape[-2]
        return F.pad(x, (0, 0, 0, room)) if room else x
