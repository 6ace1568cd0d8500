"""Components are thin: what they add to a step is tested here, on real artifacts and a small world."""

from __future__ import annotations

import importlib
import json
import logging
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kfp import dsl
from quoted import says

from components.artifacts import describe, folder_of, log_metrics, recorded
from components.image import IMAGE, RUN_UID
from pinrec_core.config import Config
from pinrec_core.errors import DataError, MemoryRanOut
from pinrec_core.logs.synth import WORLDS, write_world
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.report.run_folder import run_folder

ROOT = Path(__file__).parents[2]
NAMES = ["aggregate_logs", "validate_data", "pretrain", "finetune", "resolve_live", "evaluate", "gate", "build_index",
         "verify_release", "promote", "reject", "notify"]


def component(name: str):
    return getattr(importlib.import_module(f"components.{name}"), name)


def test_there_is_one_file_per_component():
    files = {path.stem for path in (ROOT / "components").glob("*.py")}
    assert files - {"__init__", "image", "artifacts"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_component_says_what_it_does_and_installs_nothing(name):
    found = component(name)
    first = (found.component_spec.description or "").splitlines()[0]  # the docstring is what KFP shows
    assert first.endswith(".") and len(first) <= 120
    container = found.component_spec.implementation.container
    assert container.image == IMAGE
    assert "pip" not in " ".join(container.command)


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_source_is_the_function_alone(name):
    source = component(name).component_spec.implementation.container.command[-1]
    compile(source, name, "exec")
    assert f"def {name}(" in source
    assert "IMAGE" not in source


def test_metrics_are_logged_and_written(tmp_path):
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    log_metrics(metrics, {"users": 3, "recall": 0.5, "nan": float("nan"), "stage": "base", "flag": True})
    assert metrics.metadata == {"users": 3, "recall": 0.5}
    assert json.loads(Path(metrics.path).read_text()) == {"users": 3, "recall": 0.5}


def test_an_artifact_carries_the_fingerprint_of_what_it_points_to(tmp_path):
    manifest = write_manifest(tmp_path, kind="dataset", counts={"users": 2})
    artifact = dsl.Dataset(uri=str(tmp_path))
    describe(artifact, manifest)
    assert artifact.metadata == {"kind": "dataset", "fingerprint": manifest.fingerprint, "users": 2}


def test_a_task_in_a_loop_finds_the_folder_of_its_run():
    assert folder_of("reg", "run-7/for-loop-2-iteration-0") == folder_of("reg", "run-7") == run_folder("reg", "run-7")


@pytest.fixture(scope="module")
def config() -> Config:
    return Config.load(ROOT / "pipelines/configs/tiny.toml")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, config) -> dsl.Dataset:
    """The tiny world through the aggregate_logs component."""
    folder = tmp_path_factory.mktemp("components")
    write_world(folder / "data", WORLDS["tiny"])
    date = max(path.name for path in (folder / "data/events").iterdir()).removeprefix("date=")
    made, metrics = dsl.Dataset(uri=str(folder / "dataset")), dsl.Metrics(uri=str(folder / "metrics"))
    component("aggregate_logs").python_func(
        events=str(folder / "data/events"), catalog=str(folder / "data/catalog"), date=date,
        log=config.log.model_dump_json(), aggregate=config.aggregate.model_dump_json(), dataset=made, metrics=metrics)
    assert metrics.metadata["rows_in"] == made.metadata["rows_in"] > 0
    return made


def test_aggregate_logs_describes_what_it_wrote(dataset):
    manifest = read_manifest(dataset.path, "dataset")
    assert dataset.metadata == {"kind": "dataset", "fingerprint": manifest.fingerprint, **manifest.counts}


def test_validate_data_leaves_the_datas_counts_in_the_run_folder(dataset, config, tmp_path):
    found = dsl.Artifact(uri=str(tmp_path / "validation"))
    component("validate_data").python_func(
        dataset=dataset, validate=config.validate_.model_dump_json(), registry=str(tmp_path / "registry"),
        run_id="run-1", validation=found, summary=dsl.Markdown(uri=str(tmp_path / "summary")))
    assert found.metadata["kind"] == "validation"
    kept = json.loads(Path(tmp_path, "registry/runs/run-1/data.json").read_text())
    assert kept["fingerprint"] == dataset.metadata["fingerprint"]


def test_a_refused_dataset_is_in_the_run_folder_too(dataset, config, tmp_path):
    strict = config.validate_.model_copy(update={"min_users": 10**9})
    with pytest.raises(DataError, match="min_users"):
        component("validate_data").python_func(
            dataset=dataset, validate=strict.model_dump_json(), registry=str(tmp_path / "registry"), run_id="run-1",
            validation=dsl.Artifact(uri=str(tmp_path / "validation")),
            summary=dsl.Markdown(uri=str(tmp_path / "summary")))
    assert Path(tmp_path, "registry/runs/run-1/data.json").is_file()
    assert not Path(tmp_path, "validation").exists()


def test_a_step_that_fails_leaves_its_reason_and_its_last_words(dataset, config, tmp_path):
    strict = config.validate_.model_copy(update={"min_users": 10**9})
    with pytest.raises(DataError):
        component("validate_data").python_func(
            dataset=dataset, validate=strict.model_dump_json(), registry=str(tmp_path / "registry"), run_id="run-1",
            validation=dsl.Artifact(uri=str(tmp_path / "validation")),
            summary=dsl.Markdown(uri=str(tmp_path / "summary")))
    kept = json.loads(Path(tmp_path, "registry/runs/run-1/failure.json").read_text())
    assert kept["step"] == "validate-data" and "min_users" in kept["message"]
    assert any(line.startswith("pinrec_core.errors.DataError: ") for line in kept["lines"])


def test_what_a_failing_step_logged_last_is_kept_and_the_listener_goes(tmp_path):
    handlers = logging.getLogger().handlers[:]
    with pytest.raises(ZeroDivisionError), recorded(str(tmp_path), "run-1/for-loop-1", "gate"):
        for n in range(99):
            logging.getLogger("pinrec").warning("line %d", n)
        1 / 0  # noqa: B018
    kept = json.loads(Path(tmp_path, "runs/run-1/failure.json").read_text())
    assert kept["lines"][:2] == ["WARNING line 89", "WARNING line 90"]
    assert kept["message"] == kept["lines"][-1] == "ZeroDivisionError: division by zero"
    assert logging.getLogger().handlers == handlers
    with recorded(str(tmp_path), "run-2", "gate"):
        pass
    assert not Path(tmp_path, "runs/run-2/failure.json").exists()


@pytest.mark.parametrize("section", ["{}", "no JSON"])
def test_notify_tells_and_reports_from_the_folder_alone(tmp_path, section):
    page = dsl.HTML(uri=str(tmp_path / "page.html"))
    component("notify").python_func(registry=str(tmp_path), run_id="run-1", notify=section, page=page)
    folder = Path(tmp_path, "runs/run-1")
    assert json.loads((folder / "message.json").read_text())["status"] == "failed"
    assert Path(page.path).read_text() == (folder / "report.html").read_text()
    assert json.loads((folder / "outcome.json").read_text())["status"] == "failed"


@pytest.fixture
def pod(monkeypatch) -> str:
    """The id of a run, as pods of a cluster have it; the run itself is run-1."""
    monkeypatch.setenv(RUN_UID, "0b0f7c5e")
    return "0b0f7c5e"


def told(registry: Path) -> dict:
    """What the exit task tells of run-1."""
    component("notify").python_func(registry=str(registry), run_id="run-1", notify="{}",
                                    page=dsl.HTML(uri=str(registry / "page.html")))
    assert [path.name for path in (registry / "runs").iterdir()] == ["run-1"], "what the pods have left is taken over"
    return json.loads((registry / "runs/run-1/message.json").read_text())


def evaluate_nothing(registry: Path) -> None:
    component("evaluate").python_func(
        dataset=dsl.Dataset(uri=str(registry / "none")), model=dsl.Model(uri=str(registry / "none")), surface="home",
        registry=str(registry), live="", allow="", generation="{}", evaluation_config="{}", index="{}",
        evaluation=dsl.Artifact(uri=str(registry / "out")), metrics=dsl.Metrics(uri=str(registry / "metrics")))


def test_a_cached_step_that_fails_on_a_cluster_is_told_by_name_and_reason(tmp_path, pod):
    with pytest.raises(Exception, match="none") as failed:
        evaluate_nothing(tmp_path)
    message = told(tmp_path)
    assert message["failed"]["step"] == "evaluate home" and message["failed"]["message"] == str(failed.value)
    assert any(type(failed.value).__name__ in line for line in message["failed"]["lines"])


KILLED = """
import os, signal, sys
from components.artifacts import recorded
with recorded(sys.argv[1], sys.argv[2], sys.argv[3]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("run", "step"), [("", "finetune home"), ("run-1/for-loop-1", "build-index home")])
def test_a_step_whose_pod_was_killed_is_told_as_begun(tmp_path, pod, run, step):
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path, run, step], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    failed = told(tmp_path)["failed"]
    assert record(tmp_path, step) == {"step": step, "attempts": 1, "seconds": None, "peak_mb": None}
    assert f"{step} – – began and did not end" in page_of(tmp_path)
    key = step.split()[0].replace("-", "_")
    assert failed["step"] == step and failed["message"].startswith("began and was ended before it could say why")
    assert f"targets.NAME.steps.{key}.memory" in failed["message"] and f"{key}.timeout_s" in failed["message"]


def record(registry: Path, step: str) -> dict:
    """What is kept of a step of run-1."""
    return json.loads((registry / f"runs/run-1/steps/{step}.json").read_text())


def page_of(registry: Path) -> str:
    """The words of run-1's report."""
    return " ".join(re.sub("<[^>]*>", " ", (registry / "runs/run-1/report.html").read_text()).split())


@pytest.mark.parametrize(("run", "step"), [("", "pretrain"), ("run-1/for-loop-1", "build-index home")])
def test_a_step_leaves_what_its_last_attempt_took_and_how_many_there_were(tmp_path, pod, run, step):
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path, run, step], check=False, cwd=ROOT).returncode
    with pytest.raises(DataError), recorded(str(tmp_path), run, step):
        raise DataError("no rows")
    with recorded(str(tmp_path), run, step) as took:
        time.sleep(0.05)
        took.others_kib(1 << 30)  # a training in another pod
    told(tmp_path)
    kept = record(tmp_path, step)
    assert kept == {"step": step, "attempts": 3, "seconds": kept["seconds"], "peak_mb": 1 << 20}
    assert 0.05 <= kept["seconds"] < 1
    assert "1,048,576 attempt 3" in page_of(tmp_path)


def test_a_run_that_is_started_again_counts_the_attempts_of_cached_steps_on(tmp_path, pod):
    for _ in range(2):
        with recorded(str(tmp_path), "", "pretrain"):
            pass
        assert told(tmp_path)["failed"] is None
    assert record(tmp_path, "pretrain")["attempts"] == 2


def test_what_a_step_took_and_cannot_be_kept_is_logged_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/run-1").write_text("a file, where a folder is wanted")
    with recorded(str(tmp_path), "run-1", "gate"):
        pass
    assert [line.split(" (")[0].split(":")[0] for line in caplog.messages] == [
        "the begin of gate is not marked", "what gate took"]


@pytest.mark.parametrize("broken", ["{ half", "[]", '{"step": "../x", "attempts": 1, "seconds": 1, "peak_mb": 1}',
                                    '{"step": "gate", "attempts": "many", "seconds": 1, "peak_mb": 1}'])
def test_a_broken_record_of_a_pod_is_left_out(tmp_path, pod, broken, caplog):
    folder = tmp_path / "runs" / pod / "steps"
    folder.mkdir(parents=True)
    (folder / "gate.json").write_text(broken)
    assert told(tmp_path)["failed"] is None
    assert not (tmp_path / "runs/run-1/steps/gate.json").exists()


def test_what_a_broken_failure_of_a_pod_says_is_left_out(tmp_path, pod):
    folder = tmp_path / "runs" / pod
    folder.mkdir(parents=True)
    (folder / "failure.json").write_text("{ half")
    assert told(tmp_path)["failed"] is None


def test_memory_that_runs_out_is_told_with_what_was_used_and_what_to_raise(tmp_path):
    with pytest.raises(MemoryRanOut) as raised, recorded(str(tmp_path), "run-1", "build-index home"):
        np.empty(1 << 60, np.uint8)
    message = json.loads((tmp_path / "runs/run-1/failure.json").read_text())["message"]
    assert message == str(raised.value)
    assert re.match(r"memory ran out \(\w*MemoryError: Unable to allocate .*\); it had \d+ MiB at its peak; give it "
                    r"more \(on a cluster targets.NAME.steps.build_index.memory", message)
    says("memory ran out (...); it had ... MiB at its peak; give it more (on a cluster targets.NAME...memory; here "
         "free some) or less to do", raised.value)
