"""The load of benchmarks/serve.py in a process of its own: requests at a fixed rate, whether or not answers come.

    python benchmarks/serve_driver.py '{"port": 8080, "rate": 80, "seconds": 10, "users": 20000, "surface": "home",
                                        "n": 100, "seed": 0}'

Arrivals are those of independent users (a Poisson process). A latency counts from the moment a request was due, so that
whatever holds one up is part of it, the driver included. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import time
from collections import Counter, deque

import httptools
import numpy as np

CONNECTIONS = 32  # kept open; more are opened when all are in use
PATIENCE_S = 5.0  # after the last request: what is not answered by then never was
REQUEST = ("POST /v1/retrieve HTTP/1.1\r\nHost: pinrec\r\nContent-Type: application/json\r\nContent-Length: {length}"
           "\r\n\r\n{body}")


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self, load: Load):
        self.load, self.due, self.transport = load, 0.0, None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Ready."""
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, due: float) -> None:
        """Ask."""
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Some of an answer."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """All of it."""
        status = self.parser.get_status_code()
        self.parser = httptools.HttpResponseParser(self)  # it takes one response
        self.load.answered(self, status)

    def connection_lost(self, error: Exception | None) -> None:
        """The server closed it; an answer that was due is lost."""
        self.load.lost(self)


class Load:
    """Sends the requests and notes what becomes of them."""

    def __init__(self, told: dict):
        self.told, self.idle, self.due_s = told, deque(), _arrivals(told)
        self.requests = _requests(told, len(self.due_s))
        self.latency_s, self.late_s, self.status = [], [], Counter()

    async def run(self) -> dict:
        """All of it, and what was measured."""
        self.loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):  # one by one, as clients come: all at once would go to one worker
            self.idle.append(await self._connect())
            await asyncio.sleep(0.005)
        start, cpu = time.perf_counter() + 0.05, time.process_time()
        for due, request in zip(self.due_s, self.requests, strict=True):
            wait = start + due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._send(request, start + due)
        await self._wait(start + self.due_s[-1] + PATIENCE_S)
        return self._figures(time.process_time() - cpu)

    def answered(self, connection: Connection, status: int) -> None:
        """One answer is there."""
        self.latency_s.append(time.perf_counter() - connection.due)
        self.status[str(status)] += 1
        connection.due = 0.0
        self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        if connection in self.idle:
            self.idle.remove(connection)
        elif connection.due:
            self.status["lost"] += 1

    async def _send(self, request: bytes, due: float) -> None:
        connection = self.idle.popleft() if self.idle else await self._connect()
        self.late_s.append(time.perf_counter() - due)
        connection.send(request, due)

    async def _connect(self) -> Connection:
        _, connection = await self.loop.create_connection(lambda: Connection(self), "127.0.0.1", self.told["port"])
        return connection

    async def _wait(self, until: float) -> None:
        while sum(self.status.values()) < len(self.requests) and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        self.status["unanswered"] += len(self.requests) - sum(self.status.values())

    def _figures(self, cpu_s: float) -> dict:
        errors = {status: count for status, count in self.status.items() if status != "200" and count}
        p50, p90, p99 = np.percentile(self.latency_s or [PATIENCE_S], [50, 90, 99]) * 1000
        return {"rate": self.told["rate"], "requests": len(self.requests), "errors": sum(errors.values()),
                "error_kinds": errors, "p50_ms": p50, "p90_ms": p90, "p99_ms": p99,
                "answered_s": len(self.latency_s) / self.due_s[-1],
                "driver_late_p99_ms": float(np.percentile(self.late_s, 99)) * 1000,
                "driver_cpu_ms": 1000 * cpu_s / len(self.requests)}


def _arrivals(told: dict) -> np.ndarray:
    """Seconds from the start at which requests are due."""
    count = max(1, round(told["rate"] * told["seconds"]))
    return np.cumsum(np.random.default_rng(told["seed"]).exponential(1 / told["rate"], size=count))


def _requests(told: dict, count: int) -> list[bytes]:
    users = np.random.default_rng(told["seed"] + 1).integers(told["users"], size=count)
    bodies = (json.dumps({"surface": told["surface"], "user_id": f"u{user:07}", "n": told["n"]}) for user in users)
    return [REQUEST.format(length=len(body), body=body).encode() for body in bodies]


def main() -> None:
    """Drive, print."""
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())  # epoll and uvloop wake up to a millisecond late
    print(json.dumps(loop.run_until_complete(Load(json.loads(sys.argv[1])).run())))


if __name__ == "__main__":
    main()
