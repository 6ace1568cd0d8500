"""Which release answers for each surface: the aliases are watched, new releases loaded aside and put in place.

A release that does not load is refused: the one before it stays, and the refusal is told until the alias moves on. It
is tried again now and then, because a storage may have been out of reach. A swap replaces one dictionary by another, so
a request sees the old set or the new one, and keeps what it saw until it is answered.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pinrec_core.config import ServeConfig
from pinrec_core.errors import PinrecError
from pinrec_core.registry import read_aliases
from pinrec_core.serving.live import Live, load_live
from pinrec_core.serving.metrics import Metrics

log = logging.getLogger("pinrec")


class Refusal(NamedTuple):
    """A release that was to go live and could not be loaded."""

    release_id: str
    reason: str
    retry_at: float  # monotonic seconds


class Releases:
    """The live releases of a registry, kept up to date by a thread of its own between `start` and `stop`."""

    def __init__(self, config: ServeConfig, scratch: Path, metrics: Metrics,
                 prepare: Callable[[], None] = lambda: None):
        """`prepare` is called once by the thread that loads."""
        self._config, self._scratch, self._metrics, self._prepare = config, scratch, metrics, prepare
        self.first_look = threading.Event()  # set once every live release was loaded or refused
        self.live: dict[str, Live] = {}  # by surface; replaced, never changed
        self.refused: dict[str, Refusal] = {}
        self.unreadable = ""  # why the aliases cannot be read, "" while they can

    def start(self) -> None:
        """Begin to watch."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(self._stopped,), name="releases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch, without waiting for a release that is being loaded; what is live stays so."""
        self._stopped.set()

    @property
    def is_alive(self) -> bool:
        """Whether anybody watches."""
        return self._thread.is_alive()

    def refresh(self) -> None:
        """Look once: load what has become live, let go of what is not any more."""
        wanted = self._wanted()
        if wanted is None:
            return
        before = self._ids()
        self._let_go(wanted)
        for surface, release_id in wanted.items():
            if not self._is_settled(surface, release_id):
                self._replace(surface, release_id)
        self._metrics.releases(self._ids(), {surface: refusal.release_id for surface, refusal in self.refused.items()})
        if self._ids() != before:
            _settle_memory()

    def _watch(self, stopped: threading.Event) -> None:
        self._prepare()
        while not stopped.is_set():
            try:
                self.refresh()
            finally:
                self.first_look.set()
            stopped.wait(self._config.watch_s)

    def _wanted(self) -> dict[str, str] | None:
        """Release id by surface, as the aliases have it; None if they cannot be read, which is told once."""
        try:
            aliases, _ = read_aliases(self._config.registry)
        except Exception as error:  # noqa: BLE001 - of any storage; what is live stays live
            if not self.unreadable:
                log.error("serve: the aliases of %s cannot be read, what is live stays: %s", self._config.registry,
                          _told(error))
            self.unreadable = _told(error)
            return None
        self.unreadable = ""
        return {surface: alias.live for surface, alias in aliases.surfaces.items() if alias.live}

    def _ids(self) -> dict[str, str]:
        return {surface: live.release_id for surface, live in self.live.items()}

    def _let_go(self, wanted: dict[str, str]) -> None:
        """Of surfaces without a live release, and of refusals of what is not to go live any more."""
        for surface in self.live.keys() - wanted.keys():
            log.warning("serve: %s has no live release any more and is not answered", surface)
        self.live = {surface: live for surface, live in self.live.items() if surface in wanted}
        self.refused = {surface: refusal for surface, refusal in self.refused.items()
                        if wanted.get(surface) == refusal.release_id}

    def _is_settled(self, surface: str, release_id: str) -> bool:
        if surface in self.live and self.live[surface].release_id == release_id:
            return True
        return surface in self.refused and time.monotonic() < self.refused[surface].retry_at

    def _replace(self, surface: str, release_id: str) -> None:
        """Load one release and put it in place, or refuse it."""
        try:
            live = load_live(self._config.registry, release_id, self._scratch, self._config.prefix_mb)
            if live.surface != surface:
                raise PinrecError(f"release {release_id} is of surface {live.surface!r}; the alias of {surface!r} "
                                  "points to it, move it back")
        except Exception as error:  # noqa: BLE001 - whatever it is, the old release goes on answering
            self._refuse(surface, release_id, _told(error))
            return
        self.refused = {name: refusal for name, refusal in self.refused.items() if name != surface}
        self.live = self.live | {surface: live}

    def _refuse(self, surface: str, release_id: str, reason: str) -> None:
        if surface not in self.refused:  # not again at every try
            log.error("serve: release %s of %s is refused, %s: %s", release_id[:12], surface,
                      "the one before it stays" if surface in self.live else "the surface is not answered", reason)
            self._metrics.refused(surface)
        retry_at = time.monotonic() + self._config.refused_retry_s
        self.refused = self.refused | {surface: Refusal(release_id, reason, retry_at)}


def _told(error: Exception) -> str:
    """What a person is told of an error: a sentence of ours as it is, others with their kind."""
    return str(error) if isinstance(error, PinrecError) else f"{type(error).__name__}: {error}"


def _settle_memory() -> None:
    """Spare later collections what stays: looking at all of it would hold up answers for a tenth of a second and more.

    What a swap lets go of is freed by then, without a collection, because nothing large of a release is in a cycle.
    """
    gc.collect()
    gc.freeze()
