"""A release's generation as ONNX: float32, and int8 with the scale of each activation taken as it passes.

Tracing takes seconds and depends on the architecture alone, so that a process traces each once and puts every model's
weights in. Equal models give equal files: nothing of the exporting machine stays in them.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from pinrec_core.model.attention import NOWHERE
from pinrec_core.model.generation import Asked, Generation, Past, Tokens

FIELDS = (*Tokens._fields, *Past._fields, *Asked._fields)  # inputs of the graph, by name
OUTPUTS = ("vector_BQD", "memory_BNHTS")
_DYNAMIC = frozenset("BTPOF")  # dimensions that differ from call to call
_EXAMPLE = {"B": 2, "T": 3, "P": 4, "O": 2, "F": 2}  # torch.export takes sizes of 0 and 1 for constants
_FLOATS = frozenset({"vector_BTD", "taken_BTK", "memory_BNHPS", "ahead_F"})
_traced: dict[tuple, bytes] = {}  # graph of each architecture


def export(generation: Generation, path: Path) -> None:
    """Write the float32 graph."""
    import onnx
    from onnx import numpy_helper

    flat = _Flat(generation)
    graph = onnx.load_from_string(_graph_of(flat))
    named = (flat.named_parameters(remove_duplicate=False), flat.named_buffers(remove_duplicate=False))
    tensors = {name: tensor for part in named for name, tensor in part}
    for weights in (part for part in graph.graph.initializer if part.name in tensors):  # others are the configuration's
        weights.CopyFrom(numpy_helper.from_array(tensors[weights.name].detach().numpy(), weights.name))
    onnx.save(graph, str(path))


def quantize(source: Path, path: Path) -> None:
    """Write the same graph with int8 weights in its products; activations are rounded to 8 bits as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)  # it recommends what was just done
    try:
        with tempfile.TemporaryDirectory(prefix="pinrec-quantize-") as folder:
            prepared = Path(folder, "prepared.onnx")
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_dynamic(str(prepared), str(path), op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
                             weight_type=QuantType.QInt8)
    finally:
        root.setLevel(before)


class _Flat(nn.Module):
    """The same function of a flat list."""

    def __init__(self, generation: Generation):
        super().__init__()
        self.generation = generation

    def forward(self, *fields: Tensor) -> tuple[Tensor, Tensor]:
        tokens, past = len(Tokens._fields), len(Past._fields)
        return self.generation(Tokens(*fields[:tokens]), Past(*fields[tokens:tokens + past]),
                               Asked(*fields[tokens + past:]))


def _graph_of(flat: _Flat) -> bytes:
    """The traced graph of a model's architecture, with some model's weights."""
    model, steps = flat.generation.model, flat.generation.steps
    key = (model.config.model_dump_json(), len(model.log.surface_names), model.action.num_embeddings, steps)
    if key not in _traced:
        _traced[key] = _trace(flat)
    return _traced[key]


def _trace(flat: _Flat) -> bytes:
    example = _example(flat.generation)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            flat, tuple(example.values()), dynamo=True, optimize=False, verbose=False, input_names=list(FIELDS),
            output_names=list(OUTPUTS), dynamic_shapes=(tuple(_dynamic(name) for name in FIELDS),))
    graph = program.model_proto  # made anew at each look
    _forget_origin(graph)
    return graph.SerializeToString(deterministic=True)


def _shape(name: str) -> str:
    """The dimensions of a field, as its name tells."""
    return name.rsplit("_", 1)[1]


def _dynamic(name: str) -> dict[int, torch.export.Dim]:
    return {axis: torch.export.Dim.DYNAMIC for axis, letter in enumerate(_shape(name)) if letter in _DYNAMIC}


def _example(generation: Generation) -> dict[str, Tensor]:
    """Some inputs of the right shapes and kinds."""
    config = generation.model.config
    sizes = _EXAMPLE | {"D": config.item_dim, "K": generation.model.action.num_embeddings, "N": 2 * config.layers,
                        "H": config.heads, "S": config.width // config.heads, "G": generation.steps}
    example = {name: torch.zeros([sizes[letter] for letter in _shape(name)],
                                 dtype=torch.float32 if name in _FLOATS else torch.int64) for name in FIELDS}
    example["position_BP"] += torch.arange(1, sizes["P"] + 1)
    example["position_BT"] += torch.arange(sizes["T"]) + sizes["P"] + 1
    example["position_BT"][0, -1] = NOWHERE
    return example


def _forget_origin(model) -> None:
    """Drop what the exporter notes of source files and their places."""
    del model.metadata_props[:]
    for graph in (model.graph, *model.functions):
        for part in (graph, *graph.node, *graph.value_info, *getattr(graph, "initializer", ())):
            part.doc_string = ""
            del part.metadata_props[:]
