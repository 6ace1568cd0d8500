"""What was read of histories before: a history that begins as a known one costs only what is new.

Keys and values of a token depend on the tokens up to it and on nothing else, so whatever two histories have in common
at their beginning is shared. Entries are found by a history's first token.

Legend: T history tokens, N keys and values of all blocks, H heads, S head width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from cachetools import LRUCache

from pinrec_core.data.batch import History

MB = 1 << 20


class Prefix(NamedTuple):
    """Tokens that were read, and their keys and values."""

    tokens_T4: np.ndarray  # int64 columns of a History
    memory_NHTS: np.ndarray

    @property
    def size(self) -> int:
        """Bytes."""
        return self.tokens_T4.nbytes + self.memory_NHTS.nbytes


class PrefixCache:
    """The most recently used prefixes, up to a number of bytes. Not for several threads at once."""

    def __init__(self, megabytes: float):
        self._known: LRUCache[bytes, Prefix] = LRUCache(megabytes * MB, getsizeof=lambda prefix: prefix.size)

    def __len__(self) -> int:
        return len(self._known)

    def known(self, history: History) -> np.ndarray | None:
        """Keys and values [N, H, P, S] of the longest known beginning that leaves at least one token, None if none."""
        if len(history.item_T) < 2 or (prefix := self._known.get(_key(history))) is None:
            return None
        most = min(len(history.item_T) - 1, len(prefix.tokens_T4))
        alike_T = (_tokens(history, most) == prefix.tokens_T4[:most]).all(axis=1)
        common = most if alike_T.all() else int(alike_T.argmin())
        return prefix.memory_NHTS[:, :, :common]

    def keep(self, history: History, memory_NHTS: np.ndarray) -> None:
        """Remember a history that was read as a whole; one too large for the cache is not kept."""
        if not len(history.item_T):
            return
        prefix = Prefix(_tokens(history, len(history.item_T)), np.ascontiguousarray(memory_NHTS))
        if prefix.size <= self._known.maxsize:
            self._known[_key(history)] = prefix


def _tokens(history: History, count: int) -> np.ndarray:
    return np.stack([column[:count].astype(np.int64) for column in history], axis=1)


def _key(history: History) -> bytes:
    return b"".join(int(column[0]).to_bytes(8, "little", signed=True) for column in history)
