"""What a query is asked for. Suffix: N queries."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Conditions(NamedTuple):
    """The conditions of each query, int64."""

    action_N: Tensor  # bit number
    surface_N: Tensor  # code
    offset_N: Tensor  # time-offset bucket, 0 = "now"; zeros when the model has no offsets
