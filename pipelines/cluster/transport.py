"""One request to the Kubeflow Pipelines API over HTTP, with urllib3.

Not kfp.Client: on construction it asks the server for its health up to five times with a traceback each, reads and
writes ~/.config/kfp/context.json, lets environment variables of its own override what was passed, and its import takes
0.9 s. Not kfp_server_api below it either: it has one retry policy for reads and creations alike, and an answer that is
no JSON comes back as whatever its deserialiser stumbles on. urllib3 has what is needed here: retries by method,
Retry-After, limits of time. The tests hold every request against kfp_server_api's models.

What changes nothing when it is done twice (reading, deleting, enabling) is tried again by urllib3. A creation is not:
who asks for one looks first whether it came about (see `create_once`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from pinrec_core.errors import ConfigError
from pipelines.cluster.errors import ApiError, ApiUnavailable, refused, server_words

PREFIX = "/apis/v2beta1"
PAGE_SIZE = 100
AGAIN = (429, 500, 502, 503, 504)
_SAFE = {"GET", "DELETE"}


class Patience(NamedTuple):
    """How long a request is tried."""

    retries: int = 4  # after the first attempt
    backoff_s: float = 0.5  # before the second retry; doubled before each further one
    connect_s: float = 5.0  # for a connection
    answer_s: float = 30.0  # without a byte of the answer
    longest_pause_s: int = 60  # whatever Retry-After says
    poll_s: float = 15.0  # between two looks at a run that is followed

    def pauses(self) -> list[float]:
        """Seconds before each retry of a creation."""
        return [min(self.backoff_s * 2 ** n, self.longest_pause_s) for n in range(self.retries)]


PATIENCE = Patience()


class Request(NamedTuple):
    """What is asked of the API, and in words for an error."""

    method: str
    path: str  # after /apis/v2beta1
    what: str  # "list the runs"
    query: dict[str, str] = {}
    body: dict[str, Any] | None = None
    file: tuple[str, bytes] | None = None  # name and content to upload
    repeatable: bool = False  # a POST that changes nothing when done twice


class Transport:
    """Sends requests to one host."""

    def __init__(self, host: str, token: str, hints: dict[str, str], patience: Patience | None = None):
        """`hints` fill the next steps of errors. Raises ConfigError if the host is no web address."""
        parts = urlsplit(host)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"host {host!r} is no web address; write https://... or http://localhost:8888")
        self.host, self.patience = host.rstrip("/"), patience or PATIENCE
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._hints = hints
        wait = urllib3.Timeout(connect=self.patience.connect_s, read=self.patience.answer_s)
        self._pool = urllib3.PoolManager(timeout=wait)

    def send(self, request: Request) -> dict[str, Any]:
        """The answer as JSON. Raises ApiUnavailable where the same call may do later, else ApiError."""
        asked = f"{self.host}: {request.what}"
        try:
            answer = self._pool.request(request.method, self._url(request), retries=self._retries(request),
                                        redirect=False, **self._content(request))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnavailable(f"{asked}: {self._no_answer(error)}") from error
        if not 200 <= answer.status < 300:
            raise refused(asked, answer.status, answer.data, self._hints, _seconds(answer.headers.get("Retry-After")))
        return self._parsed(asked, answer)

    def pages(self, request: Request, key: str) -> Iterator[dict[str, Any]]:
        """Every entry of a list, page by page."""
        token = ""
        while True:
            query = request.query | {"page_size": str(PAGE_SIZE)} | ({"page_token": token} if token else {})
            page = self.send(request._replace(query=query))
            yield from page.get(key) or ()
            token = page.get("next_page_token") or ""
            if not token:
                return

    def create_once(self, find: Callable[[], dict | None], create: Callable[[], dict]) -> dict[str, Any]:
        """What `find` finds, or else what `create` creates; never two.

        After a failure that leaves open whether it was created, it is looked for before the next attempt.
        """
        pauses = iter(self.patience.pauses())
        while True:
            if found := find():
                return found
            try:
                return create()
            except ApiError as error:
                pause, unavailable = next(pauses, None), isinstance(error, ApiUnavailable)
                if unavailable and pause is not None:
                    time.sleep(min(max(pause, error.retry_after_s), self.patience.longest_pause_s))
                elif not (unavailable or error.status == 409):
                    raise
                elif found := find():
                    return found
                else:
                    raise

    def _retries(self, request: Request) -> urllib3.Retry:
        total = self.patience.retries if request.method in _SAFE or request.repeatable else 0
        return urllib3.Retry(total, status_forcelist=AGAIN, allowed_methods=None, raise_on_status=False,
                             backoff_factor=self.patience.backoff_s, backoff_max=self.patience.longest_pause_s,
                             retry_after_max=self.patience.longest_pause_s)

    def _url(self, request: Request) -> str:
        query = urlencode({name: value for name, value in request.query.items() if value})
        return f"{self.host}{PREFIX}{quote(request.path, safe='/:')}{'?' + query if query else ''}"

    def _content(self, request: Request) -> dict[str, Any]:
        """Body and headers."""
        if request.file:
            name, content = request.file
            body, kind = urllib3.encode_multipart_formdata({"uploadfile": (name, content, "application/x-yaml")})
            return {"body": body, "headers": self._headers | {"Content-Type": kind}}
        if request.body is not None:
            return {"body": json.dumps(request.body).encode(),
                    "headers": self._headers | {"Content-Type": "application/json"}}
        return {"headers": self._headers}

    def _parsed(self, asked: str, answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        if not answer.data:
            return {}
        try:
            content = json.loads(answer.data)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            kind = answer.headers.get("Content-Type", "no content type")
            raise ApiError(f"{asked}: {answer.status}, but the answer is no JSON object ({kind}: "
                           f"{server_words(answer.data)[:80]!r}); a page to log in, or targets.*.host is not the API",
                           answer.status)
        return content

    def _no_answer(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        attempts = f"after {self.patience.retries + 1} attempts" if isinstance(
            error, urllib3.exceptions.MaxRetryError) and self.patience.retries else "and it was not asked again"
        where = "see that targets.*.host is right and the port-forward runs, then run it again"
        if isinstance(reason, urllib3.exceptions.NewConnectionError):  # before the time-outs: it is one of them
            return f"no connection ({_last(reason)}) {attempts}; {where}"
        if isinstance(reason, urllib3.exceptions.ConnectTimeoutError):
            return f"no connection within {self.patience.connect_s:g} s {attempts}; {where}"
        if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
            return f"no answer within {self.patience.answer_s:g} s {attempts}; run it again later"
        return f"the connection broke ({type(reason).__name__}: {_last(reason)}) {attempts}; {where}"


def _last(reason: object) -> str:
    return " ".join(str(reason).rsplit(": ", 1)[-1].split())


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0
