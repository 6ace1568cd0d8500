"""The process that tasks are forked from:  python -m pipelines.warm.server DESCRIPTOR   (of a listening socket)

Imports what a task needs before it forks for it, so that the next one of its kind finds it imported. It ends when its
standard input does, that is with whoever started it. No thread of Python may ever run here: a fork copies only its own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

AT_START = ("kfp.dsl.executor", "components.artifacts", "pinrec_core.config")
NEEDS = {  # by a KFP task's function, or by the module that a step starts as a process of its own
    "aggregate_logs": ("pinrec_core.logs.aggregate",),
    "evaluate": ("pinrec_core.evaluation.evaluate",),
    "notify": ("pinrec_core.report.pages.render",),
    "pinrec_core.training.worker": ("pinrec_core.training.pretrain", "pinrec_core.training.finetune",
                                    "torch._dynamo")}  # the last by torch itself, with the first optimiser: seconds
_FUNCTION = "--function_to_execute"
EXECUTABLE = "PINREC_WARM_PYTHON"  # variable with the interpreter of the run: what a task starts is warm too


class Request(NamedTuple):
    """What a client asks for."""

    module: list[str]  # name and arguments
    environment: dict[str, str]
    folder: str
    session: int
    descriptors: list[int]  # its standard input, output and error
    connection: socket.socket

    @classmethod
    def receive(cls, connection: socket.socket) -> Request:
        """Read one. Raises OSError or ValueError for anything else."""
        size, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
        text = connection.makefile("rb").read(int.from_bytes(size, "big"))
        return cls(**json.loads(text), descriptors=descriptors, connection=connection)

    @property
    def needs(self) -> Sequence[str]:
        """What to import before forking for it."""
        kind = self.module[self.module.index(_FUNCTION) + 1] if _FUNCTION in self.module else self.module[0]
        return NEEDS.get(kind, ())


class Server:
    """Forks for clients until its standard input ends."""

    def __init__(self, listener: socket.socket):
        self._children: dict[int, socket.socket] = {}
        self._listener = listener
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        self._interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends who started us, and so us
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the wake-up pipe hears of it
        signal.set_wakeup_fd(self._woken)
        self._selector = selectors.DefaultSelector()
        for source, act in ((self._listener, self._accept), (self._wake, self._reap), (0, None)):
            self._selector.register(source, selectors.EVENT_READ, act)

    def serve(self) -> Request | None:
        """In a fork: what it has to run. In the server: None, at its end."""
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return None
                if request := key.data():
                    return request

    def _accept(self) -> Request | None:
        connection, _ = self._listener.accept()
        try:
            request = Request.receive(connection)
        except (OSError, ValueError, TypeError):
            connection.close()
            return None
        import_all(request.needs)
        gc.freeze()  # or collecting garbage in a fork copies every page of what is imported
        try:
            pid = os.fork()
        except OSError:  # no memory, no process left: the client finds out
            pid = -1
        if pid == 0:
            self._leave()
            return request
        for descriptor in request.descriptors:
            os.close(descriptor)
        if pid > 0:
            self._children[pid] = connection
            _reply(connection, pid)
        else:
            connection.close()
        return None

    def _reap(self) -> None:
        os.read(self._wake, 1 << 16)
        for pid in list(self._children):
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                connection = self._children.pop(pid)
                _reply(connection, os.waitstatus_to_exitcode(status), used.ru_maxrss)
                connection.close()

    def _leave(self) -> None:
        """In a fork: nothing of the server stays."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, self._interrupt)
        self._selector.close()
        self._listener.close()
        os.close(self._wake)
        os.close(self._woken)
        for connection in self._children.values():
            connection.close()


def import_all(modules: Sequence[str]) -> None:
    """Import what can be imported; the task that needs the rest says what is missing."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            return


def run(request: Request) -> None:
    """In a fork: be the process that the client stands for, to its end."""
    if request.session != os.getsid(0):
        os.setsid()  # the client's is its own: what a terminal sends to ours is not meant for it
    for target, source in enumerate(request.descriptors):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    threading.Thread(target=_die_with_client, args=(request.connection,), daemon=True).start()
    sys.argv, sys.executable = request.module, request.environment[EXECUTABLE]
    code: Any = None
    try:
        runpy.run_module(request.module[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    _exit(code)  # what raises ends in the interpreter's own way, which is slow


def _exit(code: Any) -> None:
    """End as sys.exit(code) does, but for taking modules apart: in a fork that takes seconds, to no purpose."""
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


def _die_with_client(connection: socket.socket) -> None:
    connection.recv(1)  # nothing comes but its end
    os.kill(os.getpid(), signal.SIGKILL)


def _reply(connection: socket.socket, *numbers: int) -> None:
    with contextlib.suppress(OSError):  # the client is gone; the fork goes too
        connection.sendall(f"{' '.join(map(str, numbers))}\n".encode())


def main(arguments: Sequence[str]) -> None:
    """Serve; the forks come back from `serve` to run what they were made for."""
    import_all(AT_START)
    request = Server(socket.socket(fileno=int(arguments[0]))).serve()
    if request:
        run(request)


if __name__ == "__main__":
    main(sys.argv[1:])
