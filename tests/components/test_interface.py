"""What the Kubeflow interface shows of a run: artifacts with metadata, metrics, summaries and the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kfp import dsl
from steps_of_a_run import Steps

from pinrec_core.registry import live_release
from pinrec_core.store import Reference


def of_kind(steps: Steps, kind: type[dsl.Artifact]) -> dict[str, dsl.Artifact]:
    return {name: artifact for name, artifact in steps.artifacts.items() if type(artifact) is kind}


def test_every_output_says_what_it_is(steps: Steps):
    named = {name: artifact.metadata.get("kind") for name, artifact in steps.artifacts.items()
             if not isinstance(artifact, dsl.Metrics | dsl.Markdown)}
    assert named == {"dataset": "dataset", "validation": "validation", "base": "model", "curve": "training_curve",
                     "model": "model", "evaluation": "evaluation", "verdict": "verdict", "release": "release",
                     "page": "report"}
    for name in set(named) - {"curve", "page"}:
        metadata = steps.artifacts[name].metadata
        assert re.fullmatch(r"[0-9a-f]{64}", metadata["fingerprint"]), name
        assert any(type(value) is int for value in metadata.values()), f"{name} has no counts"
    for name in ("model", "evaluation", "release"):
        assert steps.artifacts[name].metadata["surface"] == "home"
    assert steps.artifacts["validation"].metadata["dataset"] == steps.artifacts["dataset"].metadata["fingerprint"]
    assert steps.artifacts["verdict"].metadata["decision"] == "promote"


def test_metadata_are_plain_values_that_cross_into_kubeflow(steps: Steps):
    for artifact in steps.artifacts.values():
        assert json.loads(json.dumps(artifact.metadata, allow_nan=False)) == artifact.metadata
        assert all(isinstance(value, int | float | str) for value in artifact.metadata.values())


def test_the_release_is_named_by_its_id_and_place(steps: Steps):
    artifact = steps.artifacts["release"]
    release_id = live_release(steps.registry, "home")
    assert artifact.metadata["release_id"] == artifact.metadata["fingerprint"] == release_id
    assert artifact.metadata["data"] == f"{steps.registry}/releases/{release_id}"
    assert Reference.model_validate_json(Path(artifact.path).read_bytes()).kind == "release"


@pytest.mark.parametrize(("name", "some"), [
    ("counts", {"rows_in", "users"}), ("pretrained", {"steps", "items"}), ("finetuned", {"steps", "items"}),
    ("measured", {"recall@10", "recall@50"}), ("verified", {"replay_recall", "ann_recall", "latency", "p99_ms"})])
def test_metrics_are_shown_and_in_the_file_that_the_cache_wants(steps: Steps, name, some):
    metrics = steps.artifacts[name]
    assert some <= set(metrics.metadata)
    assert json.loads(Path(metrics.path).read_bytes()) == metrics.metadata


def test_metrics_are_those_of_the_evaluation(steps: Steps):
    evaluation = json.loads(Path(steps.artifacts["evaluation"].path, "evaluation.json").read_bytes())
    assert steps.artifacts["measured"].metadata["recall@50"] == evaluation["metrics"]["recall@50"]["value"]


def test_summaries_say_in_words_what_was_found(steps: Steps):
    text = {name: Path(artifact.path).read_text("utf-8") for name, artifact in of_kind(steps, dsl.Markdown).items()}
    assert set(text) == {"checks", "judged", "promoted"}
    validation = json.loads(Path(steps.artifacts["validation"].path, "validation.json").read_bytes())
    warned = [rule["sentence"] for rule in validation["rules"] if rule["rule"] in validation["warnings"]]
    assert text["checks"].startswith(f"**{len(validation['rules'])} checks, {len(warned)} warned**\n\n")
    assert warned and all(f"- {sentence}" in text["checks"] for sentence in warned)
    assert text["judged"].startswith("**promote**\n\n- ") and "home recall@50" in text["judged"]
    assert text["promoted"].startswith("**promoted**\n\n- ")
    assert live_release(steps.registry, "home")[:12] in text["promoted"]


def test_the_report_is_one_page_that_needs_nothing_else(steps: Steps):
    page = steps.artifacts["page"]
    html = Path(page.path).read_text("utf-8")
    assert html == Path(steps.registry, "runs/run-1/report.html").read_text("utf-8")
    assert not re.search(r"https?:|<script|<link|@import|src=\"(?!data:)", html)
    assert "home" in html and live_release(steps.registry, "home")[:12] in html
    assert page.metadata == {"kind": "report", "run": "run-1"}
