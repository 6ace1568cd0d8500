"""pinrec demo: a page once there is something to show, else one line that says what to do."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx
import pytest

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.registry import release_path

from .conftest import wait_for
from .demonstration import Demonstration


def said(capsys, *arguments: str) -> str:
    """The one line of an error."""
    settings = Settings()
    assert execute(build_app(settings), settings, ["demo", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_with_nothing_live_it_says_what_to_do(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("PINREC_REGISTRY", raising=False)
    assert said(capsys, "--registry", str(tmp_path)).startswith(f"error: {tmp_path}: nothing is live here; `make run`")
    monkeypatch.chdir(tmp_path)
    assert said(capsys).startswith("error: work/demo/registry: nothing is live here")


def test_of_a_configuration_it_takes_the_registry_of_its_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("PINREC_REGISTRY", raising=False)
    config = Path(__file__).parents[3] / "pipelines/configs/tiny.toml"
    monkeypatch.chdir(tmp_path)
    assert said(capsys, "--config", str(config)).startswith("error: work/tiny/registry: nothing is live here")


def test_a_port_that_is_taken_is_told(capsys, registry, first):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = said(capsys, "--registry", registry, "--port", str(port), "--no-open")
    assert f"port {port} of this machine cannot be used (Address already in use)" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_page_until_it_is_stopped(tmp_path, registry, first, number):
    with Demonstration(tmp_path, registry) as demo:
        assert demo.address == f"http://127.0.0.1:{demo.port}/demo/"
        assert httpx.get(demo.address).status_code == 200
        demo.process.send_signal(number)
        assert demo.process.wait(60) == 0
    assert "Traceback" not in demo.log.read_text()
    assert not list(tmp_path.glob("pinrec-serve-*")), "nothing is left in the temporary folder"


def test_a_release_that_does_not_load_ends_it_with_the_reason(tmp_path, registry, first, point):
    point(search=None)
    path = Path(release_path(registry, first["home"]), "index", "index.faiss")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    demo = Demonstration(tmp_path, registry)
    demo.start()
    wait_for(lambda: demo.process.poll() is not None)
    assert demo.process.returncode == 1
    last = demo.log.read_text().splitlines()[-1]
    assert last.startswith("error: ") and "no live release can be loaded" in last and "index.faiss" in last
