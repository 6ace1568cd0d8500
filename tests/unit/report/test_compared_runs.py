"""Two real runs of a small world beside each other: one of another home model, one that was rejected."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from release.conftest import registry, releases, verdicts, verified, world  # noqa: F401 (fixtures)

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.errors import ConfigError
from pinrec_core.registry import verification_path
from pinrec_core.report import run_folder
from pinrec_core.report.compared_runs import compare_runs


@pytest.fixture
def runs(world, verdicts, registry, releases) -> str:  # noqa: F811
    """A registry with runs "first" and "second", which differ in home's model, and "third", which built nothing."""
    for name, verdict in (("first", "first"), ("second", "second"), ("third", "second")):
        folder = run_folder.run_folder(registry, name)
        run_folder.record_data(folder, world / "dataset")
        model = "model-home2" if verdict == "second" else "model-home"
        run_folder.record_training(folder, "finetune home", world / model)
        run_folder.record_gate(folder, verdicts[verdict])
        for release_id in releases[verdict] if name != "third" else ():
            with open(verification_path(registry, release_id)) as file:
                run_folder.record_verification(folder, json.load(file))
    return registry


def test_a_difference_is_paired_by_user(runs, releases, registry):  # noqa: F811
    found = compare_runs(runs, "first", "second")
    row = next(row for row in found.metrics if (row.surface, row.metric) == ("home", "recall@10"))
    first, second = ({one["user_id"]: one["pinrec.recall@10"] for one in pq.read_table(
        f"{registry}/releases/{releases[name][0]}/per_user.parquet").to_pylist()} for name in ("first", "second"))
    by_hand = [second[user] - first[user] for user in first if first[user] is not None]
    assert row.difference == pytest.approx(np.mean(by_hand)) == pytest.approx(row.second.value - row.first.value)
    assert row.n == len(by_hand) and row.low < row.difference < row.high and not row.unpaired
    normal = 2 * 1.96 * np.std(by_hand) / np.sqrt(len(by_hand))  # users drawn as pairs
    assert row.high - row.low == pytest.approx(normal, rel=0.15)
    same = next(row for row in found.metrics if (row.surface, row.metric) == ("search", "recall@10"))
    assert (same.difference, same.low, same.high) == (0.0, 0.0, 0.0)
    spread = next(row for row in found.metrics if (row.surface, row.metric) == ("home", "coverage@10"))
    assert spread.low is None and spread.unpaired == "it is no mean over users"


def test_data_verdicts_and_training_stand_beside_each_other(runs):
    found = compare_runs(runs, "first", "second")
    assert found.dataset[0] == found.dataset[1] and found.counts["users"] == (60, 60)
    assert [one.decision for one in found.verdicts] == [("promote", "promote")] * 2
    assert found.training["finetune home"][0].loss == 1.0
    assert found.config == {}  # the models differ in their random weights alone


def test_seconds_of_steps_stand_beside_each_other(runs):
    for run, seconds in (("first", 3.5), ("second", 4.25)):
        run_folder.record_step(run_folder.run_folder(runs, run), "pretrain", seconds)
    assert compare_runs(runs, "first", "second").seconds == {"pretrain": (3.5, 4.25)}


def test_a_run_without_releases_says_why_there_is_no_interval(runs):
    found = compare_runs(runs, "first", "third")
    row = next(row for row in found.metrics if (row.surface, row.metric) == ("home", "recall@10"))
    assert row.difference == pytest.approx(row.second.value - row.first.value) and row.low is None
    assert row.unpaired == "values per user are kept with a release, and not both runs have one"
    assert "third: settings cannot be compared: it has left neither a release nor the settings of a training" in \
        found.notes


def test_settings_of_trainings_are_kept_with_the_run(runs, world, tmp_path):  # noqa: F811
    for name, rate in (("first", 0.001), ("third", 0.002)):
        model = tmp_path / name
        model.mkdir()
        (model / "metrics.jsonl").write_text("")
        (model / "model.json").write_bytes((world / "model-home/model.json").read_bytes())
        (model / "training.json").write_text(json.dumps({
            "stage": "finetune home", "settings": {"learning_rate": rate},
            "base": {"training": {"settings": {"epochs": 7}}}}))
        run_folder.record_training(run_folder.run_folder(runs, name), "finetune home", model)
    found = compare_runs(runs, "first", "third")
    assert found.config["finetune.learning_rate"] == (0.001, 0.002) and "pretrain.epochs" not in found.config


def test_other_data_are_not_paired(runs):
    path = f"{run_folder.run_folder(runs, 'second')}/evaluations/home.json"
    with open(path) as file:
        content = json.load(file)
    with open(path, "w") as file:
        json.dump(content | {"dataset_fingerprint": "other"}, file)
    row = next(row for row in compare_runs(runs, "first", "second").metrics if row.surface == "home")
    assert row.unpaired == "the runs were not evaluated on the same dataset"


def test_the_command_prints_a_table_or_json(runs, capsys):
    settings = Settings()
    assert execute(build_app(settings), settings, ["compare", "fir", "sec", "--registry", runs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == ["first", "second"]
    assert execute(build_app(settings), settings, ["compare", "first", "third", "--registry", runs]) == 0
    said = capsys.readouterr()
    assert "home: no interval of the difference: values per user are kept with a release" in said.out
    assert "recall@10" in said.out and "note: third: settings cannot be compared" in said.err


def test_an_unknown_run_is_named(runs):
    with pytest.raises(ConfigError, match="no run in .* starts with 'fourth'; the newest are first, second, third"):
        compare_runs(runs, "first", "fourth")
    with pytest.raises(ConfigError, match="run '' is ambiguous"):
        compare_runs(runs, "first", "")
