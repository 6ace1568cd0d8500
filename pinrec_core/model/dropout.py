"""Dropout whose masks are cheap on a CPU.

torch draws one number per element, which there takes longer than most layers of this model. Here four elements share
one draw of 64 bits, 16 bits each: the share is exact to 1 / 65,536, and the scale is that of the share there is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LEVELS = 1 << 16  # values of 16 bits


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p), while training; else x itself."""
    if not (training and p) or x.device.type != "cpu":
        return F.dropout(x, p, training)
    dropped = round(p * _LEVELS)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    drawn = bits.view(torch.int16)[:x.numel()].view(x.shape)  # uniform over [-2^15, 2^15)
    kept = (drawn >= dropped - _LEVELS // 2).to(x.dtype) if dropped < _LEVELS else torch.zeros_like(x)
    return x * kept.mul_(_LEVELS / max(_LEVELS - dropped, 1))
