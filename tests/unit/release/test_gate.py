"""Each rule both ways by hand, fail-closed cases, policies, and refusal of altered evaluations and verdicts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from quoted import says

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.config import Floor, GateConfig, Policy
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.release.evidence import Statistic
from pinrec_core.release.gate import gate
from pinrec_core.release.outcome import Outcome
from pinrec_core.release.rules.floors import floor
from pinrec_core.release.rules.judged import Subject
from pinrec_core.release.verdict import Decision, read_verdict


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
    says("... (n = ...) is below its floor ...", rule.sentence)


def test_a_sentence_never_says_a_number_is_below_itself():
    rule = floor(Subject("home", "recall@10"), Statistic(value=0.39996, n=5), Floor(least=0.4))
    assert rule.sentence == "home recall@10 0.39996 (n = 5) is below its floor 0.40000"


def test_too_few_users_fail_closed(make_evaluation, tmp_path):
    verdict = gate([make_evaluation("home", 0.9, n=49)], tmp_path / "v", gate=config(min_users=50))
    assert rule_of(verdict, "floor").passed and not rule_of(verdict, "min_users").passed
    assert "n = 49" in verdict.reasons[0] and "50" in verdict.reasons[0]
    says("... rests on only n = ... users, at least ... needed", verdict.reasons[0])
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
    settings = config(rules={"max_drop_per_slice": {}})
    verdict = gate([make_evaluation("home")], tmp_path / "v", gate=settings)
    for name in ("change_against_live", "max_drop_per_slice"):
        rule = rule_of(verdict, name)
        assert rule.outcome is Outcome.NO_BASELINE and rule.passed and "floors alone decide" in rule.sentence
    assert verdict.decision is Decision.PROMOTE


def test_a_failed_floor_of_level_warn_is_told_and_rejects_nothing(make_evaluation, tmp_path):
    floors = {"home": {"recall@10": 0.4, "recall@50": {"least": 0.9, "level": "warn"}}}
    verdict = gate([make_evaluation("home", 0.5)], tmp_path / "v", gate=GateConfig(floors=floors))
    assert verdict.decision is Decision.PROMOTE and verdict.reasons == []
    assert verdict.warnings == ["home recall@50 0.600 (n = 100) is below its floor 0.900"]
    assert [rule.word for rule in verdict.surfaces["home"].rules if rule.rule == "floor"] == ["passed", "warned"]


def test_floors_that_can_only_warn_are_no_floor(make_evaluation, tmp_path):
    floors = {"home": {"recall@10": {"least": 0.1, "level": "warn"}}}
    verdict = gate([make_evaluation("home", 0.5)], tmp_path / "v", gate=GateConfig(floors=floors))
    assert verdict.decision is Decision.REJECT
    assert verdict.reasons == ["home was evaluated but has no floor of level error; set gate.floors.home"]


def test_a_metric_whose_floor_only_warns_must_be_measured_all_the_same(make_evaluation, tmp_path):
    floors = {"home": {"recall@10": 0.4, "recall@100": {"least": 0.9, "level": "warn"}}}
    verdict = gate([make_evaluation("home", 0.5)], tmp_path / "v", gate=GateConfig(floors=floors))
    assert "recall@100 is missing" in verdict.reasons[0]


def test_a_rule_may_differ_on_one_surface(make_evaluation, live_comparison, tmp_path):
    worse = live_comparison(0.5, -0.1, -0.12, -0.08)
    evaluations = [make_evaluation(surface, live=worse) for surface in ("home", "search")]
    settings = config(surfaces=("home", "search")).model_dump() | {
        "surfaces": {"search": {"change_against_live": {"level": "warn"}}}}
    verdict = gate(evaluations, tmp_path / "v", gate=GateConfig.model_validate(settings))
    assert verdict.passed == ["search"]
    assert len(verdict.reasons) == len(verdict.warnings) == 1
    assert verdict.reasons[0].replace("home", "search") == verdict.warnings[0]


def write_validation(folder: Path, dataset: str, *warned: str) -> Path:
    """What validate_data writes, with some of its rules not passed."""
    folder.mkdir()
    rules = [{"rule": rule, "passed": rule not in warned, "sentence": f"about {rule}", "observed": 1.0}
             for rule in ("min_events", "max_action_drift", "max_top_item_drift")]
    (folder / "validation.json").write_text(json.dumps({"passed": True, "warnings": warned, "rules": rules}))
    write_manifest(folder, kind="validation", parents={"dataset": dataset})
    return folder


def test_the_data_is_judged_by_what_validation_warned_of(make_evaluation, tmp_path):
    settings, evaluation = config(rules={"data_health": {"max_warnings": 1}}), make_evaluation("home")
    warned = ("max_action_drift", "max_top_item_drift")
    one, two = (write_validation(tmp_path / f"validation{n}", "d" * 64, *warned[:n]) for n in (1, 2))
    good = gate([evaluation], tmp_path / "v", gate=settings, validation=one)
    assert good.decision is Decision.PROMOTE and rule_of(good, "data_health").n == 3
    parents = read_manifest(tmp_path / "v", "verdict").parents
    assert parents["validation"] == read_manifest(one, "validation").fingerprint
    bad = gate([evaluation], tmp_path / "w", gate=settings, validation=two)
    assert bad.reasons == ["home data 2 of n = 3 checks warned, at most 1 may; max_action_drift: about "
                           "max_action_drift; max_top_item_drift: about max_top_item_drift"]
    (two / "validation.json").write_text("{}")
    with pytest.raises(IntegrityError, match="validation.json: altered"):
        gate([evaluation], tmp_path / "x", gate=settings, validation=two)


def test_data_health_without_the_validation_of_that_dataset_fails_closed(make_evaluation, tmp_path):
    settings, evaluation = config(rules={"data_health": {}}), make_evaluation("home")
    assert "the validation is not there" in gate([evaluation], tmp_path / "v", gate=settings).reasons[0]
    other = write_validation(tmp_path / "validation", "e" * 64)
    verdict = gate([evaluation], tmp_path / "w", gate=settings, validation=other)
    assert "the validation is of dataset eeeeeeeeeeee, evaluated was dataset dddddddddddd" in verdict.reasons[0]


def test_the_command_prints_every_rule_and_the_decision(make_evaluation, live_comparison, tmp_path, capsys):
    (tmp_path / "c.toml").write_text("""
name = "t"
log = { surfaces = ["home"], positive_actions = ["click"] }
[gate]
floors.home = { "recall@10" = 0.4, "recall@50" = { least = 0.9, level = "warn" } }
rules.data_health = {}
rules.change_against_live.undecided = "reject"
""")
    live = live_comparison(0.5, 0.0, -0.1, 0.1)
    for part in ("metrics", "difference"):
        live[part]["recall@50"] = live[part]["recall@10"]
    evaluation, validation = make_evaluation("home", 0.5, live=live), write_validation(tmp_path / "checks", "d" * 64)
    settings = Settings()
    code = execute(build_app(settings), settings, ["gate", "-c", str(tmp_path / "c.toml"), "-o", str(tmp_path / "v"),
                                                   str(evaluation), "--validation", str(validation)])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0 and lines[-1] == "reject"
    assert "warned       home recall@50 0.600 (n = 100) is below its floor 0.900" in lines
    assert "passed       home data 0 of n = 3 checks warned, at most 0 may" in lines
    (undecided, _) = [line for line in lines if line.startswith("undecided")]
    assert undecided.startswith("undecided    home recall@10 0.500 against 0.500 of live release rrrrrrrrrrrr: ")


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
