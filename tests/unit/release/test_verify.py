"""verify_release in a real clean process: what passes, what does not, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinrec_core.config import EngineKind, GenerationConfig, IndexConfig
from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.manifest import Manifest, write_manifest
from pinrec_core.release.checks import verify
from pinrec_core.release.engines import latency_check
from pinrec_core.release.verification import Verification, require_verification
from pinrec_core.release.verify import verify_release

from .world import build, reseal


def resealed(registry: str, release_id: str) -> tuple[Path, str]:
    """Give an altered release a fresh manifest and move it to the id that follows."""
    folder = Path(registry, "releases", release_id)
    new = reseal(folder)
    return folder.rename(folder.with_name(new.fingerprint)), new.fingerprint


def check_of(found: Verification, name: str):
    return next(check for check in found.checks if check.name == name)


def test_a_clean_process_verifies_and_leaves_a_document(world, registry, releases):
    home = releases["first"][0]
    document = Path(registry, "verifications", f"{home}.json")
    document.unlink()
    found = verify_release(registry, home, dataset=world / "dataset", index=IndexConfig(verify_users=25))
    assert json.loads(document.read_text()) == found
    assert found["passed"] and found["release_id"] == home and found["surface"] == "home"
    replayed = [check for check in found["checks"] if check["name"] == "replay_recall"]
    assert [check["n"] for check in replayed] == [25, 25] and [check["observed"] for check in replayed] == [0, 0]
    assert found["measured"].keys() == {"load_s", "peak_rss_mb", "peak_rss_mb_after_load", "p50_ms", "p99_ms",
                                        "requests"}
    assert all(value > 0 for value in found["measured"].values())


def test_a_damaged_release_fails_keeps_its_log_and_replaces_an_earlier_pass(world, registry, releases):
    home = releases["first"][0]
    path = Path(registry, "releases", home, "index", "index.faiss")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(PinrecError, match="index.faiss: altered"):
        verify_release(registry, home, dataset=world / "dataset", index=IndexConfig())
    assert "index.faiss: altered" in Path(registry, "verifications", f"{home}.log").read_text()
    assert json.loads(Path(registry, "verifications", f"{home}.json").read_text())["passed"] is False


def test_another_recall_than_the_evaluated_one_is_named_with_both_numbers(world, registry, releases):
    folder = Path(registry, "releases", releases["first"][0])
    evaluated = pq.read_table(folder / "per_user.parquet")
    column = evaluated.column_names.index("pinrec.recall@20")
    raised = evaluated.set_column(column, "pinrec.recall@20", pa.array([1.0] * evaluated.num_rows))
    pq.write_table(raised, folder / "per_user.parquet")
    folder, release_id = resealed(registry, releases["first"][0])
    found = verify(folder, release_id, world / "dataset", IndexConfig())
    assert not found.passed
    (reason,) = found.reasons
    assert reason.startswith("home recall@20 replayed 0.") and "evaluated 1.0000 (n = 60): not within 0.02" in reason


def test_an_evaluation_of_other_users_fails_closed(world, registry, releases):
    folder = Path(registry, "releases", releases["first"][0])
    evaluated = pq.read_table(folder / "per_user.parquet")
    strangers = pa.array([f"x{n}" for n in range(evaluated.num_rows)])
    pq.write_table(evaluated.set_column(0, "user_id", strangers), folder / "per_user.parquet")
    folder, release_id = resealed(registry, releases["first"][0])
    found = verify(folder, release_id, world / "dataset", IndexConfig())
    assert not check_of(found, "replay_recall").passed and "none of the evaluation's users" in found.reasons[0]


def test_vectors_of_another_model_are_found_even_if_every_fingerprint_was_forged(world, registry, releases):
    folder = Path(registry, "releases", releases["first"][0])
    other = Path(registry, "releases", releases["second"][0])
    shutil.copyfile(other / "index" / "index.faiss", folder / "index" / "index.faiss")
    folder, release_id = resealed(registry, releases["first"][0])
    found = verify(folder, release_id, world / "dataset", IndexConfig())
    check = check_of(found, "ann_recall")
    assert not check.passed and check.observed < 0.95 and "less than the required 0.95" in check.sentence


def test_a_release_that_answers_too_slowly_fails_or_is_told_of(world, registry, releases):
    home = releases["first"][0]
    folder = Path(registry, "releases", home)
    slow = {"max_p99_ms": 1e-6, "verify_users": 10}
    refused = verify(folder, home, world / "dataset", IndexConfig(**slow))
    check = check_of(refused, "latency")
    assert not refused.passed and refused.reasons == [check.sentence]
    assert check.observed == refused.measured["p99_ms"] and (check.limit, check.n) == (1e-6, 10)
    assert check.sentence.startswith("home torch p99 ") and check.sentence.endswith("at most 1e-06 ms allowed")
    told = verify(folder, home, world / "dataset", IndexConfig(**slow, latency_level="warn"))
    assert told.passed and not check_of(told, "latency").passed
    assert check_of(verify(folder, home, world / "dataset", IndexConfig(max_p99_ms=1e6)), "latency").passed


def test_a_latency_that_was_not_measured_passes_only_without_a_limit():
    assert not latency_check("home", EngineKind.TORCH, [], IndexConfig(max_p99_ms=5)).passed
    unlimited = latency_check("home", EngineKind.TORCH, [], IndexConfig())
    assert unlimited.passed and "no limit is set" in unlimited.sentence


def test_other_generation_settings_than_the_evaluated_ones_change_the_recall(world, verdicts, tmp_path):
    other = GenerationConfig(steps=2, candidates=20, budgets={"home": {"save": 1.0}})
    release_id = build(world, verdicts["first"], tmp_path, "home", generation=other)
    strict = IndexConfig(recall_tolerance=0.001)
    found = verify(tmp_path / "releases" / release_id, release_id, world / "dataset", strict)
    assert not check_of(found, "replay_recall").passed


def test_another_dataset_is_refused(world, registry, releases, tmp_path):
    shutil.copytree(world / "dataset", tmp_path / "dataset")
    write_manifest(tmp_path / "dataset", kind="dataset",
                   facts=json.loads((world / "dataset" / "manifest.json").read_text())["facts"])
    home = releases["first"][0]
    with pytest.raises(IntegrityError, match="was evaluated on .*; pass that dataset"):
        verify(Path(registry, "releases", home), home, tmp_path / "dataset", IndexConfig())


@pytest.mark.parametrize(("change", "message"), [
    ({"passed": False}, "does not follow"), ({"checks": []}, "does not follow"),
    ({"release_id": "other"}, "release_id is other"), ({"fingerprints": {}}, "dataset_fingerprint is None")])
def test_a_doctored_verification_is_refused(registry, releases, change, message):
    home = releases["first"][0]
    path = Path(registry, "verifications", f"{home}.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    manifest = Manifest.model_validate_json(Path(registry, "releases", home, "manifest.json").read_bytes())
    with pytest.raises(IntegrityError, match=message):
        require_verification(registry, home, manifest)
