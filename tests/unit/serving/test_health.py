"""The image's health check, against the real service."""

from __future__ import annotations

import pytest

from pinrec_core.serving.health import problem

from .conftest import wait_for
from .processes import Server

SERVES = ["python", "/opt/pinrec/bin/pinrec", "serve", "--registry", "/registry", ""]
TASK = ["python3", "-m", "kfp.dsl.executor_main", "--function_to_execute", "promote", ""]


@pytest.mark.parametrize(("command", "said"), [(SERVES, "the server has not started yet"), (TASK, "")])
def test_without_a_server_only_a_task_is_healthy(tmp_path, command, said):
    assert problem(command, tmp_path) == said


def test_a_server_is_healthy_while_it_can_answer(tmp_path, registry, first):
    with Server(tmp_path, registry, workers=1, host="0.0.0.0") as server:
        wait_for(lambda: server.answering(first["home"]) == 1)
        assert problem(SERVES, tmp_path) == ""
        address = next(tmp_path.glob("pinrec-serve-*/address"))
        kept = address.read_text()
    assert not address.exists(), "a server that ended leaves no address"
    assert problem(SERVES, tmp_path), "and is no longer healthy"
    address.parent.mkdir()
    address.write_text(kept)  # as one that was killed leaves it
    assert "does not answer" in problem(SERVES, tmp_path)


def test_a_server_without_a_release_is_not_healthy(tmp_path):
    (tmp_path / "registry").mkdir()
    with Server(tmp_path, str(tmp_path / "registry"), workers=1):
        wait_for(lambda: "not ready (503)" in problem(SERVES, tmp_path))
