"""What computes a generation: torch, or onnxruntime on the graph that a release carries. One call, one answer.

All engines are the same function (model.generation.Generation) of the same arrays; int8 is nearly so, and a release's
verification measures by how much.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from pinrec_core.config import EngineKind
from pinrec_core.errors import IntegrityError
from pinrec_core.model.generation import Asked, Generation, Past, Tokens
from pinrec_core.model.pinrec import PinRec
from pinrec_core.retrieval.export import OUTPUTS, export, quantize

GRAPHS = {EngineKind.ONNX: "generation.onnx", EngineKind.INT8: "generation.int8.onnx"}


class Inputs(NamedTuple):
    """What is computed in one call: numpy arrays of the shapes that the fields' names tell."""

    tokens: Tokens
    past: Past
    asked: Asked


class Computed(NamedTuple):
    """What comes of it."""

    vector_BQD: np.ndarray  # float32, unit
    memory_BNHTS: np.ndarray  # what the new tokens add to the memory


class Engine(Protocol):
    """Computes generations of one model and number of steps; calls do not change it."""

    kind: EngineKind

    def __call__(self, inputs: Inputs) -> Computed:
        """Query vectors and memory."""
        ...


class TorchEngine:
    """The model as it is."""

    kind = EngineKind.TORCH

    def __init__(self, model: PinRec, steps: int):
        self.generation = Generation(model, steps)

    @torch.inference_mode()
    def __call__(self, inputs: Inputs) -> Computed:
        """Query vectors and memory."""
        parts = (type(part)(*(torch.from_numpy(column) for column in part)) for part in inputs)
        return Computed(*(tensor.numpy() for tensor in self.generation(*parts)))


class OnnxEngine:
    """An exported graph in onnxruntime, on one thread: serving runs one request, or batch, per thread."""

    def __init__(self, path: Path, kind: EngineKind):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  # its own classes derive from RuntimeError or from nothing nameable
            raise IntegrityError(f"{path}: not a graph that onnxruntime can run ({error}); build the release again") \
                from error
        self.kind = kind

    def __call__(self, inputs: Inputs) -> Computed:
        """Query vectors and memory."""
        feeds = {name: column for part in inputs for name, column in zip(part._fields, part, strict=True)}
        return Computed(*self.session.run(OUTPUTS, feeds))


def write_graphs(model: PinRec, steps: int, folder: Path) -> None:
    """Write the graphs of a model's generation into an existing folder."""
    export(Generation(model, steps), folder / GRAPHS[EngineKind.ONNX])
    quantize(folder / GRAPHS[EngineKind.ONNX], folder / GRAPHS[EngineKind.INT8])


def open_engine(kind: EngineKind, model: PinRec, steps: int, folder: Path) -> Engine:
    """The engine of a kind over what `write_graphs` wrote. Raises IntegrityError for an unreadable or missing graph."""
    return TorchEngine(model, steps) if kind is EngineKind.TORCH else OnnxEngine(folder / GRAPHS[kind], kind)


def kinds_in(folder: Path) -> list[EngineKind]:
    """The engines a folder has what they need for; torch needs nothing."""
    return [EngineKind.TORCH, *(kind for kind, name in GRAPHS.items() if (folder / name).is_file())]
