"""The serving benchmark on a release of seconds: its figures, its load, its report."""

from __future__ import annotations

import asyncio
import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import serve
import serve_data
import serve_driver
import serve_model
from serve_alone import Alone, per_request
from serve_report import print_tables

CASE = serve_data.Case(16, 1, 300, history=8)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Where a release of CASE lies."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve_data, "USERS", 60)
        patch.setattr(serve_data, "ASKED", 20)
        patch.setattr(serve_model, "FITTED", 60)
        patch.setattr(serve_data, "ITEMS_PER_CLUSTER", 10)
        serve_data.registry_of(CASE, folder)
    return folder


@pytest.fixture
def options(work, monkeypatch):
    """A run of seconds."""
    monkeypatch.setattr(serve, "USERS", 60)
    return SimpleNamespace(work=work, workers=1, seconds=1, quick=True)


def test_a_release_is_made_once(work, caplog):
    with caplog.at_level(logging.INFO, logger="pinrec"):
        registry = serve_data.registry_of(CASE, work)
    assert not caplog.records and registry == work / "w16-l1-0k-h8/registry"


def test_queries_lie_near_items(work, tmp_path):
    alone = Alone({"registry": str(work / CASE.name / "registry"), "surface": "home", "users": 60, "n": 100,
                   "scratch": str(tmp_path)})
    vectors_ID = alone.retriever.search_vectors_ID
    click_BD = np.stack([queries[0] for queries in alone.queries()[:50]])
    latest_BD = vectors_ID[[history.item_T[-1] for history in alone.histories[:50]]]
    others_BD = np.roll(latest_BD, 1, axis=0)
    assert np.mean((click_BD * latest_BD).sum(1)) > np.mean((click_BD * others_BD).sum(1)) + 0.3


def test_what_is_measured_alone(work, tmp_path):
    alone = Alone({"registry": str(work / CASE.name / "registry"), "surface": "home", "users": 60, "n": 100,
                   "scratch": str(tmp_path)})
    assert [len(history.item_T) for history in alone.histories[:3]] == [8, 8, 8]
    assert {len(queries) for queries in alone.queries()} == {6}, "2 outcomes x 3 steps, none merged"
    calls = []
    found = per_request(calls.append, [1, 2, 3], 0.05)
    assert calls[:6] == [1, 2, 3, 1, 2, 3] and 0 < found["p50_ms"] <= found["p99_ms"]


def test_arrivals_have_the_rate_and_are_the_same_again():
    told = {"rate": 200, "seconds": 30, "seed": 1}
    due_s = serve_driver._arrivals(told)
    assert len(due_s) == 6000 and due_s[-1] == pytest.approx(30, rel=0.1) and (np.diff(due_s) > 0).all()
    assert np.array_equal(due_s, serve_driver._arrivals(told))


def test_a_latency_counts_from_when_the_request_was_due():
    """A server that answers one request at a time, 20 ms each, asked for 100 a second by one connection."""

    async def whole() -> dict:
        turn = asyncio.Lock()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while (head := await reader.readuntil(b"\r\n\r\n")):
                await reader.readexactly(int(head.rsplit(b"Content-Length: ")[1].split(b"\r\n")[0]))
                async with turn:
                    await asyncio.sleep(0.02)
                status = b"200 OK" if b"u0000000" not in head else b"500 Oh"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        told = {"port": server.sockets[0].getsockname()[1], "rate": 100, "seconds": 1, "seed": 0, "users": 5,
                "surface": "home", "n": 5}
        found = await serve_driver.Load(told).run()
        server.close()
        return found

    found = asyncio.run(whole())
    assert found["requests"] == 100 and found["errors"] == 0
    assert found["p99_ms"] > 800, "the last of 100 requests waits for all others, 2 s in all, and is due after 1 s"


def test_what_is_not_answered_is_an_error():
    async def whole() -> dict:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        told = {"port": server.sockets[0].getsockname()[1], "rate": 50, "seconds": 0.5, "seed": 0, "users": 5,
                "surface": "home", "n": 5}
        found = await serve_driver.Load(told).run()
        server.close()
        return found

    found = asyncio.run(whole())
    assert found["errors"] == found["requests"] == 25 and found["error_kinds"] == {"lost": 25}


def test_a_case_from_end_to_end(options, capsys):
    found = serve.measure(CASE, options)
    returning, row = found["rates"]
    assert (returning["users"], row["users"]) == (400, 60) and returning["error_kinds"] == {}
    assert row["rate"] == 80 and row["requests"] == 80 and row["error_kinds"] == {}
    assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] and row["cpu_ms"] > 0
    assert row["cpu_ratio"] == pytest.approx(row["cpu_ms"] / found["alone"]["paced"]["cpu_ms"])
    assert found["alone"]["vectors"] == 6 and found["rss_mb"] > 50
    print_tables({"cases": [found], "limit_p99_ms": 100.0, "workers": 1})
    told = capsys.readouterr().out
    assert "width 16, 1 layers, 300 items, history 8" in told and "two_tower" in told and "sustained" in told


def test_the_ladder_ends_where_it_cannot_be_sustained(monkeypatch):
    def drive(_, rate: int, __) -> dict:
        return {"rate": rate, "errors": 0, "p99_ms": rate / 2, "p50_ms": 1.0, "cpu_ms": 1.0}

    monkeypatch.setattr(serve, "_drive", drive)
    rates = serve._ladder(None, {"model + faiss": {"p50_ms": 2.0, "cpu_ms": 4.0}}, 1)
    assert [row["rate"] for row in rates] == [100, 125, 156, 195, 244] and serve._sustained(rates) == 195
    assert rates[0]["p50_ratio"] == 0.5 and rates[0]["cpu_ratio"] == 0.25
    assert serve._sustained([{"errors": 1, "p99_ms": 1.0, "rate": 80}]) == 0


def test_a_part_that_is_not_there_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["serve.py", "--parts", "smal"])
    with pytest.raises(SystemExit):
        serve._options()
    assert "there is no part 'smal'; there are small" in capsys.readouterr().err
