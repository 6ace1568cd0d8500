"""Stable hashes of ids: the same text gives the same number on every machine, in every process, in every release.

Two kinds: a vectorised hash that decides placement (shard, user split, feed view), and blake2b for the `id_hash` that
models are trained on.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from pinrec_core.schemas import SPLITS

_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_SHARD_SALT = np.uint64(0x5368617264)  # keeps the shard of a user independent of the user's split
_PART_SALT = np.uint64(0x50617274)  # and the second cut of a large shard independent of the first
_SPLIT_SALT = 0x53706C6974


def mix64(value_N: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser: every input bit flips every output bit with probability one half; uint64."""
    value_N = (value_N ^ (value_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value_N = (value_N ^ (value_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value_N ^ (value_N >> np.uint64(31))


def hash_text(values: pa.StringArray) -> np.ndarray:
    """Stable uint64 hash of each string's UTF-8 bytes, eight bytes at a time; a null hashes like an empty string."""
    start_N, length_N, data = _bytes_of(values)
    hash_N = mix64(length_N.astype(np.uint64) + _MULTIPLIER)
    if not len(data):
        return hash_N
    words = np.ndarray(len(data), "<u8", buffer=np.concatenate([data, np.zeros(8, np.uint8)]), strides=(1,))
    active, done = np.flatnonzero(length_N), 0
    while active.size:  # one turn per eight bytes of the longest id
        left = np.minimum(length_N[active] - done, 8).astype(np.uint64)
        word = words[start_N[active] + done] << (np.uint64(64) - left * np.uint64(8))  # drops the bytes of the next id
        hash_N[active] = (hash_N[active] ^ mix64(word)) * _MULTIPLIER
        done += 8
        active = active[length_N[active] > done]
    return mix64(hash_N)


def shard_of(hash_N: np.ndarray, shards: int) -> np.ndarray:
    """Shard number in [0, shards) of each hashed user id."""
    return (mix64(hash_N ^ _SHARD_SALT) % np.uint64(shards)).astype(np.int64)


def part_of(hash_N: np.ndarray, parts: int) -> np.ndarray:
    """Part in [0, parts) of its shard to which each hashed user id goes where a shard must be cut again."""
    return (mix64(hash_N ^ _PART_SALT) % np.uint64(parts)).astype(np.int64)


def split_of(hash_N: np.ndarray, *, seed: int, validation_share: float, heldout_share: float) -> np.ndarray:
    """Code in SPLITS of each hashed user id, int8. Depends on seed and id alone, so a user never changes sides."""
    salt = mix64(np.array([(seed ^ (_SPLIT_SALT << 32)) & (2**64 - 1)], np.uint64))  # an array: it may wrap around
    uniform_N = (mix64(hash_N ^ salt) >> np.uint64(11)).astype(np.float64) / 2**53
    split_N = np.full(len(hash_N), SPLITS.index("train"), np.int8)
    split_N[uniform_N < validation_share + heldout_share] = SPLITS.index("heldout")
    split_N[uniform_N < validation_share] = SPLITS.index("validation")
    return split_N


def blake2b_64(texts: list[str]) -> np.ndarray:
    """First 64 bits (little endian) of blake2b of each text's UTF-8 bytes, uint64."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _bytes_of(values: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start and length of each string in the returned byte array; nulls have length 0."""
    _, offsets, data = values.buffers()
    if not len(values) or data is None:
        return np.zeros(len(values), np.int64), np.zeros(len(values), np.int64), np.zeros(0, np.uint8)
    offset_N1 = np.frombuffer(offsets, np.int32)[values.offset:values.offset + len(values) + 1].astype(np.int64)
    length_N = np.diff(offset_N1)
    if values.null_count:
        length_N[values.is_null().to_numpy(zero_copy_only=False)] = 0
    return offset_N1[:-1], length_N, np.frombuffer(data, np.uint8)
