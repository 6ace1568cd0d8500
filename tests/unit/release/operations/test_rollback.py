"""A rollback goes only to what is whole and loads, marks what it leaves, and nothing brings that back by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from quoted import says

from pinrec_core.errors import ConfigError, IntegrityError, PinrecError
from pinrec_core.registry import read_aliases
from pinrec_core.release.answer import recommend
from pinrec_core.release.gate import gate
from pinrec_core.release.operations.promotion import promote_by_id
from pinrec_core.release.operations.rollback import rollback
from pinrec_core.release.promote import promote

from ..world import GENERATION, LOG, build, gate_config, verify_here


def test_it_goes_back_to_the_previous_release_and_marks_the_bad_one(second_live, releases):
    good, bad = releases["first"][0], releases["second"][0]
    before = read_aliases(second_live)[0]
    assert (before.surfaces["home"].live, before.surfaces["home"].previous) == (bad, good)
    told = rollback(second_live, "home", reason="answers are empty", run_id="night shift")
    assert f"live is {good} again (revision 3); {bad} is marked bad: answers are empty" in told
    after, _ = read_aliases(second_live)
    assert (after.surfaces["home"].live, after.surfaces["home"].previous) == (good, None)
    assert after.surfaces["search"] == before.surfaces["search"]
    assert (after.bad[bad].why, bool(after.bad[bad].who)) == ("answers are empty", True)
    entry = after.history[-1]
    assert after.history[:-1] == before.history
    assert (entry["action"], entry["why"], entry["run"]) == ("rollback", "answers are empty", "night shift")
    assert entry["who"] and entry["when"].endswith("+00:00") and list(entry["bad"]) == [bad]
    assert recommend(second_live, "home", "u007", n=5)


def test_a_bad_release_comes_back_by_force_with_a_reason_only(second_live, verdicts, releases):
    bad = releases["second"][0]
    rollback(second_live, "home", reason="answers are empty", run_id="r")
    before = read_aliases(second_live)
    with pytest.raises(PinrecError, match=f"release {bad} was marked bad by .*: answers are empty; ") as raised:
        promote(second_live, verdicts["second"], releases["second"], "run-3")
    says("error: release ... marked bad by ... at ...: ...; `pinrec registry promote --force --reason TEXT` promotes "
         "it all the same", raised.value)
    with pytest.raises(PinrecError, match="was marked bad"):
        promote_by_id(second_live, releases["second"], run_id="run-3")
    assert read_aliases(second_live) == before
    promote_by_id(second_live, releases["second"], run_id="run-3", forced="it was the cache")
    after, _ = read_aliases(second_live)
    assert after.surfaces["home"].live == bad and after.bad == {}
    assert after.history[-1]["why"].startswith("forced: it was the cache") and after.history[-1]["bad"] == {bad: None}


def test_the_same_thing_under_another_id_is_as_bad(second_live, world, releases, tmp_path):
    bad = releases["second"][0]
    rollback(second_live, "home", reason="answers are empty", run_id="r")
    gate([world / "evaluation-home2", world / "evaluation-search"], tmp_path / "judged anew", gate=gate_config(0.001))
    ids = [build(world, tmp_path / "judged anew", second_live, surface) for surface in LOG.surfaces]
    for release_id in ids:
        verify_here(world, second_live, release_id)
    assert ids[0] != bad
    with pytest.raises(PinrecError, match=f"{ids[0]} serves the same as {bad}, which was marked bad .*: answers are"):
        promote(second_live, tmp_path / "judged anew", ids, "run-3")


def test_it_goes_to_a_named_release_by_the_beginning_of_its_id(second_live, releases):
    good = releases["first"][0]
    assert good in rollback(second_live, "home", reason="r", run_id="r", to=good[:8])


def test_what_was_never_live_there_is_no_target(second_live, releases):
    search = releases["first"][1]
    with pytest.raises(PinrecError, match=f"on home .* it can go back to {releases['first'][0]}") as raised:
        rollback(second_live, "home", reason="r", run_id="r", to=search)
    says("error: release ... was never live on ... or is gone, and a rollback passes no gate...", raised.value)
    with pytest.raises(PinrecError, match="is live on home already"):
        rollback(second_live, "home", reason="r", run_id="r", to=releases["second"][0])
    with pytest.raises(ConfigError, match="no release in .* starts with 'zzz'"):
        rollback(second_live, "home", reason="r", run_id="r", to="zzz")
    assert read_aliases(second_live)[0].revision == 2


def test_without_anything_to_go_back_to_it_says_so(second_live, releases):
    rollback(second_live, "home", reason="r", run_id="r")
    with pytest.raises(PinrecError, match="; there is none") as raised:
        rollback(second_live, "home", reason="r", run_id="r")
    says("error: surface ... has no previous release...", raised.value)
    with pytest.raises(PinrecError, match="marked bad itself"):
        rollback(second_live, "home", reason="r", run_id="r", to=releases["second"][0])
    with pytest.raises(PinrecError, match="surface 'feed' has no live release .* on \\['home', 'search'\\]"):
        rollback(second_live, "feed", reason="r", run_id="r")


def test_a_target_that_is_altered_unverified_or_does_not_load_moves_nothing(second_live, releases, world):
    good, before = releases["first"][0], read_aliases(second_live)
    weights = Path(second_live, "releases", good, "model", "weights.safetensors")
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="weights.safetensors: altered"):
        rollback(second_live, "home", reason="r", run_id="r")
    weights.write_bytes(data)
    verification = Path(second_live, "verifications", f"{good}.json")
    text = verification.read_text()
    verification.unlink()
    with pytest.raises(IntegrityError, match="has no verification"):
        rollback(second_live, "home", reason="r", run_id="r")
    verification.write_text(text.replace('"engine":"torch"', '"engine":"onnx"'))
    with pytest.raises(IntegrityError, match="not a graph that onnxruntime can run"):
        rollback(second_live, "home", reason="r", run_id="r")
    assert read_aliases(second_live) == before
    verify_here(world, second_live, good)
    rollback(second_live, "home", reason="r", run_id="r")


def test_a_live_release_that_is_broken_can_be_left(second_live, releases):
    bad = releases["second"][0]
    Path(second_live, "releases", bad, "manifest.json").write_text("{")
    rollback(second_live, "home", reason="disk error", run_id="r")
    assert read_aliases(second_live)[0].bad[bad].content == ""


def test_after_two_steps_forward_and_one_back_the_next_step_back_is_the_first(second_live, releases, world, verdicts):
    changed = GENERATION.model_copy(update={"overfetch": 4.0})
    third = build(world, verdicts["second"], second_live, "home", generation=changed)
    verify_here(world, second_live, third)
    promote_by_id(second_live, [third, releases["second"][1]], run_id="run-3", forced="r")
    rollback(second_live, "home", reason="bad", run_id="r")
    alias = read_aliases(second_live)[0].surfaces["home"]
    assert (alias.live, alias.previous) == (releases["second"][0], releases["first"][0])
    rollback(second_live, "home", reason="bad too", run_id="r")
    after, _ = read_aliases(second_live)
    assert (after.surfaces["home"].live, set(after.bad)) == (releases["first"][0], {third, releases["second"][0]})
