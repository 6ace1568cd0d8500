"""The exported graphs are the same function as the model, whatever the sizes of a call; equal models, equal files."""

import numpy as np
import pytest

from pinrec_core.config import EngineKind, GenerationConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.retrieval import export as export_module
from pinrec_core.retrieval.engine import GRAPHS, kinds_in, open_engine, write_graphs
from pinrec_core.retrieval.generate import Generator
from pinrec_core.retrieval.plan import Question
from pinrec_core.retrieval.prefixes import PrefixCache

from .conftest import OFFSETS_S, untrained

GENERATION = GenerationConfig(steps=3)


SWITCHES = {"head": {"conditioning": "outcome"}, "backbone": {"conditioning": "backbone", "offsets_s": OFFSETS_S}}


@pytest.fixture(scope="session", params=SWITCHES.values(), ids=SWITCHES)
def exported(request, tmp_path_factory):
    """A model and the folder of its graphs."""
    model, folder = untrained(**request.param), tmp_path_factory.mktemp("engine")
    write_graphs(model, GENERATION.steps, folder)
    return model, folder


def queries(model, engine, histories, shares, prefixes=None):
    times = np.array([(past.time_T[-1] if len(past.time_T) else 0) + 5000 for past in histories])
    generate = Generator(model, GENERATION, model.search_vectors("home").numpy(), engine, prefixes)
    return [generate(histories, Question("home", shares, times)).vector_BQD for _ in range(2)]


@pytest.mark.parametrize("shares", [{"click": 1.0}, {"click": 0.5, "save": 0.3, "share": 0.2}])
@pytest.mark.parametrize("some", [slice(0, 1), slice(11, 12), slice(0, 24), slice(1, 2)])
@pytest.mark.parametrize("kind, alike", [(EngineKind.ONNX, 1 - 1e-6), (EngineKind.INT8, 0.97)])
def test_engines_agree_with_torch(exported, histories, kind, alike, some, shares):
    """By the cosine of their queries, which rounding to 8 bits changes most in the last steps."""
    model, folder = exported
    wanted = queries(model, None, histories[some], shares)[0]
    engine = open_engine(kind, model, GENERATION.steps, folder)
    for found in queries(model, engine, histories[some], shares, PrefixCache(8)):  # read anew, then from memory
        assert found.shape == wanted.shape and (found * wanted).sum(axis=2).mean() > alike
        assert np.linalg.norm(found, axis=2) == pytest.approx(np.ones(found.shape[:2]), abs=1e-5)


def test_int8_is_smaller_and_not_the_same(exported, histories):
    model, folder = exported
    sizes = {kind: (folder / name).stat().st_size for kind, name in GRAPHS.items()}
    assert sizes[EngineKind.INT8] < sizes[EngineKind.ONNX]
    exact, rounded = (queries(model, open_engine(kind, model, 3, folder), histories, {"click": 1.0})[0]
                      for kind in GRAPHS)
    assert not np.array_equal(exact, rounded)
    assert kinds_in(folder) == [EngineKind.TORCH, EngineKind.ONNX, EngineKind.INT8]


def test_equal_models_give_equal_files_traced_anew_or_not(exported, tmp_path, monkeypatch):
    model, folder = exported
    for name, traced in (("again", export_module._traced), ("anew", {})):
        monkeypatch.setattr(export_module, "_traced", traced)
        (tmp_path / name).mkdir()
        write_graphs(model, GENERATION.steps, tmp_path / name)
        for graph in GRAPHS.values():
            assert (tmp_path / name / graph).read_bytes() == (folder / graph).read_bytes()
    assert b".py" not in (folder / GRAPHS[EngineKind.ONNX]).read_bytes()  # nothing of the sources and their places


def test_another_model_of_the_architecture_has_its_own_weights(exported, histories, tmp_path):
    model, _ = exported
    other = untrained(conditioning=model.config.conditioning, offsets_s=model.config.offsets_s)
    other.token.weight.data *= -1
    write_graphs(other, GENERATION.steps, tmp_path)
    wanted = queries(other, None, histories, {"click": 1.0})[0]
    found = queries(other, open_engine(EngineKind.ONNX, other, 3, tmp_path), histories, {"click": 1.0})[0]
    first = queries(model, None, histories, {"click": 1.0})[0]
    assert np.abs(found - wanted).max() < 1e-5 < np.abs(wanted - first).max()


def test_a_damaged_or_missing_graph_is_refused(exported, tmp_path):
    model, folder = exported
    assert kinds_in(tmp_path) == [EngineKind.TORCH]
    with pytest.raises(IntegrityError, match="generation.onnx.*build the release again"):
        open_engine(EngineKind.ONNX, model, 3, tmp_path)
    (tmp_path / GRAPHS[EngineKind.INT8]).write_bytes((folder / GRAPHS[EngineKind.INT8]).read_bytes()[:5000])
    with pytest.raises(IntegrityError, match="int8"):
        open_engine(EngineKind.INT8, model, 3, tmp_path)
