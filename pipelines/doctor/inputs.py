"""What a run reads and where it writes: the configuration, the event log, the catalog, the registry, the Redis."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pinrec_core import storage
from pipelines.doctor.ask import Unanswered, ask
from pipelines.doctor.finding import Finding, fail, ok, skipped, warn
from pipelines.doctor.subject import Subject

_PARTITION = "date="
IN_PODS = "a folder in the pods, which is not seen from here"
CREDENTIALS = "look at the address and the permissions; gs:// asks as `gcloud auth application-default login` says"


def config(subject: Subject) -> Finding:
    """Whether the file can be used."""
    if subject.file is None:
        return skipped("no --config FILE", "pinrec doctor --config pipelines/configs/demo.toml")
    if subject.config is None:
        return fail(subject.problem, "every key known and in range", f"pinrec config validate {subject.file}")
    return ok(f"{subject.file}: {subject.config.name} models {', '.join(subject.config.log.surfaces)}")


def events(subject: Subject) -> Finding:
    """Whether every day of the window that ends with the last partition is there."""
    uri = subject.target.events if subject.target else str(subject.work / "data/events")
    if subject.target and not storage.is_remote(uri):
        return skipped(f"{uri}: {IN_PODS}", "aggregate-logs, the first step, names days that are missing")
    days = subject.config.aggregate.lookback_days
    limit = f"{days} days, date=YYYY-MM-DD"
    try:
        dates = sorted(name.removeprefix(_PARTITION) for name in _names(uri) if name.startswith(_PARTITION))
        last = date.fromisoformat(dates[-1]) if dates else None
    except Unanswered as error:
        return fail(f"{uri}: {error}", limit, CREDENTIALS)
    except ValueError:
        return fail(f"{uri}: partition date={dates[-1]} is no day", limit, "rename it to date=YYYY-MM-DD")
    if last is None:
        return fail(f"{uri}: no partitions", limit, _write_data(subject))
    wanted = [(last - timedelta(days=back)).isoformat() for back in range(days)]
    missing = sorted(set(wanted) - set(dates))
    if missing:
        return fail(f"{uri}: up to {last}, {len(missing)} of {days} days missing, first {missing[0]}", limit,
                    "import these days, or lower aggregate.lookback_days")
    return ok(f"{uri}: {wanted[-1]} to {last}", limit)


def catalog(subject: Subject) -> Finding:
    """Whether there is one."""
    uri = subject.target.catalog if subject.target else str(subject.work / "data/catalog")
    if subject.target and not storage.is_remote(uri):
        return skipped(f"{uri}: {IN_PODS}")
    try:
        names = _names(uri)
    except Unanswered as error:
        return fail(f"{uri}: {error}", "files", CREDENTIALS)
    return ok(f"{uri}: {len(names)} files") if names else fail(f"{uri}: nothing there", "files", _write_data(subject))


def registry(subject: Subject) -> Finding:
    """Whether releases can be written where they belong."""
    uri = subject.target.registry if subject.target else str(subject.work / "registry")
    if subject.target and not storage.is_remote(uri):
        return skipped(f"{uri}: {IN_PODS}")
    try:
        if storage.is_remote(uri):
            _probe("write", uri)
        else:
            _write_nearby(Path(uri).resolve())
    except (Unanswered, OSError) as error:
        return fail(f"{uri}: {error}", "writable", CREDENTIALS)
    return ok(f"{uri}: writable" + (" for you, which says nothing of the pods' account" if subject.target else ""))


def store(subject: Subject) -> Finding:
    """The Redis of [serve]."""
    serve = subject.config.serve
    if not serve.store:
        return skipped("serve.store names no Redis; recent events stay in the memory of the one worker")
    limit = f"answers within {2 * serve.store_timeout_ms} ms"
    try:
        _probe("ping", serve.model_dump_json())
    except Unanswered as error:
        told = warn if subject.target else fail  # a service of the cluster has a name in the cluster only
        return told(f"{serve.store}: {error}", limit, "start it, or raise serve.store_timeout_ms: docs/serving.md")
    return ok(f"{serve.store}: answers", limit)


def _names(uri: str) -> list[str]:
    """Children of a folder. Raises Unanswered."""
    if storage.is_remote(uri):
        return _probe("list", uri)
    try:
        return storage.list_names(uri)
    except OSError as error:
        raise Unanswered(str(error)) from error


def _probe(action: str, uri: str) -> Any:
    """What probe.py finds. Raises Unanswered with the last line of its error."""
    done = ask([sys.executable, "-m", "pipelines.doctor.probe"], told=json.dumps({"do": action, "uri": uri}))
    if done.code:
        raise Unanswered(done.reason)
    return done.document()


def _write_nearby(folder: Path) -> None:
    """Write a file that leaves nothing in a folder, or where it would be made. Raises OSError."""
    with tempfile.TemporaryFile(dir=next(each for each in (folder, *folder.parents) if each.exists())) as file:
        file.write(b"pinrec doctor")


def _write_data(subject: Subject) -> str:
    """How data gets there."""
    if subject.target:
        return "write it with `pinrec import`, or correct the address in the target"
    return f"pinrec synth {subject.work}/data, or `pinrec import`; `pinrec run` takes --events and --catalog too"
