"""`pinrec demo` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from ports import free_port

from .conftest import wait_for

ROOT = Path(__file__).parents[3]


class Demonstration:
    """The command, started and stopped from outside; use as a context."""

    def __init__(self, folder: Path, registry: str | Path, *options: str):
        self.port, self.log, self._folder = free_port(), folder / "demo.log", folder
        self._command = [sys.executable, "-m", "pipelines.cli", "demo", "--registry", str(registry), "--no-open",
                         "--port", str(self.port), *options]

    def __enter__(self) -> Demonstration:
        self.start()
        wait_for(lambda: self.address or self.process.poll() is not None)
        assert self.address, self.log.read_text()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> None:
        """Begin, on the same port each time."""
        with self.log.open("w") as written:
            self.process = subprocess.Popen(self._command, stdout=written, stderr=subprocess.STDOUT, env=os.environ | {
                "PYTHONPATH": str(ROOT), "TMPDIR": str(self._folder), "PYTHONUNBUFFERED": "1"})

    def stop(self) -> int:
        """End it as a person or a supervisor does; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)

    @property
    def address(self) -> str:
        """Of the page, "" until it can be opened."""
        told = re.search(r"The demonstration is at (\S+)", self.log.read_text())
        return told[1] if told else ""
