"""The interpreter that a run's tasks are started with: asks the server for a fork and stands for it until it ends.

    python -I -S client.py SOCKET PYTHON -m MODULE ...

What the fork prints goes where ours would; it gets our SIGTERM, dies if we die, and we end as it does. Any other use,
or no server, is the real interpreter's. Of a step it also keeps the time limit, and tells how it ended where the step
cannot: when it was killed or took too long. Imports nothing but the standard library, for it starts with every task.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

STEP = "kfp.dsl.executor_main"
STEP_TIMEOUT = "PINREC_STEP_TIMEOUT_S"  # variable with seconds for each step; none, "" or 0 = no limit
GRACE_S = 10.0  # after SIGTERM: a training writes its place
PEAK = "pinrec-peak-kib: "  # before the peak memory of a step, or of what it started with this interpreter
ENDED = "pinrec-step-end: "  # before what is told of an end, as JSON
MARK = "PINREC_STEP_PROCESS"  # in the environment of all that a step starts: what is left of it when it has ended
COLD = ("pinrec_core.release.verify",)  # is to tell what a process that knows nothing takes to load a release


def main(server: str, python: str, *arguments: str) -> None:
    """Run a module in a fork, or become the interpreter."""
    is_step = arguments[:2] == ("-m", STEP)
    if is_step:
        os.environ[MARK] = f"{os.getpid()}-{os.urandom(8).hex()}"
    connection = socket.socket(socket.AF_UNIX)
    try:
        if arguments[:1] != ("-m",) or arguments[1] in COLD:
            raise OSError("not for a fork")
        connection.connect(server)
        _ask(connection, arguments[1:])
        replies = connection.makefile("r")
        pid = int(replies.readline())
    except (OSError, ValueError):
        if not is_step:
            os.execv(python, [python, *arguments])
        child = subprocess.Popen([python, *arguments])
        pid, end = child.pid, lambda: _wait(child)
    else:
        end = lambda: _read(replies.readline())  # noqa: E731
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's reaches the fork too
    signal.signal(signal.SIGTERM, lambda number, _: _pass_on(pid, number))
    if is_step:
        _end_step(pid, end)
    code, peak = end()
    if MARK in os.environ:  # a training of a step
        _tell_peak(code, peak)
    _end_as(code)


def _tell_peak(code: int, peak: int) -> None:
    """Of what ended well: else the last line is to be its own."""
    if not code and peak:
        sys.stdout.write(f"\n{PEAK}{peak}\n")  # what it printed last may have no end
        sys.stdout.flush()


def _ask(connection: socket.socket, module: tuple) -> None:
    request = json.dumps({"module": module, "environment": dict(os.environ), "folder": os.getcwd(),
                          "session": os.getsid(0)}).encode()
    socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(request)


def _pass_on(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


def _read(reply: str) -> tuple[int, int]:
    """Exit code, -signal if one ended the fork, and peak memory in KiB; without a word the server is gone, and the fork
    with it for all we know."""
    code, peak = reply.split() if reply else (1, 0)
    return int(code), int(peak)


def _wait(child: subprocess.Popen) -> tuple[int, int]:
    _, status, used = os.wait4(child.pid, 0)
    return os.waitstatus_to_exitcode(status), used.ru_maxrss


def _end_step(pid: int, end) -> None:
    """Follow a step to its end, or end it once its time is over; what it leaves running then goes too."""
    limit_s, passed = float(os.environ.get(STEP_TIMEOUT) or 0), []

    def stop(*_: object) -> None:
        _pass_on(pid, signal.SIGKILL if passed else signal.SIGTERM)
        passed.append(limit_s)
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    code, peak = end()
    signal.setitimer(signal.ITIMER_REAL, 0)
    _tell_peak(code, peak)
    if code and (passed or code < 0):
        _end_rest()
        told = {"code": code, "peak_kib": peak, "limit_s": limit_s if passed else 0.0}
        sys.stdout.write(f"\n{ENDED}{json.dumps(told)}\n")  # what it printed last may have no end
        sys.stdout.flush()
    _end_as(code)


def _end_rest() -> None:
    """Kill what the step has started and left: it has our mark in its environment."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as environment:  # it ends, is not ours
            if int(entry) != os.getpid() and mark in environment.read().split(b"\0"):
                os.kill(int(entry), signal.SIGKILL)


def _end_as(code: int) -> None:
    """Exit with the fork's code, or by the signal that ended it."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
