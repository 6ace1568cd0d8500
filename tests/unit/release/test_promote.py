"""promote moves all aliases or none, demands every proof itself, and survives a race; reject says every reason."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from quoted import says

from pinrec_core import storage
from pinrec_core.config import Policy
from pinrec_core.errors import ConflictError, IntegrityError, PinrecError, ReleaseRejected
from pinrec_core.registry import aliases_path, read_aliases
from pinrec_core.release.gate import gate
from pinrec_core.release.promote import Promotion, promote, reject
from pinrec_core.release.verdict import read_verdict

from .world import ANY_CHANGE, LOG, build, evaluate_model, gate_config, verify_here


def result_ids(result: Promotion) -> dict[str, str]:
    return {surface: move.live for surface, move in result.moved.items()}


def live(registry: str) -> dict[str, str | None]:
    return {surface: alias.live for surface, alias in read_aliases(registry)[0].surfaces.items()}


def test_promotion_moves_every_surface_at_once_and_writes_history(registry, verdicts, releases):
    home, search = releases["first"]
    result = promote(registry, verdicts["first"], [home, search], "run-1")
    aliases, _ = read_aliases(registry)
    assert live(registry) == {"home": home, "search": search}
    assert aliases.revision == 1 == result.revision
    (entry,) = aliases.history
    assert entry["run"] == "run-1" and entry["who"] and entry["when"].endswith("+00:00") and "recall@10" in entry["why"]
    assert entry["action"] == "promote" and entry["surfaces"] == {
        surface: {"live": one, "previous": None, "candidate": None} for surface, one in result_ids(result).items()}
    assert result_ids(result) == {"home": home, "search": search}


def test_promoting_what_is_live_does_nothing_and_says_so(registry, verdicts, releases):
    promote(registry, verdicts["first"], releases["first"], "run-1")
    before = storage.read_versioned(aliases_path(registry))
    result = promote(registry, verdicts["first"], releases["first"], "run-2")
    assert storage.read_versioned(aliases_path(registry)) == before
    assert result.moved == {} and result.sentence.startswith("nothing to do")
    assert set(result.unchanged) == {"home", "search"}


def test_what_was_live_becomes_previous(registry, verdicts, releases, world, tmp_path):
    promote(registry, verdicts["first"], releases["first"], "run-1")
    evaluations = [evaluate_model(world, name, surface, registry, f"{tmp_path.name}-{name}")
                   for name, surface in (("home2", "home"), ("search", "search"))]
    judged = gate(evaluations, tmp_path / "verdict", gate=gate_config(rules=ANY_CHANGE))
    assert judged.surfaces["home"].live_release == releases["first"][0]
    ids = [build(world, tmp_path / "verdict", registry, surface) for surface in LOG.surfaces]
    for release_id in ids:
        verify_here(world, registry, release_id)
    promote(registry, tmp_path / "verdict", ids, "run-2")
    aliases, _ = read_aliases(registry)
    assert aliases.surfaces["home"].live == ids[0] and aliases.surfaces["home"].previous == releases["first"][0]
    assert [entry["revision"] for entry in aliases.history] == [1, 2]


def test_without_verification_nothing_moves(registry, verdicts, releases):
    Path(registry, "verifications", f"{releases['first'][1]}.json").unlink()
    with pytest.raises(IntegrityError, match=f"{releases['first'][1]} has no verification") as raised:
        promote(registry, verdicts["first"], releases["first"], "run-1")
    says("error: release ... has no verification at ...; run verify_release on it", raised.value)
    assert not Path(aliases_path(registry)).exists()


def test_a_failed_verification_is_refused(registry, verdicts, releases):
    path = Path(registry, "verifications", f"{releases['first'][0]}.json")
    content = json.loads(path.read_text())
    content["passed"] = content["checks"][0]["passed"] = False
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError) as raised:
        promote(registry, verdicts["first"], releases["first"], "run-1")
    says("error: release ... did not pass verification: ...; see ...", raised.value)
    assert live(registry) == {}


def test_a_release_of_another_verdict_is_refused(registry, verdicts, releases):
    with pytest.raises(IntegrityError, match="its verdict_fingerprint is .*, the verdict has"):
        promote(registry, verdicts["first"], releases["second"], "run-1")
    assert live(registry) == {}


def test_a_release_altered_after_its_verification_is_refused(registry, verdicts, releases):
    path = Path(registry, "releases", releases["first"][0], "histories.parquet")
    data = bytearray(path.read_bytes())
    data[8] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="histories.parquet: altered"):
        promote(registry, verdicts["first"], releases["first"], "run-1")
    assert live(registry) == {}


def test_policy_all_refuses_a_missing_surface(registry, verdicts, releases):
    with pytest.raises(PinrecError, match="policy all .* no release for search"):
        promote(registry, verdicts["first"], releases["first"][:1], "run-1")
    with pytest.raises(PinrecError, match="no release was named"):
        promote(registry, verdicts["first"], [], "run-1")
    assert live(registry) == {}


def test_policy_each_moves_what_passed_and_says_what_was_kept(registry, world, tmp_path):
    floors = {"home": {"recall@10": 0.0}, "search": {"recall@10": 0.99}}
    gate([world / "evaluation-home", world / "evaluation-search"], tmp_path / "verdict",
         gate=gate_config(policy=Policy.EACH, floors=floors))
    home = build(world, tmp_path / "verdict", registry, "home")
    verify_here(world, registry, home)
    result = promote(registry, tmp_path / "verdict", [home], "run-1")
    assert live(registry) == {"home": home}
    assert list(result.kept) == ["search"] and "is below its floor 0.990" in result.kept["search"][0]


def test_a_verdict_to_reject_promotes_nothing(registry, releases, world, tmp_path):
    gate([world / "evaluation-home", world / "evaluation-search"], tmp_path / "verdict", gate=gate_config(0.99))
    with pytest.raises(PinrecError, match="the verdict is to reject.*home recall@10.*search recall@10"):
        promote(registry, tmp_path / "verdict", releases["first"], "run-1")


def test_a_tampered_verdict_is_refused(registry, verdicts, releases, tmp_path):
    shutil.copytree(verdicts["first"], tmp_path / "verdict")
    path = tmp_path / "verdict" / "evaluations" / "home.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(IntegrityError, match="altered"):
        promote(registry, tmp_path / "verdict", releases["first"], "run-1")


def test_a_comparison_with_a_release_that_is_no_longer_live_is_refused(registry, verdicts, releases):
    promote(registry, verdicts["first"], releases["first"], "run-1")
    with pytest.raises(PinrecError, match=f"compared with live release None, but live is now {releases['first'][0]}"):
        promote(registry, verdicts["second"], releases["second"], "run-2")
    assert live(registry)["home"] == releases["first"][0]


def test_a_release_id_that_is_a_path_is_refused(registry, verdicts):
    with pytest.raises(PinrecError, match="must be one plain name"):
        promote(registry, verdicts["first"], ["../../etc"], "run-1")


def test_two_promoters_race_and_one_wins_every_time(registry, verdicts, releases):
    def attempt(name: str, barrier: Barrier) -> str:
        barrier.wait()
        try:
            promote(registry, verdicts[name], releases[name], name)
        except ConflictError:
            return "conflict"
        except PinrecError as error:
            assert "but live is now" in str(error)
            return "stale"
        return name

    for _ in range(15):
        Path(aliases_path(registry)).unlink(missing_ok=True)
        barrier = Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(attempt, ("first", "second"), (barrier, barrier)))
        (winner,) = set(ended) & {"first", "second"}
        assert sum(end in ("conflict", "stale") for end in ended) == 1
        aliases, _ = read_aliases(registry)
        assert [entry["run"] for entry in aliases.history] == [winner] and aliases.revision == 1
        assert [aliases.surfaces[surface].live for surface in LOG.surfaces] == releases[winner]
        recorded = aliases.history[0]["surfaces"]
        assert [recorded[surface]["live"] for surface in LOG.surfaces] == releases[winner]


def test_an_alias_that_moves_between_read_and_write_is_a_conflict(registry, verdicts, releases, monkeypatch):
    swap = storage.compare_and_swap

    def somebody_else_first(uri, data, version):
        swap(uri, b'{"revision": 7}', version)
        swap(uri, data, version)

    monkeypatch.setattr(storage, "compare_and_swap", somebody_else_first)
    with pytest.raises(ConflictError, match="changed since it was read"):
        promote(registry, verdicts["first"], releases["first"], "run-1")
    assert read_aliases(registry)[0].revision == 7


def test_reject_raises_with_every_reason_or_only_says_them(world, tmp_path):
    gate([world / "evaluation-home", world / "evaluation-search"], tmp_path / "verdict", gate=gate_config(0.99))
    with pytest.raises(ReleaseRejected, match=r"home recall@10 0\.\d+ \(n = 60\) .*floor 0.990; search recall@10"):
        reject(tmp_path / "verdict", True)
    rejection = reject(tmp_path / "verdict", False, "run-1")
    assert rejection.surfaces == ("home", "search") and len(rejection.reasons) == 2


def test_there_is_nothing_to_reject_in_a_passing_verdict(verdicts):
    assert read_verdict(verdicts["first"])[0].reasons == []
    with pytest.raises(PinrecError, match="nothing to reject"):
        reject(verdicts["first"], True)


def test_the_same_run_judged_anew_leaves_the_live_release_as_it_is(registry, verdicts, releases, world, tmp_path):
    promote(registry, verdicts["first"], releases["first"], "run-1")
    evaluations = [evaluate_model(world, surface, surface, registry, f"{tmp_path.name}-{surface}")
                   for surface in LOG.surfaces]
    assert gate(evaluations, tmp_path / "verdict", gate=gate_config()).surfaces["home"].live_release
    ids = [build(world, tmp_path / "verdict", registry, surface) for surface in LOG.surfaces]
    assert not set(ids) & set(releases["first"]), "they embed another verdict"
    for release_id in ids:
        verify_here(world, registry, release_id)
    result = promote(registry, tmp_path / "verdict", ids, "run-2")
    assert result.moved == {} and list(result.unchanged.values()) == releases["first"]
    assert read_aliases(registry)[0].revision == 1
