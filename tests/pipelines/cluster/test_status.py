"""pinrec status: from the registry alone, local or a bucket, and with the schedules of a target."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from cluster_world import DAILY
from quoted import says

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.manifest import write_manifest
from pinrec_core.registry import Alias, Aliases, Mark
from pinrec_core.release import moves
from pinrec_core.release.outcome import FLOOR_RULE, Outcome, RuleResult
from pinrec_core.release.verdict import Decision, Policy, SurfaceVerdict, Verdict
from pinrec_core.report.live_status import live_status

TODAY = datetime.now(UTC)


def days_ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).date().isoformat()


def make_live(registry: str, surface: str, data_days_ago: int) -> str:
    """A release with a manifest, live by a promotion that was just now."""
    folder = f"{registry}/releases/.new"
    os.makedirs(folder)
    manifest = write_manifest(storage.Path(folder), kind="release", facts={"surface": surface, "date": days_ago(
        data_days_ago)})
    os.rename(folder, f"{registry}/releases/{manifest.fingerprint}")
    before, version = registry_.read_aliases(registry)
    after = before.model_copy(update={"surfaces": before.surfaces | {surface: Alias(live=manifest.fingerprint)}})
    moves.commit(registry, before, version, after, action="promote", run_id=f"run-{surface}", why="it passed")
    return manifest.fingerprint


def judge(registry: str, run: str, written: float, **decisions: bool) -> None:
    """A run's verdict and outcome, written at a time."""
    surfaces = {}
    for surface, passed in decisions.items():
        rule = RuleResult(rule=FLOOR_RULE, outcome=Outcome.PASSED if passed else Outcome.FAILED, passed=passed,
                          sentence="a floor")
        surfaces[surface] = SurfaceVerdict(decision=Decision.PROMOTE if passed else Decision.REJECT, rules=(rule,),
                                           evaluation_fingerprint="e" * 64)
    good = any(decisions.values())
    verdict = Verdict(decision=Decision.PROMOTE if good else Decision.REJECT, policy=Policy.EACH, surfaces=surfaces)
    for name, content in (("verdict.json", verdict.model_dump_json()),
                          ("outcome.json", json.dumps({"status": "promoted" if good else "rejected"}))):
        path = f"{registry}/runs/{run}/{name}"
        storage.write_bytes(path, content.encode())
        os.utime(path, (written, written))


@pytest.fixture
def lived(world) -> str:
    """A registry in which home and related are live, and the last run rejected home."""
    for surface, age in (("home", 1), ("related", 3)):
        make_live(world.registry, surface, age)
    now = TODAY.timestamp()
    judge(world.registry, "zz-first", now - 2 * 86_400, home=True, related=True)
    judge(world.registry, "aa-second", now - 86_400, home=False)
    return world.registry


def test_every_surface_with_its_age_and_last_verdict(pinrec, lived):
    done = pinrec("status", "--target", "prod", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    home, related, search = found["surfaces"]
    assert (home["data_date"], home["data_age_days"], home["verdict"], home["verdict_run"]) == (
        days_ago(1), 1, "reject", "aa-second")
    assert (related["data_age_days"], related["verdict"], related["verdict_run"]) == (3, "promote", "zz-first")
    assert home["promoted_by"] == "run-home" and 0 <= home["promoted_days"] < 0.01
    assert (search["live"], search["data_age_days"], search["verdict"]) == (None, None, "")
    assert (found["last_run"], found["last_run_status"]) == ("aa-second", "rejected")
    assert 0.99 < found["last_run_days"] < 1.2 and found["too_old"] == [] and found["schedules"] == []


def test_past_the_limit_it_exits_with_4_and_names_the_surfaces(pinrec, lived):
    done = pinrec("status", "--registry", lived, "--max-age-days", "2")
    assert done.code == 4 and "last run aa-second: rejected, 1.0 days ago" in done.out
    assert done.err.splitlines() == [
        f"too old: related: the data of what is live end on {days_ago(3)}, 3 days ago; the limit is 2",
        "too old: search: nothing is live"]
    says("too old: ...: the data of what is live end on ..., ... days ago; the limit is ...", done.err)
    make_live(lived, "search", 2)
    make_live(lived, "related", 2)
    assert pinrec("status", "--registry", lived, "--max-age-days", "2").code == 0


def test_a_release_that_is_gone_is_past_any_limit(pinrec, lived, world):
    live = make_live(lived, "search", 0)
    os.remove(f"{lived}/releases/{live}/manifest.json")
    done = pinrec("status", "--registry", lived, "--max-age-days", "99")
    assert done.code == 4 and f"too old: search: release {live} cannot be read" in done.err


def test_what_is_frozen_or_broken_is_told(pinrec, lived):
    before, version = registry_.read_aliases(lived)
    frozen = {"home": Mark(why="an incident", who="me", when="2026-01-01T00:00:00+00:00")}
    moves.commit(lived, before, version, before.model_copy(update={"frozen": frozen}), action="freeze", run_id="manual",
                 why="an incident")
    storage.write_bytes(f"{lived}/runs/broken/verdict.json", b"{")
    storage.write_bytes(f"{lived}/runs/broken/outcome.json", b"{")
    done = pinrec("status", "--registry", lived)
    assert done.code == 0 and "frozen: an incident" in done.out and "last run broken: unreadable" in done.out


def test_the_schedules_of_the_target_stand_below(pinrec, server, world, lived):
    world.content["schedules"]["daily"] = dict(DAILY)
    pinrec("schedule", "apply")
    pinrec("schedule", "pause", "daily")
    done = pinrec("status", "--target", "prod")
    assert "schedule daily: 0 30 4 * * * (UTC), does not run, agrees, paused by hand" in done.out
    (row,) = json.loads(pinrec("status", "--target", "prod", "--json").out)["schedules"]
    assert (row["schedule"], row["enabled"]) == ("daily", False)


def test_without_a_target_no_server_is_asked(pinrec, server, lived):
    assert pinrec("status", "--registry", lived).code == 0 and not server.requests


def test_a_registry_that_is_not_to_be_seen_is_no_empty_one(pinrec, world):
    done = pinrec("status", "--registry", f"{world.folder}/elsewhere")
    assert done.code == 1 and "is not to be seen from here" in done.err


def test_an_empty_registry(tmp_path):
    found = live_status(str(tmp_path), ("home",), TODAY)
    assert found.surfaces[0].live is None and found.last_run == "" and Aliases().revision == 0
