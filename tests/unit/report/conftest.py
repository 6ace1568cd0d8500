"""A run folder as the steps leave it: two surfaces, one judged good and one bad, with data and training beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinrec_core.config import GateConfig, Policy
from pinrec_core.manifest import write_manifest
from pinrec_core.release.gate import gate
from pinrec_core.report import run_folder


def _statistic(value: float, n: int) -> dict:
    return {"value": value, "low": value - 0.021, "high": value + 0.019, "n": n}


@pytest.fixture
def make_verdict(tmp_path):
    """Write a verdict directory over evaluations of the given surfaces: make({surface: recall}, policy, **gate)."""

    def make(recalls: dict[str, float], policy: Policy = Policy.ALL, name: str = "verdict", **settings) -> Path:
        folders = []
        for surface, recall in recalls.items():
            folder = tmp_path / f"{name}-evaluation-{surface}"
            folder.mkdir()
            content = {
                "surface": surface, "n_users": 812, "n_targets": 1700,
                "metrics": {"recall@10": _statistic(recall, 812)},
                "by_action": {"click": {"recall@10": _statistic(recall + 0.011, 640)},
                              "save": {"recall@10": _statistic(recall - 0.013, 171)}},
                "by_split": {"heldout": {"recall@10": _statistic(recall - 0.017, 41)}},
                "rows": [{"name": "PinRec", "recall@10": _statistic(recall, 812), "n": 812},
                         {"name": "<popular & new>", "recall@10": 0.2345, "n": 812}],
                "best_baseline": {"recall@10": {"name": "<popular & new>", "value": 0.2345}},
                "model_path": f"/models/{surface}", "live": None}
            (folder / "evaluation.json").write_text(json.dumps(content))
            pq.write_table(pa.table({"user_id": ["a"]}), folder / "per_user.parquet")
            write_manifest(folder, kind="evaluation", parents={"model": "m" * 64, "dataset": "d" * 64})
            folders.append(folder)
        floors = {surface: {"recall@10": 0.3} for surface in recalls}
        gate(folders, tmp_path / name, gate=GateConfig(floors=floors, policy=policy, **settings))
        return tmp_path / name

    return make


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder with the dataset and the training of one surface recorded."""
    folder = tmp_path / "registry" / "runs" / "run-7"
    dataset, model = tmp_path / "dataset", tmp_path / "model"
    dataset.mkdir(), model.mkdir()
    days = {f"2022-05-{day:02}": {"home": 100 + day, "search": 50} for day in range(1, 6)}
    (dataset / "statistics.json").write_text(json.dumps({
        "rows_by_date_and_surface": days, "rows_by_surface_and_action": {"home": {"click": 123, "impression": 4567}}}))
    write_manifest(dataset, kind="dataset", counts={"rows_in": 98765}, facts={"date": "2022-05-05"})
    lines = [{"stage": "finetune", "epoch": e, "step": 10 * e, "loss": 3.0 / e} for e in (1, 2, 3)]
    lines += [{"stage": "finetune", "epoch": e, "step": 10 * e, "validation_recall@50": 0.1 * e} for e in (0, 1, 2, 3)]
    (model / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_folder.record_data(str(folder), dataset)
    run_folder.record_training(str(folder), "finetune home", model)
    return folder
