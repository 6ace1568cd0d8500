"""Requests are computed in order of arrival, alike ones together, each by its own release and within its deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine

import numpy as np
import pytest

from pinrec_core.config import ServeConfig
from pinrec_core.retrieval.retriever import Retriever
from pinrec_core.serving.batching import Asked, Batcher, Got
from pinrec_core.serving.declined import Declined
from pinrec_core.serving.live import Live, load_live
from pinrec_core.serving.metrics import Metrics

from .watched import Watched

NOTHING = np.zeros(0, np.int64)


@pytest.fixture
def held(live) -> Live:
    """A release whose retriever waits until `live.retriever.free` is set."""
    live.retriever = Watched(live.retriever)
    return live


def run(test: Callable[[Batcher], Coroutine], **limits: int) -> None:
    """Run a coroutine with a batcher that is working."""
    async def whole() -> None:
        batcher = Batcher(ServeConfig(**limits), Metrics())
        batcher.start()
        try:
            await test(batcher)
        finally:
            batcher.stop()

    asyncio.run(whole())


def asked(live: Live, user: str = "u007", n: int = 5, **changes) -> Asked:
    settings = {"exclude": NOTHING, "time_ms": live.end_ms, "shares": None, "item_types": ()} | changes
    return Asked(live, live.histories.find(user), n=n, **settings)


def soon() -> float:
    return time.monotonic() + 60


async def started(live: Live, calls: int) -> None:
    """Wait until the retriever was called so often."""
    while len(live.retriever.calls) < calls:
        await asyncio.sleep(0.01)


def items(got: Got) -> list[int]:
    return got.candidates.item_RN[got.row].tolist()


def wanted(live: Live, request: Asked) -> list[int]:
    """What the retriever gives when it is asked for one request alone."""
    return Retriever.retrieve(live.retriever, [request.history], live.surface, np.array([request.time_ms]),
                              shares=request.shares, n=request.n, exclude_R=[request.exclude],
                              item_types=request.item_types).item_RN[0].tolist()


def test_alike_requests_wait_for_nobody_and_are_computed_together(held):
    async def test(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.answer(asked(held), soon()))
        await started(held, 1)
        users = [f"u{number:03}" for number in range(5)]
        requests = [asked(held, user, exclude=np.array([number])) for number, user in enumerate(users)]
        others = [asyncio.create_task(batcher.answer(request, soon())) for request in requests]
        await asyncio.sleep(0.05)
        held.retriever.free.set()
        assert (await first).batch == 1
        for request, task in zip(requests, others, strict=True):
            got = await task
            assert got.batch in (3, 2) and items(got) == wanted(held, request)
        assert held.retriever.calls == [(1, 5), (3, 5), (2, 5)]

    run(test, max_batch=3)


def test_other_questions_keep_their_place(held):
    questions = [{"n": 5}, {"n": 6}, {"n": 5}, {"shares": {"save": 1.0}}, {"n": 6}, {"n": 5}]

    async def test(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.answer(asked(held, n=9), soon()))
        await started(held, 1)
        requests = [asked(held, f"u{number:03}", **question) for number, question in enumerate(questions)]
        tasks = [asyncio.create_task(batcher.answer(request, soon())) for request in requests]
        await asyncio.sleep(0.05)
        held.retriever.free.set()
        found = await asyncio.gather(*tasks)
        await first
        assert [items(got) for got in found] == [wanted(held, request) for request in requests]
        assert held.retriever.calls == [(1, 9), (3, 5), (2, 6), (1, 5)]

    run(test)


def test_a_full_queue_turns_requests_down(held):
    async def test(batcher: Batcher) -> None:
        tasks = [asyncio.create_task(batcher.answer(asked(held), soon()))]
        await started(held, 1)
        tasks += [asyncio.create_task(batcher.answer(asked(held), soon())) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Declined) as caught:
            await batcher.answer(asked(held), soon())
        assert caught.value.status == 429 and caught.value.retry_after_s == 1
        held.retriever.free.set()
        assert len(await asyncio.gather(*tasks)) == 3
        assert len(items(await batcher.answer(asked(held), soon()))) == 5  # there is room again

    run(test, queue=2)


def test_past_its_deadline_a_request_is_told_so_and_not_computed(held):
    async def test(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.answer(asked(held), soon()))
        await started(held, 1)
        with pytest.raises(Declined) as caught:
            await batcher.answer(asked(held, n=7), time.monotonic() + 0.05)
        assert caught.value.status == 504
        later = asyncio.create_task(batcher.answer(asked(held, n=8), soon()))
        await asyncio.sleep(0.05)
        held.retriever.free.set()
        await asyncio.gather(first, later)
        assert held.retriever.calls == [(1, 5), (1, 8)]

    run(test)


def test_one_that_is_computed_too_long_is_told_at_its_deadline(held):
    async def test(batcher: Batcher) -> None:
        with pytest.raises(Declined, match="before its deadline"):
            await batcher.answer(asked(held), time.monotonic() + 0.05)
        held.retriever.free.set()
        assert len(items(await batcher.answer(asked(held), soon()))) == 5

    run(test)


def test_a_request_that_fails_fails_alone(held):
    async def test(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.answer(asked(held), soon()))
        await started(held, 1)
        requests = [asked(held), asked(held, exclude=np.array([10**6])), asked(held, "u001")]
        tasks = [asyncio.create_task(batcher.answer(request, soon())) for request in requests]
        await asyncio.sleep(0.05)
        held.retriever.free.set()
        good, bad, other = await asyncio.gather(*tasks, return_exceptions=True)
        assert items(good) == items(await first) and len(items(other)) == 5
        assert "excluded item 1000000 is not among the 120 items" in str(bad)

    run(test)


def test_releases_are_never_mixed(held, registry, second, scratch):
    other = load_live(registry, second["home"], scratch, 8.0)

    async def test(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.answer(asked(held), soon()))
        await started(held, 1)
        tasks = [asyncio.create_task(batcher.answer(asked(live), soon())) for live in (held, other, held, other)]
        await asyncio.sleep(0.05)
        held.retriever.free.set()
        found = [items(got) for got in await asyncio.gather(*tasks)]
        await first
        assert found[0] == found[2] != found[1] == found[3]
        assert found[1] == wanted(other, asked(other))

    run(test)


def test_stopping_answers_what_is_queued(held):
    async def test(batcher: Batcher) -> None:
        tasks = [asyncio.create_task(batcher.answer(asked(held), soon())) for _ in range(3)]
        await started(held, 1)
        threading.Timer(0.1, held.retriever.free.set).start()
        await asyncio.to_thread(batcher.stop)
        assert not batcher.is_alive
        assert all(len(items(got)) == 5 for got in await asyncio.gather(*tasks))

    run(test, max_batch=1)
