"""A frozen surface does not move; what would have been promoted waits as candidate."""

from __future__ import annotations

import pytest
from quoted import says

from pinrec_core.config import Policy
from pinrec_core.errors import ConfigError, PinrecError
from pinrec_core.registry import read_aliases
from pinrec_core.release.gate import gate
from pinrec_core.release.operations.freeze import freeze, unfreeze
from pinrec_core.release.operations.promotion import promote_by_id
from pinrec_core.release.operations.rollback import rollback
from pinrec_core.release.promote import promote

from ..world import LOG, build, gate_config, verify_here


def live(registry: str) -> dict[str, str | None]:
    return {surface: alias.live for surface, alias in read_aliases(registry)[0].surfaces.items()}


def test_policy_all_moves_nothing_while_one_surface_is_frozen(registry, verdicts, releases):
    home, search = releases["first"]
    freeze(registry, "home", reason="a campaign runs", run_id="r")
    with pytest.raises(PinrecError, match="home is frozen by .*: a campaign runs") as raised:
        promote(registry, verdicts["first"], releases["first"], "run-1")
    says("error: nothing was promoted, policy all moves every surface or none: ... They wait as candidates; ...",
         raised.value)
    aliases, _ = read_aliases(registry)
    assert live(registry) == {"home": None, "search": None}
    assert {surface: alias.candidate for surface, alias in aliases.surfaces.items()} == {"home": home, "search": search}
    assert [entry["action"] for entry in aliases.history] == ["freeze", "hold"]
    told = unfreeze(registry, "home", reason="it is over", run_id="r")
    assert f"release {home} waits: `pinrec registry promote {home}`" in told
    promote_by_id(registry, [home, search], run_id="r")
    aliases, _ = read_aliases(registry)
    assert live(registry) == {"home": home, "search": search}
    assert all(alias.candidate is None for alias in aliases.surfaces.values()) and aliases.frozen == {}


def test_policy_each_moves_the_others(registry, world, tmp_path):
    gate([world / "evaluation-home", world / "evaluation-search"], tmp_path / "verdict",
         gate=gate_config(policy=Policy.EACH))
    ids = [build(world, tmp_path / "verdict", registry, surface) for surface in LOG.surfaces]
    for release_id in ids:
        verify_here(world, registry, release_id)
    freeze(registry, "home", reason="a campaign runs", run_id="r")
    result = promote(registry, tmp_path / "verdict", ids, "run-1")
    assert list(result.moved) == ["search"] and "a campaign runs" in result.kept["home"][0]
    assert "now live (revision 2): search" in result.sentence and "home is frozen" in result.sentence
    assert read_aliases(registry)[0].surfaces["home"].model_dump() == {
        "live": None, "previous": None, "candidate": ids[0]}
    before = read_aliases(registry)
    assert promote(registry, tmp_path / "verdict", ids, "run-1").moved == {}
    assert read_aliases(registry) == before, "twice is once"
    unfreeze(registry, "home", reason="", run_id="r")
    promote_by_id(registry, ids[:1], run_id="r")
    assert live(registry) == {"home": ids[0], "search": ids[1]}


def test_force_does_not_lift_it_and_a_rollback_respects_it(second_live, releases):
    freeze(second_live, "home", reason="a campaign runs", run_id="r")
    before = live(second_live)
    with pytest.raises(PinrecError, match="home is frozen .*; `pinrec registry unfreeze home` first") as raised:
        rollback(second_live, "home", reason="r", run_id="r")
    says("error: ... is frozen ...; `pinrec registry unfreeze ...` first", raised.value)
    with pytest.raises(PinrecError, match="nothing was promoted"):
        promote_by_id(second_live, releases["first"], run_id="r", forced="back")
    assert live(second_live) == before


def test_twice_is_once_and_an_unknown_surface_is_named(first_live):
    freeze(first_live, "home", reason="one", run_id="r")
    before = read_aliases(first_live)
    assert freeze(first_live, "home", reason="two", run_id="r").startswith("nothing to do: home is frozen")
    assert read_aliases(first_live) == before
    assert "frozen are ['home']" in unfreeze(first_live, "search", reason="", run_id="r")
    with pytest.raises(ConfigError, match="'hone' has no release .* did you mean 'home'"):
        freeze(first_live, "hone", reason="r", run_id="r")
    unfreeze(first_live, "home", reason="", run_id="r")
    history = read_aliases(first_live)[0].history
    assert [entry["action"] for entry in history] == ["promote", "freeze", "unfreeze"]
    assert history[-1]["frozen"] == {"home": None}
