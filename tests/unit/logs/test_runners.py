"""Runner options, the folder that workers and driver share, and files that are whole or not there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from pinrec_core.config import AggregateConfig
from pinrec_core.errors import ConfigError, DataError
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.logs.aggregation import files
from pinrec_core.logs.aggregation.runners import check_runner, runner_options, work_folder

DATAFLOW = {"runner": "DataflowRunner", "runner_options": ("--project=p", "--region=r")}


def settings(**given: object) -> AggregateConfig:
    return AggregateConfig(**({"lookback_days": 3, "eval_days": 1} | given))


def test_runner_and_options_reach_beam() -> None:
    options = runner_options(settings(runner="PortableRunner", runner_options=("--job_endpoint=host:1",)))
    assert options.get_all_options()["runner"] == "PortableRunner"
    assert options.get_all_options()["job_endpoint"] == "host:1"


@pytest.mark.parametrize(("given", "events", "message"), [
    ({"runner_options": ("--direct_running_mode=multi_threading",)}, "events", "multi_threading, which loses rows"),
    (DATAFLOW, "gs://b/events", "aggregate.work_uri is ''.*DataflowRunner cannot reach"),
    (DATAFLOW | {"work_uri": "gs://b/work"}, "data/events", "events is 'data/events'.*DataflowRunner cannot reach"),
    (DATAFLOW | {"work_uri": "/mnt/work"}, "gs://b/events", "aggregate.work_uri is '/mnt/work'"),
    ({"runner_options": ("--template_location=gs://b/t",)}, "events", "instead of running it"),
])
def test_what_cannot_work_is_refused_before_it_starts(given: dict, events: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_runner(settings(**given), events)


def test_dataflow_with_remote_locations_is_fine() -> None:
    check_runner(settings(**DATAFLOW, work_uri="gs://b/work"), "gs://b/events")


def test_the_dataset_does_not_know_where_the_work_was_done(logbook) -> None:
    logbook.add("ann", "a", "click", 10)
    logbook.add("bob", "b", "click", 20)
    logbook.write()
    shared = logbook.root / "shared"
    elsewhere = logbook.aggregate("elsewhere", work_uri=str(shared))
    assert elsewhere.fingerprint == logbook.aggregate("beside").fingerprint
    assert list(shared.iterdir()) == []


def test_relative_paths_are_those_of_the_caller(logbook, monkeypatch) -> None:
    logbook.add("ann", "a", "click", 10)
    logbook.write()
    monkeypatch.chdir(logbook.root)
    aggregate_logs("events", "catalog", Path("here"), log=logbook.log, date="2026-03-03",
                   aggregate=AggregateConfig(**logbook.settings | {"work_uri": "shared"}))
    assert (logbook.root / "here" / "manifest.json").is_file()


def test_the_shared_folder_is_emptied_after_a_failure(logbook) -> None:
    logbook.add("ann", "a", "buys", 10)  # no such action: every row is set aside
    logbook.write()
    shared = logbook.root / "shared"
    with pytest.raises(DataError, match="none of 1 rows"):
        logbook.aggregate(work_uri=str(shared))
    assert list(shared.iterdir()) == [] and not (logbook.root / "dataset").exists()


def test_two_runs_share_a_work_uri_without_meeting(tmp_path: Path) -> None:
    given = settings(work_uri=str(tmp_path))
    with work_folder(given, tmp_path) as first, work_folder(given, tmp_path) as second:
        assert first != second
        files.write_document(f"{first}/a", b"1")
        files.write_document(f"{second}/a", b"2")
        assert files.read_document(f"{first}/a") == b"1"
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_making_is_not_there_yet(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "part"
    with files.create(str(target)) as sink:
        sink.write(b"half")
        sink.flush()
        assert not target.exists() and files.names_in(str(target.parent)) == []
    assert files.read_document(str(target)) == b"half"
    with pytest.raises(ZeroDivisionError), files.create(str(target)) as sink:
        sink.write(b"other")
        _ = 1 / 0
    assert files.read_document(str(target)) == b"half" and files.names_in(str(target.parent)) == ["part"]


def test_names_and_removal_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert files.names_in(str(tmp_path / "none")) == []
    files.remove(str(tmp_path / "none"))


def test_the_configs_in_the_documentation_hold() -> None:
    text = (Path(__file__).parents[3] / "docs" / "aggregation.md").read_text("utf-8")
    blocks = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    names = [block["aggregate"]["runner"].rsplit(".", 1)[-1] for block in blocks]
    assert names == ["FnApiRunner", "DataflowRunner", "PortableRunner", "DaskRunner"]
    for block in blocks:
        check_runner(AggregateConfig.parse(json.dumps(block["aggregate"])), "gs://b/events")
