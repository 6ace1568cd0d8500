"""Coverage, item vectors and data: passed, failed, told only, and what is missing."""

from __future__ import annotations

import pytest
from quoted import says

from pinrec_core.config import CoverageRule, DataHealth, EmbeddingHealth
from pinrec_core.release.evidence import DataChecks, Evidence
from pinrec_core.release.rules.health import coverage, data_health, embedding_health


def evidence(**content) -> Evidence:
    return Evidence.model_validate({
        "surface": "home", "metrics": {}, "model_path": "", "live": None, "model_fingerprint": "m",
        "dataset_fingerprint": "d", "fingerprint": "e", "directory": "."} | content)


SPREAD = {"coverage@10": {"value": 0.25, "n": 300}, "distinct@10": {"value": 431, "n": 300}}
EMBEDDING = {"items": 1000, "effective_rank": 12.5, "dimension": 32, "duplicate_share": 0.04}


def test_lists_must_have_enough_of_the_catalogue():
    share, count = coverage(evidence(metrics=SPREAD), CoverageRule(least={"coverage@10": 0.25, "distinct@10": 432}))
    assert share.passed and (share.observed, share.limit, share.n) == (0.25, 0.25, 300)
    assert share.sentence == "home coverage@10 0.250 of the items in some list (n = 300 lists), at least 0.250 wanted"
    says("... of the items in some list (n = ... lists), at least ... wanted", share.sentence)
    assert count.rejects
    assert count.sentence == "home distinct@10 431 different items in all lists (n = 300 lists), at least 432 wanted"


def test_few_items_may_be_only_told():
    (result,) = coverage(evidence(metrics=SPREAD), CoverageRule(least={"coverage@10": 0.9}, level="warn"))
    assert not result.passed and not result.rejects


@pytest.mark.parametrize("metrics", [{}, {"coverage@10": {"value": None, "n": 0}}])
def test_coverage_that_was_not_measured_fails_closed(metrics):
    (result,) = coverage(evidence(metrics=metrics), CoverageRule(least={"coverage@10": 0.1}))
    assert result.rejects and "home coverage@10 is not in the evaluation" in result.sentence


def test_vectors_must_use_directions_and_differ():
    rank, double = embedding_health(evidence(embedding=EMBEDDING), EmbeddingHealth(min_effective_rank=12.5,
                                                                                  max_duplicate_share=0.03))
    assert rank.passed and (rank.observed, rank.limit, rank.n) == (12.5, 12.5, 1000)
    assert rank.sentence == "home effective_rank 12.5 of 32 directions (n = 1000 items), at least 12.5 wanted"
    assert double.rejects and (double.observed, double.limit) == (0.04, 0.03)
    assert double.sentence.endswith("0.040 of the item vectors (n = 1000) have a near double, at most 0.03 allowed")
    says("... of the item vectors (n = ...) have a near double, at most ... allowed", double.sentence)


def test_flat_vectors_may_be_only_told():
    rank, double = embedding_health(evidence(embedding=EMBEDDING), EmbeddingHealth(min_effective_rank=20, level="warn"))
    assert not rank.passed and not rank.rejects and double.passed


@pytest.mark.parametrize("embedding", [None, EMBEDDING | {"effective_rank": None}, EMBEDDING | {
    "duplicate_share": float("nan")}])
def test_vectors_that_were_not_measured_fail_closed(embedding):
    (result,) = embedding_health(evidence(embedding=embedding), EmbeddingHealth(min_effective_rank=1))
    assert result.rejects and result.sentence.startswith("home item vectors were not measured")


def checks(dataset: str, *passed: bool) -> DataChecks:
    rules = [{"rule": f"rule{n}", "passed": good, "sentence": "odd"} for n, good in enumerate(passed)]
    return DataChecks.model_validate({"rules": rules, "dataset_fingerprint": dataset, "fingerprint": "v"})


def test_so_many_warnings_of_the_data_and_no_more():
    one = checks("d", True, False, True)
    assert data_health(evidence(), one, DataHealth(max_warnings=1)).passed
    result = data_health(evidence(), one, DataHealth(level="warn"))
    assert not result.passed and not result.rejects and (result.observed, result.limit, result.n) == (1, 0, 3)
    assert result.sentence == "home data 1 of n = 3 checks warned, at most 0 may; rule1: odd"
    says("... data ... of n = ... checks warned, at most ... may; ...", result.sentence)


def test_the_validation_of_nothing_or_of_another_dataset_fails_closed():
    for found in (None, checks("another", True)):
        assert data_health(evidence(), found, DataHealth()).rejects
