"""What the routes stand on: the releases, the queue, the event store and the counters of one worker."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

import orjson
import torch

from pinrec_core.config import ServeConfig
from pinrec_core.retrieval.index import set_threads
from pinrec_core.serving.answers import encode, prepare
from pinrec_core.serving.batching import Batcher
from pinrec_core.serving.declined import Declined, nearest, unknown
from pinrec_core.serving.events import StoreFailed, open_store
from pinrec_core.serving.live import Live
from pinrec_core.serving.messages import EventsRequest, RetrieveRequest
from pinrec_core.serving.metrics import Metrics
from pinrec_core.serving.releases import Releases
from pinrec_core.serving.translate import Engagement


class Service:
    """One worker's state between `start` and `stop`."""

    def __init__(self, config: ServeConfig, scratch: Path):
        """`scratch` is a folder that all workers of the server share."""
        self.config, self.metrics = config, Metrics()
        self.releases = Releases(config, scratch, self.metrics, _one_thread)
        self.batcher = Batcher(config, self.metrics, _one_thread)
        self.store = open_store(config, self.metrics)

    async def start(self) -> None:
        """Returns when every live release was loaded or refused, so that no request meets a worker without them."""
        self.batcher.start()
        self.releases.start()
        await asyncio.to_thread(self.releases.first_look.wait)
        gc.collect()
        gc.freeze()  # what stays is never looked at again: no pause of a collection that finds nothing

    async def stop(self) -> None:
        """Answer what is queued and let go."""
        await asyncio.to_thread(self.batcher.stop)
        self.releases.stop()
        if self.store:
            await self.store.close()

    def live(self, surface: str) -> Live:
        """The release that answers for a surface now. Raises Declined: 422 for an unknown surface, 503 without any."""
        releases = self.releases
        if surface in releases.live:
            return releases.live[surface]
        if surface in releases.refused:
            raise Declined(503, f"the live release of {surface!r} could not be loaded; /readyz says why",
                           field="surface", retry_after_s=1)
        if not releases.live:
            raise Declined(503, "no release is live yet; /readyz says why", retry_after_s=1)
        raise Declined(422, f"surface {surface[:64]!r} has no live release", field="surface",
                       hint=nearest(surface, releases.live))

    async def retrieve(self, request: RetrieveRequest, live: Live, deadline: float) -> bytes:
        """The answer to a request by the release as JSON. Raises Declined."""
        prepared = await prepare(request, live, self.store, self.metrics)
        return encode(request, prepared, await self.batcher.answer(prepared.asked, deadline))

    async def keep(self, request: EventsRequest) -> bytes:
        """Keep events. Raises Declined: 501 without a store, 503 if it fails, 422 for names no live release knows."""
        if self.store is None:
            raise Declined(501, "there is no event store", hint="set serve.store to a Redis URL, or run one worker")
        self._check_names(request)
        events = [Engagement(event.item_id, event.names, event.surface, event.timestamp_ms)
                  for event in request.events]
        try:
            await self.store.append(request.user_id, events)
        except StoreFailed as error:
            raise Declined(503, f"the event store fails: {error}", retry_after_s=1) from error
        return orjson.dumps({"stored": len(events)})

    async def readiness(self) -> tuple[bool, dict]:
        """Whether anything can be answered, and the state of everything."""
        releases = self.releases
        state = {"ready": bool(releases.live),
                 "surfaces": {surface: live.release_id for surface, live in releases.live.items()},
                 "refused": {surface: {"release_id": refusal.release_id, "reason": refusal.reason}
                             for surface, refusal in releases.refused.items()},
                 "store": await self._store_state()}
        if releases.unreadable:
            state["registry"] = releases.unreadable
        if not releases.live:
            state["why"] = releases.unreadable or ("every live release was refused" if releases.refused else
                                                   f"nothing is live in {self.config.registry}")
        return state["ready"], state

    async def _store_state(self) -> dict[str, str | bool]:
        if self.store is None:
            return {"kind": "none"}
        kind = "redis" if self.config.store else "memory"
        try:
            await self.store.ping()
        except StoreFailed as error:
            return {"kind": kind, "works": False, "error": str(error)}
        return {"kind": kind, "works": True}

    def _check_names(self, request: EventsRequest) -> None:
        """Every name must be one that some live release knows."""
        names = [live.names for live in self.releases.live.values()]
        if not names:
            raise Declined(503, "no release is live yet; /readyz says why", retry_after_s=1)
        actions = {action for each in names for action in each.bits}
        for place, event in enumerate(request.events):
            for action in event.names:
                if action not in actions:
                    raise unknown("action", action, actions, f"events.{place}.action")
            if all(each.surface_code(event.surface) is None for each in names):
                raise unknown("surface", event.surface, {name for each in names for name in each.surfaces},
                              f"events.{place}.surface")


def deadline_of(header: str | None, config: ServeConfig) -> float:
    """Until when (monotonic seconds) a request must be answered. Raises Declined for a header that is no number."""
    allowed_ms = config.deadline_ms
    if header is not None:
        if not (header.isascii() and header.isdigit() and 0 < len(header) < 10 and int(header)):
            raise Declined(422, "X-Deadline-Ms must be a whole number of milliseconds, at least 1",
                           field="X-Deadline-Ms")
        allowed_ms = min(allowed_ms, int(header))
    return time.monotonic() + allowed_ms / 1000


def _one_thread() -> None:
    """For the calling thread: a request is computed by one thread, other cores have workers of their own."""
    torch.set_num_threads(1)
    set_threads(1)
