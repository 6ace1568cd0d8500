"""The items and names of a release as people write them, and as its model numbers them.

A dictionary of all ids would take ten times the memory; a sorted array of hashes finds many ids at once.

Legend: I all items, N items asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.config import LogConfig
from pinrec_core.release.answer import nearest_id
from pinrec_core.schemas import NO_ITEM

_BLOCK = 65536  # ids hashed at a time


class Catalog:
    """Item ids and titles of a release, both ways."""

    def __init__(self, items: pa.Table):
        """Of a table of schemas.ITEMS."""
        self.id_I, self.title_I = (items[name].combine_chunks() for name in ("item_id", "title"))
        _, offsets, text = self.id_I.buffers()
        self._id_at, self._id_text = memoryview(offsets).cast("i")[self.id_I.offset :], memoryview(text or b"")
        blocks = [_hashes(self.id_I.slice(start, _BLOCK).to_pylist()) for start in range(0, len(self.id_I), _BLOCK)]
        hash_I = np.concatenate([np.zeros(0, np.int64), *blocks])
        self._item_I = np.argsort(hash_I, kind="stable").astype(np.int32)
        self._hash_I = hash_I[self._item_I]  # ascending

    def __len__(self) -> int:
        return len(self.id_I)

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """Dense item index of each id, [N]; NO_ITEM where it is unknown."""
        item_N = np.full(len(ids), NO_ITEM, np.int64)
        if not ids:
            return item_N
        hash_N = _hashes(ids)
        place_N, open_N = np.searchsorted(self._hash_I, hash_N), np.arange(len(ids))
        while len(open_N := open_N[place_N[open_N] < len(self)]):  # once, unless different ids have one hash
            open_N = open_N[self._hash_I[place_N[open_N]] == hash_N[open_N]]
            found_N = self._item_I[place_N[open_N]]
            same_N = np.array([ids[k] == known for k, known in zip(open_N, self.ids(found_N), strict=True)], bool)
            item_N[open_N[same_N]] = found_N[same_N]
            open_N = open_N[~same_N]
            place_N[open_N] += 1
        return item_N

    def ids(self, item_N: np.ndarray) -> list[str]:
        """Ids of items; straight from the array's memory, which for an answer is several times faster than taking."""
        at, text = self._id_at, self._id_text
        return [str(text[at[item] : at[item + 1]], "utf-8") for item in item_N.tolist()]

    def titles(self, item_N: np.ndarray) -> list[str | None]:
        """Titles of items, None where the catalog has none."""
        return self.title_I.take(pa.array(item_N)).to_pylist()

    def containing(self, text: str) -> np.ndarray:
        """Items with the text in their title, in any case, or at the beginning of their id; reads all of them."""
        titled_I = pc.fill_null(pc.match_substring(self.title_I, text, ignore_case=True), False)
        named_I = pc.starts_with(self.id_I, text)
        return pc.indices_nonzero(pc.or_(titled_I, named_I)).to_numpy().astype(np.int64)

    def nearest(self, item_id: str) -> str | None:
        """The likelier of the two ids between which an unknown one would be sorted; reads all ids."""
        return nearest_id(self.id_I, item_id)


class Vocabulary:
    """Surfaces and actions of a release by name."""

    def __init__(self, log: LogConfig):
        """Of the settings the release was made with."""
        self.surfaces, self.positive_mask = log.surface_names, log.positive_mask
        self.positive_actions, self.retrievable_types = log.positive_actions, log.retrievable_types
        self.bits = {name: 1 << bit for bit, name in enumerate(log.action_names)} | {log.impression_action: 0}
        self._codes = {name: code for code, name in enumerate(log.surface_names)}
        self._pooled = self._codes.get(log.pooled_surface)

    def surface_code(self, name: str) -> int | None:
        """Code of a surface, that of the pooled one for any other; None if the release has no place for it."""
        return self._codes.get(name, self._pooled)


def _hashes(ids: Sequence[str]) -> np.ndarray:
    """Of this process alone, so that nobody can choose ids that collide."""
    return np.fromiter(map(hash, ids), np.int64, len(ids))
