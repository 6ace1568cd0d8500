"""The service as its users meet it: real processes, real load, releases that come and go, workers that are killed."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from release.world import END_MS, LOG

from pinrec_core.registry import release_path
from pinrec_core.release.answer import answer
from pinrec_core.release.load import load_release

from .conftest import wait_for
from .processes import Load, Server

ASKED = 200  # requests that take a while, one by one
USERS = [f"u{number:03}" for number in range(60)]


@pytest.fixture
def server(tmp_path, registry, first):
    """Two workers over the first releases."""
    with Server(tmp_path, registry) as started:
        wait_for(lambda: started.answering(first["home"]) == 2)
        yield started


def lists(registry: str, release_id: str) -> dict[str, tuple[str, ...]]:
    """What a release gives each user."""
    release = load_release(Path(release_path(registry, release_id)), release_id)
    return {user: tuple(item.item_id for item in answer(release, user, n=20)) for user in USERS}


def test_swap_and_rollback_under_load_lose_and_mix_nothing(server, registry, first, second, point):
    wanted = {release_id: lists(registry, release_id) for release_id in (first["home"], second["home"])}
    with Load(server, END_MS) as load:
        assert {got.release_id for got in load.more()} == {first["home"]}
        point(**second)
        wait_for(lambda: server.answering(second["home"]) == 2 and server.answering(second["search"], "search") == 2)
        assert {got.release_id for got in load.more()[10:]} == {second["home"]}
        point(**first)
        wait_for(lambda: server.answering(first["home"]) == 2)
        assert {got.release_id for got in load.more()[10:]} == {first["home"]}
    assert {got.status for got in load.got} == {200}
    assert all(got.items == wanted[got.release_id][got.user] for got in load.got)
    total = server.counter('pinrec_requests_total{route="/v1/retrieve",status="200",surface="home"}')
    assert total == len(load.got), "the counters of both workers are added up"


def test_a_release_that_does_not_load_changes_nothing(server, registry, first, second, point):
    path = Path(release_path(registry, second["home"]), "index", "index.faiss")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with Load(server, END_MS) as load:
        point(home=second["home"])
        wait_for(lambda: server.counter('pinrec_releases_refused_total{surface="home"}') == 2)
        load.more()
    assert {(got.status, got.release_id) for got in load.got} == {(200, first["home"])}
    state = server.client.get("/readyz")
    assert state.status_code == 200 and "index.faiss: altered" in state.json()["refused"]["home"]["reason"]
    assert server.log.read_text().count("is refused, the one before it stays") == 2, "once per worker"


def test_a_killed_worker_loses_its_own_requests_alone_and_comes_back(server, first):
    clients = 6
    with Load(server, END_MS, clients=clients, pause_s=0.0) as load:
        load.more()
        before = server.workers
        assert len(before) == 2
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: len(server.workers - {killed}) == 2)
        wait_for(lambda: server.answering(first["home"]) == 2)
        back = time.monotonic()
        load.more()
    lost = [got for got in load.got if got.status != 200]
    assert all(got.status == 0 and got.when < back for got in lost) and len(lost) <= clients
    assert len(load.got) > 120 and server.process.poll() is None


def test_on_sigterm_what_is_under_way_is_answered(tmp_path, registry, first):
    with Server(tmp_path, registry, max_batch=1, queue=ASKED) as server:
        wait_for(lambda: server.answering(first["home"]) == 2)
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(ASKED)]
        body = b'{"surface":"home","user_id":"u007","n":50}'
        head = b"POST /v1/retrieve HTTP/1.1\r\nHost: pinrec\r\nContent-Length: %d\r\n\r\n" % len(body)
        for connection in connections:
            connection.sendall(head + body)
        wait_for(lambda: server.counter("pinrec_batch_requests_sum") + server.counter("pinrec_queue_length")
                 >= ASKED - len(server.workers))  # each computes one; all others are queued or done
        assert server.counter("pinrec_queue_length"), "or nothing would be under way"
        server.process.send_signal(signal.SIGTERM)
        answers = [_read(connection) for connection in connections]
        assert server.process.wait(60) == 0
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * len(answers)
    assert all(answer.endswith(b"}]}") for answer in answers)
    assert not list(tmp_path.glob("pinrec-serve-*")), "nothing is left in the temporary folder"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_one_worker_is_the_process_itself(tmp_path, registry, first):
    with Server(tmp_path, registry, workers=1) as server:
        told = {"user_id": "u1", "events": [{"item_id": "i1", "action": "click", "surface": "home",
                                             "timestamp_ms": END_MS}]}
        assert server.client.post("/v1/events", json=told).json() == {"stored": 1}
        assert server.client.get("/readyz").json()["surfaces"] == first
        assert server.workers == set()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    assert not list(tmp_path.glob("pinrec-serve-*"))


def test_it_waits_for_a_first_release(tmp_path, registry, releases, point):
    with Server(tmp_path, registry, workers=1) as server:
        state = server.client.get("/readyz")
        assert state.status_code == 503 and "nothing is live" in state.json()["why"]
        point(**dict(zip(LOG.surfaces, releases["first"], strict=True)))
        wait_for(lambda: server.client.get("/readyz").status_code == 200)


def _read(connection: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    with connection:
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)
