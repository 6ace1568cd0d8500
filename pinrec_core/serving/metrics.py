"""What is counted, for Prometheus. With several workers their counts are added up, whichever is asked.

prometheus_client shares them through files in PROMETHEUS_MULTIPROC_DIR, which it looks for when it is imported.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        common = {"registry": self._registry}
        self._requests = Counter("pinrec_requests", "Requests by route, surface (if known) and status.",
                                 ("route", "surface", "status"), **common)
        self._seconds = Histogram("pinrec_request_seconds", "From the whole request to the whole answer.", ("route",),
                                  buckets=_SECONDS, **common)
        self._batch = Histogram("pinrec_batch_requests", "Requests computed together.", buckets=_BATCHES, **common)
        self.queue = Gauge("pinrec_queue_length", "Requests that wait.", multiprocess_mode="livesum", **common)
        self._answering = _Holding("pinrec_release_info", "Workers that answer with a release.", self._registry)
        self._refusing = _Holding("pinrec_refused_release_info", "Workers that could not load a release that is live.",
                                  self._registry)
        self._refused = Counter("pinrec_releases_refused", "Releases that did not load.", ("surface",), **common)
        self._store = Counter("pinrec_store_failures", "Uses of the event store that failed, or were left out after a "
                              "failure.", ("what",), **common)
        self._dropped = Counter("pinrec_items_unknown", "Items of requests and stored events that the release does not "
                                "know.", ("where",), **common)

    def answered(self, route: str, surface: str, status: int, seconds: float) -> None:
        """One request is done."""
        self._requests.labels(route, surface, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def computed(self, batch: int) -> None:
        """A batch is done."""
        self._batch.observe(batch)

    def dropped(self, where: str, count: int) -> None:
        """Items were left out."""
        if count:
            self._dropped.labels(where).inc(count)

    def store_failed(self, what: str) -> None:
        """The event store was not of use: "error" or "paused"."""
        self._store.labels(what).inc()

    def refused(self, surface: str) -> None:
        """A release was refused."""
        self._refused.labels(surface).inc()

    def releases(self, live: dict[str, str], refused: dict[str, str]) -> None:
        """These answer now, and these are live and could not be loaded, by surface; none of the others any more."""
        self._answering.are(live)
        self._refusing.are(refused)

    def text(self) -> bytes:
        """Of all workers, in Prometheus's format."""
        folder = os.environ.get(DIRECTORY)
        if not folder:
            return generate_latest(self._registry)
        _forget_dead(Path(folder))
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)
        return generate_latest(everybody)


class _Holding:
    """A gauge that is 1 for every release, by surface, that something holds of in this process, and 0 once it does not.

    A counter would not do for an alert: one that appears with its first 1 has never increased, as Prometheus sees it.
    """

    def __init__(self, name: str, documentation: str, registry: CollectorRegistry):
        """Workers are added up."""
        self._gauge = Gauge(name, documentation, ("surface", "release_id"), multiprocess_mode="livesum",
                            registry=registry)
        self._told: set[tuple[str, str]] = set()

    def are(self, now: dict[str, str]) -> None:
        """Release id by surface."""
        for labels in self._told - set(now.items()):
            self._gauge.labels(*labels).set(0)
        for labels in now.items():
            self._gauge.labels(*labels).set(1)
        self._told |= set(now.items())


def _forget_dead(folder: Path) -> None:
    """What a killed worker had in hand is over; what it counted stays."""
    for path in folder.glob("gauge_live*.db"):
        pid = int(re.search(r"(\d+)\.db$", path.name)[1])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))
