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


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as chosen:
        chosen.bind((HOST, 0))
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
