"""Invented evaluations for the gate, and a small real world (dataset, models, evaluations, releases) for the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from object_storage import bucket_server

from pinrec_core.manifest import write_manifest
from pinrec_core.release.gate import gate
from pinrec_core.release.verdict import Decision

from .world import LOG, build, evaluate_model, gate_config, item_table, verify_here, write_dataset, write_model


def statistic(value: float, n: int = 100, spread: float = 0.02) -> dict:
    return {"value": value, "low": value - spread, "high": value + spread, "n": n}


@pytest.fixture
def make_evaluation(tmp_path):
    """Write an evaluation directory: make(surface, recall, n=..., live=..., **overrides of evaluation.json)."""

    def make(surface: str, recall: float = 0.5, *, n: int = 100, live: dict | None = None, name: str = "",
             **overrides) -> Path:
        folder = tmp_path / (name or f"evaluation-{surface}")
        folder.mkdir()
        content = {"surface": surface, "n_users": n, "n_targets": 2 * n,
                   "metrics": {"recall@10": statistic(recall, n), "recall@50": statistic(recall + 0.1, n)},
                   "by_action": {"click": {"recall@10": statistic(recall, n)}}, "by_split": {},
                   "rows": [{"name": "popularity", "recall@10": 0.2, "n": n}],
                   "best_baseline": {"recall@10": {"name": "popularity", "value": 0.2}},
                   "model_path": f"/models/{surface}", "live": live} | overrides
        (folder / "evaluation.json").write_text(json.dumps(content))
        pq.write_table(pa.table({"user_id": ["a", "b"], "recall@10": [recall, recall]}), folder / "per_user.parquet")
        write_manifest(folder, kind="evaluation", parents={"model": "m" * 64, "dataset": "d" * 64})
        return folder

    return make


@pytest.fixture
def live_comparison():
    """The `live` part of an evaluation: compare(live value, difference, low, high, n)."""

    def compare(value: float, difference: float, low: float, high: float, n: int = 100) -> dict:
        return {"release_id": "r" * 64, "metrics": {"recall@10": statistic(value, n)},
                "difference": {"recall@10": {"value": difference, "low": low, "high": high, "n": n}}}

    return compare


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """A folder with a real dataset, untrained models (two of home, one of search), and their real evaluations.

    The models of home own transitions, that of search none.
    """
    folder = tmp_path_factory.mktemp("world")
    items = item_table()
    write_dataset(folder / "dataset", items)
    for seed, (name, surface) in enumerate((("home", "home"), ("search", "search"), ("home2", "home"))):
        write_model(folder / f"model-{name}", items, seed, folder / "dataset", transitions=surface == "home")
        evaluate_model(folder, name, surface)
    return folder


@pytest.fixture(scope="session")
def verdicts(world) -> dict[str, Path]:
    """Verdicts that pass both surfaces: "first" over home and search, "second" over home2 and search."""
    for name, home in (("first", "home"), ("second", "home2")):
        evaluations = [world / f"evaluation-{home}", world / "evaluation-search"]
        assert gate(evaluations, world / f"verdict-{name}", gate=gate_config()).decision is Decision.PROMOTE
    return {name: world / f"verdict-{name}" for name in ("first", "second")}


@pytest.fixture(scope="session")
def verified(world, verdicts) -> tuple[Path, dict[str, list[str]]]:
    """A registry with the verified releases of both verdicts, nothing live: (registry, verdict -> [home, search])."""
    registry = world / "registry"
    releases = {name: [build(world, verdict, registry, surface) for surface in LOG.surfaces]
                for name, verdict in verdicts.items()}
    for release_id in (*releases["first"], *releases["second"]):
        verify_here(world, registry, release_id)
    return registry, releases


@pytest.fixture
def registry(verified, tmp_path) -> str:
    """A copy of that registry that a test may change."""
    shutil.copytree(verified[0], tmp_path / "registry")
    return str(tmp_path / "registry")


@pytest.fixture
def releases(verified) -> dict[str, list[str]]:
    """Verdict name -> ids of its home and search release."""
    return verified[1]


@pytest.fixture
def bucket() -> Iterator[str]:
    """A bucket on a fresh local server that honours preconditions."""
    with bucket_server("registry"):
        yield "gs://registry/pinrec"
