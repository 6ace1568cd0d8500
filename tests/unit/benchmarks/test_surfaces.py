"""The surfaces benchmark on the tiny world: every row answers, and its numbers keep their own rules."""

import json
import math

import pytest
import surfaces
from surfaces_rows import Source, chosen_rows

from pinrec_core.config import Conditioning, Config
from pinrec_core.errors import ConfigError

BASELINES = ["popularity", "recent_surface_popularity", "recent_surface_exposure", "cooccurrence",
             "cooccurrence_x_recent"]
TRAINED = ["sasrec_softmax", "one_vector", "unconditioned", "outcome", "multi_token", "finetuned",
           "impression_negatives"]


@pytest.fixture(scope="module")
def config():
    return Config.load("pipelines/configs/tiny.toml")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that runs the benchmark in one work folder."""
    work = tmp_path_factory.mktemp("surfaces")

    def again(*arguments: str) -> dict:
        path = work / "found.json"
        told = ["--world", "tiny", "--work", str(work), "--json", str(path), "--surfaces", "search", *arguments]
        assert surfaces.main(told) == 0
        return json.loads(path.read_text())

    return again


@pytest.fixture(scope="module")
def found(run):
    """Two seeds of everything, where feeds answer a query."""
    return run("--seeds", "2", "--steps", "1,2", "--rows", ",".join(BASELINES + TRAINED))


def cells(document, *path):
    """Every estimate below a document, with where it stands."""
    for key, value in document.items():
        if isinstance(value, dict) and "low" in value:
            yield (*path, key), value
        elif isinstance(value, dict):
            yield from cells(value, *path, key)
        elif isinstance(value, list):
            for entry in value:
                yield from cells(entry, *path, key, entry["name"])


def test_every_row_is_measured_on_every_surface(found):
    assert list(found["surfaces"]) == ["search"] and not found["skipped"]
    assert {"date", "commit", "command", "settings", "dataset_fingerprint", "total_seconds"} <= set(found)
    for part in found["surfaces"].values():
        assert [row["name"] for row in part["rows"]] == BASELINES + TRAINED
        assert [row["seeds"] for row in part["rows"]] == [1] * 5 + [2] * 7
        assert part["users"] > 20 and part["targets"] >= part["users"]
    assert all(found["seconds"][row]["training"] > 0 for row in TRAINED)


def test_estimates_lie_in_their_intervals_and_in_range(found):
    count = 0
    for path, cell in cells(found["surfaces"]):
        if cell["value"] is None:
            assert cell["n"] == 0, path
            continue
        count += 1
        assert cell["low"] - 1e-6 <= cell["value"] <= cell["high"] + 1e-6, path
        assert -1 <= cell["value"] <= 1 and ("difference" in str(path) or "lift" in path or cell["value"] >= 0), path
    assert count > 250


def test_longer_lists_and_more_vectors_find_no_less(found):
    for part in found["surfaces"].values():
        for row in part["rows"]:
            value = {metric: cell["value"] for metric, cell in row["metrics"].items()}
            assert value["recall@10"] <= value["recall@50"] <= value["recall@100"]
            assert 0 < value["unseen recall@10"] <= value["unseen recall@50"]
            several = [value.get(f"unordered_recall@10 of {count}") for count in (1, 6, 16)]
            several = [recall for recall in several if recall is not None]
            assert several == sorted(several) and len(several) == (
                1 if row["name"] in [*BASELINES, "sasrec_softmax", "one_vector"] else 3)
            assert row["facts"]["distinct@10"] == pytest.approx(row["facts"]["coverage@10"] * part["retrievable"], 1e-4)
        plain = next(row for row in part["rows"] if row["name"] == "popularity")
        assert plain["metrics"]["unordered_recall@10 of 1"]["value"] == plain["metrics"]["recall@10"]["value"]
        assert plain["facts"]["distinct@100"] == 100


def test_one_vector_is_the_first_of_the_outcome_row(found):
    for part in found["surfaces"].values():
        one, several = ({metric: cell["value"] for metric, cell in row["metrics"].items()} for row in part["rows"]
                        if row["name"] in ("one_vector", "outcome"))
        assert one["unordered_recall@10 of 1"] == several["unordered_recall@10 of 1"] == one["recall@10"]


def test_differences_are_those_of_the_means(found):
    for part in found["surfaces"].values():
        rows = {row["name"]: row for row in part["rows"]}
        for row in part["rows"][1:]:
            for metric, cell in row["difference"].items():
                other = rows[row["against"]]["metrics"][metric]["value"]
                assert cell["value"] == pytest.approx(row["metrics"][metric]["value"] - other, abs=2e-6)


def test_steps_and_lift_are_told_where_they_exist(found):
    for part in found["surfaces"].values():
        rows = {row["name"]: row for row in part["rows"]}
        assert list(rows["outcome"]["steps"]) == list(rows["unconditioned"]["steps"]) == ["1", "2"]
        two = rows["outcome"]["steps"]["2"]["metrics"]
        assert two["recall@50"]["value"] == rows["outcome"]["metrics"]["recall@50"]["value"]  # tiny.toml has two steps
        assert not rows["one_vector"]["steps"] and not rows["popularity"]["steps"]
        assert set(part["lift"]["budget_on"]) == {"click", "save"}
        click = part["lift"]["budget_on"]["click"]["click"]
        assert click["relative"] == pytest.approx(
            click["value"] / part["lift"]["training_shares"]["click"]["value"], abs=1e-5)


def test_seeds_differ_and_kept_models_are_used_again(found, run):
    again = run("--rows", "outcome", "--steps", "", "--variant", "all_actions:model.action_mask=0.0")
    rows = again["surfaces"]["search"]["rows"]
    assert [row["name"] for row in rows] == ["outcome", "all_actions"] and rows[1]["against"] == "outcome"
    assert again["seconds"]["outcome"]["training"] <= found["seconds"]["outcome"]["training"]
    assert rows[0]["metrics"]["recall@50"]["deviation"] is None
    before = next(row for row in found["surfaces"]["search"]["rows"] if row["name"] == "outcome")
    assert before["metrics"]["recall@50"]["deviation"] >= 0 and not math.isnan(before["metrics"]["recall@50"]["value"])


def test_without_time_only_baselines_are_measured(run):
    found = run("--rows", "popularity,outcome", "--budget-minutes", "-1", "--surfaces", "home,search")
    assert [[row["name"] for row in part["rows"]] for part in found["surfaces"].values()] == [["popularity"]] * 2
    assert found["skipped"] == ["outcome on home, seed 0: no time left", "outcome on search, seed 0: no time left"]


def test_fine_tuning_starts_from_the_row_that_is_named(config):
    names = ["unconditioned", "outcome", "multi_token", "finetuned"]
    rows = chosen_rows(config, names, [])
    assert [row.source for row in rows] == [Source.PRETRAINED] * 3 + [Source.FINETUNED]
    assert rows[0].model.conditioning is Conditioning.NONE
    assert rows[3].model == rows[1].model and not rows[3].finetune.impression_negatives
    assert rows[3].against == "outcome"
    later = chosen_rows(config, names, [], base="multi_token")
    assert later[3].model == rows[2].model and later[3].pretrain == rows[2].pretrain
    assert later[3].against == "multi_token"


@pytest.mark.parametrize(("names", "variants", "said"), [
    (["poplarity"], [], "no row 'poplarity'"), ([], ["x"], "write NAME:model.key=value"),
    ([], ["x:model.widht=3"], "widht"), ([], ["x:index.kind=flat"], "write NAME:model.key=value")])
def test_unknown_rows_and_settings_are_named(config, names, variants, said):
    with pytest.raises(ConfigError, match=said):
        chosen_rows(config, names, variants)


def test_a_mistake_is_one_line_and_an_exit_code(capsys, tmp_path):
    assert surfaces.main(["--work", str(tmp_path)]) == 2
    assert "give either --data DIR" in capsys.readouterr().err
