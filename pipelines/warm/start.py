"""Start and end the server of a run, and make the interpreter that asks it."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.warm import client
from pipelines.warm.server import EXECUTABLE


@contextlib.contextmanager
def warm_python(environment: Mapping[str, str]) -> Iterator[str]:
    """Path of an interpreter that starts modules warm while the block runs, or as ever if there can be no server.

    `environment` is set for the server beside our own: what a library reads when it is loaded, it reads there.
    """
    with tempfile.TemporaryDirectory(prefix="pinrec-warm-") as folder, socket.socket(socket.AF_UNIX) as listener:
        address, python = Path(folder, "socket"), Path(folder, "python")
        python.write_text(_script(address), "utf-8")
        python.chmod(0o700)
        try:
            listener.bind(str(address))
        except OSError:  # the temporary folder's name is too long for a socket
            yield str(python)
            return
        listener.listen()  # who comes before the server is up waits
        server = subprocess.Popen([sys.executable, "-m", "pipelines.warm.server", str(listener.fileno())],
                                  stdin=subprocess.PIPE, pass_fds=[listener.fileno()], env=os.environ | environment)
        listener.close()
        try:
            yield str(python)
        finally:
            server.stdin.close()
            server.wait()


def _script(address: Path) -> str:
    command = [sys.executable, "-I", "-S", client.__file__, str(address), sys.executable]
    return f'#!/bin/sh\n{EXECUTABLE}="$0" exec {shlex.join(command)} "$@"\n'
