"""A user's history from the mapped file is the one in the release's Parquet file."""

from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinrec_core.release.histories import COLUMNS, SCHEMA, read_history
from pinrec_core.serving import histories
from pinrec_core.serving.histories import Histories, convert, forget_histories, open_histories


def write(path, lengths: dict[str, int]) -> None:
    """Users with so many engagements each, whose numbers run through the file."""
    rows, total = [], 0
    for user in sorted(lengths, key=str.encode):
        numbers = list(range(total, total + lengths[user]))
        rows.append({"user_id": user, "item": numbers, "actions": [1] * len(numbers), "surface": [0] * len(numbers),
                     "timestamp_ms": [1000 + number for number in numbers]})
        total += len(numbers)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, row_group_size=3)


@pytest.mark.parametrize("block", [1, 4, 65536])
def test_every_user_has_the_history_of_the_file(tmp_path, monkeypatch, block):
    monkeypatch.setattr(histories, "_USERS_PER_BLOCK", block)
    lengths = {user: number % 4 for number, user in enumerate(("a", "b", "bb", "ä", "漢字", "z", "user 10", "user 9"))}
    write(tmp_path / "histories.parquet", lengths)
    found = open_histories(tmp_path / "histories.parquet", tmp_path, "r")
    for user, length in lengths.items():
        history, wanted = found.find(user), read_history(tmp_path / "histories.parquet", user)
        assert len(history.item_T) == length
        for column, values in zip(history, wanted, strict=True):
            assert column.tolist() == values.tolist()


@pytest.mark.parametrize("block", [1, 4, 65536])
@pytest.mark.parametrize("prefix", ["", "a", "b", "bb", "user", "user 1", "ä", "漢", "zz", "\U0010ffff"])
def test_users_are_listed_by_how_their_ids_begin(tmp_path, monkeypatch, block, prefix):
    monkeypatch.setattr(histories, "_USERS_PER_BLOCK", block)
    lengths = {user: number % 4 for number, user in enumerate(("a", "b", "bb", "ä", "漢字", "z", "user 10", "user 9"))}
    write(tmp_path / "histories.parquet", lengths)
    found = open_histories(tmp_path / "histories.parquet", tmp_path, "r")
    begun = [(user, lengths[user]) for user in sorted(lengths, key=str.encode) if user.startswith(prefix)]
    assert [found.user(place) for place in found.beginning(prefix)] == begun
    assert len(found) == len(lengths)


@pytest.mark.parametrize("user", ["", "A", "aa", "user", "zz", "漢字漢", "\U0010ffff"])
def test_an_unknown_user_has_none(tmp_path, user):
    write(tmp_path / "histories.parquet", {"a": 2, "b": 1, "z": 1, "漢字": 3})
    history = open_histories(tmp_path / "histories.parquet", tmp_path, "r").find(user)
    assert [len(column) for column in history] == [0] * len(COLUMNS)


def test_a_file_without_users_knows_nobody(tmp_path):
    write(tmp_path / "histories.parquet", {})
    assert not len(open_histories(tmp_path / "histories.parquet", tmp_path, "r").find("a").item_T)


def test_it_is_converted_once_for_all(tmp_path, monkeypatch):
    write(tmp_path / "histories.parquet", {"a": 2, "b": 1})
    converted = []

    def counted(parquet, target) -> None:
        converted.append(target)
        convert(parquet, target)

    monkeypatch.setattr(histories, "convert", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: open_histories(tmp_path / "histories.parquet", tmp_path, "r"), range(8)))
    assert len(converted) == 1
    assert all(each.find("b").item_T.tolist() == [2] for each in found)


def test_what_was_left_half_written_is_not_read(tmp_path):
    write(tmp_path / "histories.parquet", {"a": 2})
    (tmp_path / "r.part").write_bytes(b"ARROW1 and then the machine stopped")
    assert open_histories(tmp_path / "histories.parquet", tmp_path, "r").find("a").item_T.tolist() == [0, 1]


def test_a_forgotten_file_is_converted_again(tmp_path):
    write(tmp_path / "histories.parquet", {"a": 2})
    for _ in range(2):
        found = open_histories(tmp_path / "histories.parquet", tmp_path, "r")
        forget_histories(tmp_path, "r")
        assert not (tmp_path / "r.arrow").exists() and found.find("a").item_T.tolist() == [0, 1]


def test_a_file_that_is_being_opened_is_not_forgotten(tmp_path):
    write(tmp_path / "histories.parquet", {"a": 2})
    open_histories(tmp_path / "histories.parquet", tmp_path, "r")
    with open(tmp_path / "r.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        forget_histories(tmp_path, "r")
    assert (tmp_path / "r.arrow").exists()


def test_what_was_found_outlives_the_file(tmp_path):
    write(tmp_path / "histories.parquet", {"a": 3})
    convert(tmp_path / "histories.parquet", tmp_path / "mapped")
    history = Histories(tmp_path / "mapped").find("a")
    (tmp_path / "mapped").unlink()
    assert np.array_equal(history.item_T, [0, 1, 2])
