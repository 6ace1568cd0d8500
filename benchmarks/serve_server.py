"""`pinrec serve` as benchmarks/serve.py runs it: in processes of its own, watched from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
_TICKS = os.sysconf("SC_CLK_TCK")
_START_S = 300  # a million items take a while to load


class Server:
    """A running server over a registry; use as a context."""

    def __init__(self, registry: Path, workers: int, log: Path):
        self.port, self.log = _free_port(), log
        command = [sys.executable, "-m", "pipelines.cli", "serve", "--registry", str(registry), "--port",
                   str(self.port), "--workers", str(workers)]
        with log.open("w") as written:
            self._process = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT,
                                             env=os.environ | {"PYTHONPATH": str(HERE.parent)})

    def __enter__(self) -> Server:
        start = time.perf_counter()
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() - start > _START_S:
                self.__exit__()
                sys.exit(f"the server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)
        self.start_s = time.perf_counter() - start
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait()

    def cpu_s(self) -> float:
        """Seconds of processor that all its processes have used."""
        fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids())
        return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS

    def rss_mb(self) -> float:
        """Memory of all its processes, what they share counted once per process."""
        lines = (line for pid in self._pids() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def _pids(self) -> list[int]:
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]
