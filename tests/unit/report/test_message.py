"""The one message of a run, from run folders as the steps leave them, whole and broken."""

from __future__ import annotations

import json

import pytest

from pinrec_core.config import Policy
from pinrec_core.release.promote import Move, Promotion, rejection_of
from pinrec_core.release.ready import Ready
from pinrec_core.release.verdict import read_verdict
from pinrec_core.report import run_folder
from pinrec_core.report.message import message_of
from pinrec_core.report.run_facts import RunStatus


def promotion(moved: bool = True) -> Promotion:
    move = {"home": Move(live="a" * 64, previous=None)}
    sentence = "now live (revision 3): home aaa" if moved else "nothing to do: home aaa live already (revision 3)"
    return Promotion(revision=3, run="run-7", moved=move if moved else {}, kept={}, sentence=sentence,
                     unchanged={} if moved else {"home": "a" * 64})


@pytest.fixture
def judged(run, make_verdict):
    """The run folder with a verdict over home (good) and search (bad); returns folder and verdict directory."""
    verdict = make_verdict({"home": 0.4567, "search": 0.1234}, Policy.EACH)
    run_folder.record_gate(str(run), verdict)
    return str(run), verdict


def test_a_promoted_run_tells_numbers_against_limits(judged):
    run_folder.record_promotion(judged[0], promotion())
    message = message_of(judged[0])
    assert (message.status, message.run_id, message.date) == (RunStatus.PROMOTED, "run-7", "2022-05-05")
    home = "home recall@10 0.457 [0.436, 0.476] (n = 812), floor 0.300, best baseline <popular & new> 0.234, promote"
    search = "search recall@10 0.123 [0.102, 0.142] (n = 812), floor 0.300, best baseline <popular & new> 0.234, reject"
    lines = message.text.splitlines()
    assert lines[0] == "pinrec run run-7 (data up to 2022-05-05): promoted"
    assert lines[1].startswith("Promoted: now live")
    assert {home, search} <= set(lines)
    assert message.surfaces["home"]["metrics"]["recall@10"]["floor"] == 0.3
    assert message.failed is None and "registry rollback" in message.next
    assert message.report == f"{judged[0]}/report.html" and lines[-1] == f"report: {message.report}"


def test_a_run_that_changed_nothing_says_so(judged):
    run_folder.record_promotion(judged[0], promotion(moved=False))
    message = message_of(judged[0])
    assert message.sentence == "Nothing to do: home aaa live already (revision 3)."
    assert message.next.startswith("nothing: ")


def test_a_rejected_run_tells_why(run, make_verdict):
    verdict = make_verdict({"home": 0.4567, "search": 0.1234})
    run_folder.record_gate(str(run), verdict)
    run_folder.record_rejection(str(run), rejection_of(read_verdict(verdict)[0], "run-7"))
    message = message_of(str(run))
    assert message.status is RunStatus.REJECTED
    assert message.reasons == ("search recall@10 0.123 (n = 812) is below its floor 0.300",)
    assert message.reasons[0] in message.text and "[gate]" in message.next


def test_a_run_that_was_not_to_promote_names_what_could_go_live(judged):
    run_folder.record_ready(judged[0], Ready(run="run-7", releases={"home": "b" * 64}, sentence="ready: home bbb"))
    message = message_of(judged[0])
    assert message.status is RunStatus.READY and message.sentence == "Ready: home bbb."
    assert f"pinrec registry promote {'b' * 64}" in message.next


def test_a_failed_run_tells_the_first_failed_step_with_its_last_lines(run):
    run_folder.record_failure(str(run), "pretrain", "loss is not finite\nat step 3", [f"line {n}" for n in range(99)])
    run_folder.record_failure(str(run), "notify", "another one, later")
    message = message_of(str(run) + "/")
    assert message.status is RunStatus.FAILED
    assert message.failed == {"step": "pretrain", "message": "loss is not finite\nat step 3",
                              "lines": [f"line {n}" for n in range(79, 99)]}
    lines = message.text.splitlines()
    assert lines[1] == "Failed: step pretrain: loss is not finite."
    assert lines[lines.index("last lines of pretrain:") + 1] == "  line 79" and "  line 98" in lines


def test_long_lines_are_cut(run):
    run_folder.record_failure(str(run), "validate-data", "refused\n" + "x" * 9999, ["y" * 9999])
    message = message_of(str(run))
    assert max(map(len, message.text.splitlines())) < 600
    assert len(message.model_dump_json()) < 4000


def test_without_a_recorded_reason_the_last_result_is_named(run):
    assert "the last that left a result is finetune" in message_of(str(run)).sentence


@pytest.mark.parametrize("name", ["verdict.json", "promotion.json", "ready.json", "rejection.json", "failure.json",
                                  "data.json", "evaluations/home.json"])
@pytest.mark.parametrize("garbage", [b"{ half", b"\xff\xfe", b"[1, 2]", b"{}", b'{"facts": 3, "lines": 4}'])
def test_nothing_broken_in_the_folder_silences_it(judged, run, name, garbage):
    (run / name).write_bytes(garbage)
    message = message_of(judged[0])
    assert message.status is RunStatus.FAILED and message.text and json.loads(message.model_dump_json())


def test_a_folder_that_is_not_there_is_a_failed_run(tmp_path):
    message = message_of(str(tmp_path / "runs" / "run-0"))
    assert message.status is RunStatus.FAILED and "none" in message.sentence and message.surfaces == {}
