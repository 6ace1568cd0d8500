"""The report parses, holds the numbers, asks for nothing from outside, and lives with any part missing or broken."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pinrec_core.config import Policy
from pinrec_core.errors import ConfigError
from pinrec_core.release.promote import Move, Promotion, rejection_of
from pinrec_core.release.ready import Ready
from pinrec_core.release.verdict import read_verdict
from pinrec_core.report import run_folder
from pinrec_core.report.run_facts import RunStatus, summary_table
from pinrec_core.report.run_report import write_run_report

VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use", "rect"}


class Page(HTMLParser):
    """Text, attributes and whether every element is closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.text, self.attributes, self.ids = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def content(self) -> str:
        return " ".join(" ".join(self.text).split())


def written(run: Path, **settings) -> tuple[Page, dict]:
    report = write_run_report(run, **settings)
    assert report == f"{run}/report.html"
    return Page(Path(report).read_text("utf-8")), json.loads((run / "outcome.json").read_text())


def promotion(kept: dict | None = None) -> Promotion:
    return Promotion(revision=3, run="run-7", moved={"home": Move(live="a" * 64, previous=None)}, unchanged={},
                     kept=kept or {}, sentence="now live (revision 3): home aaaaaaaaaaaa")


def test_a_promoted_run_shows_every_number_and_nothing_from_outside(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}))
    run_folder.record_promotion(str(run), promotion())
    page, outcome = written(run)
    html = (run / "report.html").read_text("utf-8")
    assert page.content.index("Promoted: home is live now.") < page.content.index("Surfaces")
    for number in ("0.457", "0.436 – 0.476", "0.234", "0.300", "812", "98,765", "0.444", "640", "4,567", "2022-05-05"):
        assert number in page.content, number
    assert not re.search(r"https?:|//[a-z]|<script|@import|url\((?!#)", html)
    assert not [value for name, value in page.attributes if name in ("src", "href", "xlink:href") and value[0] != "#"]
    drawn = [value for name, value in page.attributes if name == "aria-label"]
    for plot in ("Recall of each surface with its interval, best baseline and floor", "recall@10 by slice, worst first",
                 "recall@10 of the candidate and of every baseline", "Event rows by day and surface",
                 "Training loss and validation score by epoch"):
        assert drawn.count(plot) == 1, plot
    assert len(page.ids) == len(set(page.ids))
    assert len(html) < 2_000_000
    assert outcome["status"] == "promoted" and outcome["reasons"] == [] and outcome["run_id"] == "run-7"
    home = outcome["surfaces"]["home"]
    assert (home["verdict"], home["live"]) == ("promote", "a" * 64)
    assert home["metrics"]["recall@10"]["value"] == 0.4567
    assert home["metrics"]["recall@10"]["best_baseline"] == {"name": "<popular & new>", "value": 0.2345}


def test_values_are_escaped(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}))
    run_folder.record_failure(str(run), "promote", "<script>alert(1)</script>")
    page, _ = written(run)
    html = (run / "report.html").read_text("utf-8")
    assert "<script" not in html and "&lt;popular &amp; new&gt;" in html
    assert "<script>alert(1)</script>" in page.content


def test_a_rejected_run_says_why_first(run, make_verdict):
    verdict = make_verdict({"home": 0.4567, "search": 0.1234})
    run_folder.record_gate(str(run), verdict)
    run_folder.record_rejection(str(run), rejection_of(read_verdict(verdict)[0], "run-7"))
    page, outcome = written(run)
    reason = "search recall@10 0.123 (n = 812) is below its floor 0.300"
    assert outcome["status"] == "rejected" and outcome["reasons"] == [reason]
    assert reason in page.content and "Rejected, nothing was changed" in page.content
    assert page.content.index("search rejected") < page.content.index("home passed"), "the failed surface comes first"


def test_a_verdict_to_reject_is_enough_to_be_rejected(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.1}))
    run_folder.record_failure(str(run), "reject", "it failed on purpose")
    assert written(run)[1]["status"] == "rejected"


def test_a_run_that_was_not_to_promote_is_ready(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.5}))
    run_folder.record_ready(str(run), Ready(run="run-7", releases={"home": "a" * 64}, sentence="ready, not promoted"))
    page, outcome = written(run)
    assert outcome["status"] == "ready" and outcome["surfaces"]["home"]["live"] is None
    assert "Ready, not promoted." in page.content


def test_policy_each_names_what_was_kept(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.5, "search": 0.1}, Policy.EACH))
    run_folder.record_promotion(str(run), promotion({"search": ("search is below its floor",)}))
    page, outcome = written(run)
    assert "Kept as it was: search, because search is below its floor" in page.content
    assert outcome["status"] == "promoted"
    assert (outcome["surfaces"]["search"]["verdict"], outcome["surfaces"]["search"]["live"]) == ("reject", None)


def test_an_empty_run_folder_is_a_failed_run_that_says_what_is_absent(tmp_path):
    page, outcome = written(tmp_path / "runs" / "run-0")
    assert outcome["status"] == "failed" and outcome["surfaces"] == {}
    for part in ("verdict.json", "evaluations/", "training/", "statistics.json"):
        assert f"{part} is absent" in page.content
    assert "No surface was evaluated" in page.content


def test_a_failed_step_is_named(run):
    run_folder.record_failure(str(run), "finetune home", "loss is no longer finite\nsee its log.")
    page, outcome = written(run)
    assert outcome["reasons"] == ["step finetune home: loss is no longer finite\nsee its log."]
    assert outcome["sentence"] == "Failed: step finetune home: loss is no longer finite."
    assert "Failed: step finetune home: loss is no longer finite" in page.content


PARTS = ("verdict.json", "promotion.json", "statistics.json", "evaluations/home.json", "training/finetune home.jsonl",
         "data.json", "failure.json")


@pytest.mark.parametrize("garbage", [b"{ half", b"\xff\xfe", b"[1, 2]"])
def test_a_broken_part_is_named_and_never_stops_the_report(run, make_verdict, garbage):
    for name in PARTS:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(garbage)
    page, outcome = written(run)
    assert outcome["status"] == "failed"
    assert [name for name in PARTS if f"{name} cannot be read" not in page.content] == []


@pytest.mark.parametrize("name", PARTS)
def test_an_empty_object_in_place_of_a_part_never_stops_the_report(run, make_verdict, name):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}))
    (run / name).write_bytes(b"{}")
    written(run)


def test_the_folder_wins_over_what_the_orchestrator_believes(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.1}))
    page, outcome = written(run, status=RunStatus.FAILED)
    assert outcome["status"] == "rejected"
    assert "was reported as failed, but what its folder holds is rejected" in page.content


def test_summary_table_has_a_row_per_surface_and_floor(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567, "search": 0.1234}))
    home, search = summary_table(run)
    assert home == ("home", "recall@10", 0.4567, pytest.approx(0.4357), pytest.approx(0.4757), "<popular & new>",
                    0.2345, 0.3, "promote", 812)
    assert (search.surface, search.verdict, search.floor) == ("search", "reject", 0.3)


def test_a_surface_below_its_best_baseline_is_said_to_be(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567, "search": 0.1234}))
    page, outcome = written(run)
    assert outcome["warnings"] == ["search recall@10 0.123 (n = 812) is below baseline <popular & new> 0.234"]
    assert outcome["warnings"][0] in page.content


def test_a_failed_rule_that_only_warns_is_shown_as_such(run, make_verdict):
    rules = {"beats_baseline": {"level": "warn", "baselines": ["popularity"]}}
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}, rules=rules))
    run_folder.record_promotion(str(run), promotion())
    page, outcome = written(run)
    (warning,) = outcome["warnings"]
    assert outcome["status"] == "promoted" and outcome["reasons"] == []
    assert warning.startswith("home recall@10 cannot be compared with baseline popularity")
    assert f"beats_baseline warned {warning}" in page.content and page.content.count(warning) == 2
    assert ("class", "warned") in page.attributes


def test_a_baseline_that_a_rule_names_is_not_warned_of_twice(run, make_verdict):
    rules = {"beats_baseline": {"level": "warn", "baselines": ["popularity"]}}
    run_folder.record_gate(str(run), make_verdict({"search": 0.1234}, rules=rules))
    (warning,) = written(run)[1]["warnings"]
    assert warning.startswith("search recall@10 cannot be compared with baseline popularity")


def test_names_that_are_paths_are_refused(tmp_path, run):
    for name in ("../x", "a/b", ".hidden", ""):
        with pytest.raises(ConfigError, match="cannot name a file"):
            run_folder.run_folder(str(tmp_path), name)


def test_the_report_is_the_same_every_time(run, make_verdict):
    run_folder.record_gate(str(run), make_verdict({"home": 0.4567}))
    first = Path(write_run_report(run)).read_bytes()
    assert Path(write_run_report(run)).read_bytes() == first
