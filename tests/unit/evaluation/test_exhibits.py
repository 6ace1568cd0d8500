"""What the report is given to show: by hand on the tiny dataset, bounded, and the same every time."""

import json

import numpy as np
import pyarrow as pa
import pytest

from pinrec_core.config import EvaluationConfig, GenerationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import build_cohort
from pinrec_core.evaluation.exhibits import item_map, outcomes
from pinrec_core.evaluation.exhibits.collect import exhibits
from pinrec_core.evaluation.subject import fresh_retriever
from pinrec_core.model.io import load_model

EVALUATION = EvaluationConfig(ks=(5, 20, 40), bootstrap_samples=30)


@pytest.fixture
def shown(dataset_dir, model_dir, monkeypatch):
    """Make exhibits of a surface: shown(surface, ks)."""
    monkeypatch.setattr(outcomes, "LEAST_USERS", 1)

    def make(surface: str = "home", evaluation: EvaluationConfig = EVALUATION) -> dict:
        dataset, model = Dataset.open(dataset_dir), load_model(model_dir)
        retriever = fresh_retriever(model, surface, GenerationConfig(candidates=40))
        cohort = build_cohort(dataset, surface, evaluation)
        return exhibits(retriever, dataset, cohort, model.retrievable_I.numpy(), evaluation)

    return make


def test_whole_catalogue_has_no_lift_and_fewer_candidates_may(shown):
    everything = shown(evaluation=EvaluationConfig(ks=(40,), bootstrap_samples=30))["outcomes"]
    assert everything["outcomes"] == ["click", "save"], "three users clicked, two saved"
    assert [[cell["lift"] for cell in row] for row in everything["lift"]] == [[1.0, 1.0], [1.0, 1.0]]
    assert [cell["n"] for cell in everything["usual"]] == [2, 2], "users a, c with clicks; a, b with saves"
    assert all(cell["value"] == 1.0 for point in everything["pareto"]["points"] for cell in point["recall"])


def test_the_ends_of_the_two_budgets_are_the_rows_of_the_lift(shown):
    found = shown()["outcomes"]
    assert found["k"] == 20
    first, second = found["lift"]
    ends = {point["share"]: point["recall"] for point in found["pareto"]["points"]}
    assert [cell["value"] for cell in ends[1.0]] == [cell["value"] for cell in first]
    assert [cell["value"] for cell in ends[0.0]] == [cell["value"] for cell in second]


def test_outcomes_of_too_few_users_are_not_compared(shown, monkeypatch):
    monkeypatch.setattr(outcomes, "LEAST_USERS", 20)
    assert shown()["outcomes"] is None


def test_samples_hold_what_the_user_did(shown):
    users = {sample["user"]: sample for sample in shown()["samples"]}
    assert set(users) == {"a", "b", "c"}
    a = users["a"]
    assert [token["item"] for token in a["history"]] == ["p3", "p2", "p1"], "latest first, up to the window"
    assert a["history"][0] | {} == {"item": "p3", "title": "", "actions": ["save"], "surface": "search",
                                    "when": "1970-01-10 00:00"}
    assert {target["item"]: target["actions"] for target in a["targets"]} == {"p1": ["click"], "p2": ["click", "save"]}
    place = {item["item"]: rank for rank, item in enumerate(a["retrieved"], 1)}
    for target in a["targets"]:
        assert target["place"] is not None, "the list holds the whole catalogue"
        assert target["place"] == place.get(target["item"], target["place"]) and (
            target["item"] in place) == (target["place"] <= 10)
    assert [item["hit"] for item in a["retrieved"]] == [item["item"] in ("p1", "p2") for item in a["retrieved"]]
    assert users["c"]["history"] == [] and users["c"]["history_length"] == 0


def test_the_same_every_time_and_small(shown):
    first = json.dumps(shown("search"), allow_nan=False)
    assert json.dumps(shown("search"), allow_nan=False) == first and len(first) < 20_000


def test_the_map_keeps_distances_of_a_plane():
    plane_ND = np.zeros((5, 8))
    plane_ND[:, 2], plane_ND[:, 5] = [0, 3, 0, -3, 0], [0, 0, 1, 0, -1]
    items = pa.table({"attributes": [[7, 1], [7], [9], [9], []],
                      "title": ["red cup", "blue cup", "old van", "new van", None]})
    found = item_map.item_map(plane_ND, items, among=50)
    assert found["explained"] == 1.0 and (found["n"], found["among"]) == (5, 50)
    place_N2 = np.array([point[:2] for point in found["points"]])
    between = np.linalg.norm(place_N2[:, None] - place_N2[None], axis=2)
    assert between == pytest.approx(np.linalg.norm(plane_ND[:, None] - plane_ND[None], axis=2), abs=1e-2)
    assert [point[2] for point in found["points"]] == [0, 0, 1, 1, 2]
    assert found["categories"] == ["cup", "van", "others"], "named by what their titles share"


def test_a_category_without_a_common_word_is_numbered():
    items = pa.table({"attributes": [[7], [7], [7]], "title": ["red cup", "blue van", None]})
    assert item_map.categories(items)[1] == ["category 1", "others"]


@pytest.mark.parametrize("vectors", [np.zeros((2, 8)), np.full((4, 8), np.nan)])
def test_nothing_to_map_is_none(vectors):
    items = pa.table({"attributes": [[]] * len(vectors), "title": pa.nulls(len(vectors), pa.string())})
    assert item_map.item_map(vectors, items, 9) is None
