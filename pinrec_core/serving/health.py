"""The image's health check: can the service of this container answer?  python -m pinrec_core.serving.health

It asks /readyz where `pinrec serve` has left its address. A container that does not serve runs a task: whether that is
well, its exit code says, so here it counts as healthy. Standard library alone, because it runs twice a minute.
"""

from __future__ import annotations

import http.client
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SCRATCH_PREFIX = "pinrec-serve-"  # of the folder that a server makes below the temporary one
ADDRESS = "address"  # host:port, in that folder
_MAIN_PROCESS = Path("/proc/1/cmdline")
_TIMEOUT_S = 4
_EVERYWHERE = {"", "0.0.0.0", "::"}  # a server that listens there is asked on the loopback


def leave_address(scratch: Path, host: str, port: int) -> None:
    """Say where the server of this scratch folder listens."""
    Path(scratch, ADDRESS).write_text(f"{host}:{port}", "utf-8")


def problem(command: Sequence[str], temporary: Path) -> str:
    """Why the service cannot answer, "" if it can or there is none.

    `command` is what the container runs; servers make their folders below `temporary`.
    """
    addresses = sorted(temporary.glob(f"{SCRATCH_PREFIX}*/{ADDRESS}"), key=lambda path: path.stat().st_mtime)
    if not addresses:
        return "the server has not started yet" if "serve" in command else ""
    host, _, port = addresses[-1].read_text("utf-8").rpartition(":")
    host = "127.0.0.1" if host in _EVERYWHERE else host
    try:
        status, state = readiness(host, int(port))
    except (OSError, http.client.HTTPException) as error:
        return f"{host}:{port} does not answer: {error}"
    return "" if status == 200 else f"not ready ({status}): {state}"


def readiness(host: str, port: int) -> tuple[int, str]:
    """Status and body of a server's /readyz. Raises OSError or HTTPException where none answers."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(problem(_MAIN_PROCESS.read_text("utf-8").split("\0"), Path(tempfile.gettempdir())) or 0)
