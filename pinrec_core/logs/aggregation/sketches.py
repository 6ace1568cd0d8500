"""Mergeable sketches: counts of distinct ids and most frequent items (Apache DataSketches), quantiles (a histogram).

Each is built where the rows are, from distinct or already counted values, and merged by whoever reads it: shards of
one dataset by the driver, datasets of several days by anyone. The same input gives the same bytes, or a dataset would
not keep its fingerprint. That rules out KLL for quantiles (it tosses coins), and the library's t-digest was 4 % off in
rank after three merges; a histogram in steps of 1.6 % is exact in rank, merges exactly and costs 10 ns a value.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable

import numpy as np
from datasketches import (
    frequent_items_error_type,
    frequent_strings_sketch,
    hll_sketch,
    hll_union,
)

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.9, 0.99)
FED = 128  # most frequent items of one shard and day that enter its sketch
_LG_BUCKETS = 12  # HLL: standard error 1.6 %
_DROPPED_BITS = 17  # of the 23 that follow the exponent of a float32
_LG_ITEMS = 10  # frequent items: 768 counters
Histogram = dict[str, int]  # bucket as text, for JSON -> numbers in it


def distinct(hash_U: np.ndarray) -> str:
    """Sketch of how many different uint64 hashes there are. Give each once: the library takes them one by one."""
    sketch = hll_sketch(_LG_BUCKETS)
    for value in np.sort(hash_U).view(np.int64).tolist():  # sorted, for the estimate depends a little on the order
        sketch.update(value)
    return _text(sketch.serialize_compact())


def merge_distinct(texts: Iterable[str]) -> tuple[str, int]:
    """The union of sketches, and about how many distinct ids it holds."""
    union = hll_union(_LG_BUCKETS)
    for text in texts:
        union.update(hll_sketch.deserialize(_bytes(text)))
    whole = union.get_result()
    return _text(whole.serialize_compact()), round(whole.get_estimate())


def quantiles(value_N: np.ndarray) -> Histogram:
    """Sketch of the distribution of numbers from 0 up: how many lie in each bucket, buckets that are empty left out.

    A bucket is what the leading bits of a number's float32 form have in common: 64 to an octave, so that its lower end
    is at most 1.6 % below any number in it, and is the number itself for integers up to 128.
    """
    count_B = np.bincount(value_N.astype(np.float32).view(np.int32) >> _DROPPED_BITS)
    return {str(bucket): int(count_B[bucket]) for bucket in np.flatnonzero(count_B)}


def merge_quantiles(histograms: Iterable[Histogram]) -> tuple[Histogram, dict[str, float]]:
    """The sum of sketches and its quantiles by name ("p50"), with "min" and "max"; no values, no quantiles."""
    whole: Counter[int] = Counter()
    for histogram in histograms:
        whole.update({int(bucket): count for bucket, count in histogram.items()})
    bucket_B = np.array(sorted(whole), np.int32)
    rank_B = np.cumsum([whole[bucket] for bucket in bucket_B.tolist()], dtype=np.int64)
    lower_B = (bucket_B << _DROPPED_BITS).view(np.float32).astype(np.float64)
    found = {}
    if len(bucket_B):
        shares = {"min": 0.0, **{f"p{share * 100:g}": share for share in QUANTILES}, "max": 1.0}
        place = np.searchsorted(rank_B, [max(1, np.ceil(share * rank_B[-1])) for share in shares.values()])
        found = {name: round(float(value), 3) for name, value in zip(shares, lower_B[place], strict=True)}
    return {str(bucket): whole[bucket] for bucket in bucket_B.tolist()}, found


def frequent(names: list[str], count_I: np.ndarray) -> str:
    """Sketch of the most frequent items from counts that are already summed; give the FED largest."""
    sketch = frequent_strings_sketch(_LG_ITEMS)
    for name, count in zip(names, count_I.tolist(), strict=True):
        sketch.update(name, count)
    return _text(sketch.serialize())


def merge_frequent(texts: Iterable[str], top: int) -> tuple[str, dict[str, int]]:
    """The sum of sketches, and its `top` most frequent items with their counts, most frequent first."""
    whole = frequent_strings_sketch(_LG_ITEMS)
    for text in texts:
        whole.merge(frequent_strings_sketch.deserialize(_bytes(text)))
    found = whole.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
    ranked = sorted(((name, estimate) for name, estimate, _, _ in found), key=lambda pair: (-pair[1], pair[0]))
    return _text(whole.serialize()), {name: int(count) for name, count in ranked[:top]}


def counts_of(sketch: str, names: Iterable[str]) -> dict[str, int]:
    """Count of each named item in a sketch of frequent items; 0 for one it does not hold."""
    read = frequent_strings_sketch.deserialize(_bytes(sketch))
    return {name: int(read.get_estimate(name)) for name in names}


def _text(data: bytes) -> str:
    return base64.b64encode(bytes(data)).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
