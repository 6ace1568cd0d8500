"""A process that is killed before its n-th write: the real functions, wrapped where they reach disk or network."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

KILLED = 9  # exit code
_WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}


def run_killed(action: Callable[[], object], n: int, hook: Callable[[Callable[[], None]], None]) -> bool:
    """Run `action` in a process of its own that ends, as by SIGKILL, just before its n-th write (from 1).

    `hook` sees to it that the given function is called before every write. True = it was killed, False = it came to
    its end before. What is killed before write n + 1 was killed after write n, so that all n cover both.
    """
    child = os.fork()
    if not child:
        try:
            hook(_countdown(n))
            action()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  # nothing of the test may go on in this process
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"the publisher failed by itself: exit code {code}"
    return code == KILLED


def before_disk_writes(root: str) -> Callable[[Callable[[], None]], None]:
    """A hook for everything that the interpreter does to files below a folder: opening for writing, renaming, ..."""

    def hook(tick: Callable[[], None]) -> None:
        sys.addaudithook(lambda event, arguments: tick() if _is_write(event, arguments, root) else None)

    return hook


def before_uploads(tick: Callable[[], None]) -> None:
    """A hook for everything that is written to or removed from object storage."""
    from google.cloud.storage import Blob

    from pinrec_core import objects

    objects.client.cache_clear()  # the parent's connections are not ours
    for name in ("upload_from_string", "upload_from_filename", "delete"):
        setattr(Blob, name, _ticking(getattr(Blob, name), tick))


def _ticking(real: Callable, tick: Callable[[], None]) -> Callable:
    def wrapped(*arguments, **given):
        tick()
        return real(*arguments, **given)

    return wrapped


def _countdown(n: int) -> Callable[[], None]:
    left = [n]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            os._exit(KILLED)  # no finally, no flush

    return tick


def _is_write(event: str, arguments: tuple, root: str) -> bool:
    if event == "open":
        path, _, flags = arguments  # flags are those of os.open, whoever opens
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and str(path).startswith(root)
    if event not in _WRITES:
        return False
    relative = any(isinstance(part, int) and part >= 0 for part in arguments[1:])  # to an open folder, as rmtree does
    return relative or any(str(part).startswith(root) for part in arguments)
