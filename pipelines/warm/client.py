"""The interpreter that a run's tasks are started with: asks the server for a fork and stands for it until it ends.

    python -I -S client.py SOCKET PYTHON -m MODULE ...

What the fork prints goes where ours would; it gets our SIGTERM, dies if we die, and we end as it does. Any other use,
or no server, is the real interpreter's. Imports nothing but the standard library, for it starts with every task.
"""

import contextlib
import json
import os
import signal
import socket
import sys

COLD = ("pinrec_core.release.verify",)  # is to tell what a process that knows nothing takes to load a release


def main(server: str, python: str, *arguments: str) -> None:
    """Run a module in a fork, or become the interpreter."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        if arguments[:1] != ("-m",) or arguments[1] in COLD:
            raise OSError("not for a fork")
        connection.connect(server)
        _ask(connection, arguments[1:])
        replies = connection.makefile("r")
        pid = int(replies.readline())
    except (OSError, ValueError):
        os.execv(python, [python, *arguments])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's reaches the fork too
    signal.signal(signal.SIGTERM, lambda number, _: _pass_on(pid, number))
    _end_as(replies.readline())


def _ask(connection: socket.socket, module: tuple) -> None:
    request = json.dumps({"module": module, "environment": dict(os.environ), "folder": os.getcwd(),
                          "session": os.getsid(0)}).encode()
    socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(request)


def _pass_on(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


def _end_as(reply: str) -> None:
    """Exit with the fork's code, or by the signal that ended it; without a word the server is gone, and the fork with
    it for all we know."""
    code = int(reply) if reply else 1
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
