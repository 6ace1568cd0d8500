"""Every part of the report: it shows what is there, says in a line what is not, and stays below its size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pinrec_core.release.promote import Move, Promotion
from pinrec_core.release.ready import Ready
from pinrec_core.report import history, run_folder
from pinrec_core.report.pages import render, steps, tables
from pinrec_core.report.run_facts import read_facts
from pinrec_core.report.run_report import write_run_report

from .test_run_report import Page

RELEASE = "b" * 64


def _cell(value: float) -> dict:
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 240}


EXHIBITS = {
    "surface": "home",
    "outcomes": {"k": 50, "n_users": 300, "outcomes": ["click", "save"], "usual": [_cell(0.4), _cell(0.3)],
                 "lift": [[_cell(0.5) | {"lift": 1.25}, _cell(0.2) | {"lift": 0.6667}],
                          [_cell(0.2) | {"lift": 0.5}, _cell(0.45) | {"lift": None}]],
                 "pareto": {"outcomes": ["click", "save"], "usual": [_cell(0.4), _cell(0.3)],
                            "points": [{"share": share, "recall": [_cell(0.2 + 0.3 * share), _cell(0.45 - share / 4)]}
                                       for share in (0.0, 0.25, 0.5, 0.75, 1.0)]}},
    "item_map": {"points": [[n / 7, n % 5, n % 3] for n in range(60)], "categories": ["cups", "vans", "others"],
                 "n": 60, "among": 2000, "explained": 0.35},
    "samples": [{"user": "u<7>", "history_length": 12, "n_targets": 2,
                 "history": [{"item": "p1", "title": "red cup", "actions": ["click"], "surface": "home",
                              "when": "2026-01-12 18:09"}],
                 "targets": [{"item": "p2", "title": "blue cup", "actions": ["save"], "place": 3},
                             {"item": "p9", "title": "", "actions": ["click"], "place": None}],
                 "retrieved": [{"item": "p2", "title": "blue cup", "outcome": "click", "hit": True}]}]}


@pytest.fixture
def judged(run, make_verdict) -> Path:
    """A run whose gate has judged surface home."""
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}))
    return run


def pages(run: Path) -> tuple[Page, Page, str]:
    """The page of the run, that of surface home, and the latter's HTML."""
    report = Path(write_run_report(run))
    own = (run / "surfaces" / "home.html").read_text("utf-8")
    return Page(report.read_text("utf-8")), Page(own), own


def drawn(page: Page) -> list[str]:
    return [value for name, value in page.attributes if name == "aria-label"]


def put(run: Path, name: str, content: dict) -> None:
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text(json.dumps(content))


def test_exhibits_are_drawn_and_told_on_both_pages(judged):
    put(judged, "exhibits/home.json", EXHIBITS)
    whole, own, _ = pages(judged)
    for page in (whole, own):
        assert {"Lift of recall by asked and real outcome", "Recall on click against recall on save",
                "Items by their vectors, in two dimensions"} <= set(drawn(page))
        for told in ("1.25 ×", "0.67 ×", "75%", "cups", "60 of 2,000 items", "35 % of the variance", "red cup",
                     "blue cup ✓ hit", "save, retrieved at 3", "click, not in the first 100", "u<7>"):
            assert told in page.content, told
        assert len(page.ids) == len(set(page.ids))


def test_what_is_not_there_is_said_in_a_line(judged):
    _, own, _ = pages(judged)
    for told in ("exhibits/home.json is absent", "No release of this surface was built in this run",
                 "No step has left its time in the run folder",
                 "What validate-data found (drift among it) is not in the run folder"):
        assert told in own.content, told


@pytest.mark.parametrize("broken", [{}, {"outcomes": {}, "item_map": 3, "samples": [{}]}, {"outcomes": None,
                         "item_map": {"points": [[1]], "categories": []}, "samples": None}])
def test_broken_exhibits_never_stop_the_report(judged, broken):
    put(judged, "exhibits/home.json", broken)
    assert "Map of the items" not in pages(judged)[1].content


def test_a_page_that_would_be_too_large_sends_to_the_surfaces(judged, monkeypatch):
    put(judged, "exhibits/home.json", EXHIBITS)
    size = len(Path(write_run_report(judged)).read_bytes())
    monkeypatch.setattr(render, "MOST_BYTES", size - 1)
    whole, own, _ = pages(judged)
    assert "Lift of recall by asked and real outcome" not in drawn(whole)
    assert "are on its own page (surfaces/home.html" in whole.content
    assert "Lift of recall by asked and real outcome" in drawn(own)
    assert len((judged / "report.html").read_bytes()) < size


def test_the_index_is_drawn_from_the_release(judged):
    run_folder.record_ready(str(judged), Ready(run="run-7", releases={"home": RELEASE}, sentence="ready"))
    release = judged.parents[1] / "releases" / RELEASE
    put(release, "index/index.json", {"kind": "ivf", "config": {"min_ann_recall": 0.95}})
    put(release, "index/curve.json", {"parameter": "nprobe", "setting": 8, "curve": [
        {"setting": setting, "recall": recall, "p50_ms": 0.1 * setting, "p99_ms": 0.2 * setting}
        for setting, recall in ((1, 0.6), (4, 0.9), (8, 0.97))]})
    put(release, "lineage.json", {"inputs": {"events": {"2022-05-05": [["f", 10, 98765, "m"]]}, "catalog": []},
                                  "manifests": {"c" * 64: {"kind": "model", "facts": {"stage": "base"},
                                                           "counts": {"steps": 406}}}})
    put(release, "built.json", {"when": "2022-05-06", "who": "me", "code_version": "0.1.0", "commit": "abc"})
    whole, own, html = pages(judged)
    assert "Recall of the index against its latency" in drawn(own) and "8 chosen" in own.content
    assert "mathdefault" not in html and " 0.5 " in own.content, "ticks are numbers, no formulas"
    for told in ("1 files of 1 partitions, 2022-05-05 to 2022-05-05, 98,765 rows", "base model " + "c" * 16,
                 "steps 406", "built 2022-05-06 by me, pinrec 0.1.0, commit abc"):
        assert told in whole.content, told
    put(release, "index/index.json", {"kind": "flat"})
    assert "The index is exact" in pages(judged)[1].content


def test_steps_and_checks_of_the_data_are_shown(judged, tmp_path):
    run_folder.record_step(str(judged), "aggregate-logs", 3.21, 2048 * 100)
    run_folder.record_step(str(judged), "pretrain", 24.0)
    put(tmp_path / "validation", "validation.json", {"rules": [
        {"rule": "max_surface_drift", "passed": False, "severity": "warn", "sentence": "by surface it is 0.5 away"},
        {"rule": "min_users", "passed": True, "severity": "error", "sentence": "enough users"}]})
    run_folder.record_validation(str(judged), tmp_path / "validation")
    whole, _, _ = pages(judged)
    assert "Seconds of each step" in drawn(whole) and "aggregate-logs 3.2 200" in whole.content
    assert "pretrain 24.0 –" in whole.content, "what is not known is no 0"
    assert "max_surface_drift warned by surface it is 0.5 away" in whole.content


def test_a_step_without_a_time_says_what_became_of_it(judged):
    for step in ("validate-data", "resolve-live home", "build-index home", "notify"):
        run_folder.record_begin(str(judged), step)
        run_folder.record_begin(str(judged), step)
        run_folder.record_step(str(judged), step, 1.5, 1024)
    run_folder.record_begin(str(judged), "verify-release home")
    assert [(row.step, row.seconds, row.note) for row in steps.step_rows(read_facts(judged))] == [
        ("aggregate-logs", None, steps.CACHED), ("validate-data", 1.5, "attempt 2"), ("pretrain", None, steps.CACHED),
        ("finetune home", None, steps.CACHED), ("resolve-live home", 1.5, "attempt 2"),
        ("evaluate home", None, steps.CACHED), ("gate", None, steps.NOT_KEPT),
        ("build-index home", 1.5, "attempt 2"), ("verify-release home", None, steps.NOT_ENDED),
        ("promote", None, steps.NOT_RUN)]
    assert "pretrain – – from the cache, did not run" in pages(judged)[0].content


def test_of_a_run_that_ended_early_only_what_ran_has_a_time(run, make_verdict):
    run_folder.record_step(str(run), "aggregate-logs", 3.0)
    run_folder.record_step(str(run), "validate-data", 1.0)
    assert {row.step: row.note for row in steps.step_rows(read_facts(run))} == {
        "aggregate-logs": "", "validate-data": ""} | dict.fromkeys(
            ("pretrain", "finetune", "resolve-live", "evaluate", "gate"), steps.NOT_RUN)
    run_folder.record_step(str(run), "finetune search", 1.0)  # of home nothing is known yet
    run_folder.record_step(str(run), "evaluate home", 1.0)
    notes = {row.step: row.note for row in steps.step_rows(read_facts(run))}
    assert (notes["finetune home"], notes["evaluate search"], notes["resolve-live search"]) == (
        steps.CACHED, steps.NOT_RUN, steps.NOT_RUN)
    run_folder.record_gate(str(run), make_verdict({"home": 0.1}))
    assert {"reject": steps.NOT_RUN}.items() <= {row.step: row.note for row in
                                                 steps.step_rows(read_facts(run))}.items()


def test_slices_come_worst_first_and_say_what_they_are_to_all(judged):
    evaluation = json.loads((judged / "evaluations" / "home.json").read_text())
    found = tables.slices(evaluation, "recall@10")
    assert [(one["kind"], one["name"]) for one in found] == [("users", "heldout"), ("action", "save"),
                                                             ("action", "click")]
    assert [round(one["to_all"], 3) for one in found] == [-0.017, -0.013, 0.011]
    assert [one["few"] for one in found] == [True, False, False]
    own = pages(judged)[1].content
    assert own.index("users heldout") < own.index("action save") < own.index("action click")


def test_systems_show_intervals_and_differences(judged):
    evaluation = json.loads((judged / "evaluations" / "home.json").read_text())
    evaluation |= {"live": {"release_id": RELEASE, "metrics": {"recall@10": _cell(0.4)},
                            "difference": {"recall@10": _cell(0.0567)}},
                   "baselines": {"<popular & new>": {"metrics": {"recall@10": _cell(0.2345)},
                                                     "difference": {"recall@10": _cell(0.2222)}}}}
    put(judged, "evaluations/home.json", evaluation)
    kinds = [one["kind"] for one in tables.systems(evaluation, ["recall@10"], "recall@10")]
    assert kinds == ["candidate", "live", "baseline"]
    own = pages(judged)[1].content
    assert "live release 0.400 0.380 – 0.420 +0.057 0.037 – 0.077 240" in own
    assert "against live better +0.057" in own and "<popular & new> 0.234 (+0.222)" in own


def past(run: Path, name: str, date: str, value: float, status: str = "promoted") -> None:
    put(run.parent / name, "outcome.json", {"date": date, "status": status, "surfaces": {
        "home": {"metrics": {"recall@10": _cell(value)}}}})


def test_the_last_runs_are_in_order_of_their_data_and_bounded(judged):
    for day in range(1, 21):
        past(judged, f"run-of-{day:02}", f"2022-04-{day:02}", day / 100)
    past(judged, "rejected", "2022-05-09", 0.1, "rejected")
    put(judged.parent / "broken", "outcome.json", {})
    found = history.last_runs(str(judged), {"status": "ready", "date": "2022-05-05", "surfaces": {}})
    assert len(found) == history.LAST_RUNS
    assert [one.run_id for one in found[-3:]] == ["run-of-20", "run-7", "rejected"] and found[0].date == "2022-04-09"
    whole, _, _ = pages(judged)
    assert "The metric of each surface over the last runs" in drawn(whole)
    assert whole.content.index("2022-05-09 rejected") < whole.content.index("run-7 (this one)") < \
        whole.content.index("2022-04-20 promoted") and "run-of-08" not in whole.content


def test_a_surface_page_says_first_what_became_of_it(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.1}))
    own = pages(run)[1].content
    assert "home is rejected: home recall@10 0.100 (n = 812) is below its floor 0.300." in own
    run_folder.record_promotion(str(run), Promotion(revision=3, run="run-7", unchanged={}, kept={}, sentence="x",
                                                    moved={"home": Move(live=RELEASE, previous=None)}))
    assert "live now " + RELEASE[:12] in pages(run)[1].content


def test_a_promoted_run_says_whether_it_is_better_and_how_to_go_back(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}))
    evaluation = json.loads((run / "evaluations" / "home.json").read_text())
    evaluation["live"] = {"release_id": RELEASE, "metrics": {"recall@10": _cell(0.4)},
                          "difference": {"recall@10": _cell(0.0567)}}
    put(run, "evaluations/home.json", evaluation)
    run_folder.record_promotion(str(run), Promotion(revision=3, run="run-7", unchanged={}, kept={}, sentence="now live",
                                                    moved={"home": Move(live=RELEASE, previous="a" * 64)}))
    whole = pages(run)[0].content
    assert "Promoted: home is live now. Against what was live before: better on home." in whole
    assert f"pinrec registry rollback home --registry {run.parents[1]} --reason TEXT" in whole


@pytest.mark.parametrize(("previous", "said"), [
    (None, "Nothing was live before."), ("a" * 64, "They were not compared with what was live before.")])
def test_a_promoted_run_without_a_comparison_says_which_of_the_two_it_is(run, make_verdict, previous, said):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}))
    run_folder.record_promotion(str(run), Promotion(revision=3, run="run-7", unchanged={}, kept={}, sentence="now live",
                                                    moved={"home": Move(live=RELEASE, previous=previous)}))
    assert f"Promoted: home is live now. {said}" in pages(run)[0].content


def test_a_rejected_run_says_why_what_is_live_and_what_to_do(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.1, "news": 0.1, "search": 0.2, "shop": 0.4567}))
    put(run.parents[1], "aliases.json", {"revision": 1, "surfaces": {"home": {"live": RELEASE}}, "history": [
        {"when": "2022-05-04T03:00:00+00:00", "run": "run-6", "surfaces": {"home": {"live": RELEASE}}}]})
    whole, own, _ = pages(run)
    assert "Rejected, nothing was changed: 3 rules do not hold, on home, news and search." in whole.content
    assert "home recall@10 0.100 (n = 812) is below its floor 0.300. " in whole.content
    assert f"home {RELEASE[:12]} – 2022-05-04 03:00" in whole.content and "Change it in [gate]" in whole.content
    assert "Are the baselines low too?" in own.content
    shop = Page((run / "surfaces" / "shop.html").read_text("utf-8")).content
    assert "It is not live, because the run was rejected for other surfaces." in shop


def test_a_failed_run_says_which_step_what_and_its_last_lines(run):
    run_folder.record_failure(str(run), "validate-data", "/x/dataset: 1 of 42 checks failed\n  min_users: observed 54\n"
                              "Repair the log", ["line before", "the last line"])
    page = Page(Path(write_run_report(run)).read_text("utf-8")).content
    assert "Failed: step validate-data: 1 of 42 checks failed: min_users: observed 54." in page
    assert "line before the last line" in page and "start the same run again" in page
    assert "Nothing is live in this registry." in page
