"""`pinrec serve` in processes of its own, and clients that keep asking it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import tomli_w
from ports import free_port
from release.world import LOG, gate_config

from .conftest import wait_for

ROOT = Path(__file__).parents[3]


class Server:
    """The command, started and stopped from outside; use as a context."""

    def __init__(self, folder: Path, registry: str, **settings):
        self.port, self.log, self._folder = free_port(), folder / "serve.log", folder
        settings = {"registry": registry, "port": self.port, "workers": 2, "watch_s": 0.2, "deadline_ms": 30_000,
                    "max_n": 50} | settings
        config = {"name": "served", "log": _plain(LOG), "gate": _plain(gate_config()), "serve": settings,
                  "generation": {"candidates": 100}}
        (folder / "serve.toml").write_text(tomli_w.dumps(config))

    def __enter__(self) -> Server:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(self._folder)}
        with self.log.open("w") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.cli", "serve", "--config", str(self._folder / "serve.toml")],
                stdout=written, stderr=subprocess.STDOUT, env=environment)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        wait_for(lambda: self.process.poll() is not None or self._is_up())
        assert self.process.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *_) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @property
    def workers(self) -> set[int]:
        """Process ids of the workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in children if b"resource_tracker" not in Path(
            f"/proc/{child}/cmdline").read_bytes()}

    def counter(self, line: str) -> float:
        """A value of /metrics, 0 where it is not told."""
        text = self.client.get("/metrics").text
        return next((float(each.split()[-1]) for each in text.splitlines() if each.startswith(f"{line} ")), 0.0)

    def answering(self, release_id: str, surface: str = "home") -> float:
        """How many workers answer with a release."""
        return self.counter(f'pinrec_release_info{{release_id="{release_id}",surface="{surface}"}}')

    def _is_up(self) -> bool:
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False


class Got(NamedTuple):
    """What became of one request; status 0 = the connection broke."""

    user: str
    status: int
    release_id: str
    items: tuple[str, ...]
    when: float


class Load:
    """Clients that ask home for users, one request after the other each; use as a context."""

    def __init__(self, server: Server, time_ms: int, clients: int = 4, pause_s: float = 0.03):
        self._server, self._time_ms, self._pause_s = server, time_ms, pause_s
        self.got: list[Got] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int = 60) -> list[Got]:
        """Wait for so many more, and take them."""
        before = len(self.got)
        wait_for(lambda: len(self.got) >= before + count)
        return self.got[before:]

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._server.port}", timeout=60) as client:
            while not self._over.wait(self._pause_s):
                user = f"u{(number := (number + 7) % 60):03}"
                self.got.append(self._one(client, user))

    def _one(self, client: httpx.Client, user: str) -> Got:
        body = {"surface": "home", "user_id": user, "n": 20, "time_ms": self._time_ms}
        try:
            response = client.post("/v1/retrieve", json=body)
        except httpx.TransportError:
            return Got(user, 0, "", (), time.monotonic())
        answer = response.json()
        items = tuple(item["item_id"] for item in answer.get("items", ()))
        return Got(user, response.status_code, answer.get("release_id", ""), items, time.monotonic())


def _plain(section) -> dict:
    return json.loads(section.model_dump_json(exclude_none=True))  # TOML has no null
