"""The whole step on the hand-made dataset with an untrained model: contents, determinism, comparison with live."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from pinrec_core.config import EvaluationConfig, GenerationConfig, IndexConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.evaluation import subject
from pinrec_core.evaluation.evaluate import evaluate
from pinrec_core.manifest import read_manifest
from pinrec_core.model.io import load_model

SETTINGS = {"generation": GenerationConfig(candidates=20),
            "evaluation": EvaluationConfig(ks=(5, 20), bootstrap_samples=50), "index": IndexConfig()}


def run(dataset_dir, model_dir, output, surface="home", registry="", **changes):
    manifest = evaluate(dataset_dir, model_dir, output, surface=surface, registry=str(registry), **SETTINGS | changes)
    assert read_manifest(output, "evaluation") == manifest
    return json.loads((output / "evaluation.json").read_text()), manifest


@pytest.fixture
def registry(tmp_path, model_dir):
    """A registry whose live home release holds a copy of the model under test."""
    folder = tmp_path / "registry"
    shutil.copytree(model_dir, folder / "releases" / "r1" / "model")
    (folder / "aliases.json").write_text(json.dumps({"revision": 1, "surfaces": {"home": {"live": "r1"}}}))
    return folder


def test_numbers_are_those_of_the_lists(dataset_dir, model_dir, tmp_path):
    found, manifest = run(dataset_dir, model_dir, tmp_path / "out")
    assert (found["n_users"], found["n_requests"], found["n_targets"], found["n_retrievable"]) == (3, 3, 4, 40)
    assert found["targets_by_action"] == {"click": 3, "save": 2}
    # popularity [p2 p1 p3 p5 p7]: a has both, b and c theirs
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["pinrec", "popularity", "surface_popularity", "recent_surface_popularity",
                          "recent_surface_exposure", "last_item_neighbour", "cooccurrence", "cooccurrence_x_recent"]
    assert rows["popularity"]["recall@5"] == rows["popularity"]["hit_rate@5"] == 1.0
    assert rows["popularity"]["coverage@5"] == 5 / 40 and rows["popularity"]["n"] == 3
    assert found["best_baseline"]["recall@5"]["name"] == "popularity"
    users = pq.read_table(tmp_path / "out" / "per_user.parquet").to_pylist()
    assert [(u["user_id"], u["split"], u["n_targets"]) for u in users] == [("a", "train", 2), ("b", "validation", 1),
                                                                          ("c", "heldout", 1)]
    mean = np.mean([u["pinrec.recall@20"] for u in users])
    assert found["metrics"]["recall@20"]["value"] == pytest.approx(mean) and found["metrics"]["recall@20"]["n"] == 3
    assert found["by_split"]["heldout"]["recall@20"]["value"] == users[2]["pinrec.recall@20"]
    assert found["by_action"]["save"]["recall@20"]["n"] == 2
    assert (found["embedding"]["items"], found["embedding"]["dimension"]) == (40, 16)
    assert 1 < found["embedding"]["effective_rank"] < 16 and found["embedding"]["duplicate_share"] == 0
    assert found["live"] is None and manifest.counts == {"users": 3, "requests": 3, "targets": 4}


def test_unordered_recall_is_the_best_single_query(dataset_dir, model_dir, tmp_path):
    found, _ = run(dataset_dir, model_dir, tmp_path / "out")
    model = load_model(model_dir)
    assert found["metrics"]["unordered_recall@20"]["value"] >= found["metrics"]["unordered_recall@5"]["value"]
    assert 1 <= found["vectors"] <= SETTINGS["generation"].steps * len(model.log.positive_actions)
    one, _ = run(dataset_dir, model_dir, tmp_path / "one", generation=GenerationConfig(
        candidates=20, steps=1, budgets={"home": {"click": 1.0}}))
    for k in (5, 20):  # with a single query both are the same list
        assert one["metrics"][f"unordered_recall@{k}"] == one["metrics"][f"recall@{k}"]
    assert one["vectors"] == 1


def test_the_whole_catalogue_has_everything(dataset_dir, model_dir, tmp_path):
    found, _ = run(dataset_dir, model_dir, tmp_path / "out", generation=GenerationConfig(candidates=40),
                   evaluation=EvaluationConfig(ks=(40,), bootstrap_samples=20))
    assert found["metrics"]["recall@40"]["value"] == 1.0 and found["metrics"]["coverage@40"]["value"] == 1.0


def test_views_are_averaged_per_user(dataset_dir, model_dir, tmp_path):
    found, _ = run(dataset_dir, model_dir, tmp_path / "out", surface="search")
    assert (found["unit"], found["n_users"], found["n_requests"]) == ("view", 1, 2)
    assert found["metrics"]["recall@5"]["n"] == 1


def test_same_inputs_same_fingerprint(dataset_dir, model_dir, tmp_path):
    first = run(dataset_dir, model_dir, tmp_path / "first")[1]
    assert run(dataset_dir, model_dir, tmp_path / "second")[1].fingerprint == first.fingerprint


def test_nobody_to_evaluate_is_null_never_zero(model_dir, views, tiny, tmp_path):
    before = [view for view in views if view[3] < 10 * tiny.day]
    found, _ = run(tiny.write_dataset(tmp_path / "data", tiny.items, before), model_dir, tmp_path / "out")
    assert found["n_users"] == 0
    assert found["metrics"]["recall@5"] == {"value": None, "low": None, "high": None, "n": 0}
    assert found["metrics"]["coverage@5"] == {"value": None, "n": 0} and found["best_baseline"] == {}


def test_the_same_model_live_differs_by_nothing(dataset_dir, model_dir, registry, tmp_path):
    found, manifest = run(dataset_dir, model_dir, tmp_path / "out", registry=registry)
    live = found["live"]
    assert live["release_id"] == "r1" and manifest.parents["live_model"] == manifest.parents["model"]
    assert live["metrics"]["recall@20"]["value"] == found["metrics"]["recall@20"]["value"]
    assert live["difference"]["recall@20"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 3}
    assert {"recall@5", "hit_rate@5", "unordered_recall@20"} <= set(live["difference"])
    assert found["rows"][1]["name"] == "popularity"


def test_live_items_are_matched_by_name(dataset_dir, model_dir, registry, tiny, tmp_path):
    """The same model over the items in another order is the same model: only the dense indices differ."""
    shutil.rmtree(registry / "releases" / "r1" / "model")
    turned = tiny.write_model(registry / "releases" / "r1" / "model", tiny.items[::-1])
    assert load_model(turned).items["item_id"][0].as_py() == "q1"
    found, _ = run(dataset_dir, model_dir, tmp_path / "out", registry=registry)
    assert found["live"]["difference"]["recall@20"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 3}


def test_transitions_of_the_live_model_are_in_its_own_codes(dataset_dir, model_dir, registry, tiny, tmp_path):
    """By what a and b did before the window, these put all their targets first, whatever the order of the items."""
    shutil.rmtree(registry / "releases" / "r1" / "model")
    tiny.write_model(registry / "releases" / "r1" / "model", tiny.items[::-1], {"p3": ["p1", "p2"], "p5": ["p2"]})
    run(dataset_dir, model_dir, tmp_path / "out", registry=registry)
    users = pq.read_table(tmp_path / "out" / "per_user.parquet").to_pylist()
    assert [user["live.recall@5"] for user in users[:2]] == [1.0, 1.0]
    assert sum(user["pinrec.recall@5"] for user in users[:2]) < 2, "without them they are not first"


def test_settings_made_for_the_candidate_do_not_end_the_comparison(dataset_dir, registry, tiny, tmp_path):
    """The live model knows no time offsets: the shares that its successor's are given say nothing to it."""
    candidate = tiny.write_model(tmp_path / "model", tiny.items, offsets_s=(60.0,))
    generation = GenerationConfig(candidates=20, offset_shares=(0.5, 0.5))
    found, _ = run(dataset_dir, candidate, tmp_path / "out", registry=registry, generation=generation)
    plain, _ = run(dataset_dir, candidate, tmp_path / "plain", registry=registry)
    assert found["live"]["metrics"] == plain["live"]["metrics"]
    with pytest.raises(ConfigError, match="offset_shares"):
        run(dataset_dir, registry / "releases" / "r1" / "model", tmp_path / "wrong", generation=generation)


def test_a_model_is_not_asked_for_what_it_does_not_know(model_dir):
    asked = GenerationConfig(offset_shares=(1.0, 0.0), budgets={"home": {"click": 0.5, "share": 0.5}})
    found = subject.suited(asked, load_model(model_dir))
    assert found == GenerationConfig().model_copy(update={"budgets": {"home": {"click": 0.5}}})


def test_items_the_live_model_lacks_are_missed_not_invented(dataset_dir, model_dir, registry, tiny, tmp_path):
    shutil.rmtree(registry / "releases" / "r1" / "model")
    theirs = [name for name in tiny.items if name != "p5"] + ["p77", "p78"]
    tiny.write_model(registry / "releases" / "r1" / "model", theirs)
    found, _ = run(dataset_dir, model_dir, tmp_path / "out", registry=registry,
                   generation=GenerationConfig(candidates=41),
                   evaluation=EvaluationConfig(ks=(41,), bootstrap_samples=20))
    users = pq.read_table(tmp_path / "out" / "per_user.parquet").to_pylist()
    assert [user["live.recall@41"] for user in users] == [1.0, 1.0, 0.0]  # c's only target is p5
    assert found["live"]["difference"]["recall@41"]["value"] == pytest.approx(1 / 3)


def test_a_damaged_live_release_stops_the_step(dataset_dir, model_dir, registry, tmp_path):
    (registry / "releases" / "r1" / "model" / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="altered"):
        run(dataset_dir, model_dir, tmp_path / "out", registry=registry)
    assert not (tmp_path / "out").exists()


def test_lists_shorter_than_k_are_refused(dataset_dir, model_dir, tmp_path):
    with pytest.raises(ConfigError, match="candidates is only 10"):
        run(dataset_dir, model_dir, tmp_path / "out", generation=GenerationConfig(candidates=10))


def test_dataset_of_the_fixture_opens(dataset_dir):
    assert Dataset.open(dataset_dir).n_users == 5


def test_chunks_do_not_show(dataset_dir, model_dir, tmp_path, monkeypatch):
    deep = {"generation": GenerationConfig(candidates=40), "evaluation": EvaluationConfig(ks=(1, 10, 20, 40))}
    whole, _ = run(dataset_dir, model_dir, tmp_path / "whole", **deep)
    assert whole["metrics"]["unordered_recall@40"]["value"] == 1.0
    monkeypatch.setattr(subject, "_CHUNK", 2)
    parts, _ = run(dataset_dir, model_dir, tmp_path / "parts", **deep)
    assert parts == whole


def test_what_the_allow_list_leaves_out_is_not_retrieved(dataset_dir, model_dir, tmp_path):
    allow = tmp_path / "allow.txt"
    allow.write_text("p1\n")  # a target of one user only
    index = IndexConfig(allow={"home": str(allow)})
    found, manifest = run(dataset_dir, model_dir, tmp_path / "out", index=index)
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["pinrec"]["coverage@20"] == 1 / 40 and rows["popularity"]["recall@5"] == 1
    assert found["metrics"]["recall@20"]["value"] == pytest.approx(1 / 6)  # half of one of three users
    other, elsewhere = run(dataset_dir, model_dir, tmp_path / "all")
    assert found["allow_sha256"] and not other["allow_sha256"] and manifest.fingerprint != elsewhere.fingerprint
