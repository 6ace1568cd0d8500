"""A run that is not to promote says what could go live, demands the same proofs, and moves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.registry import aliases_path
from pinrec_core.release.gate import gate
from pinrec_core.release.ready import ready

from .world import gate_config


def test_verified_releases_are_named_by_surface_and_nothing_moves(registry, verdicts, releases):
    home, search = releases["first"]
    found = ready(registry, verdicts["first"], [search, home], "run-1")
    assert found.releases == {"home": home, "search": search} and found.run == "run-1"
    assert f"home {home[:12]}, search {search[:12]}" in found.sentence
    assert not Path(aliases_path(registry)).exists()


def test_what_is_not_verified_is_not_ready(registry, verdicts, releases):
    Path(registry, "verifications", f"{releases['first'][1]}.json").unlink()
    with pytest.raises(IntegrityError, match=f"{releases['first'][1]} has no verification"):
        ready(registry, verdicts["first"], releases["first"], "run-1")


def test_a_rejected_verdict_makes_nothing_ready(registry, world, releases, tmp_path):
    gate([world / "evaluation-home", world / "evaluation-search"], tmp_path / "verdict", gate=gate_config(floor=1.0))
    with pytest.raises(PinrecError, match="nothing is ready: .* below its floor"):
        ready(registry, tmp_path / "verdict", releases["first"], "run-1")
