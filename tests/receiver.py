"""A real HTTP server in a thread that answers as it is told and keeps what it got."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """Answers the n-th POST with the n-th status, the last one from then on; a callable is called with the handler."""

    statuses: list[int | Callable[[BaseHTTPRequestHandler], None]]
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def receiving(*statuses: int | Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Receiver]:
    """Start the server, and stop it in the end."""
    receiver = Receiver(list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.append((dict(self.headers), body))
            answer = receiver.statuses[min(len(receiver.posts), len(receiver.statuses)) - 1]
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.send_header("Location", "/elsewhere")  # of no meaning but to a redirect
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hooks/secret-path"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
