"""A rejected run exits with 3 and says why, whether its reject step fails or not."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from kfp import dsl

from pinrec_core.config import GateConfig
from pinrec_core.errors import ReleaseRejected
from pinrec_core.release.gate import gate
from pinrec_core.report.run_folder import record_gate, run_folder
from pipelines.cli import _show
from pipelines.conclusion import EXIT_CODES, conclude
from pipelines.local import LocalRun
from pipelines.task_log import Task

REASON = "home has a floor but no evaluation"


def rejected_run(tmp_path: Path, on_reject: str) -> str:
    """The registry of a run whose gate said reject, after its reject step."""
    config = GateConfig(floors={"home": {"recall@50": 0.1}}, on_reject=on_reject)
    gate([], tmp_path / "verdict", gate=config)
    registry = str(tmp_path / "registry")
    record_gate(run_folder(registry, "run-1"), tmp_path / "verdict")
    reject = importlib.import_module("components.reject").reject.python_func
    call = {"verdict": dsl.Artifact(uri=str(tmp_path / "verdict")), "gate": config.model_dump_json(),
            "registry": registry, "run_id": "run-1"}
    if on_reject == "fail":
        with pytest.raises(ReleaseRejected, match=REASON):
            reject(**call)
    else:
        reject(**call)
    return registry


@pytest.mark.parametrize(("on_reject", "state"), [("fail", "failed"), ("succeed", "done")])
def test_a_rejected_run_exits_with_3_either_way(tmp_path, on_reject, state, capsys):
    registry = rejected_run(tmp_path, on_reject)
    rejection = json.loads(Path(registry, "runs/run-1/rejection.json").read_text())
    assert rejection["surfaces"] == ["home"] and rejection["reasons"][0].startswith(REASON)
    done = LocalRun("run-1", (Task("gate", state="done"), Task("reject", state=state)), tmp_path / "run.log")
    ended = conclude(done, registry)
    assert EXIT_CODES[ended.status] == 3 and ended.culprit is None
    _show(ended, done.log)
    said = capsys.readouterr()
    assert said.err.startswith("Rejected, nothing was changed: home has a floor but no evaluation")
    assert "Failed" not in said.err
