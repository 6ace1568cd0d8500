"""A way to a server that can be cut: new connections are refused, open ones break, or single answers are lost."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator


class Line:
    """Passes bytes to and fro between a port of its own and a server's."""

    def __init__(self, server: str, port: int):
        self._server, self._open, self._lock = (server, port), set(), threading.Lock()
        self.refused = 0  # answers of the server that never reached the client
        self._lose = (b"", 0)
        self._listener = self._bound(0)
        self.port = self._listener.getsockname()[1]
        self.mend()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Listen, on the same port as ever."""
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse connections and break those that are open. The port stays ours, so that nobody else answers there."""
        _close(self._listener)
        self._listener = self._bound(self.port)
        with self._lock:
            for end in self._open:
                _close(end)
            self._open.clear()

    def close(self) -> None:
        """Give the port back."""
        self._listener.close()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def cut_for(self, seconds: float) -> threading.Thread:
        """Cut now, mend later."""
        self.cut()
        mender = threading.Timer(seconds, self.mend)
        mender.start()
        return mender

    def lose_answers(self, request: bytes, count: int) -> None:
        """Let the next requests that hold some bytes reach the server, and break off instead of its answer."""
        self._lose = (request, count)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    if self._listener is not listener:  # cut meanwhile
                        _close(client)
                        _close(server)
                        return
                    self._open |= {client, server}
                lost = threading.Event()
                threading.Thread(target=self._pass, args=(client, server, lost, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, lost, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, lost: threading.Event, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if asks and self._lose[1] and self._lose[0] in data:
                    self._lose = (self._lose[0], self._lose[1] - 1)
                    lost.set()
                if lost.is_set() and not asks:
                    self.refused += 1
                    time.sleep(0.05)  # the server is done with it
                    break
                target.sendall(data)
        _close(source)
        _close(target)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def line_to(server: str, port: int) -> Iterator[Line]:
    """A line that is cut in the end."""
    line = Line(server, port)
    try:
        yield line
    finally:
        line.cut()
        line.close()
