"""pinrec submit: what reaches the API, what is reused, and how the end of the run becomes an exit code."""

from __future__ import annotations

import json
import re
import threading

import pytest
import yaml
from cluster_world import TINY

from pinrec_core.config import Config
from pipelines.arguments import pipeline_arguments
from pipelines.cluster import submission


def started(server) -> dict:
    (run,) = server.runs.values()
    return run


def test_a_run_is_created_with_the_arguments_of_a_local_one(pinrec, server, world):
    done = pinrec("submit", "--target", "prod", "--date", "2026-01-08")
    run = started(server)
    assert (done.code, done.err) == (0, "")
    assert done.out == (f"run  {run['run_id']}  {run['display_name']}\n"
                        f"page {server.url}/#/runs/details/{run['run_id']}\n")
    folder = str(world.folder)
    assert run["runtime_config"]["parameters"] == pipeline_arguments(
        world.config, events=f"{folder}/events", catalog=f"{folder}/catalog", registry=f"{folder}/registry",
        date="2026-01-08")
    assert run["service_account"] == "pipeline-runner"
    (experiment,), (pipeline,) = server.experiments.values(), server.pipelines.values()
    assert (experiment["display_name"], pipeline["display_name"]) == ("pinrec", "pinrec-training")
    assert run["experiment_id"] == experiment["experiment_id"]


def test_the_pipeline_is_uploaded_once_and_again_when_it_is_another(pinrec, server, world):
    for _ in range(2):
        assert pinrec("submit", "-t", "prod", "--date", "2026-01-08").code == 0
    assert (len(server.runs), len(server.versions), server.asked("upload_version")) == (2, 1, 1)
    world.content["targets"]["prod"]["image"] = "registry.example/pinrec:8"
    pinrec("submit", "-t", "prod", "--date", "2026-01-08")
    assert len(server.versions) == 2 and len(server.pipelines) == len(server.experiments) == 1
    images = {executor["container"]["image"] for version in server.versions.values()
              for executor in version["pipeline_spec"]["deploymentSpec"]["executors"].values()}
    assert images == {"registry.example/pinrec:7", "registry.example/pinrec:8"}


def test_what_is_uploaded_is_compiled_for_the_target(pipeline):
    spec = next(yaml.safe_load_all(pipeline))
    assert {one["container"]["image"] for one in spec["deploymentSpec"]["executors"].values()} == {
        "registry.example/pinrec:7"}


def test_the_last_partition_is_the_default_date_where_it_can_be_seen(pinrec, server, world):
    pinrec("submit", "-t", "prod")
    assert started(server)["runtime_config"]["parameters"]["date"] == "2026-01-09"
    world.content["targets"]["prod"]["events"] = f"{world.folder}/elsewhere"
    done = pinrec("submit", "-t", "prod")
    assert done.code == 1 and "are not to be seen from here; name the last day to read with --date" in done.err


def test_a_date_that_is_none_reaches_no_server(pinrec, server):
    done = pinrec("submit", "-t", "prod", "--date", "yesterday")
    assert (done.code, done.err) == (1, "error: date 'yesterday' is not a day; write it as YYYY-MM-DD\n")
    assert not server.runs and not server.versions


@pytest.mark.parametrize(("state", "status", "code"), [
    ("SUCCEEDED", "promoted", 0), ("FAILED", "rejected", 3), ("FAILED", "failed", 1), ("SUCCEEDED", "ready", 0)])
def test_waiting_ends_as_the_folder_of_the_run_says(pinrec, server, world, state, status, code):
    def run_it(run: dict) -> None:
        world.leave_outcome(run, status)
        run["state"] = state

    server.on_run = run_it
    done = pinrec("submit", "-t", "prod", "--date", "2026-01-08", "--wait")
    assert (done.code, done.out.splitlines()[-1]) == (code, f"It was {status}.")
    assert state.lower() in done.err


@pytest.mark.parametrize(("state", "tasks", "code", "word"), [
    ("SUCCEEDED", {"promote": "SUCCEEDED"}, 0, "Promoted"), ("FAILED", {"reject": "FAILED"}, 3, "Rejected"),
    ("FAILED", {"pretrain": "FAILED"}, 1, "Failed"), ("CANCELED", {}, 1, "Failed")])
def test_without_sight_of_the_registry_the_tasks_say_how_it_ended(pinrec, server, world, state, tasks, code, word):
    def run_it(run: dict) -> None:
        details = [{"display_name": name, "state": one} for name, one in tasks.items()]
        run |= {"state": state, "run_details": {"task_details": details}}

    world.content["targets"]["prod"]["registry"] = f"{world.folder}/unmounted"
    server.on_run = run_it
    done = pinrec("submit", "-t", "prod", "--date", "2026-01-08", "--wait")
    assert done.code == code and done.out.splitlines()[-1].startswith(f"{word}, by the states of its tasks")


def test_a_run_whose_exit_step_did_not_run_is_judged_by_what_it_left(pinrec, server, world):
    def run_it(run: dict) -> None:
        folder = world.folder / "registry/runs" / run["display_name"]
        folder.mkdir(parents=True)
        (folder / "failure.json").write_text(json.dumps({"step": "promote", "message": "a pod was evicted"}))
        run["state"] = "FAILED"

    server.on_run = run_it
    done = pinrec("submit", "-t", "prod", "--date", "2026-01-08", "--wait")
    assert done.code == 1 and "Failed: step promote: a pod was evicted" in done.out


def test_waiting_follows_a_run_that_takes_its_time(pinrec, server, world):
    def run_it(run: dict) -> None:
        def live() -> None:
            run["state"] = "RUNNING"
            world.leave_outcome(run, "promoted")
            threading.Timer(0.2, run.update, [{"state": "SUCCEEDED"}]).start()

        threading.Timer(0.1, live).start()

    server.on_run = run_it
    server.fail("GET /runs/", 503, times=2)
    done = pinrec("submit", "-t", "prod", "--date", "2026-01-08", "--wait", "--json")
    assert done.code == 0 and json.loads(done.out)["status"] == "promoted"
    assert [word for word in ("pending", "running", "succeeded") if word in done.err] == ["pending", "running",
                                                                                          "succeeded"]


def test_the_name_of_a_run_is_its_own_and_can_name_a_folder(tmp_path):
    odd = Config.load(TINY).model_copy(update={"name": "../a b's/demo"})
    names = {submission.run_name(odd, "2026-01-15-1d") for _ in range(50)}
    assert len(names) == 50 and all(re.fullmatch(r"[\w-][\w. -]*", name) for name in names)


def test_a_backend_of_several_users_gets_the_namespace(pinrec, server):
    server.multi_user = True
    assert pinrec("submit", "-t", "prod", "--date", "2026-01-08").code == 0
    assert [one["namespace"] for one in (*server.experiments.values(), *server.pipelines.values())] == ["kubeflow"] * 2


def test_no_target_and_no_host_are_told(pinrec, world):
    assert "no target 'prd': targets of configuration 'tiny' are ['prod']" in pinrec("submit", "-t", "prd").err
    world.content["targets"]["prod"]["host"] = ""
    assert "targets.prod.host is not set" in pinrec("submit", "-t", "prod").err
    world.content["targets"]["prod"]["host"] = "kubeflow.example"
    assert "host 'kubeflow.example' is no web address" in pinrec("submit", "-t", "prod").err
