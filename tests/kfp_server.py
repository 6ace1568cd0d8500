"""A server that speaks the Kubeflow Pipelines REST API (v2beta1) over a real socket, for what pinrec asks of it.

What it is sent is held against the models that the project publishes for its API (kfp_server_api): a field that is not
in a model, or of another type, is refused with 400, as the real one does; so are the arguments of a run that the
pipeline's own input definitions do not take. State stays for the life of the server. A test may have it fail:
`server.fail(...)`, or hold what it holds: `server.runs`, `server.recurring`.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from kfp_models import Refused, check
from kfp_server_api import models

from pinrec_core import storage
from pinrec_core.manifest import write_manifest

PREFIX = "/apis/v2beta1"
PAGE = 2  # entries of a page at most, whatever is asked for, so that every list has several


def leave_outcome(registry: str, run: dict, status: str, **more: object) -> None:
    """What a run's exit step leaves in the registry."""
    outcome = {"run_id": run["display_name"], "status": status, "sentence": f"It was {status}.", "surfaces": {},
               "releases": {}, "reasons": [], "report": "", "warnings": []} | more
    storage.write_bytes(storage.join(registry, "runs", run["display_name"], "outcome.json"),
                        json.dumps(outcome).encode())


def leave_dataset(registry: str, run: dict, folder: Path) -> None:
    """A dataset of the run's date below a folder, and what the run's folder says of it."""
    facts = {"date": run["runtime_config"]["parameters"]["date"]}
    dataset = folder / run["display_name"]
    dataset.mkdir(parents=True)
    write_manifest(dataset, kind="dataset", facts=facts)
    storage.write_bytes(storage.join(registry, "runs", run["display_name"], "data.json"),
                        json.dumps({"uri": str(dataset), "facts": facts}).encode())


@dataclass
class Failure:
    """What becomes of the next requests that match."""

    matches: str  # regular expression over "METHOD /path"
    times: int
    answer: Callable[[BaseHTTPRequestHandler], None]
    after: bool = False  # the request is carried out, and its answer lost


@dataclass
class KfpServer:
    """Its state. Entries are as the API hands them out."""

    multi_user: bool = False
    token: str = ""  # that requests must bear
    url: str = ""
    experiments: dict[str, dict] = field(default_factory=dict)
    pipelines: dict[str, dict] = field(default_factory=dict)
    versions: dict[str, dict] = field(default_factory=dict)
    runs: dict[str, dict] = field(default_factory=dict)
    recurring: dict[str, dict] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    on_run: Callable[[dict], None] = lambda run: None  # called with a run that was created
    most_active: int = 0  # recurring runs that were enabled at the same time
    least_active: int | None = None  # after there was one
    clock: datetime = datetime(2026, 1, 15, 4, 30, tzinfo=UTC)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fail(self, matches: str, status: int = 0, *, times: int = 1, headers: dict[str, str] | None = None,
             body: str = '{"code": 13, "message": "it was told to fail"}', after: bool = False,
             answer: Callable[[BaseHTTPRequestHandler], None] | None = None) -> None:
        """Let the next requests whose "METHOD /path" matches fail with a status, or by `answer`."""
        def say(handler: BaseHTTPRequestHandler) -> None:
            send(handler, status, body.encode(), headers or {})

        self.failures.append(Failure(matches, times, answer or say, after))

    def asked(self, matches: str) -> int:
        """How many requests matched."""
        return sum(bool(re.search(matches, one)) for one in self.requests)

    def active(self) -> list[dict]:
        """Recurring runs that are enabled."""
        return [one for one in self.recurring.values() if one["mode"] == "ENABLE"]

    def now(self) -> str:
        """A later moment with every call."""
        self.clock += timedelta(seconds=1)
        return self.clock.isoformat().replace("+00:00", "Z")

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, kind: str) -> dict[str, Any]:
        """Carry out a request. Raises Refused."""
        for pattern, of_method, act in _ROUTES:
            if of_method == method and (match := re.fullmatch(pattern, path)):
                with self.lock:
                    result = act(self, match, query, (body, kind))
                    active = len(self.active())
                    self.most_active = max(self.most_active, active)
                    if self.least_active is not None or active:
                        self.least_active = min(active, self.least_active if self.least_active is not None else active)
                return result
        raise Refused(404, 5, "Not Found")


def _json(model: type, content: tuple[bytes, str]) -> dict[str, Any]:
    """The body of a request, held against a model."""
    try:
        body = json.loads(content[0])
    except ValueError as error:
        raise Refused(400, 3, f"proto: syntax error: {error}") from error
    check(model, body, model.__name__)
    return body


def _health(server: KfpServer, *_: Any) -> dict:
    return {"multi_user": server.multi_user} if server.multi_user else {}  # false is left out, as the real one does


def _check_namespace(server: KfpServer, namespace: str) -> None:
    if server.multi_user and not namespace:
        raise Refused(400, 3, "Invalid input error: a namespace is required in multi-user mode")
    if not server.multi_user and namespace:
        raise Refused(400, 3, "Invalid input error: In single-user mode, a namespace is not allowed")


def _create_experiment(server: KfpServer, _: Any, __: Any, content: tuple[bytes, str]) -> dict:
    body = _json(models.V2beta1Experiment, content)
    _check_namespace(server, body.get("namespace", ""))
    _unique(server.experiments, body)
    return _keep(server.experiments, body, "experiment_id", server)


def _create_pipeline(server: KfpServer, _: Any, __: Any, content: tuple[bytes, str]) -> dict:
    body = _json(models.V2beta1Pipeline, content)
    _check_namespace(server, body.get("namespace", ""))
    _unique(server.pipelines, body)
    return _keep(server.pipelines, body, "pipeline_id", server)


def _upload_version(server: KfpServer, _: Any, query: dict[str, str], content: tuple[bytes, str]) -> dict:
    message = email.message_from_bytes(f"Content-Type: {content[1]}\r\n\r\n".encode() + content[0],
                                       policy=email.policy.HTTP)
    part = next((p for p in message.iter_parts() if p.get_param("name", header="content-disposition") == "uploadfile"),
                None)
    if part is None:
        raise Refused(400, 3, "http: no such file: uploadfile")
    spec = next(yaml.safe_load_all(part.get_payload(decode=True)))
    if query["pipelineid"] not in server.pipelines or "root" not in spec:
        raise Refused(400, 3, "Failed to create a pipeline version: invalid pipeline or spec")
    body = {"pipeline_id": query["pipelineid"], "name": query["name"],
            "display_name": query.get("display_name") or query["name"], "pipeline_spec": spec}
    _unique({key: one for key, one in server.versions.items() if one["pipeline_id"] == query["pipelineid"]}, body)
    return _keep(server.versions, body, "pipeline_version_id", server)


def _create_run(server: KfpServer, _: Any, query: dict[str, str], content: tuple[bytes, str]) -> dict:
    body = _json(models.V2beta1Run, content)
    _check_source(server, body)
    if body.get("experiment_id") != query.get("experiment_id"):
        raise Refused(400, 3, "the experiment of the run is not that of the request")
    run = _keep(server.runs, body | {"state": "PENDING", "storage_state": "AVAILABLE"}, "run_id", server)
    server.on_run(run)
    return run


def _create_recurring(server: KfpServer, _: Any, __: Any, content: tuple[bytes, str]) -> dict:
    body = _json(models.V2beta1RecurringRun, content)
    _check_source(server, body)
    if not 1 <= int(body.get("max_concurrency", 0)) <= 10:
        raise Refused(400, 3, "The max concurrency of the recurring run is out of range. Support 1-10")
    if len(body["trigger"]["cron_schedule"]["cron"].split()) not in (5, 6):
        raise Refused(400, 3, "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron)")
    status = "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED"
    return _keep(server.recurring, body | {"status": status}, "recurring_run_id", server)


def _check_source(server: KfpServer, body: dict) -> None:
    """A run takes exactly the parameters that its pipeline defines, each of its type."""
    if body.get("experiment_id") not in server.experiments:
        raise Refused(404, 5, f"Experiment {body.get('experiment_id')} not found")
    reference = body["pipeline_version_reference"]
    version = server.versions.get(reference["pipeline_version_id"])
    if not version or version["pipeline_id"] != reference["pipeline_id"]:
        raise Refused(404, 5, f"PipelineVersion {reference['pipeline_version_id']} not found")
    defined = version["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    given = body["runtime_config"]["parameters"]
    kinds = {"STRING": str, "LIST": list, "BOOLEAN": bool, "NUMBER_INTEGER": int, "STRUCT": dict}
    for name, one in defined.items():
        if name not in given and not one.get("isOptional") and "defaultValue" not in one:
            raise Refused(400, 3, f"parameter {name} is not optional, yet has neither default value nor user provided")
        if name in given and not isinstance(given[name], kinds[one["parameterType"]]):
            raise Refused(400, 3, f"input parameter {name} requires type {one['parameterType'].lower()}")
    if extra := set(given) - set(defined):
        raise Refused(400, 3, f"parameters {sorted(extra)} are not defined in the pipeline")


def _unique(entries: dict[str, dict], body: dict) -> None:
    if any(one["display_name"] == body["display_name"] for one in entries.values()):
        raise Refused(409, 6, f"Already exist error: The name {body['display_name']} already exist. Please specify a "
                              "new name")


def _keep(entries: dict[str, dict], body: dict, id_name: str, server: KfpServer) -> dict:
    entry = body | {id_name: str(uuid.uuid4()), "created_at": server.now()}
    entries[entry[id_name]] = entry
    return entry


def _list(entries: str, key: str) -> Callable[..., dict]:
    def act(server: KfpServer, match: re.Match, query: dict[str, str], _: Any) -> dict:
        found = list(getattr(server, entries).values())
        owner = match.groupdict().get("pipeline")
        wanted = {name: query[name] for name in ("experiment_id",) if query.get(name)}
        found = [one for one in found if (owner in (None, one.get("pipeline_id")))
                 and all(one.get(name) == value for name, value in wanted.items()) and _matches(one, query)]
        start = int(query.get("page_token") or 0)
        size = min(PAGE, int(query.get("page_size") or PAGE))
        page = {key: found[start:start + size], "total_size": len(found)}
        return page | ({"next_page_token": str(start + size)} if start + size < len(found) else {})

    return act


def _matches(entry: dict, query: dict[str, str]) -> bool:
    if not query.get("filter"):
        return True
    wanted = json.loads(query["filter"])
    check(models.V2beta1Filter, wanted, "filter")
    for one in wanted["predicates"]:
        found = str(entry.get(one["key"], ""))
        good = {"EQUALS": found == one["string_value"], "IS_SUBSTRING": one["string_value"] in found}[one["operation"]]
        if not good:
            return False
    return True


def _get(entries: str) -> Callable[..., dict]:
    def act(server: KfpServer, match: re.Match, *_: Any) -> dict:
        try:
            return getattr(server, entries)[match["id"]]
        except KeyError:
            raise Refused(404, 5, f"{entries} {match['id']} not found") from None

    return act


def _delete_recurring(server: KfpServer, match: re.Match, *_: Any) -> dict:
    _get("recurring")(server, match)
    del server.recurring[match["id"]]
    return {}


def _switch(server: KfpServer, match: re.Match, *_: Any) -> dict:
    entry = _get("recurring")(server, match)
    entry["mode"], entry["status"] = (("ENABLE", "ENABLED") if match["verb"] == "enable" else ("DISABLE", "DISABLED"))
    return {}


_ID = r"(?P<id>[\w-]+)"
_ROUTES: list[tuple[str, str, Callable[..., dict]]] = [
    ("/healthz", "GET", _health),
    ("/experiments", "POST", _create_experiment), ("/experiments", "GET", _list("experiments", "experiments")),
    ("/pipelines", "POST", _create_pipeline), ("/pipelines", "GET", _list("pipelines", "pipelines")),
    ("/pipelines/upload_version", "POST", _upload_version),
    (r"/pipelines/(?P<pipeline>[\w-]+)/versions", "GET", _list("versions", "pipeline_versions")),
    ("/runs", "POST", _create_run), ("/runs", "GET", _list("runs", "runs")), (f"/runs/{_ID}", "GET", _get("runs")),
    ("/recurringruns", "POST", _create_recurring), ("/recurringruns", "GET", _list("recurring", "recurringRuns")),
    (f"/recurringruns/{_ID}", "GET", _get("recurring")), (f"/recurringruns/{_ID}", "DELETE", _delete_recurring),
    (f"/recurringruns/{_ID}:(?P<verb>enable|disable)", "POST", _switch)]


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Answer."""
    handler.send_response(status)
    for name, value in ({"Content-Type": "application/json"} | headers).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def silent(seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that comes too late."""
    return lambda handler: time.sleep(seconds)


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[KfpServer]:
    """Start the server, and stop it in the end."""
    state = KfpServer(**settings)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            parts = urlsplit(self.path)
            path = parts.path.removeprefix(PREFIX)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append(f"{self.command} {path}")
            failure = next((one for one in state.failures if one.times and re.search(
                one.matches, state.requests[-1])), None)
            if failure:
                failure.times -= 1
            if failure and not failure.after:
                self.close_connection = True
                failure.answer(self)
                return
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            try:
                if state.token and self.headers.get("Authorization") != f"Bearer {state.token}":
                    raise Refused(401, 16, "Failed to authenticate token from request header")
                answer = state.answer(self.command, path, query, body, self.headers.get("Content-Type", ""))
                status, content = 200, answer
            except Refused as error:
                status, content = error.status, {"code": error.code, "message": str(error), "details": []}
            if failure:
                self.close_connection = True
                failure.answer(self)
                return
            send(self, status, json.dumps(content).encode(), {})

        do_GET = do_POST = do_DELETE = respond

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads, http.block_on_close = True, False
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
