"""A server for one person at this machine: it says when the page can be opened, and ends if it has nothing to show."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

from pinrec_core.config import ServeConfig
from pinrec_core.errors import PinrecError
from pinrec_core.serving.health import readiness
from pinrec_core.serving.server import serve

HOST = "127.0.0.1"  # nobody else: histories are shown to whoever asks
_LOOK_S = 0.1


def free_port(wanted: int = 0) -> int:
    """A port of this machine that nobody listens on now: the wanted one, 0 = any. Raises PinrecError if it is taken."""
    with socket.socket() as chosen:
        chosen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: one that has ended is gone
        try:
            chosen.bind((HOST, wanted))
        except OSError as error:
            raise PinrecError(f"port {wanted} of this machine cannot be used ({error.strerror}); leave --port out for "
                              "a free one") from error
        return chosen.getsockname()[1]


def serve_page(config: ServeConfig, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; `ready` is called once, from a thread, with the page's address.

    The host is this machine's loopback, there is one worker. Raises PinrecError if every live release is refused.
    """
    config = config.model_copy(update={"host": HOST, "workers": 1, "demo": True})
    refusals: list[str] = []
    threading.Thread(target=_await, args=(config.port, ready, refusals), name="ready", daemon=True).start()
    serve(config)
    if refusals:
        raise PinrecError(f"{config.registry}: no live release can be loaded: {refusals[0]}")


def _await(port: int, ready: Callable[[str], None], refusals: list[str]) -> None:
    """Until the server answers; it does once every live release was loaded or refused."""
    while True:
        try:
            status, state = readiness(HOST, port)
            break
        except (OSError, http.client.HTTPException):
            time.sleep(_LOOK_S)
    if status == 200:
        ready(f"http://{HOST}:{port}/demo/")
        return
    told = json.loads(state)
    refusals.append("; ".join(refused["reason"] for refused in told["refused"].values()) or told["why"])
    os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C: the server ends in order
