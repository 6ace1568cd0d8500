"""The index part of a release: its setting, what is told of it, and the floor it must reach."""

from __future__ import annotations

import json

import pytest

from pinrec_core.config import IndexConfig
from pinrec_core.errors import ConfigError, PinrecError
from pinrec_core.manifest import read_manifest
from pinrec_core.release.load import load_release
from pinrec_core.release.replay import verify

from .world import build


@pytest.mark.parametrize("config", [IndexConfig(kind="ivf", min_ann_recall=0.9), IndexConfig(kind="hnsw")])
def test_an_approximate_index_is_set_to_the_recall_it_needs(world, verdicts, tmp_path, config):
    release_id = build(world, verdicts["first"], tmp_path, "home", index=config)
    folder = tmp_path / "releases" / release_id
    told, curve = (json.loads((folder / "index" / name).read_text()) for name in ("index.json", "curve.json"))
    assert "index/curve.json" not in read_manifest(folder, "release").files
    assert load_release(folder, release_id).retriever.index.setting == told["search"]["setting"] == curve["setting"]
    assert [(rung["setting"], rung["recall"]) for rung in curve["curve"]] == \
        [(rung["setting"], rung["recall"]) for rung in told["search"]["curve"]]
    chosen = next(rung for rung in curve["curve"] if rung["recall"] >= config.min_ann_recall)
    assert chosen["setting"] == told["search"]["setting"] and 0 < chosen["p50_ms"] <= chosen["p99_ms"]
    size = sum((folder / "index" / name).stat().st_size for name in ("index.faiss", "items.npy"))
    assert told["memory"]["bytes"] == size and told["memory"]["bytes_per_item"] == pytest.approx(size / 120, abs=0.1)
    assert told["memory"]["estimated_bytes"] == pytest.approx(size, rel=0.15)
    found = verify(folder, release_id, world / "dataset", config)
    assert found.passed
    (recall,) = [check for check in found.checks if check.name == "ann_recall"]
    assert recall.observed == pytest.approx(chosen["recall"], abs=1e-4), "verification asks the same queries again"


def test_milliseconds_are_no_part_of_the_fingerprint(world, verdicts, tmp_path):
    config, curves = IndexConfig(kind="ivf"), []
    ids = [build(world, verdicts["first"], tmp_path / name, "home", index=config) for name in "ab"]
    for name in "ab":
        curves.append((tmp_path / name / "releases" / ids[0] / "index" / "curve.json").read_text())
    assert ids[0] == ids[1] and curves[0] != curves[1]


def test_an_exact_index_has_no_curve(registry, releases, tmp_path):
    folder = tmp_path / "registry" / "releases" / releases["first"][0] / "index"
    assert json.loads((folder / "index.json").read_text())["search"] is None
    assert sorted(path.name for path in folder.iterdir()) == ["index.faiss", "index.json", "items.npy"]


def test_a_recall_floor_out_of_reach_fails_the_release_with_the_curve(world, verdicts, tmp_path):
    config = IndexConfig(kind="ivf", codes="sq8", min_ann_recall=1.0)
    with pytest.raises(PinrecError) as error:
        build(world, verdicts["first"], tmp_path, "home", index=config)
    for setting in (1, 2, 3):  # 120 items are enough for three cells
        assert f"nprobe {setting}: recall@100 0." in str(error.value)
    assert "set index.kind = 'flat', or lower index.min_ann_recall" in str(error.value)
    assert not (tmp_path / "releases").exists()


def test_an_index_over_its_memory_bound_is_not_built(world, verdicts, tmp_path):
    with pytest.raises(ConfigError, match="index.max_memory_mb is 0.001"):
        build(world, verdicts["first"], tmp_path, "home", index=IndexConfig(max_memory_mb=0.001))
