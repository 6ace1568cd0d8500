"""Which engine serves: every engine is tried on replayed requests; what loses too much recall is passed over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pinrec_core.config import EngineKind, IndexConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.registry import verification_path
from pinrec_core.release import engines
from pinrec_core.release.answer import answer
from pinrec_core.release.checks import verify
from pinrec_core.release.engines import chosen_engine
from pinrec_core.release.load import load_release, load_verified
from pinrec_core.release.provenance.built import write_built
from pinrec_core.release.replay import ask_again
from pinrec_core.release.verification import EngineTrial, Verification
from pinrec_core.schemas import NO_ITEM
from pinrec_core.storage import write_bytes

from .world import GENERATION, build, reseal

KINDS = [EngineKind.TORCH, EngineKind.ONNX, EngineKind.INT8]


@pytest.fixture(scope="module")
def exported(world, verdicts, tmp_path_factory) -> tuple[Path, str]:
    """A registry with a release that carries its graphs."""
    registry = tmp_path_factory.mktemp("exported")
    generation = GENERATION.model_copy(update={"engine": EngineKind.AUTO})
    return registry, build(world, verdicts["first"], registry, "home", generation=generation)


def verified(world, exported, **index) -> Verification:
    registry, release_id = exported
    return verify(registry / "releases" / release_id, release_id, world / "dataset", IndexConfig(**index))


def trial(kind: EngineKind, p50_ms: float, passed: bool = True) -> EngineTrial:
    return EngineTrial(kind=kind, p50_ms=p50_ms, p99_ms=p50_ms, loss=0, limit=0, n=1, passed=passed, sentence="")


def test_every_engine_is_tried_and_the_fastest_that_passes_serves(world, exported):
    found = verified(world, exported)
    assert found.passed and [trial.kind for trial in found.engines] == KINDS
    exact = found.engines[1]
    assert exact.passed and exact.loss == 0 and exact.n == found.engines[0].n > 20
    assert found.engine is min((t for t in found.engines if t.passed), key=lambda t: t.p50_ms).kind
    assert found.measured["p50_ms"] == next(t.p50_ms for t in found.engines if t.kind is found.engine)


def test_an_engine_that_loses_recall_is_passed_over(world, exported, monkeypatch):
    """int8 here finds nothing."""
    def ask(retriever, asked):
        found = ask_again(retriever, asked)
        if retriever.generate.engine.kind is not EngineKind.INT8:
            return found
        return replace(found, item_RN=np.full_like(found.item_RN, NO_ITEM), latency_R=found.latency_R / 1000)

    monkeypatch.setattr(engines, "ask_again", ask)
    found = verified(world, exported)
    wrong = found.engines[2]
    assert wrong.loss > 0.005 and not wrong.passed and "more than 0.005" in wrong.sentence
    assert wrong.p50_ms == min(trial.p50_ms for trial in found.engines)
    assert found.passed and found.engine is not EngineKind.INT8  # torch remains, whatever fails


@pytest.mark.parametrize("wanted, chosen", [("auto", "onnx"), ("int8", "int8"), ("torch", "torch")])
def test_configured_or_fastest(wanted, chosen):
    trials = [trial(EngineKind.TORCH, 3.0), trial(EngineKind.ONNX, 2.0), trial(EngineKind.INT8, 1.0, passed=False)]
    assert chosen_engine(EngineKind(wanted), trials) is EngineKind(chosen)


def test_a_configured_engine_without_its_graph_fails_the_release(world, verdicts, tmp_path):
    generation = GENERATION.model_copy(update={"engine": EngineKind.INT8})
    release_id = build(world, verdicts["first"], tmp_path, "home", generation=generation)
    folder = tmp_path / "releases" / release_id
    (folder / "engine" / "generation.int8.onnx").unlink()
    new = reseal(folder)
    found = verify(folder, new.fingerprint, world / "dataset", IndexConfig(verify_users=5))
    assert not found.passed and any("no graph for engine 'int8'" in reason for reason in found.reasons)


def test_a_verified_release_answers_on_its_engine_and_not_without_a_verification(world, exported):
    registry, release_id = exported
    folder = registry / "releases" / release_id
    with pytest.raises(IntegrityError, match="no verification"):
        load_verified(str(registry), release_id, folder)
    found = verified(world, exported, verify_users=10).model_copy(update={"engine": EngineKind.ONNX})
    write_bytes(verification_path(str(registry), release_id), found.model_dump_json().encode())
    loaded = load_verified(str(registry), release_id, folder, prefix_mb=4)
    assert loaded.retriever.generate.engine.kind is EngineKind.ONNX
    in_torch = answer(load_release(folder, release_id), "u003")
    for _ in range(2):  # read anew, then from what is known
        assert [item.item_id for item in answer(loaded, "u003")] == [item.item_id for item in in_torch]
    assert len(loaded.retriever.generate.prefixes) == 1


def test_vectors_that_are_not_those_of_the_weights_fail(world, exported, tmp_path):
    registry, release_id = exported
    folder = registry / "releases" / release_id
    path = folder / "index" / "vectors.npy"
    vectors_ID = np.load(path)
    before = path.read_bytes()
    try:
        vectors_ID[3, 0] += 0.1
        np.save(path, vectors_ID)
        text = (folder / "manifest.json").read_bytes()
        new = reseal(folder)
        found = verify(folder, new.fingerprint, world / "dataset", IndexConfig(verify_users=5))
        assert not found.passed and any("item vectors differ by at most 1.0e-01" in each for each in found.reasons)
        np.save(path, vectors_ID[:-1])
        new = reseal(folder)
        with pytest.raises(IntegrityError, match=r"vectors.npy: float32 of shape \(119"):
            load_release(folder, new.fingerprint)
    finally:
        path.write_bytes(before)
        (folder / "manifest.json").write_bytes(text)
        write_built(folder, release_id)
    assert json.loads(text)["files"]["engine/generation.onnx"]["size"] > 1000
