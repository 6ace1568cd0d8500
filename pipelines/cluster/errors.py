"""What a request to the Kubeflow Pipelines API can meet, each in one line: host, what was asked, status, next step."""

from __future__ import annotations

import json
from http import HTTPStatus

from pinrec_core.errors import PinrecError, TemporaryError

SHOWN = 300  # characters of the server's own words


class ApiError(PinrecError):
    """The API refused, or did not answer as one. `status` is 0 where no answer came."""

    def __init__(self, message: str, status: int = 0, retry_after_s: float = 0.0):
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


class ApiUnavailable(ApiError, TemporaryError):
    """Too many requests, a server error or no answer, after all attempts: the same call may do later."""


NEXT_STEPS = {
    400: "correct what it names; a field it does not know means that the backend is older than 2.16",
    401: "put a token that is valid into environment variable {token_env} (targets.*.token_env)",
    403: "this token's account may not do that in namespace {namespace}; have the role granted, or use another token",
    404: "it is gone, or targets.*.host is not where the API is: it is the address before /apis/v2beta1",
    409: "something of this name was there first; look at it in the interface, then run it again",
    429: "it is asked too often; run it again later",
}
SERVER_FAILED = "run it again; if it stays, the log of the ml-pipeline pod says why"


def refused(asked: str, status: int, body: bytes, hints: dict[str, str], retry_after_s: float = 0.0) -> ApiError:
    """The error of an answer that is none of success. `asked` begins with the host."""
    reason = f"{status} {_phrase(status)}"
    if 300 <= status < 400:
        return ApiError(f"{asked}: {reason}: it redirects, so a login stands before it; {NEXT_STEPS[401]}".format(
            **hints), status)
    said = server_words(body)
    step = NEXT_STEPS.get(status, SERVER_FAILED if status >= 500 else NEXT_STEPS[400]).format(**hints)
    kind = ApiUnavailable if status == 429 or status >= 500 else ApiError
    return kind(f"{asked}: {reason}{': ' + said if said else ''}; {step}", status, retry_after_s)


def server_words(body: bytes) -> str:
    """The server's own reason on one line: of its JSON, or how its text begins."""
    text = body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, dict):
        text = str(content.get("message") or content.get("error") or "")
    words = " ".join(text.split())
    return words if len(words) <= SHOWN else f"{words[:SHOWN]}..."


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
