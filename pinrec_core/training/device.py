"""Where a model is trained: on a CUDA device if there is one. (What runs there has not been measured yet.)"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


def training_device() -> torch.device:
    """The current CUDA device if there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


@contextlib.contextmanager
def trained_on(device: torch.device, model: torch.nn.Module) -> Iterator[None]:
    """Within: the model is on the device, and so is every tensor that is made without saying where. After: on the CPU.

    On the CPU this does nothing: torch would pay for every call, to arrive where it is.
    """
    if device.type == "cpu":
        yield
        return
    try:
        with device:
            yield model.to(device)
    finally:
        model.to("cpu")
