"""Recent events: kept, trimmed, expired; and a store that fails costs answers nothing but them."""

from __future__ import annotations

import asyncio

import pytest

from pinrec_core.config import ServeConfig
from pinrec_core.serving import events
from pinrec_core.serving.events import GuardedStore, MemoryStore, RedisStore, StoreFailed, open_store
from pinrec_core.serving.metrics import Metrics
from pinrec_core.serving.translate import Engagement


def told(*numbers: int) -> list[Engagement]:
    return [Engagement(f"i{number}", ["click", "save"], "home", number) for number in numbers]


@pytest.fixture(params=["memory", "redis"])
def settings(request) -> ServeConfig:
    """Three events per user, in either store."""
    store = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    return ServeConfig(store=store, user_events=3, store_timeout_ms=5000)


def opened(settings: ServeConfig) -> MemoryStore | RedisStore:
    return RedisStore(settings) if settings.store else MemoryStore(settings)


def test_the_newest_events_of_each_user_are_kept_in_order(settings):
    async def test() -> None:
        store = opened(settings)
        await store.append("u1", told(1, 2))
        await store.append("ü 2", told(7))
        await store.append("u1", told(3, 4))
        assert [Engagement(*each) for each in await store.recent("u1")] == told(2, 3, 4)
        assert await store.recent("ü 2") == told(7) and await store.recent("nobody") == []
        await store.ping()
        await store.close()

    asyncio.run(test())


def test_in_redis_they_expire(redis_server):
    async def test() -> None:
        store = RedisStore(ServeConfig(store=redis_server.url, event_days=2, store_timeout_ms=5000))
        await store.append("u1", told(1))
        await store.close()

    asyncio.run(test())
    assert 2 * 86_400 - 60 < redis_server.client.ttl("pinrec:events:u1") <= 2 * 86_400


def test_what_cannot_be_read_is_passed_over(redis_server):
    async def test() -> None:
        store = RedisStore(ServeConfig(store=redis_server.url, store_timeout_ms=5000))
        await store.append("u1", told(1))
        redis_server.client.rpush("pinrec:events:u1", b"{", b"[1,2]")
        await store.append("u1", told(2))
        assert await store.recent("u1") == told(1, 2)
        await store.close()

    asyncio.run(test())


def test_in_memory_they_expire_and_users_are_bounded(monkeypatch):
    monkeypatch.setattr(events, "_USERS_IN_MEMORY", 2)
    store, now = MemoryStore(ServeConfig(event_days=1)), [0.0]
    monkeypatch.setattr(events.time, "monotonic", lambda: now[0])

    async def test() -> None:
        for user in ("u1", "u2", "u1", "u3"):
            await store.append(user, told(1))
        assert await store.recent("u2") == [] and len(await store.recent("u1")) == 2
        now[0] = 86_400.0
        assert await store.recent("u1") == []

    asyncio.run(test())


def test_a_store_that_dies_is_left_alone_and_taken_up_again(redis_server, caplog):
    settings = ServeConfig(store=redis_server.url, store_pause_s=0.2, store_timeout_ms=5000)
    metrics = Metrics()

    async def test() -> None:
        store = GuardedStore(RedisStore(settings), settings, metrics)
        await store.append("u1", told(1))
        redis_server.kill()
        assert await store.recent("u1") == [] and "onnect" in store.failure
        with pytest.raises(StoreFailed):
            await store.append("u1", told(2))
        assert await store.recent("u1") == []
        await asyncio.sleep(0.3)
        assert await store.recent("u1") == []  # tried, and still dead
        redis_server.start()
        await asyncio.sleep(0.3)
        await store.append("u1", told(3))
        assert await store.recent("u1") == told(3) and not store.failure
        await store.close()

    asyncio.run(test())
    text = metrics.text().decode()
    assert 'pinrec_store_failures_total{what="error"} 2.0' in text
    assert 'pinrec_store_failures_total{what="paused"} 2.0' in text
    messages = [record.getMessage() for record in caplog.records if record.name == "pinrec"]
    assert len(messages) == 2 and "fails" in messages[0] and "works again" in messages[1]


def test_a_store_that_hangs_fails_in_time():
    async def test() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = ServeConfig(store=f"redis://127.0.0.1:{port}/0", store_timeout_ms=100, store_pause_s=60)
        store = GuardedStore(RedisStore(settings), settings, Metrics())
        async with asyncio.timeout(30):
            assert await store.recent("u1") == []
        assert "Timeout" in store.failure
        await store.close()
        server.close()

    asyncio.run(test())


def test_several_workers_without_redis_have_no_store():
    assert open_store(ServeConfig(workers=2), Metrics()) is None
    assert open_store(ServeConfig(), Metrics()) is not None
