"""histories.parquet of a release, so that one user's history takes microseconds and workers share its memory.

Parquet is made to be read in blocks, not by row. It is converted once per server into an Arrow file, which every worker
maps: lists lie there as they lie in memory, and user ids ascend.
"""

from __future__ import annotations

import contextlib
import fcntl
from bisect import bisect_left, bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pinrec_core.data.batch import History
from pinrec_core.release.histories import COLUMNS, SCHEMA

_USERS_PER_BLOCK = 65536
NOBODY = History(*(np.zeros(0, np.int64) for _ in COLUMNS))


class Histories:
    """Histories by user id. Mapped for as long as the object or anything found in it lives."""

    def __init__(self, path: Path):
        """Map what `convert` wrote."""
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        blocks = (_Block(reader.get_batch(number)) for number in range(reader.num_record_batches))
        self._blocks = [block for block in blocks if block.users]
        self._first = [block.user_id(0) for block in self._blocks]
        self._start = [0, *accumulate(block.users for block in self._blocks)]  # place of each block's first user

    def __len__(self) -> int:
        return self._start[-1]

    def find(self, user_id: str) -> History:
        """The user's engagements, oldest first; none for an unknown user."""
        wanted = user_id.encode()
        place = bisect_right(self._first, wanted) - 1
        return self._blocks[place].find(wanted) if place >= 0 else NOBODY

    def beginning(self, prefix: str) -> range:
        """Places of the users whose ids begin so, among all users in ascending order of the bytes of their ids."""
        low = prefix.encode()
        return range(self._place(low), self._place(low + b"\xff"))  # a byte that no UTF-8 has: above all that begin so

    def user(self, place: int) -> tuple[str, int]:
        """Id of the user at a place, and how many engagements there are."""
        block, row = self._at(place)
        return str(block.user_id(row), "utf-8"), block.length(row)

    def _place(self, wanted: bytes) -> int:
        """How many users' ids are below."""

        def user_id(place: int) -> bytes:
            block, row = self._at(place)
            return block.user_id(row)

        return bisect_left(range(len(self)), wanted, key=user_id)

    def _at(self, place: int) -> tuple[_Block, int]:
        block = bisect_right(self._start, place) - 1
        return self._blocks[block], place - self._start[block]


def open_histories(parquet: Path, folder: Path, release_id: str) -> Histories:
    """Histories of a release, converted below `folder` by whichever worker comes first."""
    path = folder / f"{release_id}.arrow"
    with open(folder / f"{release_id}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            aside = path.with_suffix(".part")
            convert(parquet, aside)
            aside.rename(path)
        return Histories(path)


def forget_histories(folder: Path, release_id: str) -> None:
    """Remove the converted file of a release that is not live any more.

    Who has mapped it keeps it; who opens it again converts it again. It stays if somebody is just opening it.
    """
    with open(folder / f"{release_id}.lock", "a") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / f"{release_id}.arrow").unlink(missing_ok=True)


def convert(parquet: Path, target: Path) -> None:
    """Write the rows of histories.parquet as an Arrow file, some thousands of users in memory at a time."""
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for batch in pq.ParquetFile(parquet).iter_batches(_USERS_PER_BLOCK):
            writer.write_batch(batch.cast(SCHEMA))


class _Block:
    """Some users, ascending by the bytes of their ids."""

    def __init__(self, batch: pa.RecordBatch):
        self.users = batch.num_rows
        self._kept = batch  # owns what the views below look into
        _, offsets, data = batch["user_id"].buffers()
        self._id_at, self._id_bytes = memoryview(offsets).cast("i"), memoryview(data or b"")
        lists = [batch[name] for name in COLUMNS]
        self._list_at = [memoryview(column.buffers()[1]).cast("i") for column in lists]
        self._values = [column.values.to_numpy() for column in lists]

    def user_id(self, row: int) -> bytes:
        """UTF-8 of the id."""
        return bytes(self._id_bytes[self._id_at[row] : self._id_at[row + 1]])

    def length(self, row: int) -> int:
        """Engagements of a user."""
        return self._list_at[0][row + 1] - self._list_at[0][row]

    def find(self, wanted: bytes) -> History:
        """History of one of them."""
        row = bisect_left(range(self.users), wanted, key=self.user_id)
        if row == self.users or self.user_id(row) != wanted:
            return NOBODY
        return History(*(values[at[row] : at[row + 1]] for values, at in zip(self._values, self._list_at, strict=True)))
