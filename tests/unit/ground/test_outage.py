"""Object storage that goes away and comes back, or does not: reads, writes, trees and swaps through a cut line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from cut_line import Line, line_to
from object_storage import bucket_server, reach
from quoted import says

from pinrec_core import outage, storage
from pinrec_core.errors import ConfigError, ConflictError, StorageError

DOCUMENT = "gs://box/run/doc"


@pytest.fixture
def line(monkeypatch) -> Iterator[Line]:
    """The way to a fresh bucket; pauses between attempts are short."""
    monkeypatch.setattr(outage, "FIRST_S", 0.05)
    monkeypatch.setattr(outage, "LONGEST_S", 0.2)
    with bucket_server("box") as server, line_to(server.host, server.port) as way:
        reach(way.url)
        yield way


def tree_there_and_back(tmp_path) -> bytes:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"x" * 100_000)
    storage.upload_tree(tmp_path / "tree", "gs://box/tree")
    with storage.local_tree("gs://box/tree") as folder:
        return (folder / "file").read_bytes()


@pytest.mark.parametrize("what", [
    lambda _: storage.read_bytes(DOCUMENT) == b"old",
    lambda _: storage.exists(DOCUMENT),
    lambda _: storage.write_bytes(DOCUMENT, b"new") is None and storage.read_bytes(DOCUMENT) == b"new",
    lambda _: storage.list_names("gs://box/run") == ["doc"],
    lambda _: set(storage.tree_files("gs://box/run")) == {"doc"},
    lambda _: storage.remove_file(DOCUMENT) is None and not storage.exists(DOCUMENT),
    lambda folder: tree_there_and_back(folder) == b"x" * 100_000],
    ids=["read", "exists", "write", "list", "tree", "remove", "trees"])
def test_what_is_asked_meanwhile_is_done_when_it_comes_back(line, tmp_path, what):
    storage.write_bytes(DOCUMENT, b"old")
    start = time.monotonic()
    line.cut_for(1.0)
    assert what(tmp_path)
    assert time.monotonic() - start >= 1.0, "it was not cut"


def test_thirty_seconds_are_waited_for(line, monkeypatch):
    monkeypatch.setattr(outage, "LONGEST_S", 2.0)
    version = storage.read_versioned(DOCUMENT).version
    line.cut_for(30)
    start = time.monotonic()
    storage.compare_and_swap(DOCUMENT, b"new", version)
    assert 30 <= time.monotonic() - start < outage.WAIT_S and storage.read_bytes(DOCUMENT) == b"new"


@pytest.mark.parametrize("what", [
    lambda: storage.read_versioned(DOCUMENT), lambda: storage.exists(DOCUMENT), lambda: storage.list_names("gs://box/run"),
    lambda: storage.write_bytes(DOCUMENT, b""), lambda: storage.compare_and_swap(DOCUMENT, b"", storage.ABSENT),
    lambda: storage.tree_files("gs://box/run"), lambda: storage.remove_file(DOCUMENT)])
def test_one_that_stays_away_is_told_in_one_line(line, monkeypatch, what):
    monkeypatch.setenv(outage.WAIT, "0.5")
    line.cut()
    with pytest.raises(StorageError, match=r"^gs://box.*did not answer for 0.5 s.*Connection.*refused.*start the run"
                                           r" again") as raised:
        what()
    assert "\n" not in str(raised.value)
    says("error: ...: the storage did not answer for ... s (...); start the run again once it does, or set "
         "PINREC_STORAGE_WAIT_S to wait longer", raised.value)


def test_a_refusal_is_told_and_not_waited_for(line):
    with pytest.raises(StorageError, match=r"gs://absent/doc: the storage refused: NotFound: 404") as raised:
        storage.write_bytes("gs://absent/doc", b"")
    says("error: ...: the storage refused: ...; check the address, and what the account that runs this may do there",
         raised.value)


@pytest.mark.parametrize("wait", ["soon", "-1", "inf", "nan"])
def test_a_wait_that_is_none_is_refused(monkeypatch, wait):
    monkeypatch.setenv(outage.WAIT, wait)
    with pytest.raises(ConfigError, match=outage.WAIT):
        outage.wait_s()


@pytest.mark.parametrize("lost", [1, 2])
def test_a_swap_whose_answer_was_lost_has_been_done(line, lost):
    storage.compare_and_swap(DOCUMENT, b"1", storage.ABSENT)
    version = storage.read_versioned(DOCUMENT).version
    line.lose_answers(b"uploadType=multipart", lost)
    storage.compare_and_swap(DOCUMENT, b"2", version)
    assert line.refused == lost and storage.read_bytes(DOCUMENT) == b"2"
    assert storage.read_versioned(DOCUMENT).version != version


def test_a_swap_that_came_too_late_is_lost_even_if_the_other_wrote_the_same(line):
    storage.compare_and_swap(DOCUMENT, b"1", storage.ABSENT)
    version = storage.read_versioned(DOCUMENT).version
    storage.compare_and_swap(DOCUMENT, b"2", version)
    with pytest.raises(ConflictError, match="changed since it was read"):
        storage.compare_and_swap(DOCUMENT, b"2", version)


def test_a_counter_over_a_line_that_loses_answers_loses_no_count(line):
    storage.write_bytes(DOCUMENT, b"0")
    line.lose_answers(b"uploadType=multipart", 10)
    done = []

    def count() -> None:
        while len(done) < 20:
            data, version = storage.read_versioned(DOCUMENT)
            try:
                storage.compare_and_swap(DOCUMENT, str(int(data) + 1).encode(), version)
            except ConflictError:
                continue
            done.append(1)

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert line.refused >= 8
    assert len(done) <= int(storage.read_bytes(DOCUMENT)) <= len(done) + line.refused
