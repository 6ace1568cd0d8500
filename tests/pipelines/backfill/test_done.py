"""When a date need not run again: the same inputs, and what came of them is still there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pinrec_core.config import Config
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import write_manifest
from pinrec_core.registry import Alias, Aliases
from pipelines.backfill.done import earlier_result, keep_result, refuse_to_go_back
from pipelines.backfill.plan import plan_date
from pipelines.backfill.result import DateResult, DateStatus
from pipelines.places import Places

TINY = Path(__file__).parents[3] / "pipelines/configs/tiny.toml"
DATE = "2026-01-08"


def plan(places: Places, go_live: bool = False, date: str = DATE, **changes):
    config = Config.load(TINY)
    return plan_date(date, config.model_copy(update=changes), places, go_live=go_live)


def result(status: DateStatus = DateStatus.READY, **more) -> DateResult:
    return DateResult(date=DATE, status=status, sentence="told", seconds=3.0, **more)


def release(registry: str, date: str = DATE) -> str:
    folder = Path(registry, "releases/new")
    folder.mkdir(parents=True)
    manifest = write_manifest(folder, kind="release", facts={"date": date})
    folder.rename(folder.with_name(manifest.fingerprint))
    return manifest.fingerprint


def go_live(registry: str, release_id: str) -> None:
    aliases = Aliases(revision=1, surfaces={"home": Alias(live=release_id)})
    Path(registry).mkdir(exist_ok=True)
    Path(registry, "aliases.json").write_text(aliases.model_dump_json())


def test_what_was_done_is_found_again(places):
    assert earlier_result(places.work, plan(places)) is None
    keep_result(places.work, plan(places), result())
    assert earlier_result(places.work, plan(places)) == result(again=True)


@pytest.mark.parametrize("status", [DateStatus.FAILED, DateStatus.NOT_RUN])
def test_what_is_not_complete_is_not_kept(places, status):
    keep_result(places.work, plan(places), result(status))
    assert earlier_result(places.work, plan(places)) is None


def touched(places: Places, path: str) -> None:
    os.utime(places.work / path, ns=(1, 1))


@pytest.mark.parametrize("path", ["data/events/date=2026-01-01/part.parquet", "data/catalog/part.parquet"])
def test_changed_input_is_run_again(places, path):
    keep_result(places.work, plan(places), result())
    touched(places, path)
    assert earlier_result(places.work, plan(places)) is None


def test_a_partition_that_the_date_does_not_read_changes_nothing(places):
    keep_result(places.work, plan(places), result())
    touched(places, "data/events/date=2026-01-09/part.parquet")
    assert earlier_result(places.work, plan(places)) is not None


def test_another_configuration_or_date_is_another_run_but_not_another_webhook(places):
    keep_result(places.work, plan(places), result())
    config = Config.load(TINY)
    gate = config.gate.model_copy(update={"min_users": 21})
    assert earlier_result(places.work, plan(places, gate=gate)) is None
    assert earlier_result(places.work, plan(places, date="2026-01-09")) is None
    notify = config.notify.model_copy(update={"webhook": "https://hooks.example/x"})
    assert earlier_result(places.work, plan(places, notify=notify)) is not None


def test_what_is_live_counts_unless_the_backfill_promotes(places):
    for promoting in (False, True):
        keep_result(places.work, plan(places, promoting), result(DateStatus.REJECTED))
    go_live(places.registry, release(places.registry))
    assert earlier_result(places.work, plan(places)) is None, "it was judged against another release"
    assert earlier_result(places.work, plan(places, True)) is not None


def test_a_release_that_is_gone_is_made_again_unless_it_had_its_time(places):
    there = release(places.registry)
    for ids, found in (((there,), True), ((there, "0" * 64), False)):
        keep_result(places.work, plan(places), result(releases=ids))
        assert bool(earlier_result(places.work, plan(places))) is found
    keep_result(places.work, plan(places, True), result(DateStatus.PROMOTED, releases=("0" * 64,)))
    assert earlier_result(places.work, plan(places, True)) is not None


def test_a_result_of_another_version_is_not_read(places):
    keep_result(places.work, plan(places), result())
    (path,) = (places.work / "dates").iterdir()
    path.write_text(json.dumps({"date": DATE, "colour": "blue"}))
    assert earlier_result(places.work, plan(places)) is None


@pytest.mark.parametrize(("live", "refused"), [("2026-01-07", False), (DATE, False), ("2026-01-09", True)])
def test_promotion_never_goes_back_behind_what_is_live(places, live, refused):
    go_live(places.registry, release(places.registry, live))
    if not refused:
        refuse_to_go_back([plan(places, True)])
        return
    with pytest.raises(ConfigError, match=f"home: the live release is of {live}, promoting {DATE} would go back"):
        refuse_to_go_back([plan(places, True)])
    refuse_to_go_back([])


def test_an_altered_live_release_is_no_reason_to_go_on(places):
    release_id = release(places.registry)
    go_live(places.registry, release_id)
    Path(places.registry, "releases", release_id, "manifest.json").write_text("{}")
    with pytest.raises(IntegrityError):
        refuse_to_go_back([plan(places, True)])
