"""The image's health check, as the engine runs it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from docker.models.containers import Container
from docker.types import Mount

from pinrec_core.registry import read_aliases

SECOND = 1_000_000_000  # the engine counts nanoseconds
SOON = {"interval": SECOND, "start_period": SECOND, "retries": 3}  # the image's command, asked more often
PATIENT = SOON | {"start_period": 60 * SECOND}  # an answer ends it at once; a busy machine starts slowly
WAIT_S = 120


def served(registry: Path, healthcheck: dict) -> dict:
    """Options of a container that sees a registry, read-only."""
    return {"mounts": [Mount(target="/registry", source=str(registry), type="bind", read_only=True)],
            "healthcheck": healthcheck}


def health(container: Container) -> str:
    """What the engine says once it has made up its mind, or "starting" if it has not in time."""
    for _ in range(WAIT_S):
        container.reload()
        state = container.attrs["State"]
        assert state["Running"], container.logs().decode()
        if state["Health"]["Status"] != "starting":
            break
        time.sleep(1)
    return state["Health"]["Status"]


SERVE = ["pinrec", "serve", "--registry", "/registry", "--host", "0.0.0.0"]
ASK = ("import json, urllib.request as r; b = json.dumps({'surface': 'home', 'user_id': 'u1', 'n': 5}).encode(); "
       "print(r.urlopen('http://127.0.0.1:8080/v1/retrieve', b).read().decode())")


def test_a_service_with_live_releases_is_healthy_and_answers(started, promoted):
    container = started(SERVE, **served(promoted.registry, PATIENT))
    assert health(container) == "healthy", container.attrs["State"]["Health"]
    code, output = container.exec_run(["python", "-c", ASK])
    assert code == 0, output
    answer = json.loads(output)
    assert answer["release_id"] == read_aliases(str(promoted.registry))[0].surfaces["home"].live
    assert len({item["item_id"] for item in answer["items"]}) == 5
    assert b"telemetry" not in container.logs(), "ONNX Runtime tells nobody"


def test_a_service_with_nothing_to_serve_is_not(started, tmp_path):
    container = started(SERVE, **served(tmp_path, SOON))
    assert health(container) == "unhealthy"
    assert "not ready (503)" in container.attrs["State"]["Health"]["Log"][-1]["Output"]


def test_a_task_counts_as_healthy(started):
    assert health(started(["sleep", "60"], healthcheck=SOON)) == "healthy"
