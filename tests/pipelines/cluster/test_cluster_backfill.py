"""pinrec backfill --target: one date after another, and nothing that was done is done again."""

from __future__ import annotations

import json

import pytest
from kfp_server import leave_dataset


@pytest.fixture
def runs(server, world):
    """Every run ends at once, with a dataset and the outcome of its date: promoted if nothing else is said."""
    statuses: dict[str, str] = {}
    at_once: list[int] = []

    def run_it(run: dict) -> None:
        at_once.append(sum(one["state"] not in ("SUCCEEDED", "FAILED") for one in server.runs.values()))
        arguments = run["runtime_config"]["parameters"]
        status = statuses.get(arguments["date"], "promoted" if arguments["go_live"] else "ready")
        if status != "failed":
            leave_dataset(world.registry, run, world.folder / "datasets")
        world.leave_outcome(run, status)
        run |= {"state": "FAILED" if status in ("failed", "rejected") else "SUCCEEDED", "finished_at": server.now()}

    server.on_run, run_it.statuses, run_it.at_once = run_it, statuses, at_once
    return run_it


def dates(server) -> list[str]:
    return [run["runtime_config"]["parameters"]["date"] for run in server.runs.values()]


def test_dates_run_one_after_another_each_with_the_dataset_of_the_day_before(pinrec, server, world, runs):
    done = pinrec("backfill", "2026-01-05", "2026-01-07", "--target", "prod", "--json")
    assert done.code == 0 and dates(server) == ["2026-01-05", "2026-01-06", "2026-01-07"] and max(runs.at_once) == 1
    results = json.loads(done.out)
    assert [result["status"] for result in results] == ["ready"] * 3
    given = [run["runtime_config"]["parameters"] for run in server.runs.values()]
    assert [one["previous"] for one in given] == ["", results[0]["dataset"], results[1]["dataset"]]
    assert not any(one["go_live"] for one in given) and results[0]["seconds"] >= 1.0


def test_the_second_call_runs_none(pinrec, server, runs):
    pinrec("backfill", "2026-01-05", "2026-01-07", "-t", "prod")
    done = pinrec("backfill", "2026-01-05", "2026-01-07", "-t", "prod")
    assert done.code == 0 and len(server.runs) == 3
    assert "nothing to do: all 3 dates were done before" in done.out


def test_a_longer_one_runs_what_is_new_and_begins_with_the_dataset_before(pinrec, server, world, runs):
    pinrec("backfill", "2026-01-05", "2026-01-06", "-t", "prod")
    done = pinrec("backfill", "2026-01-07", "2026-01-08", "-t", "prod")
    assert dates(server)[2:] == ["2026-01-07", "2026-01-08"] and done.code == 0
    assert list(server.runs.values())[2]["runtime_config"]["parameters"]["previous"].startswith(
        f"{world.folder}/datasets/tiny-2026-01-06")


def test_a_changed_configuration_is_run_again(pinrec, server, world, runs):
    pinrec("backfill", "2026-01-05", "2026-01-05", "-t", "prod")
    world.content["gate"]["min_users"] = 21
    pinrec("backfill", "2026-01-05", "2026-01-05", "-t", "prod")
    world.content["targets"]["prod"]["image"] = "registry.example/pinrec:8"
    pinrec("backfill", "2026-01-05", "2026-01-05", "-t", "prod")
    assert len(server.runs) == 3


def test_a_date_that_failed_stops_those_that_need_it_and_is_tried_again_by_a_run_of_its_own(pinrec, server, runs):
    runs.statuses["2026-01-06"] = "failed"
    done = pinrec("backfill", "2026-01-05", "2026-01-07", "-t", "prod")
    assert done.code == 1 and dates(server) == ["2026-01-05", "2026-01-06"]
    assert "2026-01-07 not run: it depends on 2026-01-06" in done.err
    runs.statuses.clear()
    assert pinrec("backfill", "2026-01-05", "2026-01-07", "-t", "prod").code == 0
    assert dates(server) == ["2026-01-05", "2026-01-06", "2026-01-06", "2026-01-07"]
    assert len({run["display_name"] for run in server.runs.values()}) == 4


def test_a_rejected_date_stops_nothing_and_is_done(pinrec, server, runs):
    runs.statuses["2026-01-06"] = "rejected"
    assert pinrec("backfill", "2026-01-05", "2026-01-07", "-t", "prod", "--promote").code == 3
    assert pinrec("backfill", "2026-01-05", "2026-01-07", "-t", "prod", "--promote").code == 3
    assert len(server.runs) == 3 and all(run["runtime_config"]["parameters"]["go_live"] for run in server.runs.values())


def test_a_run_that_is_under_way_is_followed(pinrec, server, world, runs):
    server.on_run = lambda run: None
    server.fail("GET /runs/", 403)
    assert pinrec("backfill", "2026-01-05", "2026-01-05", "-t", "prod").code == 1  # it lost sight of its run
    (run,) = server.runs.values()
    runs(run)
    assert pinrec("backfill", "2026-01-05", "2026-01-05", "-t", "prod").code == 0 and len(server.runs) == 1


def test_promoting_needs_sight_of_the_registry(pinrec, server, world, runs):
    world.content["targets"]["prod"]["registry"] = f"{world.folder}/unmounted"
    done = pinrec("backfill", "2026-01-05", "2026-01-05", "-t", "prod", "--promote")
    assert done.code == 1 and "a later release that is live would go unnoticed" in done.err and not server.runs


def test_what_belongs_to_a_local_backfill_is_refused(pinrec, server, world):
    done = pinrec("backfill", "2026-01-05", "2026-01-05", "-t", "prod", "--work", str(world.folder))
    assert done.code == 1 and "has its places in [targets.prod]" in done.err and not server.requests
