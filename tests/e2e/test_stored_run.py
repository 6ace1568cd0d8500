"""The whole workflow with its large data in a store: a folder, and a bucket."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Outcome, run, small
from object_storage import counted_bucket

from pinrec_core import storage
from pinrec_core.release.answer import recommend

DATE = "2026-01-09"
LARGE = {"dataset", "base", "model"}


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "store")
    else:
        with counted_bucket() as (uri, _):
            yield uri


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return small(tmp_path_factory.mktemp("stored"), {})


@pytest.fixture(scope="module")
def data(month) -> list[str]:
    """Options that name the small month's data."""
    return ["--events", str(month / "data/events"), "--catalog", str(month / "data/catalog")]


@pytest.fixture(scope="module")
def without(config, data, tmp_path_factory) -> Outcome:
    """The run that a stored one is compared with."""
    return run(tmp_path_factory.mktemp("without"), config, *data, "--date", DATE)


def artifacts_of(outcome: Outcome) -> dict[str, list[Path]]:
    """What tasks left for others that is large without a store, by name."""
    tasks = outcome.work / "tasks" / outcome.run.name
    return {name: list(tasks.rglob(name)) for name in LARGE}


def fingerprints(outcome: Outcome) -> dict[str, str]:
    """Of dataset and models in the verdict of a run."""
    verdict = json.loads((outcome.run / "verdict.json").read_text("utf-8"))["surfaces"]["home"]
    return {name: verdict[f"{name}_fingerprint"] for name in ("dataset", "model")}


def test_the_same_comes_of_it_and_artifacts_stay_small(config, data, without, store, tmp_path):
    stored = run(tmp_path / "work", config, *data, "--date", DATE, "--store", store)
    assert (without.code, stored.code) == (0, 0), stored.err
    assert fingerprints(stored) == fingerprints(without)
    found = artifacts_of(stored)
    for name in LARGE:
        assert found[name] and all(path.is_file() and path.stat().st_size < 1500 for path in found[name]), name
    assert {name.split("/")[0] for name in storage.tree_files(store)} == {"datasets", "models"}
    answers = [recommend(str(outcome.work / "registry"), "home", "u1", n=5) for outcome in (without, stored)]
    assert answers[0] == answers[1]

    again = run(tmp_path / "work", config, *data, "--date", DATE, "--store", store)
    assert (again.code, again.tasks("cached")) == (0, ["aggregate-logs", "evaluate", "finetune", "pretrain"])
    next_day = run(tmp_path / "work", config, *data, "--date", "2026-01-10", "--store", store, "--previous",
                   json.loads((stored.run / "data.json").read_text("utf-8"))["uri"])
    assert next_day.code == 0, next_day.err
    log = next(line.split()[1] for line in next_day.out.splitlines() if line.startswith("log"))
    assert "3 partitions taken over, 1 new: 2026-01-10" in Path(log).read_text("utf-8")
    assert not [path for path in Path(os.environ.get("TMPDIR", "/tmp")).glob(".scratch.staging-*")
                if path.owner() == Path.home().owner() and "output" in os.listdir(path)]
