"""Whatever end a run takes, a webhook hears of it once, signed, with what a person needs to know."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from journey import Outcome, run, small
from receiver import Receiver, receiving


@pytest.fixture(scope="module")
def heard(month, tmp_path_factory) -> tuple[Receiver, dict[str, Outcome]]:
    """A promoted, a rejected and a failed run, told to one webhook."""
    folder = tmp_path_factory.mktemp("notify")
    last = max((month / "data/events").iterdir())
    with pytest.MonkeyPatch.context() as patch, receiving(200) as receiver:
        patch.setenv("PINREC_WEBHOOK_SECRET", "s3cret")
        told = {"notify": {"webhook": receiver.url}}
        ends = {"promoted": run(month, small(folder, told))}
        ends["rejected"] = run(month, small(folder, told | {"gate.floors": {"home": {"recall@50": 1.0}}}))
        part = next(last.iterdir())
        whole = part.read_bytes()
        part.write_bytes(b"PAR1 cut short")
        ends["failed"] = run(month, small(folder, told))
        part.write_bytes(whole)
    return receiver, ends


def messages(receiver: Receiver) -> dict[str, dict]:
    return {message["status"]: message for message in (json.loads(body) for _, body in receiver.posts)}


def test_every_run_is_told_once_and_signed(heard):
    receiver, ends = heard
    assert {name: end.code for name, end in ends.items()} == {"promoted": 0, "rejected": 3, "failed": 1}
    assert [json.loads(body)["status"] for _, body in receiver.posts] == ["promoted", "rejected", "failed"]
    for headers, body in receiver.posts:
        signed = headers["X-Pinrec-Timestamp"].encode() + b"." + body
        assert headers["X-Pinrec-Signature"] == "v1=" + hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()


def test_each_message_is_that_of_its_run(heard):
    receiver, ends = heard
    for status, message in messages(receiver).items():
        assert message["run_id"] == ends[status].run.name
        kept = json.loads(Path(ends[status].run, "message.json").read_text("utf-8"))
        assert kept.pop("channels")["webhook"]["delivered"] and kept == message
        assert message["sentence"] == ends[status].summary["sentence"]


def test_numbers_stand_against_their_limits(heard):
    for message in (messages(heard[0])[status] for status in ("promoted", "rejected")):
        recall = message["surfaces"]["home"]["metrics"]["recall@50"]
        line = next(line for line in message["text"].splitlines() if line.startswith("home recall@50"))
        for word in (f"{recall['value']:.3f}", f"(n = {recall['n']})", f"floor {recall['floor']:.3f}"):
            assert word in line
    assert "is below its floor 1.000" in messages(heard[0])["rejected"]["reasons"][0]


def test_a_failure_names_the_first_failed_step_with_its_last_lines(heard):
    failed = messages(heard[0])["failed"]["failed"]
    assert failed["step"] == "aggregate-logs" and "part-00000.parquet" in failed["message"]
    assert any("DataError" in line for line in failed["lines"])
