"""A candidate 5 % worse on one surface alone: policy `all` moves nothing, policy `each` moves the other surface."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pinrec_core import storage
from pinrec_core.config import Policy
from pinrec_core.errors import PinrecError, ReleaseRejected
from pinrec_core.registry import aliases_path, read_aliases
from pinrec_core.release.gate import gate
from pinrec_core.release.outcome import Outcome
from pinrec_core.release.promote import promote, reject
from pinrec_core.release.verdict import Decision

from .known import evaluate_known, known_gate, write_known_dataset, write_known_model
from .world import LOG, build, verify_here


def released(folder: Path, verdict: Path, registry: str, *surfaces: str) -> list[str]:
    """Verified releases of the surfaces, not live yet."""
    ids = [build(folder, verdict, registry, surface) for surface in surfaces]
    for release_id in ids:
        verify_here(folder, registry, release_id)
    return ids


@pytest.fixture
def live(tmp_path) -> tuple[str, list[str]]:
    """A registry in which a model of recall 1 is live on both surfaces: (registry, [home, search])."""
    registry = str(tmp_path / "registry")
    write_known_dataset(tmp_path / "dataset")
    for name, settings in (("first", {"seed": 0}), ("same", {"seed": 1}), ("worse", {"seed": 1, "forgotten": 2})):
        write_known_model(tmp_path / name, tmp_path / "dataset", **settings)
    gate([evaluate_known(tmp_path, "first", surface, registry) for surface in LOG.surfaces], tmp_path / "verdict-0",
         gate=known_gate(Policy.ALL))
    ids = released(tmp_path, tmp_path / "verdict-0", registry, *LOG.surfaces)
    promote(registry, tmp_path / "verdict-0", ids, "run-0")
    return registry, ids


@pytest.fixture
def candidates(live, tmp_path) -> list[Path]:
    """Evaluations of a candidate that is as good as live on home and 5 % worse on search."""
    return [evaluate_known(tmp_path, name, surface, live[0])
            for name, surface in (("same", "home"), ("worse", "search"))]


def assert_tells_all(message: str, live_id: str) -> None:
    """Surface, metric, both numbers, interval and n."""
    found = re.search(rf"search recall@20 0\.950 against 1\.000 of live release {live_id[:12]}: difference -0\.0500, "
                      r"interval \[(-0\.\d+), (-0\.\d+)\] \(n = 60\) lies below the limit -0\.0200", message)
    assert found, message
    assert -0.08 < float(found[1]) < -0.05 < float(found[2]) < -0.02
    assert "home" not in message.replace("now live (revision 2): home", "")


def test_policy_all_moves_nothing(live, candidates, tmp_path):
    registry, ids = live
    before = storage.read_versioned(aliases_path(registry))
    verdict = gate(candidates, tmp_path / "verdict", gate=known_gate(Policy.ALL))
    assert verdict.decision is Decision.REJECT and verdict.passed == ["home"]
    with pytest.raises(PinrecError, match="the verdict is to reject"):
        promote(registry, tmp_path / "verdict", ids, "run-1")
    with pytest.raises(PinrecError, match="did not pass surface 'home'"):
        build(tmp_path, tmp_path / "verdict", registry, "home")
    with pytest.raises(ReleaseRejected) as refused:
        reject(tmp_path / "verdict", True)
    assert storage.read_versioned(aliases_path(registry)) == before
    message, _, held = str(refused.value).partition("; policy all also holds back ")
    assert_tells_all(message, ids[1])
    assert held == "home"


def test_policy_each_moves_the_other_surface(live, candidates, tmp_path):
    registry, ids = live
    verdict = gate(candidates, tmp_path / "verdict", gate=known_gate(Policy.EACH))
    assert verdict.decision is Decision.PROMOTE and verdict.passed == ["home"]
    (home,) = released(tmp_path, tmp_path / "verdict", registry, "home")
    result = promote(registry, tmp_path / "verdict", [home], "run-1")
    aliases = read_aliases(registry)[0].surfaces
    assert (aliases["home"].live, aliases["home"].previous, aliases["search"].live) == (home, *ids)
    assert_tells_all(result.told, ids[1])
    assert f"now live (revision 2): home {home[:12]}." in result.told


def test_as_good_as_live_is_passed_and_not_only_undecided(live, candidates, tmp_path):
    verdict = gate(candidates, tmp_path / "verdict", gate=known_gate(Policy.EACH))
    outcomes = {surface: {rule.outcome for rule in judged.rules if rule.rule == "change_against_live"}
                for surface, judged in verdict.surfaces.items()}
    assert outcomes == {"home": {Outcome.PASSED}, "search": {Outcome.FAILED}}


def test_slices_are_those_of_the_real_evaluation(candidates, tmp_path):
    verdict = gate(candidates, tmp_path / "verdict", gate=known_gate(Policy.EACH))
    slices = {rule.slice: rule for rule in verdict.surfaces["search"].rules if rule.rule == "max_drop_per_slice"}
    assert set(slices) == {"activity 1-9", "item_age unknown", "action click", "split train"}, "those with users"
    for rule in slices.values():
        assert (rule.outcome, rule.n, rule.limit) == (Outcome.PASSED, 60, -0.1)
        assert rule.observed == pytest.approx(-0.05)
