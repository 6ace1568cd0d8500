"""The compiled training pipeline: golden, described, cached where it may be, and free of installs at run time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pinrec_core.config import Config
from pipelines.arguments import pipeline_arguments

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "manifests/compiled/pinrec_training.yaml"
CACHED = {"aggregate-logs", "pretrain", "finetune", "evaluate"}
FRESH = {"validate-data", "resolve-live", "gate", "build-index", "verify-release", "promote", "reject", "notify"}


@pytest.fixture(scope="module")
def spec() -> dict:
    return next(yaml.safe_load_all(GOLDEN.read_text("utf-8")))


@pytest.fixture(scope="module")
def tasks(spec) -> dict[str, dict]:
    """Every task that runs a container, from all levels of the graph."""
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    found = {name: task for dag in dags for name, task in dag["tasks"].items()}
    return {name: task for name, task in found.items()
            if "executorLabel" in spec["components"][task["componentRef"]["name"]]}


def test_the_compiled_pipeline_is_up_to_date(tmp_path):
    compiled = tmp_path / "compiled.yaml"
    environment = {name: value for name, value in os.environ.items() if name != "PINREC_IMAGE"}
    subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--output", compiled], cwd=ROOT, check=True,
                   env=environment, capture_output=True)
    assert compiled.read_bytes() == GOLDEN.read_bytes(), "the pipeline changed: run `make compile` and commit the YAML"


def test_the_image_is_one_and_can_be_chosen(spec, tmp_path):
    images = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    assert images == {"pinrec:0.1.0"}
    other = tmp_path / "other.yaml"
    subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--output", other], cwd=ROOT, check=True,
                   env=os.environ | {"PINREC_IMAGE": "registry.example/pinrec:7"}, capture_output=True)
    assert GOLDEN.read_text("utf-8").replace("pinrec:0.1.0", "registry.example/pinrec:7") == other.read_text("utf-8")


def test_only_the_training_steps_mount_the_claim_it_is_compiled_with(tmp_path):
    compiled = tmp_path / "claim.yaml"
    subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--output", compiled], cwd=ROOT, check=True,
                   env=os.environ | {"PINREC_CLAIM": "pinrec:/mnt/pinrec"}, capture_output=True)
    spec, platform = yaml.safe_load_all(compiled.read_text("utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {name: [(mount["constant"], mount["mountPath"]) for mount in executor["pvcMount"]]
            for name, executor in executors.items() if "pvcMount" in executor} == {
        name: [("pinrec", "/mnt/pinrec")] for name in ("exec-pretrain", "exec-finetune")}
    wrong = subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--output", compiled], cwd=ROOT,
                           env=os.environ | {"PINREC_CLAIM": "pinrec"}, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and "names no absolute folder" in wrong.stderr


def test_nothing_is_installed_at_run_time(spec):
    for name, executor in spec["deploymentSpec"]["executors"].items():
        words = " ".join([*executor["container"]["command"], *executor["container"]["args"]])
        assert "pip install" not in words, name
        assert "pip" not in words.split(), name


def test_every_step_is_there_and_cached_only_where_it_may_be(tasks):
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert (cached, set(tasks) - cached) == (CACHED, FRESH)


def test_cached_tasks_know_nothing_of_the_run(tasks):
    for name in CACHED:
        assert "run_id" not in tasks[name]["inputs"].get("parameters", {}), name


def test_cached_tasks_and_the_exit_task_know_their_run_by_their_pod(tasks):
    _, platform = yaml.safe_load_all(GOLDEN.read_text("utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    known = {name.removeprefix("exec-"): executor["fieldPathAsEnv"] for name, executor in executors.items()
             if "fieldPathAsEnv" in executor}
    assert set(known) == CACHED | {"notify"}
    for fields in known.values():
        assert fields == [{"fieldPath": "metadata.labels['pipeline/runid']", "name": "PINREC_RUN_UID"}]
    for name in CACHED:
        assert "registry" in tasks[name]["inputs"]["parameters"], "where it leaves its reason"


def test_every_task_has_a_display_name_and_its_inputs_a_description(spec, tasks):
    for name, task in tasks.items():
        assert task["taskInfo"]["name"] != name, f"{name} has no display name"
        inputs = spec["components"][task["componentRef"]["name"]].get("inputDefinitions", {})
        for kind in inputs.values():
            for parameter, definition in kind.items():
                if definition.get("parameterType") != "TASK_FINAL_STATUS":
                    assert definition.get("description"), f"{name}: {parameter} is not described"


def test_promotion_depends_on_the_word_of_the_gate(spec):
    conditions = [task["triggerPolicy"]["condition"] for component in spec["components"].values()
                  for task in component.get("dag", {}).get("tasks", {}).values() if "triggerPolicy" in task]
    assert sorted(conditions) == ["!(inputs.parameter_values['pipelinechannel--gate-decision'] == 'promote')",
                                  "inputs.parameter_values['pipelinechannel--gate-decision'] == 'promote'"]


def test_the_exit_task_comes_after_everything_and_asks_for_no_status(spec):
    notify = spec["root"]["dag"]["tasks"]["notify"]
    assert notify["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert notify["dependentTasks"] == [name for name in spec["root"]["dag"]["tasks"] if name != "notify"]
    assert "taskFinalStatus" not in GOLDEN.read_text("utf-8")  # a backend that cannot fill it would end the exit task


def test_the_exit_task_alone_has_the_secret_it_is_compiled_with(tmp_path):
    compiled = tmp_path / "secret.yaml"
    subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--output", compiled], cwd=ROOT, check=True,
                   env=os.environ | {"PINREC_NOTIFY_SECRET": "pinrec-webhook"}, capture_output=True)
    _, platform = yaml.safe_load_all(compiled.read_text("utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert [name for name, executor in executors.items() if "secretAsEnv" in executor] == ["exec-notify"]
    (secret,) = executors["exec-notify"]["secretAsEnv"]
    assert (secret["secretName"], secret["keyToEnv"]) == (
        "pinrec-webhook", [{"envVar": "PINREC_WEBHOOK_SECRET", "secretKey": "PINREC_WEBHOOK_SECRET"}])


def test_arguments_fill_every_parameter_of_the_pipeline(spec):
    config = Config.load(ROOT / "pipelines/configs/tiny.toml")
    given = pipeline_arguments(config, events="e", catalog="c", registry="r", date="2026-01-08")
    assert set(given) == set(spec["root"]["inputDefinitions"]["parameters"])
    assert given["surfaces"] == list(config.log.surfaces)
    assert type(config.gate).parse(given["gate"]) == config.gate
    assert given["notify"] == spec["root"]["inputDefinitions"]["parameters"]["notify"]["defaultValue"] == "{}"
    assert given["launch"] == spec["root"]["inputDefinitions"]["parameters"]["launch"]["defaultValue"] == "{}"
