"""The compiled training pipeline: described, cached where it may be, and free of installs at run time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from components.image import IMAGE
from pinrec_core.config import Config
from pinrec_core.report.pages.steps import ORDER, REUSABLE
from pipelines.arguments import pipeline_arguments

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "manifests/compiled/local.yaml"
CACHED = {"aggregate-logs", "pretrain", "finetune", "evaluate"}
SHOWN = {  # output -> its type
    ("aggregate-logs", "dataset"): "Dataset", ("aggregate-logs", "metrics"): "Metrics",
    ("validate-data", "validation"): "Artifact", ("validate-data", "summary"): "Markdown",
    ("pretrain", "base"): "Model", ("pretrain", "curve"): "Artifact", ("pretrain", "metrics"): "Metrics",
    ("finetune", "model"): "Model", ("finetune", "metrics"): "Metrics",
    ("evaluate", "evaluation"): "Artifact", ("evaluate", "metrics"): "Metrics",
    ("gate", "verdict"): "Artifact", ("gate", "summary"): "Markdown",
    ("build-index", "release"): "Artifact", ("verify-release", "metrics"): "Metrics",
    ("promote", "summary"): "Markdown", ("notify", "page"): "HTML"}
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


def test_every_task_has_the_one_image(spec):
    images = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    assert images == {IMAGE}


def test_nothing_is_installed_at_run_time(spec):
    for name, executor in spec["deploymentSpec"]["executors"].items():
        words = " ".join([*executor["container"]["command"], *executor["container"]["args"]])
        assert "pip install" not in words, name
        assert "pip" not in words.split(), name


def test_every_step_is_there_and_cached_only_where_it_may_be(tasks):
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert (cached, set(tasks) - cached) == (CACHED, FRESH)


def test_the_report_knows_the_steps_and_which_may_be_cached(tasks):
    assert (set(REUSABLE), set(ORDER)) == (CACHED, set(tasks))


def test_cached_tasks_know_nothing_of_the_run(tasks):
    for name in CACHED:
        assert "run_id" not in tasks[name]["inputs"].get("parameters", {}), name


def test_cached_tasks_can_say_why_they_fail(tasks):
    for name in CACHED:
        assert "registry" in tasks[name]["inputs"]["parameters"], "where it leaves its reason"


def test_every_task_has_a_display_name_and_its_inputs_and_outputs_a_description(spec, tasks):
    for name, task in tasks.items():
        assert task["taskInfo"]["name"] == name.replace("-", " ").capitalize(), f"{name} has no display name"
        component = spec["components"][task["componentRef"]["name"]]
        for side in ("inputDefinitions", "outputDefinitions"):
            for parameter, definition in [pair for kind in component.get(side, {}).values() for pair in kind.items()]:
                assert definition.get("description"), f"{name}: {parameter} is not described"


def test_every_task_says_what_it_does_where_kubeflow_looks_for_it(spec, tasks):
    """A pipeline's form has no field for it: KFP takes the docstring out of the source that the task runs."""
    for name in tasks:
        source = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["command"][-1]
        function = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
        assert ast.get_docstring(function).splitlines()[0].endswith("."), name


def test_outputs_are_of_the_types_that_the_interface_shows(spec):
    found = {(name.removeprefix("comp-"), output): definition["artifactType"]["schemaTitle"].removeprefix("system.")
             for name, component in spec["components"].items() if "executorLabel" in component
             for output, definition in component.get("outputDefinitions", {}).get("artifacts", {}).items()}
    assert found == SHOWN


def test_the_story_is_told_in_the_order_of_its_tasks(spec):
    def before(name: str) -> set[str]:
        """What a task of the run waits for, however far up."""
        named = set(run[name].get("dependentTasks", []))
        return named.union(*(before(one) for one in named))

    run = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    story = ["aggregate-logs", "validate-data", "pretrain", "for-loop-2", "gate", "condition-branches-3"]
    assert set(run) == set(story)
    for position, name in enumerate(story):
        assert before(name) == set(story[:position])


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


def test_arguments_fill_every_parameter_of_the_pipeline(spec):
    config = Config.load(ROOT / "pipelines/configs/tiny.toml")
    given = pipeline_arguments(config, events="e", catalog="c", registry="r", date="2026-01-08")
    assert set(given) == set(spec["root"]["inputDefinitions"]["parameters"])
    assert given["surfaces"] == list(config.log.surfaces)
    assert type(config.gate).parse(given["gate"]) == config.gate
    assert given["notify"] == spec["root"]["inputDefinitions"]["parameters"]["notify"]["defaultValue"] == "{}"
    assert given["launch"] == spec["root"]["inputDefinitions"]["parameters"]["launch"]["defaultValue"] == "{}"
