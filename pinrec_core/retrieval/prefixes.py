"""What was read of histories before: a history that begins as a known one costs only what is new.

Keys and values of a token depend on the tokens up to it and on nothing else, so whatever two histories have in common
at their beginning is shared. Entries are found by a history's first token.

Legend: T history tokens, N keys and values of all blocks, H heads, S head width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from cachetools import LRUCache

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

    def known(self, packed_T4: np.ndarray) -> np.ndarray | None:
        """Keys and values [N, H, P, S] of the longest known beginning that leaves at least one token, None if none.

        Histories are given as History.packed_T4.
        """
        if len(packed_T4) < 2 or (prefix := self._known.get(packed_T4[0].tobytes())) is None:
            return None
        most = min(len(packed_T4) - 1, len(prefix.tokens_T4))
        alike_T = (packed_T4[:most] == prefix.tokens_T4[:most]).all(axis=1)
        common = most if alike_T.all() else int(alike_T.argmin())
        return prefix.memory_NHTS[:, :, :common]

    def keep(self, packed_T4: np.ndarray, known: np.ndarray | None, fresh_NHTS: np.ndarray) -> None:
        """Remember a history of which `known` was known and the rest was read, perhaps with padding behind.

        What is known as a whole already, or too large for the cache, is not kept.
        """
        start, length = 0 if known is None else known.shape[2], len(packed_T4)
        if not length:
            return
        key = packed_T4[0].tobytes()
        before = self._known.get(key)
        if before is not None and start == length - 1 and np.array_equal(before.tokens_T4[:length], packed_T4):
            return
        fresh_NHTS = fresh_NHTS[:, :, : length - start]
        prefix = Prefix(packed_T4, fresh_NHTS.copy() if known is None else np.concatenate([known, fresh_NHTS], axis=2))
        if prefix.size <= self._known.maxsize:
            self._known[key] = prefix
