"""Each rule both ways by hand, fail-closed cases, policies, and refusal of altered evaluations and verdicts."""

from __future__ import annotations

import json
import math

import pytest

from pinrec_core.config import GateConfig, Policy
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.release.evidence import Statistic
from pinrec_core.release.gate import gate
from pinrec_core.release.rules import floor
from pinrec_core.release.verdict import Decision, Outcome, read_verdict


def config(floor_: float = 0.4, surfaces=("home",), **settings) -> GateConfig:
    return GateConfig(floors={surface: {"recall@10": floor_} for surface in surfaces}, **settings)


def rule_of(verdict, name: str, surface: str = "home"):
    found = [rule for rule in verdict.surfaces[surface].rules if rule.rule == name]
    assert len(found) == 1
    return found[0]


def test_floor_reached_passes_and_equal_is_enough(make_evaluation, tmp_path):
    verdict = gate([make_evaluation("home", 0.4)], tmp_path / "v", gate=config(0.4))
    assert verdict.decision is Decision.PROMOTE
    assert rule_of(verdict, "floor").passed
    assert verdict.reasons == []


def test_below_floor_fails_and_the_sentence_names_surface_metric_both_numbers_and_n(make_evaluation, tmp_path):
    verdict = gate([make_evaluation("home", 0.123, n=812)], tmp_path / "v", gate=config(0.4))
    rule = rule_of(verdict, "floor")
    assert verdict.decision is Decision.REJECT
    assert (rule.observed, rule.limit, rule.n, rule.low, rule.high) == (0.123, 0.4, 812, 0.103, 0.143)
    assert rule.sentence == "home recall@10 0.123 (n = 812) is below its floor 0.400"


def test_a_sentence_never_says_a_number_is_below_itself():
    rule = floor("home", "recall@10", Statistic(value=0.39996, n=5), 0.4)
    assert rule.sentence == "home recall@10 0.39996 (n = 5) is below its floor 0.40000"


def test_too_few_users_fail_closed(make_evaluation, tmp_path):
    verdict = gate([make_evaluation("home", 0.9, n=49)], tmp_path / "v", gate=config(min_users=50))
    assert rule_of(verdict, "floor").passed and not rule_of(verdict, "min_users").passed
    assert "n = 49" in verdict.reasons[0] and "50" in verdict.reasons[0]
    assert gate([make_evaluation("home", 0.9, n=50, name="e2")], tmp_path / "v2", gate=config(min_users=50)).passed


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_metric_that_is_not_finite_fails_closed(make_evaluation, tmp_path, value):
    metrics = {"recall@10": {"value": value, "low": value, "high": value, "n": 100}}
    verdict = gate([make_evaluation("home", metrics=metrics)], tmp_path / "v", gate=config(0.0))
    assert verdict.decision is Decision.REJECT
    assert not rule_of(verdict, "finite").passed and "home recall@10" in verdict.reasons[0]
    json.loads((tmp_path / "v" / "verdict.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_metric_with_a_floor_that_was_not_measured_fails_closed(make_evaluation, tmp_path):
    verdict = gate([make_evaluation("home")], tmp_path / "v", gate=GateConfig(floors={"home": {"recall@100": 0.1}}))
    assert verdict.reasons == ["home recall@100 is missing from the evaluation; add its cut-off to evaluation.ks or "
                               "remove its floor"]


def test_a_surface_with_a_floor_and_no_evaluation_fails_closed(make_evaluation, tmp_path):
    verdict = gate([make_evaluation("home")], tmp_path / "v", gate=config(surfaces=("home", "search")))
    assert verdict.surfaces["search"].decision is Decision.REJECT
    assert verdict.decision is Decision.REJECT and "search" in verdict.reasons[0]


def test_an_evaluated_surface_without_a_floor_fails_closed(make_evaluation, tmp_path):
    verdict = gate([make_evaluation("home"), make_evaluation("search")], tmp_path / "v", gate=config())
    assert not rule_of(verdict, "has_floor", "search").passed


def test_no_evaluation_at_all_is_a_reject(tmp_path):
    assert gate([], tmp_path / "v", gate=GateConfig(floors={})).decision is Decision.REJECT


def test_without_a_live_release_floors_alone_decide(make_evaluation, tmp_path):
    rule = rule_of(gate([make_evaluation("home")], tmp_path / "v", gate=config()), "change_against_live")
    assert rule.outcome is Outcome.NO_BASELINE and rule.passed


@pytest.mark.parametrize(("low", "high", "passed"), [
    (-0.05, -0.0101, False),  # wholly below -2 % of 0.5 = -0.01
    (-0.05, -0.0100, True),  # touches it
    (-0.05, 0.0300, True),  # undecided: not shown to be worse
    (0.01, 0.03, True)])
def test_change_against_live_fails_only_when_the_interval_lies_below_the_tolerance(
        make_evaluation, live_comparison, tmp_path, low, high, passed):
    live = live_comparison(0.5, (low + high) / 2, low, high)
    rule = rule_of(gate([make_evaluation("home", live=live)], tmp_path / "v", gate=config(max_drop=0.02)),
                   "change_against_live")
    assert rule.passed is passed
    assert rule.limit == pytest.approx(-0.01) and (rule.low, rule.high, rule.n) == (low, high, 100)
    assert "rrrrrrrrrrrr" in rule.sentence and "n = 100" in rule.sentence


@pytest.mark.parametrize("change", [
    {"low": math.nan, "high": 0.1}, {"value": None, "low": 0.0, "high": 0.1}, {"low": 0.0, "high": 0.1, "n": 49}])
def test_a_comparison_that_cannot_be_trusted_fails_closed(make_evaluation, live_comparison, tmp_path, change):
    live = live_comparison(0.5, 0.0, -0.1, 0.1)
    live["difference"]["recall@10"].update(change)
    verdict = gate([make_evaluation("home", live=live)], tmp_path / "v", gate=config())
    assert not rule_of(verdict, "change_against_live").passed


def test_a_live_release_without_the_metric_fails_closed(make_evaluation, live_comparison, tmp_path):
    live = live_comparison(0.5, 0.0, -0.1, 0.1) | {"difference": {}}
    verdict = gate([make_evaluation("home", live=live)], tmp_path / "v", gate=config())
    assert "cannot be compared" in verdict.reasons[0]


def test_policy_all_needs_every_surface_and_each_needs_one(make_evaluation, tmp_path):
    evaluations = [make_evaluation("home", 0.5), make_evaluation("search", 0.1)]
    for policy, decision in ((Policy.ALL, Decision.REJECT), (Policy.EACH, Decision.PROMOTE)):
        verdict = gate(evaluations, tmp_path / policy, gate=config(surfaces=("home", "search"), policy=policy))
        assert verdict.decision is decision
        assert verdict.passed == ["home"]
        assert [reason.split()[0] for reason in verdict.reasons] == ["search"]


def test_a_tampered_evaluation_is_refused(make_evaluation, tmp_path):
    folder = make_evaluation("home", 0.1)
    path = folder / "evaluation.json"
    path.write_text(path.read_text().replace("0.1,", "0.9,", 1))
    with pytest.raises(IntegrityError, match="evaluation.json: altered"):
        gate([folder], tmp_path / "v", gate=config())
    assert not (tmp_path / "v").exists()


def test_an_evaluation_without_its_live_part_is_refused(make_evaluation, tmp_path):
    folder = make_evaluation("home")
    content = json.loads((folder / "evaluation.json").read_text())
    del content["live"]
    (folder / "evaluation.json").write_text(json.dumps(content))
    write_manifest(folder, kind="evaluation", parents={"model": "m", "dataset": "d"})
    with pytest.raises(IntegrityError, match="live"):
        gate([folder], tmp_path / "v", gate=config())


def test_an_evaluation_that_does_not_name_its_model_is_refused(make_evaluation, tmp_path):
    folder = make_evaluation("home")
    write_manifest(folder, kind="evaluation", parents={"dataset": "d"})
    with pytest.raises(IntegrityError, match="does not name the model"):
        gate([folder], tmp_path / "v", gate=config())


def test_two_evaluations_of_one_surface_are_refused(make_evaluation, tmp_path):
    with pytest.raises(ConfigError, match="two evaluations of surface 'home'"):
        gate([make_evaluation("home"), make_evaluation("home", name="again")], tmp_path / "v", gate=config())


def test_a_surface_name_that_is_a_path_is_refused(make_evaluation, tmp_path):
    with pytest.raises(IntegrityError, match="cannot name a file"):
        gate([make_evaluation("../home", name="e")], tmp_path / "v", gate=config())


def test_the_verdict_directory_is_complete_and_reproducible(make_evaluation, tmp_path):
    evaluation = make_evaluation("home")
    verdict = gate([evaluation], tmp_path / "v", gate=config())
    gate([evaluation], tmp_path / "w", gate=config())
    found, manifest = read_verdict(tmp_path / "v")
    assert found == verdict
    assert set(manifest.files) == {"verdict.json", "evaluations/home.json", "evaluations/home.per_user.parquet",
                                   "evaluations/home.manifest"}
    assert manifest.parents == {"evaluation.home": read_manifest(evaluation, "evaluation").fingerprint}
    assert manifest.fingerprint == read_manifest(tmp_path / "w", "verdict").fingerprint


def test_a_verdict_edited_to_promote_is_refused_even_with_a_new_manifest(make_evaluation, tmp_path):
    gate([make_evaluation("home", 0.1)], tmp_path / "v", gate=config())
    path = tmp_path / "v" / "verdict.json"
    path.write_text(path.read_text().replace('"reject"', '"promote"'))
    with pytest.raises(IntegrityError, match="altered"):
        read_verdict(tmp_path / "v")
    write_manifest(tmp_path / "v", kind="verdict")
    with pytest.raises(IntegrityError, match="does not follow"):
        read_verdict(tmp_path / "v")
