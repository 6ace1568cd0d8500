"""The log of a TrainJob's first pod, streamed into ours beside whoever waits for the TrainJob's end."""

from __future__ import annotations

import logging
import threading
from typing import Any

from pinrec_core.training.launch.relay import Relay

logger = logging.getLogger("pinrec")
FIRST = "node-0"  # the step of a TrainJob that runs rank 0
PENDING = "Pending"
DRAIN_S = 30.0  # for the last lines, after the TrainJob's end


class PodLog:
    """While the block runs, a thread reads the log; streams that break are taken up where they broke."""

    def __init__(self, client: Any, name: str, pause_s: float):
        self.relay = Relay()
        self._client, self._name, self._pause_s = client, name, pause_s
        self._done = threading.Event()
        self._pod, self._seen = "", 0  # whose log, and how many lines of it have been given on
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> PodLog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(DRAIN_S)

    def _run(self) -> None:
        while True:
            last = self._done.is_set()
            try:
                self._read(follow=not last)
            except (RuntimeError, TimeoutError) as error:  # the pod starts or goes, or the API server is away
                logger.debug("log of TrainJob %s: %s", self._name, error)
            if last:
                return
            self._done.wait(self._pause_s)

    def _read(self, follow: bool) -> None:
        """Give on the lines that are new; a stream starts at the first one."""
        pod = next((step.pod_name for step in self._client.get_job(self._name).steps
                    if step.name == FIRST and step.status != PENDING), "")
        if not pod:
            return
        if pod != self._pod:
            self._pod, self._seen = pod, 0
        lines = (line for line in self._client.get_job_logs(self._name, step=FIRST, follow=follow) if line)
        for number, line in enumerate(lines):
            if number >= self._seen:
                self.relay.take(line)
                self._seen = number + 1
