"""The same release, verification, race, answer and report in a registry on object storage (a local server)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from pinrec_core import storage
from pinrec_core.config import IndexConfig
from pinrec_core.errors import ConflictError, IntegrityError, PinrecError
from pinrec_core.registry import aliases_path, live_release, read_aliases, release_path
from pinrec_core.release.answer import recommend
from pinrec_core.release.promote import promote
from pinrec_core.release.promote_refresh import promote_refresh
from pinrec_core.release.refresh import refresh
from pinrec_core.release.verify import verify_release
from pinrec_core.report import run_folder
from pinrec_core.report.run_report import write_run_report

from .world import LOG, N_ITEMS, build, write_catalog


def test_a_release_lives_on_object_storage(bucket, world, verdicts, tmp_path):
    ids = [build(world, verdicts["first"], bucket, surface) for surface in LOG.surfaces]
    assert [build(world, verdicts["first"], bucket, surface) for surface in LOG.surfaces] == ids, "reused"
    for release_id in ids:
        verified = verify_release(bucket, release_id, dataset=world / "dataset", index=IndexConfig(verify_users=5))
    barrier = Barrier(2)

    def attempt(run_id: str) -> bool:
        barrier.wait()
        try:
            return bool(promote(bucket, verdicts["first"], ids, run_id).moved)
        except ConflictError:
            return False

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(attempt, ("run-a", "run-b"))) == [False, True]
    aliases, _ = read_aliases(bucket)
    assert aliases.revision == len(aliases.history) == 1
    assert [aliases.surfaces[surface].live for surface in LOG.surfaces] == ids
    assert len(recommend(bucket, "home", "u007", n=7)) == 7

    catalog = write_catalog(tmp_path / "catalog", ["n0", "n1"])
    more = refresh(bucket, "search", catalog, dataset=world / "dataset", index=IndexConfig(recall_tolerance=0.1))
    promote_refresh(bucket, more.release_id, "refresh")
    assert live_release(bucket, "search") == more.release_id
    assert len(recommend(bucket, "search", "u007", n=500)) == N_ITEMS + 2

    run = run_folder.run_folder(bucket, "run-a")
    run_folder.record_gate(run, verdicts["first"])
    run_folder.record_verification(run, verified)
    run_folder.record_promotion(run, promote(bucket, verdicts["first"], ids, "run-a"))
    assert storage.read_bytes(write_run_report(run)).startswith(b"<!DOCTYPE html>")
    assert json.loads(storage.read_bytes(f"{run}/outcome.json"))["status"] == "promoted"

    storage.write_bytes(f"{release_path(bucket, ids[0])}/generation.json", b"{}")
    with pytest.raises(IntegrityError, match="generation.json: altered"):
        recommend(bucket, "home", "u007")
    with pytest.raises(PinrecError, match="generation.json: altered"):
        promote(bucket, verdicts["first"], ids, "run-c")
    assert aliases_path(bucket) == f"{bucket}/aliases.json"
