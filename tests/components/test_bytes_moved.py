"""The components with a store: small artifacts, and each step fetches what it reads, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kfp import dsl
from quoted import says
from steps_of_a_run import Steps, call

from pinrec_core import storage
from pinrec_core.errors import PinrecError
from pinrec_core.store import Reference

TALK = 100_000  # bytes on the wire beside the data: requests, listings, manifests, statistics


@pytest.mark.parametrize("name", ["dataset", "base", "model"])
def test_what_kubeflow_copies_is_a_small_document(steps: Steps, name):
    artifact = steps.artifacts[name]
    assert Path(artifact.path).stat().st_size < 1500
    reference = Reference.model_validate_json(Path(artifact.path).read_bytes())
    assert artifact.metadata["data"] == reference.uri and reference.uri.startswith(f"{steps.bucket}/{reference.kind}s/")
    assert artifact.metadata["fingerprint"] == reference.fingerprint
    assert reference.bytes == steps.size(name)


def test_every_step_fetches_what_it_reads_once_and_writes_what_is_new(steps: Steps):
    dataset, base, model = (steps.size(name) for name in ("dataset", "base", "model"))
    assert min(dataset, base, model) > TALK, "what is fetched twice is seen"
    with_state = sum(file.size for file in storage.tree_files(steps.artifacts["dataset"].metadata["data"]).values())
    assert with_state > 1.5 * dataset, "what the next day takes over is no small part"
    expected = {"aggregate_logs": (0, with_state), "validate_data": (dataset, 0), "pretrain": (dataset, base),
                "finetune": (dataset + base, model), "resolve_live": (0, 0), "evaluate": (dataset + model, 0),
                "gate": (0, 0), "build_index": (dataset + model, 0), "verify_release": (dataset, 0), "promote": (0, 0),
                "notify": (0, 0)}
    assert set(expected) == set(steps.moved)
    for step, (received, sent) in expected.items():
        found = steps.moved[step]
        assert received <= found[0] < received + TALK, f"{step} received {found[0]}, its inputs have {received}"
        assert sent <= found[1] < sent + TALK, f"{step} sent {found[1]}, its outputs have {sent}"


def test_later_steps_and_tomorrows_aggregation_find_the_data_in_the_store(steps: Steps):
    evaluation = json.loads(Path(steps.artifacts["evaluation"].path, "evaluation.json").read_bytes())
    assert evaluation["model_path"] == steps.artifacts["model"].metadata["data"]
    data = json.loads(Path(steps.registry, "runs/run-1/data.json").read_bytes())
    assert data["uri"] == steps.artifacts["dataset"].metadata["data"]


def test_removed_data_are_refused_in_words_and_the_run_says_so(steps: Steps, tmp_path):
    away = Reference.model_validate_json(Path(steps.artifacts["dataset"].path).read_bytes())
    gone = away.model_copy(update={"uri": f"{steps.bucket}/datasets/gone"})
    (tmp_path / "dataset").write_text(gone.model_dump_json())
    with pytest.raises(PinrecError, match="gone: no longer in the store") as raised:
        call("validate_data", dataset=dsl.Dataset(uri=str(tmp_path / "dataset")), registry=str(tmp_path / "registry"),
             validate=steps.sections["validate"], run_id="run-1", validation=dsl.Artifact(uri=str(tmp_path / "found")),
             summary=dsl.Markdown(uri=str(tmp_path / "summary")))
    kept = json.loads((tmp_path / "registry/runs/run-1/failure.json").read_bytes())
    assert kept["step"] == "validate-data" and kept["message"] == str(raised.value)
    says("...: no longer in the store, or never whole; run the step that wrote ... again, without the cache",
         raised.value)
