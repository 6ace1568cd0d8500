"""Sorting rows by several integer columns, about as fast as sorting one.

Columns are packed side by side into as few 64-bit words as their ranges allow; the first word is sorted with numpy's
fast unstable sort, and only rows it leaves tied are sorted by the words that follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def lexicographic_order(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Permutation [N] that sorts rows by the first column, then the second, and so on; equal rows in any order."""
    words = _pack(columns)
    order_N = np.argsort(words[0])
    if len(words) > 1:
        _order_ties(order_N, words)
    return order_N


def starts_of_runs(*columns: np.ndarray) -> np.ndarray:
    """Bool [N]: True where a row differs from the row before it in any column; True for the first row."""
    new_N = np.zeros(len(columns[0]), bool)
    new_N[:1] = True
    for column in columns:
        new_N[1:] |= column[1:] != column[:-1]
    return new_N


def _pack(columns: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Columns as uint64 words whose lexicographic order is that of the columns."""
    words, room = [], 0
    for column in columns:
        value_N, bits = _shifted(column)
        if bits > room:
            words.append(value_N)
            room = 64 - bits
        elif bits:
            words[-1] = (words[-1] << np.uint64(bits)) | value_N
            room -= bits
    return words or [np.zeros(len(columns[0]), np.uint64)]


def _shifted(column: np.ndarray) -> tuple[np.ndarray, int]:
    """The column minus its least value as uint64, and how many bits that takes."""
    if not len(column):
        return column.astype(np.uint64), 0
    if column.dtype == np.uint64:
        value_N = column - column.min()
    else:
        value_N = column.astype(np.int64).view(np.uint64) - np.int64(column.min()).view(np.uint64)
    return value_N, int(value_N.max()).bit_length()


def _order_ties(order_N: np.ndarray, words: list[np.ndarray]) -> None:
    """Put rows that the first word leaves tied in the order of the other words, in place."""
    first_N = words[0][order_N]
    equal_N = first_N[1:] == first_N[:-1]
    tied_N = np.zeros(len(order_N), bool)
    tied_N[1:] |= equal_N
    tied_N[:-1] |= equal_N
    place_M = np.flatnonzero(tied_N)
    row_M = order_N[place_M]
    keys = [word[row_M] for word in reversed(words[1:])]
    order_N[place_M] = row_M[np.lexsort([*keys, first_N[place_M]])]
