"""Which targets are in which slice, by hand, and that candidate and live release are compared on each."""

import json

import numpy as np
import pyarrow as pa
import pytest

from pinrec_core.config import EvaluationConfig, GenerationConfig, IndexConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import build_cohort
from pinrec_core.evaluation.evaluate import evaluate
from pinrec_core.evaluation.slices import slices_of


@pytest.fixture(scope="module")
def data(dataset_dir, tiny) -> Dataset:
    """The dataset, its items p1, p2 and p5 created 3 and 40 days before the window and one day into it."""
    opened = Dataset.open(dataset_dir)
    created = [None] * opened.n_items
    for name, day in (("p1", 7), ("p2", -30), ("p5", 11)):
        created[tiny.items.index(name)] = day * tiny.day
    column = pa.array(created, pa.int64())
    items = opened.items.set_column(opened.items.schema.get_field_index("created_ms"), "created_ms", column)
    return Dataset(**{**vars(opened), "items": items})


def test_every_target_is_where_it_belongs(data, tiny):
    cohort = build_cohort(data, "home", EvaluationConfig())
    slices = slices_of(cohort, data)
    targets = list(zip(data.user_ids.take(pa.array(cohort.requests.user_R[cohort.request_T])).to_pylist(),
                       [tiny.items[i] for i in cohort.item_T], strict=True))
    found = {kind: {name: {targets[t] for t in np.flatnonzero(wanted_T)} for name, wanted_T in named.items()}
             for kind, named in slices.items()}
    a, b, c = {("a", "p1"), ("a", "p2")}, {("b", "p2")}, {("c", "p5")}
    assert found["action"] == {"click": a | c, "save": {("a", "p2")} | b}
    assert found["split"] == {"train": a, "validation": b, "heldout": c}
    assert found["activity"] == {"0": c, "1-9": a | b, "10-99": set(), "100+": set()}
    assert found["item_age"] == {"new": c, "0-6 days": {("a", "p1")}, "7-29 days": set(),
                                 "30+ days": {("a", "p2")} | b, "unknown": set()}


def test_items_of_unknown_age_are_a_slice_of_their_own(dataset_dir):
    opened = Dataset.open(dataset_dir)
    ages = slices_of(build_cohort(opened, "home", EvaluationConfig()), opened)["item_age"]
    assert {name: int(wanted_T.sum()) for name, wanted_T in ages.items() if wanted_T.any()} == {"unknown": 4}


def test_candidate_and_live_are_compared_on_every_slice(dataset_dir, model_dir, tiny, tmp_path):
    registry = tmp_path / "registry"
    tiny.write_model(registry / "releases" / "r1" / "model", tiny.items, {"p3": ["p1", "p2"], "p5": ["p2"]})
    (registry / "aliases.json").write_text(json.dumps({"revision": 1, "surfaces": {"home": {"live": "r1"}}}))
    evaluate(dataset_dir, model_dir, tmp_path / "out", surface="home", registry=str(registry), index=IndexConfig(),
             generation=GenerationConfig(candidates=20), evaluation=EvaluationConfig(ks=(5,), bootstrap_samples=20))
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    live = found["live"]["slices"]
    assert {kind: list(named) for kind, named in live.items()} == {
        kind: list(found[f"by_{kind}"]) for kind in ("action", "split", "activity", "item_age")}
    for kind, named in live.items():
        for name, theirs in named.items():
            mine, base = found[f"by_{kind}"][name]["recall@5"], theirs["metrics"]["recall@5"]
            difference = theirs["difference"]["recall@5"]
            assert mine["n"] == base["n"] == difference["n"]
            if mine["n"]:
                assert difference["value"] == pytest.approx(mine["value"] - base["value"])
    assert live["split"]["train"]["metrics"]["recall@5"]["value"] == 1.0, "the live release knows what follows p3"
    assert live["activity"]["10-99"]["difference"]["recall@5"] == {"value": None, "low": None, "high": None, "n": 0}


def test_every_baseline_has_its_paired_difference(dataset_dir, model_dir, tmp_path):
    evaluate(dataset_dir, model_dir, tmp_path / "out", surface="home", registry="", index=IndexConfig(),
             generation=GenerationConfig(candidates=20), evaluation=EvaluationConfig(ks=(5,), bootstrap_samples=20))
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert list(found["baselines"]) == list(rows)[1:]
    for name, theirs in found["baselines"].items():
        assert theirs["metrics"]["recall@5"]["value"] == rows[name]["recall@5"]
        assert theirs["difference"]["recall@5"]["value"] == pytest.approx(
            rows["pinrec"]["recall@5"] - rows[name]["recall@5"])
