"""A release tells where it comes from, down to the files of its events; equal builds are equal releases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pinrec_core.config import FinetuneConfig, PretrainConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, fingerprint_of_files, read_manifest, write_manifest
from pinrec_core.release import stored
from pinrec_core.release.gate import gate
from pinrec_core.release.provenance import built as built_
from pinrec_core.release.provenance.lineage import Inputs, Lineage, parse_lineage, read_lineage
from pinrec_core.release.provenance.tree import lines, tree
from pinrec_core.training.output import training_of

from ..world import build, evaluate_model, gate_config, item_table, write_dataset, write_model

EVENTS = {"2024-10-02": [["date=2024-10-02/a.parquet", 10, 3, "aa"], ["date=2024-10-02/b.parquet", 11, 4, "bb"]],
          "2024-10-03": [["date=2024-10-03/a.parquet", 12, 5, "cc"]]}
CATALOG = [["items.parquet", 9, 120, "dd"]]


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[Path, str]:
    """A release whose dataset names its files and whose model its training: (world, id)."""
    world = tmp_path_factory.mktemp("told")
    items = item_table()
    write_dataset(world / "dataset", items)
    known = read_manifest(world / "dataset", "dataset")
    (world / "dataset" / "inputs.json").write_text(json.dumps({"events": EVENTS, "catalog": CATALOG}))
    events = [file for files in EVENTS.values() for file in files]
    dataset = write_manifest(world / "dataset", kind="dataset", counts=known.counts, facts=known.facts, parents={
        "events": fingerprint_of_files(events), "catalog": fingerprint_of_files(CATALOG)}).fingerprint
    for seed, name in enumerate(("base", "home")):
        write_model(world / f"model-{name}", items, seed, world / "dataset")
    (world / "model-base" / "training.json").write_text(json.dumps(training_of("pretrain", PretrainConfig(epochs=7))))
    base = write_manifest(world / "model-base", kind="model", parents={"dataset": dataset}, facts={"stage": "base"})
    (world / "model-home" / "training.json").write_text(
        json.dumps(training_of("finetune home", FinetuneConfig(epochs=5), world / "model-base")))
    write_manifest(world / "model-home", kind="model", parents={"dataset": dataset, "base": base.fingerprint},
                   facts={"stage": "finetuned", "surface": "home", "validation_recall@50": 0.25})
    evaluate_model(world, "home", "home")
    gate([world / "evaluation-home"], world / "verdict", gate=gate_config(floors={"home": {"recall@10": 0.0}}))
    return world, build(world, world / "verdict", world / "registry", "home")


def test_the_manifests_of_all_it_came_from_are_kept(told):
    world, release_id = told
    kept = read_lineage(world / "registry" / "releases" / release_id, release_id)
    outputs = {"dataset": "dataset", "model-base": "model", "model-home": "model", "evaluation-home": "evaluation",
               "verdict": "verdict"}
    assert kept.manifests == {(m := read_manifest(world / name, kind)).fingerprint: m for name, kind in outputs.items()}
    assert json.loads(kept.inputs.model_dump_json()) == {"events": EVENTS, "catalog": CATALOG}


def test_the_tree_goes_down_to_partitions_and_files(told):
    world, release_id = told
    registry = str(world / "registry")
    manifest = stored.release_manifest(registry, release_id)
    found = tree(manifest, stored.stored_lineage(registry, manifest), stored.stored_built(registry, manifest))
    text = lines(found, files=False)
    assert text[0].startswith(f"release {release_id[:12]} (built 20") and "image not in a container" in text[0]
    below = "\n".join(text)
    for part in ("│  └─ events ", "partitions 2, rows 12", "date=2024-10-02 (files 2, rows 7)", "catalog ",
                 "base ", "stage base", "stage finetuned", "verdict ", "decision promote"):
        assert part in below, below
    assert below.count("partitions 2") == 1 and "told above" in below and "b.parquet" not in below
    assert "date=2024-10-02/b.parquet bb (bytes 11, rows 4)" in "\n".join(lines(found, files=True))


def test_the_card_tells_data_training_metrics_gate_index_limits_and_the_way_back(told):
    world, release_id = told
    card = (world / "registry" / "releases" / release_id / "card.md").read_text()
    measured = json.loads((world / "evaluation-home" / "evaluation.json").read_text())
    recall, click = measured["metrics"]["recall@10"], measured["by_action"]["click"]["recall@10"]
    popularity = next(row for row in measured["rows"] if row["name"] == "popularity")
    for part in (
            "# Retrieval for surface home",
            "Read from 3 event files of 2 partitions, 2024-10-02 to 2024-10-03, 12 rows",
            "| `pretrain.epochs` | `7` |", "| `finetune home.epochs` | `5` |", "| `model.width` | `16` |",
            "| `generation.steps` | `2` |", "| `index.kind` | `\"auto\"` |", "validation_recall@50 0.2500",
            f"| recall@10 | {recall['value']:.4f} | {recall['low']:.4f} to {recall['high']:.4f} | {recall['n']} |",
            f"| action | click | recall@10 | {click['value']:.4f} | {click['low']:.4f} to {click['high']:.4f} | "
            f"{click['n']} |",
            f"| popularity | {popularity['recall@10']:.4f} |", "Decision on home: **promote**", "reaches its floor",
            "| kind | flat |", "## Limits", "pinrec registry rollback home --registry REGISTRY --reason TEXT"):
        assert part in card, f"{part}\n{card}"


def test_who_builds_where_is_told_and_does_not_change_the_release(told, monkeypatch):
    world, release_id = told
    monkeypatch.setenv(built_.IMAGE_VARIABLE, "registry.example/pinrec@sha256:0123")
    monkeypatch.setenv(built_.COMMIT_VARIABLE, "c0ffee")
    assert build(world, world / "verdict", world / "elsewhere", "home") == release_id
    manifest = stored.release_manifest(str(world / "elsewhere"), release_id)
    here, there = (stored.stored_built(str(world / name), manifest) for name in ("registry", "elsewhere"))
    assert (there.image, there.commit) == ("registry.example/pinrec@sha256:0123", "c0ffee")
    assert here.image == built_.NO_IMAGE and here.release == there.release == release_id
    for folder in (world / "registry", world / "elsewhere"):
        assert "c0ffee" not in (folder / "releases" / release_id / "card.md").read_text()


def test_the_commit_is_that_of_this_code_and_of_no_other(monkeypatch, tmp_path):
    monkeypatch.delenv(built_.COMMIT_VARIABLE, raising=False)
    found = built_.commit()
    if shutil.which("git") and (Path(built_.__file__).parents[3] / ".git").exists():
        assert len(found.removesuffix("+changes")) == 40
    elsewhere = tmp_path / "site-packages" / "pinrec_core" / "__init__.py"
    monkeypatch.setattr(built_.pinrec_core, "__file__", str(elsewhere))
    elsewhere.parent.mkdir(parents=True)
    assert built_.commit() == ""


def test_a_lineage_that_is_not_true_is_refused_with_both_fingerprints():
    manifest = Manifest(kind="dataset", code_version="1", config_fingerprint="", counts={}, facts={}, files={},
                        parents={"events": "e" * 64, "catalog": "c" * 64})
    other = {"f" * 64: manifest}
    with pytest.raises(IntegrityError, match=f"the dataset {'f' * 64} has fingerprint {manifest.fingerprint}"):
        parse_lineage(Lineage(manifests=other).model_dump_json().encode(), "r")
    inputs = Inputs(events={"2024-10-02": (("a", 1, 2, "m"),)}, catalog=())
    made_up = Lineage(manifests={manifest.fingerprint: manifest}, inputs=inputs)
    with pytest.raises(IntegrityError, match=f"its events have fingerprint {inputs.fingerprints['events']}, those of "
                                             f"the dataset {'e' * 64}"):
        parse_lineage(made_up.model_dump_json().encode(), "r")
    with pytest.raises(IntegrityError, match="not a lineage"):
        parse_lineage(b"{}", "r")
