"""The cold benchmark on the tiny world: what is held out is gone, what is asked is the same, chance is chance."""

import json

import cold
import numpy as np
import pytest
from cold_data import absent, held_out_items, unmet
from cold_rows import SAYS, Asked, Measured, content_lists
from surfaces_data import prepared, world_folder

from pinrec_core.config import Config
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.baselines import latest_items

SURFACES = ["home", "related", "search"]


@pytest.fixture(scope="module")
def config():
    return Config.load("pipelines/configs/tiny.toml")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("cold")


@pytest.fixture(scope="module")
def full(config, work):
    return Dataset.open(prepared("", "tiny", config, work))


@pytest.fixture(scope="module")
def held(full):
    return held_out_items(full, 0.1, seed=0)


@pytest.fixture(scope="module")
def unmet_data(config, work, held):
    return Dataset.open(unmet(world_folder("tiny", work), held, config, work / "unmet"))


@pytest.fixture(scope="module")
def found(work):
    path = work / "found.json"
    assert cold.main(["--world", "tiny", "--work", str(work), "--seeds", "2", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def ids(data):
    return np.array(data.items["item_id"].to_pylist())


def test_a_share_of_the_items_that_were_engaged_with_is_drawn_anew_for_every_seed(full, held):
    assert len(held) == round(0.1 * full.retrievable_I.sum())
    drawn_I = np.isin(ids(full), held.to_pylist())
    assert full.retrievable_I[drawn_I].all() and (full.items["train_count"].to_numpy()[drawn_I] > 0).all()
    assert held_out_items(full, 0.1, seed=0).equals(held) and not held_out_items(full, 0.1, seed=1).equals(held)


def test_absent_items_are_in_no_table(config, work, held, full):
    data = Dataset.open(absent(world_folder("tiny", work), held, config, work / "absent"))
    assert not set(ids(data)) & set(held.to_pylist())
    assert data.n_items == full.n_items - len(held)


def test_unmet_items_are_described_and_first_met_in_the_evaluation_window(unmet_data, held):
    held_I = np.isin(ids(unmet_data), held.to_pylist())
    assert held_I.sum() == len(held) and (unmet_data.items["train_count"].to_numpy()[held_I] == 0).all()
    assert None not in unmet_data.items["content"].filter(held_I).to_pylist()
    engaged = unmet_data.time_E[held_I[unmet_data.item_E]]
    assert len(engaged) and (engaged >= unmet_data.train_end_ms).all()
    start_X = np.repeat(unmet_data.view_start_V, np.diff(unmet_data.view_offsets_V1))
    assert (start_X[held_I[unmet_data.shown_item_X]] >= unmet_data.train_end_ms).all()


@pytest.mark.parametrize("surface", SURFACES)
def test_both_datasets_ask_for_the_same(config, full, unmet_data, held, surface):
    asked = [Asked(data, surface, config, held.to_pylist()) for data in (full, unmet_data)]

    def targets(one) -> list:
        requests = one.cohort.requests
        users = one.data.user_ids.take(requests.user_R[one.cohort.request_T]).to_pylist()
        return sorted(zip(users, ids(one.data)[requests.item_T].tolist(), strict=True))

    assert targets(asked[0]) == targets(asked[1])
    assert asked[0].held_I[asked[0].cohort.item_T].sum() > 0


def test_every_row_answers_on_every_surface(found):
    assert list(found["surfaces"]) == SURFACES and {"date", "commit", "command", "total_seconds"} <= set(found)
    for part in found["surfaces"].values():
        assert {row["name"] for row in part["rows"]} == set(SAYS) and min(part["targets"]) > 0
        for row in part["rows"]:
            for key in ("cold@50", "cold@100", "known@50", "known@100"):
                cell = row[key]
                assert 0 <= cell["low"] <= cell["value"] <= cell["high"] <= 1 and cell["n"] > 0
            assert row["cold@50"]["value"] <= row["cold@100"]["value"]


def test_what_counts_engagements_never_finds_a_held_out_item_and_content_does(found):
    for part in found["surfaces"].values():
        rows = {row["name"]: row for row in part["rows"]}
        for name in ("cooccurrence", "popularity"):
            assert rows[name]["cold@100"]["value"] == rows[name]["places"] == 0 < rows[name]["known@100"]["value"]
        assert rows["chance"]["cold@100"]["value"] == rows["chance"]["known@100"]["value"] == pytest.approx(100 / 400)
        for name in ("refreshed", "refreshed_spared", "warm", "content_last"):
            assert rows[name]["cold@100"]["value"] > 0 < rows[name]["places"]


def test_a_users_value_is_the_mean_over_the_seeds_that_ask_the_user_for_such_items():
    seeds = [Measured(["a", "b", "c"], {"cold@50": np.array([1.0, np.nan, np.nan])}),
             Measured(["c", "a"], {"cold@50": np.array([0.25, 0.0])})]
    values = cold.mean_over_seeds(seeds, "cold@50", ["a", "b", "c"])
    np.testing.assert_array_equal(values, [0.5, np.nan, 0.25])


def test_content_lists_are_the_nearest_to_the_history_without_it(unmet_data, config):
    asked = Asked(unmet_data, "home", config, [])
    lists = content_lists(unmet_data, asked.cohort, 1, 32)
    seen_RL = latest_items(unmet_data, asked.cohort, 32)
    request = int(np.flatnonzero(seen_RL[:, 0] >= 0)[0])
    content = np.array(unmet_data.items["content"].to_pylist())
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    score = content @ content[seen_RL[request, 0]]
    score[~unmet_data.retrievable_I] = score[seen_RL[request][seen_RL[request] >= 0]] = -np.inf
    assert lists[request, :20].tolist() == np.argsort(-score)[:20].tolist()
    assert lists.shape == (len(asked.cohort), 100)
