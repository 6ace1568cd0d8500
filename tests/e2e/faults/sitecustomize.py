"""Faults for the processes of a run, from outside: Python imports this file where its folder is on PYTHONPATH.

    PINREC_TEST_FAULT = "module:function:what:folder"

What is done in place of the function, or after it, the first time only: a file in the folder is left when it was done.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

FAULT = "PINREC_TEST_FAULT"


def error(_: Callable) -> None:
    """Something nobody has thought of."""
    raise KeyError("nobody thought of it")


def kill(_: Callable) -> None:
    """As the kernel does it when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_after(call: Callable) -> None:
    """The same once the function has done its work."""
    call()
    os.kill(os.getpid(), signal.SIGKILL)


def memory(_: Callable) -> None:
    """Ask for more and more while the process may not have it."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (200 << 20), resource.RLIM_INFINITY))
    held = []
    while True:
        held.append(bytearray(10 << 20))


def hang(_: Callable) -> None:
    """Never come back, with a child that does not either."""
    child = subprocess.Popen(["sleep", "600"])
    Path(folder, "child").write_text(str(child.pid))
    time.sleep(600)


def full(call: Callable) -> None:
    """Let every file end after a kilobyte, as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    call()


class Injector(importlib.abc.MetaPathFinder):
    """Puts the fault into the module as it is loaded."""

    def find_spec(self, name: str, path: object, target: object = None):
        if name != module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(loaded: ModuleType) -> None:
            load(loaded)
            owner, _, attribute = function.rpartition(".")
            place = getattr(loaded, owner) if owner else loaded
            setattr(place, attribute, faulty(getattr(place, attribute)))

        spec.loader.exec_module = exec_module
        return spec


def faulty(call: Callable) -> Callable:
    """The function with the fault in it."""
    def called(*arguments, **named):
        try:
            Path(folder, "done").touch(exist_ok=False)
        except FileExistsError:
            return call(*arguments, **named)
        return globals()[what](lambda: call(*arguments, **named))
    return called


if os.environ.get(FAULT):
    module, function, what, folder = os.environ[FAULT].split(":")
    sys.meta_path.insert(0, Injector())
