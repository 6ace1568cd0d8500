"""POST a message to a webhook: signed, tried again, and given up in time.

    X-Pinrec-Timestamp: 1790000000
    X-Pinrec-Signature: v1=<hex HMAC-SHA256 with the secret over "<timestamp>.<body>">

A receiver computes the same over the raw body, compares in constant time, and refuses an old timestamp.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import threading
import time
from typing import NamedTuple
from urllib.parse import urlsplit

import urllib3

from pinrec_core.config import NotifyConfig

RETRIES = 4  # after the first attempt: no connection, no answer, 429, 5xx
BACKOFF_S = 0.5  # before the second retry; doubled before each further one
ATTEMPT_S = 10.0  # seconds without a byte before an attempt counts as failed
_AGAIN = (429, 500, 502, 503, 504)
log = logging.getLogger("pinrec")


class Delivery(NamedTuple):
    """What became of one channel."""

    delivered: bool
    sentence: str


def post(body: bytes, config: NotifyConfig) -> Delivery:
    """Deliver a JSON body; never raises for what a network or a receiver does, and ends within `time_limit_s`."""
    secret = os.environ.get(config.secret_env, "")
    if not secret:
        return Delivery(False, f"not sent: environment variable {config.secret_env} with the secret that signs is not "
                        "set; set it where the exit step runs")
    answer: list[Delivery] = []
    attempt = threading.Thread(target=lambda: answer.append(_try(body, secret, config)), daemon=True)
    attempt.start()
    attempt.join(config.time_limit_s)  # a receiver that sends a byte now and then outlives every socket timeout
    return answer[0] if answer else Delivery(False, f"{_host(config)} did not take it within {config.time_limit_s:g} s")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Value of X-Pinrec-Signature."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _try(body: bytes, secret: str, config: NotifyConfig) -> Delivery:
    timestamp = str(int(time.time()))
    headers = {"Content-Type": "application/json", "X-Pinrec-Timestamp": timestamp,
               "X-Pinrec-Signature": signature(secret, timestamp, body)}
    retries = urllib3.Retry(RETRIES, status_forcelist=_AGAIN, allowed_methods={"POST"}, backoff_factor=BACKOFF_S)
    wait = urllib3.Timeout(min(ATTEMPT_S, config.time_limit_s))
    try:
        with urllib3.PoolManager(1, retries=retries, timeout=wait) as pool:
            found = pool.request("POST", config.webhook, body=body, headers=headers, redirect=False,
                                 preload_content=False)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return Delivery(False, f"{_host(config)} did not take it: {_reason(error)}")
    tries = 1 + len(found.retries.history) if found.retries else 1
    return Delivery(found.status < 300, f"{_host(config)} answered {found.status} at attempt {tries}")


def _reason(error: Exception) -> str:
    """The last attempt's reason, without the address: a webhook's path may be a secret."""
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {str(reason).rsplit(': ', 1)[-1]}"


def _host(config: NotifyConfig) -> str:
    return urlsplit(config.webhook).hostname or "the webhook"
