"""A registry with real releases of two surfaces in two versions, the service over it in this process, and a Redis."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from ports import free_port
from release.conftest import bucket, registry, releases, verdicts, verified, world  # noqa: F401 - fixtures
from release.world import LOG
from starlette.testclient import TestClient

from pinrec_core import storage
from pinrec_core.config import ServeConfig
from pinrec_core.registry import Alias, Aliases, aliases_path, read_aliases
from pinrec_core.serving.app import build_app
from pinrec_core.serving.live import Live, load_live
from pinrec_core.serving.service import Service

Point = Callable[..., None]


@pytest.fixture
def point(registry) -> Point:  # noqa: F811
    """Move aliases as promote and a rollback do, in one compare-and-swap: point(home=release id or None, ...)."""

    def move(**live: str | None) -> None:
        aliases, version = read_aliases(registry)
        surfaces = aliases.surfaces | {surface: Alias(live=release_id) for surface, release_id in live.items()}
        moved = aliases.model_copy(update={"revision": aliases.revision + 1, "surfaces": surfaces})
        storage.compare_and_swap(aliases_path(registry), moved.model_dump_json().encode(), version)

    return move


@pytest.fixture
def first(point, releases) -> dict[str, str]:  # noqa: F811
    """The releases of the first verdict, live: surface -> id."""
    chosen = dict(zip(LOG.surfaces, releases["first"], strict=True))
    point(**chosen)
    return chosen


@pytest.fixture
def second(releases) -> dict[str, str]:  # noqa: F811
    """Those of the second, not live."""
    return dict(zip(LOG.surfaces, releases["second"], strict=True))


@pytest.fixture
def scratch(tmp_path) -> Path:
    """What workers share."""
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def live(registry, first, scratch) -> Live:  # noqa: F811
    """The release of home, loaded."""
    return load_live(registry, first["home"], scratch, 8.0)


@pytest.fixture
def config(registry) -> ServeConfig:  # noqa: F811
    """Small limits; the registry is looked at when a test says so."""
    return small(registry)


@pytest.fixture
def serve(scratch) -> Iterator[Callable[[ServeConfig], TestClient]]:
    """Start the service in this process: serve(config) -> client; `client.app.state.service` is the service."""
    started = []

    def start(config: ServeConfig) -> TestClient:
        client = TestClient(build_app(Service(config, scratch)), raise_server_exceptions=False)
        started.append(client.__enter__())
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve, config, first) -> TestClient:
    """The service with the first releases live."""
    return serve(config)


@pytest.fixture(scope="session")
def standing(verified, tmp_path_factory) -> Iterator[TestClient]:  # noqa: F811
    """The same for tests that change nothing."""
    folder = tmp_path_factory.mktemp("standing")
    shutil.copytree(verified[0], folder / "registry")
    aliases = {surface: Alias(live=release_id) for surface, release_id in zip(LOG.surfaces, verified[1]["first"],
                                                                              strict=True)}
    storage.write_bytes(aliases_path(str(folder / "registry")), Aliases(surfaces=aliases).model_dump_json().encode())
    (folder / "scratch").mkdir()
    with TestClient(build_app(Service(small(folder / "registry"), folder / "scratch"))) as client:
        yield client


@pytest.fixture
def ask(client) -> Callable[..., dict]:
    """Ask home for a user and take the answer: ask(user_id="u007", n=5, ...)."""

    def answered(**request) -> dict:
        request = {"surface": "home"} | request
        if "history" not in request:
            request = {"user_id": "u007"} | request
        response = client.post("/v1/retrieve", content=json.dumps(request))
        assert response.status_code == 200, response.text
        return response.json()

    return answered


class RedisServer:
    """A real Redis on a port of its own, which a test may kill and start again."""

    def __init__(self, folder: Path):
        self.port, self._folder = free_port(), folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Begin, empty."""
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL)
        self.client = redis.Redis.from_url(self.url)
        wait_for(self._answers)

    def kill(self) -> None:
        """End at once."""
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False


@pytest.fixture
def redis_server(tmp_path) -> Iterator[RedisServer]:
    """Skips where there is no redis-server to start."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed, so the Redis store is not tested")
    server = RedisServer(tmp_path)
    yield server
    server.kill()


def small(registry: str | Path) -> ServeConfig:  # noqa: F811
    """Settings with limits that tests reach."""
    return ServeConfig(registry=str(registry), watch_s=3600, max_n=50, max_history=20, max_exclude=10,
                       max_body_bytes=20_000, deadline_ms=20_000)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return once it holds; an error if it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{condition} did not come true in {seconds} s"
        time.sleep(0.05)
