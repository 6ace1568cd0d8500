"""A pickle in place of weights, arrays or an index is refused before anything reads it, whatever the hashes say."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import faiss
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pinrec_core.config import EngineKind
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import write_manifest
from pinrec_core.model.io import load_model
from pinrec_core.release.load import load_release
from pinrec_core.release.operations.audit import audit
from pinrec_core.retrieval.engine import open_engine
from pinrec_core.retrieval.index import ItemIndex

from .world import reseal


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def pickled(trap: Trap) -> bytes:
    return pickle.dumps(trap)


def objects(trap: Trap) -> bytes:
    """A .npy file of objects."""
    file = io.BytesIO()
    np.save(file, np.array([trap], dtype=object), allow_pickle=True)
    return file.getvalue()


def object_archive(trap: Trap) -> bytes:
    """A .npz file of objects."""
    file = io.BytesIO()
    np.savez(file, offsets=np.array([trap], dtype=object))
    return file.getvalue()


def archive_with(name: str, data: bytes = b""):
    """A maker of an archive with one member."""

    def make(trap: Trap) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, data or objects(trap))
        return file.getvalue()

    return make


CASES = [
    ("model/weights.safetensors", pickled, "refused, not .safetensors"),
    ("index/vectors.npy", pickled, "refused, not .npy"),
    ("index/vectors.npy", objects, "refused, an array of pickled objects"),
    ("index/items.npy", objects, "refused, an array of pickled objects"),
    ("model/transitions.npz", pickled, "refused, not .npz"),
    ("model/transitions.npz", object_archive, "refused, its member 'offsets.npy' is an array of pickled objects"),
    ("model/transitions.npz", archive_with("../../../aliases.json"), "its member '../../../aliases.json' points outs"),
    ("model/transitions.npz", archive_with("/etc/x.npy"), "its member '/etc/x.npy' points outside"),
    ("model/transitions.npz", archive_with("code.py", b"x"), "its member 'code.py' is no array"),
    ("histories.parquet", pickled, "refused, not .parquet"),
    ("index/index.faiss", pickled, "not a readable item index"),
    ("model/weights.pt", pickled, r"holds no .pt files, but .*\.safetensors.*: weights are data, never code"),
]


@pytest.mark.parametrize(("name", "make", "message"), CASES)
def test_it_is_refused_even_if_every_hash_was_made_to_hold(registry, releases, tmp_path, name, make, message):
    trap = tmp_path / "sprung"
    folder = Path(registry, "releases", releases["first"][0])
    (folder / name).write_bytes(make(Trap(trap)))
    model = write_manifest(folder / "model", kind="model").fingerprint
    described = json.loads((folder / "index" / "index.json").read_text())
    (folder / "index" / "index.json").write_text(json.dumps(described | {"model_fingerprint": model}))
    new = reseal(folder, model_fingerprint=model)
    folder = folder.rename(folder.with_name(new.fingerprint))
    with pytest.raises(IntegrityError, match=message):
        load_release(folder, new.fingerprint)
    assert not trap.exists()
    if "refused" in message:
        assert any(one.where == new.fingerprint and "refused" in one.problem for one in audit(registry))
    assert not trap.exists()


@pytest.mark.parametrize(("name", "make"), [("weights.safetensors", pickled), ("transitions.npz", pickled),
                                            ("transitions.npz", object_archive)])
def test_a_model_directory_is_no_way_in_either(registry, releases, tmp_path, name, make):
    folder = Path(registry, "releases", releases["first"][0], "model")
    (folder / name).write_bytes(make(Trap(tmp_path / "sprung")))
    write_manifest(folder, kind="model")
    with pytest.raises(IntegrityError, match="weights are no plain data of the expected kind"):
        load_model(folder)
    assert not (tmp_path / "sprung").exists()


def test_an_index_that_reads_a_file_outside_of_it_is_refused(tmp_path):
    vectors_ND = np.random.default_rng(0).random((200, 8), np.float32)
    index = faiss.index_factory(8, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors_ND)
    outside = faiss.OnDiskInvertedLists(4, index.code_size, str(tmp_path / "outside.lists"))
    index.replace_invlists(outside, False)
    index.add(vectors_ND)
    (tmp_path / "index").mkdir()
    ItemIndex(index, np.arange(200)).save(tmp_path / "index")
    with pytest.raises(IntegrityError, match="keeps its vectors in a file outside of it"):
        ItemIndex.load(tmp_path / "index")


def test_a_graph_that_reads_a_file_outside_of_its_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(np.ones(4, np.float32).tobytes())
    (tmp_path / "engine").mkdir()
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../secret")
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "engine" / "generation.onnx").write_bytes(model.SerializeToString())
    assert onnx.load(tmp_path / "engine" / "generation.onnx", load_external_data=False).graph.initializer
    with pytest.raises(IntegrityError, match="escapes model directory"):
        open_engine(EngineKind.ONNX, None, 1, tmp_path / "engine")
