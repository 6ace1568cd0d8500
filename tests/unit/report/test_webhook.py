"""Delivery to a real server: signed, tried again, given up in time, and never louder than a sentence."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time

import pytest
from quoted import says
from receiver import receiving

from pinrec_core.config import NotifyConfig
from pinrec_core.report import webhook
from pinrec_core.report.webhook import post

BODY = '{"status": "promoted", "text": "größer"}'.encode()


@pytest.fixture(autouse=True)
def secret(monkeypatch) -> None:
    monkeypatch.setenv("PINREC_WEBHOOK_SECRET", "s3cret")
    monkeypatch.setattr(webhook, "BACKOFF_S", 0.01)


def test_what_arrives_is_signed_over_time_and_body():
    with receiving(204) as receiver:
        found = post(BODY, NotifyConfig(webhook=receiver.url))
    assert found == (True, "127.0.0.1 answered 204 at attempt 1")
    ((headers, body),) = receiver.posts
    assert body == BODY and headers["Content-Type"] == "application/json"
    stamp = headers["X-Pinrec-Timestamp"]
    assert abs(int(stamp) - time.time()) < 600
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + BODY, hashlib.sha256).hexdigest()
    assert headers["X-Pinrec-Signature"] == f"v1={expected}"


def test_another_variable_may_hold_the_secret(monkeypatch):
    monkeypatch.setenv("OTHER", "different")
    with receiving(200) as receiver:
        assert post(BODY, NotifyConfig(webhook=receiver.url, secret_env="OTHER")).delivered
    headers, _ = receiver.posts[0]
    assert headers["X-Pinrec-Signature"] == webhook.signature("different", headers["X-Pinrec-Timestamp"], BODY)


def test_without_a_secret_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("PINREC_WEBHOOK_SECRET")
    with receiving(200) as receiver:
        found = post(BODY, NotifyConfig(webhook=receiver.url))
    assert not found.delivered and "PINREC_WEBHOOK_SECRET" in found.sentence and receiver.posts == []
    says("not sent: environment variable ... with the secret that signs is not set; set it where the exit step runs",
         found.sentence)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_what_may_pass_is_tried_again(status):
    with receiving(status, status, 200) as receiver:
        assert post(BODY, NotifyConfig(webhook=receiver.url)) == (True, "127.0.0.1 answered 200 at attempt 3")
    assert [body for _, body in receiver.posts] == 3 * [BODY]


def test_a_receiver_that_stays_down_is_given_up():
    with receiving(500) as receiver:
        found = post(BODY, NotifyConfig(webhook=receiver.url))
    assert not found.delivered and "500" in found.sentence and len(receiver.posts) == 1 + webhook.RETRIES


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_what_will_not_pass_is_not_tried_again_and_a_redirect_is_not_followed(status):
    with receiving(status) as receiver:
        found = post(BODY, NotifyConfig(webhook=receiver.url))
    assert found == (False, f"127.0.0.1 answered {status} at attempt 1") and len(receiver.posts) == 1


def test_a_dropped_answer_is_tried_again():
    with receiving(lambda handler: handler.connection.close(), 200) as receiver:
        assert post(BODY, NotifyConfig(webhook=receiver.url)).delivered
    assert len(receiver.posts) == 2


def test_an_attempt_without_an_answer_is_tried_again(monkeypatch):
    monkeypatch.setattr(webhook, "ATTEMPT_S", 0.3)
    release = threading.Event()
    with receiving(lambda handler: release.wait(), 200) as receiver:
        found = post(BODY, NotifyConfig(webhook=receiver.url))
        release.set()
    assert found.delivered and found.sentence.endswith("at attempt 2")


def test_a_receiver_that_drips_is_left_after_the_time_limit():
    done = threading.Event()

    def drip(handler) -> None:
        handler.connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not done.wait(0.05):
            handler.connection.sendall(b"X-More: 1\r\n")

    with receiving(drip) as receiver:
        found = post(BODY, NotifyConfig(webhook=receiver.url, time_limit_s=0.5))
        assert not done.is_set(), "it would go on for ever"
        done.set()
    assert found == (False, "127.0.0.1 did not take it within 0.5 s")


def test_a_long_pause_that_is_asked_for_does_not_outlive_the_time_limit():
    def later(handler) -> None:
        handler.send_response(503)
        handler.send_header("Retry-After", "3600")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with receiving(later) as receiver:
        found = post(BODY, NotifyConfig(webhook=receiver.url, time_limit_s=0.5))
    assert not found.delivered and len(receiver.posts) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/secret-path", "http://no-such-host.invalid/secret-path"])
def test_nobody_there_is_one_sentence_without_the_path(url):
    found = post(BODY, NotifyConfig(webhook=url, time_limit_s=20))
    assert not found.delivered and "secret-path" not in found.sentence and "\n" not in found.sentence
