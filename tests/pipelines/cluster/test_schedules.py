"""pinrec schedule: applying twice makes one, what changed is replaced, and at no time are there two or none."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from cluster_world import DAILY
from quoted import says

from pinrec_core.config import Config
from pinrec_core.logs.aggregation.window import last_day
from pipelines.cluster.kubeflow import Kubeflow
from pipelines.cluster.recurring import ours, wanted
from pipelines.cluster.replace import make_agree


@pytest.fixture
def daily(world) -> dict:
    """The schedule `daily`, to be changed."""
    world.content["schedules"]["daily"] = dict(DAILY)
    return world.content["schedules"]["daily"]


def only(server) -> dict:
    (one,) = server.recurring.values()
    return one


def test_applying_a_schedule_creates_it_as_it_is_declared(pinrec, server, world, daily):
    done = pinrec("schedule", "apply")
    assert (done.code, done.out, done.err) == (0, "prod  daily  created\n", "")
    one = only(server)
    assert one["trigger"] == {"cron_schedule": {"cron": "0 30 4 * * *"}}
    assert (one["mode"], one["max_concurrency"], one["no_catchup"]) == ("ENABLE", "1", True)
    assert one["display_name"] == "tiny-daily" and one["service_account"] == "pipeline-runner"
    arguments = one["runtime_config"]["parameters"]
    assert arguments["registry"] == world.registry and arguments["go_live"] is True
    filled_in = arguments["date"].replace("[[ScheduledTime.2006-01-02]]", "2026-01-15")
    assert str(last_day(filled_in)) == "2026-01-14"


def test_applying_twice_makes_one_and_touches_nothing(pinrec, server, daily):
    pinrec("schedule", "apply")
    before = json.dumps(server.recurring)
    done = pinrec("schedule", "apply")
    assert (done.code, done.out) == (0, "prod  daily  unchanged\n")
    assert json.dumps(server.recurring) == before
    assert server.asked("POST /recurringruns") == 1 and not server.asked("DELETE")


@pytest.mark.parametrize(("change", "where"), [
    ({"cron": "0 30 5 * * *"}, lambda one: one["trigger"]["cron_schedule"]["cron"] == "0 30 5 * * *"),
    ({"lag_days": 0}, lambda one: one["runtime_config"]["parameters"]["date"] == "[[ScheduledTime.2006-01-02]]"),
    ({"max_concurrency": 2}, lambda one: one["max_concurrency"] == "2"),
    ({"catch_up": True}, lambda one: one["no_catchup"] is False),
    ({"enabled": False}, lambda one: one["mode"] == "DISABLE")])
def test_what_changed_is_replaced(pinrec, server, daily, change, where):
    pinrec("schedule", "apply")
    old = only(server)
    daily.update(change)
    done = pinrec("schedule", "apply")
    assert (done.code, done.out) == (0, "prod  daily  replaced\n")
    one = only(server)
    assert one["recurring_run_id"] != old["recurring_run_id"] and where(one)
    assert server.most_active == 1
    assert pinrec("schedule", "apply").out.startswith("prod  daily  unchanged")


def test_a_change_of_the_pipeline_or_of_its_configuration_replaces_it_too(pinrec, server, world, daily):
    pinrec("schedule", "apply")
    world.content["gate"]["min_users"] = 21
    assert pinrec("schedule", "apply").out == "prod  daily  replaced\n"
    world.content["targets"]["prod"]["image"] = "registry.example/pinrec:8"
    assert pinrec("schedule", "apply").out == "prod  daily  replaced\n"
    version = server.versions[only(server)["pipeline_version_reference"]["pipeline_version_id"]]
    assert "registry.example/pinrec:8" in json.dumps(version["pipeline_spec"])


def test_the_old_one_goes_on_where_the_new_one_cannot_be_created(pinrec, server, daily):
    pinrec("schedule", "apply")
    old = dict(only(server))
    daily["cron"] = "0 30 5 * * *"
    server.fail("POST /recurringruns$", 400, body='{"message": "no such thing"}')
    assert pinrec("schedule", "apply").code == 1
    assert only(server) == old
    server.fail("POST /recurringruns$", 503, times=9)
    assert pinrec("schedule", "apply").code == 75
    assert only(server) == old and server.least_active == 1


@pytest.mark.parametrize(("killed_at", "there"), [
    (r"POST /recurringruns/.*:disable", 2), (r"POST /recurringruns/.*:enable", 2), (r"DELETE /recurringruns", 2)])
def test_a_replacement_that_was_interrupted_is_ended_by_the_next_call(pinrec, server, daily, killed_at, there):
    pinrec("schedule", "apply")
    old = only(server)["recurring_run_id"]
    daily["cron"] = "0 30 5 * * *"
    server.fail(killed_at, 500, times=6)  # as many as one call asks
    broken = pinrec("schedule", "apply")
    assert broken.code == 75 and len(server.recurring) == there and server.most_active == 1
    rows = json.loads(pinrec("schedule", "list", "--json").out)
    assert [row["state"] for row in rows] == ["half replaced: apply ends it"]
    says("half replaced: apply ends it", rows[0]["state"])
    assert "is half replaced; run `pinrec schedule apply` first" in pinrec("schedule", "pause", "daily").err
    assert pinrec("schedule", "apply").out == "prod  daily  replaced: an earlier replacement was ended\n"
    one = only(server)
    assert (one["mode"], one["trigger"]["cron_schedule"]["cron"]) == ("ENABLE", "0 30 5 * * *")
    assert one["recurring_run_id"] != old and server.most_active == 1


def test_a_new_one_that_may_not_be_enabled_leaves_the_old_one_running(pinrec, server, daily):
    pinrec("schedule", "apply")
    old = only(server)["recurring_run_id"]
    daily["cron"] = "0 30 5 * * *"
    server.fail(":enable", 403)
    done = pinrec("schedule", "apply")
    assert done.code == 1 and "403 Forbidden" in done.err
    assert [one["recurring_run_id"] for one in server.active()] == [old]


def test_a_creation_whose_answer_is_lost_makes_one(pinrec, server, daily):
    server.fail("POST /recurringruns$", after=True, answer=lambda handler: handler.connection.close())
    assert pinrec("schedule", "apply").out == "prod  daily  created\n"
    assert len(server.recurring) == 1 and server.asked("POST /recurringruns$") == 1


def test_two_calls_at_once_leave_one(server, world, daily, pipeline):
    """Both find nothing and create; the one that finds two afterwards keeps the older."""
    config = world.config

    def apply(_: int) -> str:
        kubeflow = Kubeflow("prod", config.target("prod"))
        version = kubeflow.version(pipeline)
        return make_agree(kubeflow, wanted(config, "daily", version.name), version, [])

    assert apply(0) == "created"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(apply, range(4)))
    assert len(server.recurring) == len(server.active()) == 1


def test_recurring_runs_of_one_schedule_that_are_alike_become_the_oldest(pinrec, server, daily):
    pinrec("schedule", "apply")
    first = only(server)
    server.recurring["twin"] = first | {"recurring_run_id": "twin", "created_at": "2027-01-01T00:00:00Z"}
    assert pinrec("schedule", "apply").code == 0
    assert only(server)["recurring_run_id"] == first["recurring_run_id"]


def test_paused_by_hand_stays_so_until_it_is_resumed(pinrec, server, daily):
    pinrec("schedule", "apply")
    assert pinrec("schedule", "pause", "daily").out == "prod  daily  paused\n"
    assert only(server)["mode"] == "DISABLE"
    assert pinrec("schedule", "apply").out == (
        "prod  daily  unchanged, paused by hand: `pinrec schedule resume` lets it run\n")
    daily["cron"] = "0 30 5 * * *"
    assert pinrec("schedule", "apply").out == "prod  daily  replaced, paused as the one before was\n"
    assert not server.active()
    assert pinrec("schedule", "resume", "daily").out == "prod  daily  resumed\n"
    assert only(server)["mode"] == "ENABLE" and pinrec("schedule", "apply").out == "prod  daily  unchanged\n"


def test_enabling_again_in_the_configuration_enables(pinrec, server, daily):
    daily["enabled"] = False
    assert pinrec("schedule", "apply").out == "prod  daily  created, not enabled\n"
    daily["enabled"] = True
    assert pinrec("schedule", "apply").out == "prod  daily  replaced\n"
    assert len(server.active()) == 1


def test_what_is_no_longer_declared_goes_with_prune_alone(pinrec, server, world, daily):
    world.content["schedules"]["hourly"] = DAILY | {"cron": "0 0 * * * *"}
    world.content["schedules"]["weekly"] = DAILY | {"cron": "0 0 5 * * sun"}
    assert pinrec("schedule", "apply").code == 0 and len(server.recurring) == 3  # more than a page of the list
    theirs = {"recurring_run_id": "theirs", "display_name": "tiny-hourly", "description": "not ours", "mode": "ENABLE",
              "experiment_id": next(iter(server.experiments)), "created_at": "2026-01-01T00:00:00Z"}
    server.recurring["theirs"] = theirs
    del world.content["schedules"]["hourly"]
    assert pinrec("schedule", "apply").out.splitlines() == [
        "prod  daily  unchanged", "prod  weekly  unchanged",
        "prod  hourly  not in the configuration; --prune deletes it"]
    assert len(server.recurring) == 4
    assert pinrec("schedule", "apply", "--prune").out.splitlines()[-1] == "prod  hourly  deleted"
    assert {one["display_name"] for one in server.recurring.values()} == {"tiny-daily", "tiny-weekly", "tiny-hourly"}
    assert server.recurring["theirs"] == theirs


def test_a_configuration_without_schedules_can_be_pruned(pinrec, server, world, daily):
    pinrec("schedule", "apply")
    world.content["schedules"] = {}
    assert pinrec("schedule", "apply", "--prune").out == "prod  daily  deleted\n"
    assert not server.recurring


def test_delete_takes_what_is_there(pinrec, server, daily):
    pinrec("schedule", "apply")
    assert pinrec("schedule", "delete", "daily").out == "prod  daily  deleted\n" and not server.recurring
    done = pinrec("schedule", "delete", "daily")
    assert done.code == 1 and "no cluster has a schedule 'daily' of configuration 'tiny'; there are []" in done.err


def test_the_list_says_whether_cluster_and_configuration_agree(pinrec, server, daily):
    def state() -> list[str]:
        return [row["state"] for row in json.loads(pinrec("schedule", "list", "--json").out)]

    assert state() == ["not there: apply creates it"] and not server.experiments  # looking changes nothing
    pinrec("schedule", "apply")
    assert state() == ["agrees"]
    daily["lag_days"] = 2
    assert state() == ["changed: apply replaces it"]
    text = pinrec("schedule", "list").out
    assert "0 30 4 * * *" in text and "UTC" in text and "changed: apply replaces it" in text


def test_two_configurations_share_an_experiment(pinrec, server, world, daily):
    pinrec("schedule", "apply")
    world.content["name"] = "other"
    assert pinrec("schedule", "apply", "--prune").out == "prod  daily  created\n"
    assert set(ours(server.recurring.values(), "tiny")) == set(ours(server.recurring.values(), "other")) == {"daily"}


def test_a_time_zone_that_the_cluster_does_not_have_is_refused(pinrec, server, world, daily):
    daily["time_zone"] = "Europe/Berlin"
    world.file.write_text("")
    with pytest.raises(Exception, match="targets.prod reads cron in 'UTC': Kubeflow has one time zone"):
        assert world.config
    world.content["targets"]["prod"]["cron_time_zone"] = "Europe/Berlin"
    assert isinstance(world.config, Config)
    assert pinrec("schedule", "apply").code == 0 and "(Europe/Berlin)" in only(server)["description"]
