"""Recent events by user: what happened since the release was made. In Redis, or in the memory of a single worker.

Events are kept as they were told, by names: the numbers that items and actions have change with every release. A store
that fails costs one short timeout, then it is left alone for a while, and answers come from the release alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from pinrec_core.config import ServeConfig
from pinrec_core.serving.metrics import Metrics
from pinrec_core.serving.translate import Engagement

log = logging.getLogger("pinrec")
Result = TypeVar("Result")
_KEY = "pinrec:events:"
_DAY_S = 86_400
_USERS_IN_MEMORY = 100_000  # that a single worker remembers, those last written


class StoreFailed(Exception):
    """The store cannot be used now."""


class EventStore(Protocol):
    """Recent events of users, oldest first."""

    async def append(self, user_id: str, events: Sequence[Engagement]) -> None:
        """Keep events of a user. Raises StoreFailed."""

    async def recent(self, user_id: str) -> list[Engagement]:
        """What is kept of a user. Raises StoreFailed."""

    async def ping(self) -> None:
        """Raises StoreFailed if the store cannot be used."""

    async def close(self) -> None:
        """Give connections back."""


class MemoryStore:
    """In this process: gone when it ends, unknown to any other."""

    def __init__(self, config: ServeConfig):
        self._config = config
        self._users: OrderedDict[str, tuple[float, deque[Engagement]]] = OrderedDict()  # last written last

    async def append(self, user_id: str, events: Sequence[Engagement]) -> None:
        """Keep events of a user."""
        kept = deque(await self.recent(user_id), maxlen=self._config.user_events)
        kept.extend(events)
        self._users[user_id] = time.monotonic(), kept
        self._users.move_to_end(user_id)
        if len(self._users) > _USERS_IN_MEMORY:
            self._users.popitem(last=False)

    async def recent(self, user_id: str) -> list[Engagement]:
        """What is kept of a user."""
        written, events = self._users.get(user_id, (0.0, ()))
        return list(events) if time.monotonic() < written + self._config.event_days * _DAY_S else []

    async def ping(self) -> None:
        """Memory is there."""

    async def close(self) -> None:
        """Nothing to give back."""


class RedisStore:
    """One list per user, trimmed and expiring."""

    def __init__(self, config: ServeConfig):
        """Connects when it is first used."""
        self._config, self._seconds = config, config.store_timeout_ms / 1000
        self._redis = Redis.from_url(config.store, socket_timeout=self._seconds, socket_connect_timeout=self._seconds,
                                     retry=Retry(NoBackoff(), 0))

    async def append(self, user_id: str, events: Sequence[Engagement]) -> None:
        """Keep events of a user. Raises StoreFailed."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(_KEY + user_id, *(orjson.dumps(list(event)) for event in events))
            pipe.ltrim(_KEY + user_id, -self._config.user_events, -1)
            pipe.expire(_KEY + user_id, self._config.event_days * _DAY_S)
            await self._in_time(pipe.execute())

    async def recent(self, user_id: str) -> list[Engagement]:
        """What is kept of a user. Raises StoreFailed."""
        kept = await self._in_time(self._redis.lrange(_KEY + user_id, 0, -1))
        return [event for event in map(_parsed, kept) if event]

    async def ping(self) -> None:
        """Raises StoreFailed if the server does not answer."""
        await self._in_time(self._redis.ping())

    async def close(self) -> None:
        """Give connections back."""
        await self._redis.aclose()

    async def _in_time(self, command: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(2 * self._seconds):  # to connect, and for the command
                return await command
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreFailed(f"{type(error).__name__}: {error}") from error


def _parsed(kept: bytes) -> Engagement | None:
    """None for what another version may have written."""
    try:
        item_id, actions, surface, timestamp_ms = orjson.loads(kept)
    except ValueError:
        return None
    return Engagement(item_id, actions, surface, timestamp_ms)


class GuardedStore:
    """A store that is left alone for a while after it failed, so that a dead one costs nothing per request."""

    def __init__(self, store: EventStore, config: ServeConfig, metrics: Metrics):
        self._store, self._pause_s, self._metrics = store, config.store_pause_s, metrics
        self._resume_at = 0.0  # monotonic seconds
        self.failure = ""  # why it is left alone, "" while it works

    async def append(self, user_id: str, events: Sequence[Engagement]) -> None:
        """Keep events of a user. Raises StoreFailed."""
        await self._guarded(lambda: self._store.append(user_id, events))

    async def recent(self, user_id: str) -> list[Engagement]:
        """What is kept of a user; nothing if the store fails, which is counted."""
        try:
            return await self._guarded(lambda: self._store.recent(user_id))
        except StoreFailed:
            return []

    async def ping(self) -> None:
        """Raises StoreFailed if the store cannot be used."""
        await self._guarded(self._store.ping)

    async def close(self) -> None:
        """Give connections back."""
        await self._store.close()

    async def _guarded(self, use: Callable[[], Awaitable[Result]]) -> Result:
        now = time.monotonic()
        if now < self._resume_at:
            self._metrics.store_failed("paused")
            raise StoreFailed(self.failure)
        if self.failure:
            self._resume_at = now + self._pause_s  # this request tries again, all others go on without
        try:
            result = await use()
        except StoreFailed as error:
            if not self.failure:
                log.error("serve: the event store fails, histories come from the release alone: %s", error)
            self._resume_at, self.failure = time.monotonic() + self._pause_s, str(error)
            self._metrics.store_failed("error")
            raise
        if self.failure:
            log.warning("serve: the event store works again")
            self._resume_at, self.failure = 0.0, ""
        return result


def open_store(config: ServeConfig, metrics: Metrics) -> GuardedStore | None:
    """The configured store; None for several workers without one, which could not see each other's events."""
    if not config.store and config.workers > 1:
        return None
    return GuardedStore(RedisStore(config) if config.store else MemoryStore(config), config, metrics)
