"""Every comparison: shown better, shown worse, undecided both ways, told only, and what is missing."""

from __future__ import annotations

import math

import pytest
from quoted import says

from pinrec_core.config import BeatsBaseline, ComparisonRule, Level, MaxDropPerSlice
from pinrec_core.release.evidence import Evidence, LiveComparison
from pinrec_core.release.outcome import Outcome, told
from pinrec_core.release.rules.comparisons import beats_baseline, change_against_live, max_drop_per_slice
from pinrec_core.release.rules.judged import Subject

HOME = Subject("home", "recall@10")
RULE = ComparisonRule(tolerance=0.02)
USERS = 50


def compared(low: float, high: float, value: float = 0.5, n: int | None = 100) -> dict:
    """Something of a value, and an interval of the candidate's difference to it."""
    difference = {"value": (low + high) / 2, "low": low, "high": high, "n": n}
    return {"metrics": {"recall@10": {"value": value, "n": n}}, "difference": {"recall@10": difference}}


def live(low: float, high: float, slices: dict | None = None, **other) -> LiveComparison:
    return LiveComparison.model_validate(
        {"release_id": "r" * 64, "slices": slices or {}} | compared(low, high, **other))


def evidence(**baselines: dict) -> Evidence:
    return Evidence.model_validate({
        "surface": "home", "metrics": {}, "model_path": "", "live": None, "baselines": baselines,
        "model_fingerprint": "m", "dataset_fingerprint": "d", "fingerprint": "e", "directory": "."})


@pytest.mark.parametrize(("low", "high", "outcome"), [
    (-0.05, -0.0101, Outcome.FAILED),  # wholly below -2 % of 0.5 = -0.01
    (-0.05, -0.0100, Outcome.UNDECIDED),  # touches it from below
    (-0.05, 0.0300, Outcome.UNDECIDED),
    (-0.0101, 0.03, Outcome.UNDECIDED),
    (-0.0100, 0.03, Outcome.PASSED),  # touches it from above
    (0.01, 0.03, Outcome.PASSED)])
def test_the_whole_interval_decides(low, high, outcome):
    for policy in ("promote", "reject"):
        rule = ComparisonRule(tolerance=0.02, undecided=policy)
        result = change_against_live(HOME, live(low, high), rule, USERS)
        assert result.outcome is outcome
        assert result.passed is (outcome is Outcome.PASSED or (outcome is Outcome.UNDECIDED and policy == "promote"))
        assert result.limit == pytest.approx(-0.01) and (result.low, result.high, result.n) == (low, high, 100)
        assert "rrrrrrrrrrrr" in result.sentence and "n = 100" in result.sentence


def test_the_sentence_names_surface_metric_both_numbers_interval_and_n():
    result = change_against_live(HOME, live(-0.06, -0.04), RULE, USERS)
    assert result.sentence == (
        "home recall@10 0.450 against 0.500 of live release rrrrrrrrrrrr: difference -0.0500, interval [-0.0600, "
        "-0.0400] (n = 100) lies below the limit -0.0100 (2.0% of 0.500)")
    says("... against ... of live release ...: difference ..., interval [..., ...] (n = ...) lies below the limit ... "
         "(...% of ...)", result.sentence)
    open_ = change_against_live(HOME, live(-0.06, 0.04), ComparisonRule(tolerance=0.02, undecided="reject"), USERS)
    assert open_.sentence.endswith("lies on both sides of the limit -0.0100 (2.0% of 0.500): undecided, which does "
                                   "not pass")


def test_without_a_live_release_there_is_no_baseline():
    result = change_against_live(HOME, None, RULE, USERS)
    assert (result.outcome, result.passed) == (Outcome.NO_BASELINE, True)


def test_a_drop_that_is_only_told_rejects_nothing():
    result = change_against_live(HOME, live(-0.06, -0.04), RULE.model_copy(update={"level": Level.WARN}), USERS)
    assert not result.passed and not result.rejects and result.word == "warned"


@pytest.mark.parametrize("change", [
    {"low": math.nan}, {"high": math.inf}, {"value": None}, {"n": 49}, {"n": None}])
@pytest.mark.parametrize("policy", ["promote", "reject"])
def test_a_comparison_that_cannot_be_trusted_fails_closed(change, policy):
    content = live(-0.1, 0.1).model_dump()
    content["difference"]["recall@10"].update(change)
    rule = ComparisonRule(undecided=policy)
    result = change_against_live(HOME, LiveComparison.model_validate(content), rule, USERS)
    assert result.outcome is Outcome.FAILED and result.sentence.startswith("home recall@10 is compared" if "n" in change
                                                                           else "home recall@10 cannot be compared")


def test_too_few_users_are_told():
    content = live(-0.1, 0.1).model_dump()
    content["difference"]["recall@10"]["n"] = USERS - 1
    result = change_against_live(HOME, LiveComparison.model_validate(content), RULE, USERS)
    says("... is compared with ... over only n = ... users, at least ... are needed", result.sentence)


@pytest.mark.parametrize("part", ["metrics", "difference"])
def test_a_live_release_without_the_metric_fails_closed(part):
    result = change_against_live(HOME, live(-0.1, 0.1).model_copy(update={part: {}}), RULE, USERS)
    assert not result.passed and "cannot be compared" in result.sentence


def test_each_baseline_is_beaten_by_itself():
    found = evidence(popularity=compared(0.1, 0.2, value=0.2), cooccurrence=compared(-0.2, -0.1, value=0.4))
    popularity, cooccurrence = beats_baseline(HOME, found, BeatsBaseline(), USERS)
    assert (popularity.outcome, cooccurrence.outcome) == (Outcome.PASSED, Outcome.FAILED)
    assert cooccurrence.sentence == (
        "home recall@10 0.250 against 0.400 of baseline cooccurrence: difference -0.1500, interval [-0.2000, -0.1000] "
        "(n = 100) lies below the limit +0.0000 (0.0% of 0.400)")
    says("... against ... of baseline ...: difference ..., interval [..., ...] (n = ...) lies below the limit ... "
         "(...% of ...)", cooccurrence.sentence)
    level = evidence(popularity=compared(-0.01, 0.02), cooccurrence=compared(-0.01, 0.02))
    assert [r.word for r in beats_baseline(HOME, level, BeatsBaseline(), USERS)] == ["undecided"] * 2
    assert not any(r.passed for r in beats_baseline(HOME, level, BeatsBaseline(undecided="reject"), USERS))


def test_a_baseline_that_was_not_measured_fails_closed():
    rule = BeatsBaseline(baselines=("popularity", "cooccurrence_x_recent"), level="warn")
    there, absent = beats_baseline(HOME, evidence(popularity=compared(0.1, 0.2)), rule, USERS)
    assert there.passed and not absent.passed and not absent.rejects
    assert "cannot be compared with baseline cooccurrence_x_recent" in absent.sentence


SLICES = {"action": {"click": compared(0.0, 0.01), "save": compared(-0.2, -0.1)},
          "split": {"heldout": compared(-0.2, -0.1, n=12), "validation": compared(0.0, 0.0, n=0)}}
PER_SLICE = MaxDropPerSlice(tolerance=0.1, slices={"action": {}, "split": {}})


def test_a_drop_on_one_slice_rejects_and_is_named():
    click, save, heldout = max_drop_per_slice("home", ["recall@10"], live(0, 0, SLICES), PER_SLICE, USERS)
    assert (click.outcome, save.outcome, heldout.outcome) == (Outcome.PASSED, Outcome.FAILED, Outcome.UNDECIDED)
    assert (save.slice, save.limit, save.n) == ("action save", pytest.approx(-0.05), 100)
    assert save.sentence.startswith("home recall@10 (action save) 0.350 against 0.500 of live release rrrrrrrrrrrr")
    assert heldout.passed and "only n = 12 users, at least 50 are needed" in heldout.sentence


def test_few_users_reject_where_undecided_does():
    rule = PER_SLICE.model_copy(update={"undecided": "reject"})
    heldout = max_drop_per_slice("home", ["recall@10"], live(0, 0, SLICES), rule, USERS)[-1]
    assert heldout.slice == "split heldout" and heldout.rejects


def test_a_kind_of_slice_has_its_own_limits():
    rule = MaxDropPerSlice(tolerance=0.1, slices={"action": {"tolerance": 0.5}, "split": {"level": "warn"}})
    click, save, heldout = max_drop_per_slice("home", ["recall@10"], live(0, 0, SLICES), rule, 10)
    assert save.passed and save.limit == pytest.approx(-0.25)
    assert heldout.outcome is Outcome.FAILED and heldout.level is Level.WARN and click.level is Level.ERROR


def test_slices_that_were_not_measured_fail_closed():
    rule = MaxDropPerSlice(slices={"item_age": {}})
    (result,) = max_drop_per_slice("home", ["recall@10"], live(0, 0, SLICES), rule, USERS)
    assert not result.passed and result.sentence.startswith("home (item_age) cannot be compared")
    missing = {"action": {"click": {"metrics": {}, "difference": {}}}}
    rule = MaxDropPerSlice(slices={"action": {}})
    (result,) = max_drop_per_slice("home", ["recall@10"], live(0, 0, missing), rule, USERS)
    assert result.outcome is Outcome.FAILED and "(action click) cannot be compared" in result.sentence


def test_without_a_live_release_slices_have_no_baseline():
    (result,) = max_drop_per_slice("home", ["recall@10"], None, PER_SLICE, USERS)
    assert result.outcome is Outcome.NO_BASELINE


def test_slices_that_pass_are_told_together():
    many = {"action": {name: compared(0.0, 0.01) for name in ("click", "save", "share")} | {
        "like": compared(-1, -0.9), "follow": compared(-1, 1), "hide": compared(0, 0, n=3)}}
    rule = MaxDropPerSlice(slices={"action": {}})
    like, good, open_ = told("home", max_drop_per_slice("home", ["recall@10"], live(0, 0, many), rule, USERS))
    assert like.slice == "action like" and not like.passed
    assert good.sentence == "home recall@10 holds on 3 slices: action click, action save, action share"
    assert open_.word == "undecided"
    assert open_.sentence == "home recall@10 is undecided, which passes, on 2 slices: action follow, action hide"
    strict = rule.model_copy(update={"undecided": "reject"})
    assert len(told("home", max_drop_per_slice("home", ["recall@10"], live(0, 0, many), strict, USERS))) == 4
