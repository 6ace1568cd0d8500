"""A release is built only of what the verdict passed, holds all it needs, and is the same every time."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from quoted import says

from pinrec_core.config import GenerationConfig, IndexConfig, Policy
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import DataError, IntegrityError, PinrecError
from pinrec_core.manifest import Manifest, read_manifest, write_manifest
from pinrec_core.release.bundle import REQUIRED, read_release
from pinrec_core.release.checks import verify
from pinrec_core.release.gate import gate
from pinrec_core.release.histories import read_history
from pinrec_core.release.load import load_release

from .world import END_MS, GENERATION, build, evaluate_model, gate_config, reseal, write_model


def test_the_release_holds_everything_under_one_fingerprint(world, verdicts, registry, releases):
    home = releases["first"][0]
    folder = Path(registry, "releases", home)
    manifest = read_release(folder, home)
    assert set(REQUIRED) <= set(manifest.files)
    assert manifest.fingerprint == home
    assert manifest.facts["surface"] == "home" and manifest.facts["date"] == "2024-10-03"
    assert manifest.facts["index"] == "flat" and manifest.facts["asked_ms"] == END_MS
    assert manifest.parents == {
        "dataset": read_manifest(world / "dataset", "dataset").fingerprint,
        "model": read_manifest(world / "model-home", "model").fingerprint,
        "evaluation": read_manifest(world / "evaluation-home", "evaluation").fingerprint,
        "verdict": read_manifest(verdicts["first"], "verdict").fingerprint}
    measured = json.loads((world / "evaluation-home" / "evaluation.json").read_text())["metrics"]
    assert manifest.facts["recall"]["recall@10"] == measured["recall@10"]["value"]
    assert GenerationConfig.parse((folder / "generation.json").read_text()) == GENERATION


def test_histories_are_each_users_last_engagements_up_to_the_end_of_the_data(world, registry, releases):
    path = Path(registry, "releases", releases["first"][0], "histories.parquet")
    dataset = Dataset.open(world / "dataset")
    assert pq.read_table(path)["user_id"].to_pylist() == sorted(dataset.user_ids.to_pylist())
    for user_id in ("u000", "u031", "u059"):
        expected = dataset.history(dataset.user_index(user_id), END_MS, 8)
        assert len(expected.item_T) == 8, "the model's max_length"
        for found, wanted in zip(read_history(path, user_id), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_an_unknown_user_is_told_the_nearest_id(registry, releases):
    with pytest.raises(DataError, match="user 'u031x' is not among the 60 users .* nearest known id is 'u031'"):
        read_history(Path(registry, "releases", releases["first"][0], "histories.parquet"), "u031x")


def test_building_twice_gives_the_same_release_and_reuses_it(world, verdicts, registry, releases):
    home = releases["first"][0]
    manifest = Path(registry, "releases", home, "manifest.json")
    before = manifest.stat().st_mtime_ns
    assert build(world, verdicts["first"], registry, "home") == home
    assert manifest.stat().st_mtime_ns == before
    other = GenerationConfig(steps=1, candidates=20)
    assert build(world, verdicts["first"], registry, "home", generation=other) != home


def test_a_release_that_is_there_and_altered_is_not_reused(world, verdicts, registry, releases):
    path = Path(registry, "releases", releases["first"][0], "generation.json")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match="generation.json: altered"):
        build(world, verdicts["first"], registry, "home")


def test_an_approximate_index_is_written_as_such(world, verdicts, tmp_path):
    release_id = build(world, verdicts["first"], tmp_path, "home", index=IndexConfig(kind="ivf"))
    release = load_release(tmp_path / "releases" / release_id, release_id)
    assert release.manifest.facts["index"] == "ivf"
    assert build(world, verdicts["first"], tmp_path, "home", index=IndexConfig(kind="ivf")) == release_id


def test_a_surface_that_did_not_pass_is_refused(world, tmp_path):
    evaluations = [world / "evaluation-home", world / "evaluation-search"]
    gate(evaluations, tmp_path / "none", gate=gate_config(0.99))
    with pytest.raises(PinrecError, match=r"did not pass surface 'home': home recall@10 .* is below its floor 0.990"):
        build(world, tmp_path / "none", tmp_path / "registry", "home")
    floors = {"home": {"recall@10": 0.0}, "search": {"recall@10": 0.99}}
    for policy, allowed in ((Policy.EACH, True), (Policy.ALL, False)):
        gate(evaluations, tmp_path / policy, gate=gate_config(policy=policy, floors=floors))
        if allowed:
            build(world, tmp_path / policy, tmp_path / "registry", "home")
        else:
            with pytest.raises(PinrecError, match="search recall@10"):
                build(world, tmp_path / policy, tmp_path / "registry", "home")
    with pytest.raises(PinrecError, match=r"nothing about surface 'feed'.*home.*search"):
        build(world, tmp_path / "none", tmp_path / "registry", "feed")


def test_a_model_other_than_the_evaluated_one_is_refused(world, verdicts, tmp_path):
    copy = tmp_path / "world"
    shutil.copytree(world, copy, ignore=shutil.ignore_patterns("registry"))
    evaluated = json.loads((copy / "verdict-first" / "verdict.json").read_text())
    evaluated["surfaces"]["home"]["model_path"] = str(world / "model-home2")
    (copy / "verdict-first" / "verdict.json").write_text(json.dumps(evaluated))
    manifest = read_manifest(world / "verdict-first", "verdict")
    write_manifest(copy / "verdict-first", kind="verdict", parents=manifest.parents, facts=manifest.facts)
    with pytest.raises(IntegrityError) as error:
        build(copy, copy / "verdict-first", tmp_path / "registry", "home")
    for model in ("model-home", "model-home2"):
        assert read_manifest(world / model, "model").fingerprint in str(error.value)
    assert not (tmp_path / "registry").exists()


def test_a_dataset_other_than_the_evaluated_one_is_refused(world, verdicts, tmp_path):
    shutil.copytree(world / "dataset", tmp_path / "dataset")
    manifest = read_manifest(world / "dataset", "dataset")
    write_manifest(tmp_path / "dataset", kind="dataset", facts=manifest.facts | {"date": "2024-10-04"})
    with pytest.raises(IntegrityError, match="dataset .* has fingerprint"):
        build(tmp_path, verdicts["first"], tmp_path / "registry", "home")


def test_a_model_of_other_items_is_refused(world, tmp_path):
    items = pq.read_table(world / "dataset" / "items.parquet")
    write_model(tmp_path / "model", items.take(list(reversed(range(items.num_rows)))), 0, world / "dataset")
    evaluation = tmp_path / "evaluation"
    shutil.copytree(world / "evaluation-home", evaluation)
    content = json.loads((evaluation / "evaluation.json").read_text()) | {"model_path": str(tmp_path / "model")}
    (evaluation / "evaluation.json").write_text(json.dumps(content))
    parents = read_manifest(world / "evaluation-home", "evaluation").parents
    parents |= {"model": read_manifest(tmp_path / "model", "model").fingerprint}
    write_manifest(evaluation, kind="evaluation", parents=parents)
    floors = {"home": {"recall@10": 0.0}}
    gate([evaluation], tmp_path / "verdict", gate=gate_config(floors=floors))
    with pytest.raises(IntegrityError, match="ids or order differ"):
        build(world, tmp_path / "verdict", tmp_path / "registry", "home")


@pytest.mark.parametrize("name", ["model/weights.safetensors", "index/index.faiss", "histories.parquet",
                                  "verdict.json"])
def test_one_flipped_byte_is_refused(registry, releases, name):
    home = releases["first"][0]
    folder = Path(registry, "releases", home)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=f"{name}: altered: sha256 .* manifest says") as raised:
        load_release(folder, home)
    says("error: ...: altered: sha256 ...", raised.value)


def test_a_missing_file_is_refused(registry, releases):
    home = releases["first"][0]
    Path(registry, "releases", home, "index", "items.npy").unlink()
    with pytest.raises(IntegrityError, match="items.npy: named in the manifest but missing"):
        load_release(Path(registry, "releases", home), home)


def test_an_edited_manifest_is_refused_with_both_fingerprints(registry, releases):
    home = releases["first"][0]
    path = Path(registry, "releases", home, "manifest.json")
    edited = Manifest.model_validate_json(path.read_bytes())
    edited.facts["recall"]["recall@10"] = 0.99
    path.write_text(edited.model_dump_json())
    with pytest.raises(IntegrityError, match=f"{edited.fingerprint}.*{home}"):
        load_release(path.parent, home)


def test_a_model_with_the_index_of_another_is_refused_even_under_a_new_manifest(registry, releases, world):
    home, other = releases["first"][0], releases["second"][0]
    folder = Path(registry, "releases", home)
    for name in ("index.faiss", "items.npy", "index.json"):
        shutil.copyfile(Path(registry, "releases", other, "index", name), folder / "index" / name)
    new = reseal(folder)
    with pytest.raises(IntegrityError) as error:
        load_release(folder, new.fingerprint)
    for model in ("model-home", "model-home2"):
        assert read_manifest(world / model, "model").fingerprint in str(error.value)


@pytest.fixture
def allow_list(tmp_path) -> IndexConfig:
    """60 of the world's items may be answered with on home; two more ids are nobody's."""
    path = tmp_path / "allow.txt"
    path.write_text("\n".join(["", *(f"i{n}" for n in range(0, 120, 2)), "i0", " poem ", "i999", ""]))
    return IndexConfig(allow={"home": str(path)})


@pytest.fixture
def allowed_verdict(world, allow_list, tmp_path) -> Path:
    """A verdict over home, evaluated under the allow list."""
    evaluation = evaluate_model(world, "home", "home", output=f"evaluation-{tmp_path.name}", index=allow_list)
    config = gate_config(floors={"home": {"recall@10": 0.0}})
    gate([evaluation], tmp_path / "verdict", gate=config)
    return tmp_path / "verdict"


def test_a_release_holds_only_what_the_allow_list_names(world, allow_list, allowed_verdict, tmp_path, caplog):
    caplog.set_level("WARNING", "pinrec")
    release_id = build(world, allowed_verdict, tmp_path, "home", index=allow_list)
    assert "60 items allowed, 2 ids are no retrievable item" in caplog.text
    folder = tmp_path / "releases" / release_id
    assert load_release(folder, release_id).retriever.index.item_N.tolist() == list(range(0, 120, 2))
    told = json.loads((folder / "index" / "index.json").read_text())["allow"]
    assert told == {"sha256": hashlib.sha256(Path(allow_list.allow["home"]).read_bytes()).hexdigest(), "unknown": 2}
    assert verify(folder, release_id, world / "dataset", allow_list).passed


def test_an_allow_list_other_than_the_evaluated_one_is_refused(world, verdicts, allow_list, allowed_verdict, tmp_path):
    with pytest.raises(IntegrityError, match="allow list .* sha256 [0-9a-f]{64}, that of its evaluation none"):
        build(world, verdicts["first"], tmp_path, "home", index=allow_list)
    path = Path(allow_list.allow["home"])
    path.write_text(path.read_text() + "i1\n")
    with pytest.raises(IntegrityError, match="evaluate and gate again"):
        build(world, allowed_verdict, tmp_path, "home", index=allow_list)


def test_an_allow_list_that_allows_nothing_is_refused(world, verdicts, allow_list, tmp_path):
    path = Path(allow_list.allow["home"])
    path.write_text("poem\n\n")
    with pytest.raises(DataError, match="none of its 1 ids is a retrievable item"):
        build(world, verdicts["first"], tmp_path, "home", index=allow_list)
    path.write_bytes(b"i0\n\xff")
    with pytest.raises(DataError, match="not UTF-8 text at byte 3"):
        build(world, verdicts["first"], tmp_path, "home", index=allow_list)
    path.unlink()
    with pytest.raises(IntegrityError, match="no such file"):
        build(world, verdicts["first"], tmp_path, "home", index=allow_list)
