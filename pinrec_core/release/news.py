"""What a catalog tells a model that it does not know: new items, and known ones that are described differently now.

Legend: N items of the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.logs.catalog import Catalog
from pinrec_core.model.extend import placeable
from pinrec_core.model.pinrec import PinRec

_PLAIN, _LISTS = ("item_type", "title", "created_ms"), ("content", "attributes")


@dataclass(frozen=True)
class News:
    """A catalog beside the items of a model."""

    items: pa.Table  # new ones that the model can place
    unplaceable: int  # new ones without anything the model reads of an item
    foreign: int  # of an item type that the model does not know
    changed: int  # known ones with another type, title, date, content or attributes
    catalog_sha256: str

    @property
    def remarks(self) -> list[str]:
        """What is not taken in, and why."""
        said = []
        if self.unplaceable:
            said.append(f"{self.unplaceable} new items are left out: they have neither content nor attributes that the "
                        "model reads, so nothing says where they belong")
        if self.foreign:
            said.append(f"{self.foreign} rows are left out: the model does not know their item type")
        if self.changed:
            said.append(f"{self.changed} known items are described differently now and left as the model knows them; "
                        "the next training takes the change in")
        return said


def news_of(model: PinRec, catalog: Catalog) -> News:
    """Compare by item id. Raises DataError if new content is of another kind than the model reads."""
    place_N = pc.index_in(catalog.items["item_id"], value_set=model.items["item_id"].combine_chunks())
    known, new = catalog.items.filter(pc.is_valid(place_N)), catalog.items.filter(pc.is_null(place_N))
    fits_N = placeable(model, new)
    changed_N = differ(known, model.items.take(pc.drop_null(place_N)))
    return News(new.filter(pa.array(fits_N)), int((~fits_N).sum()), catalog.facts.foreign_rows, int(changed_N.sum()),
                catalog.sha256)


def differ(told: pa.Table, known: pa.Table) -> np.ndarray:
    """bool [N]: rows of two item tables that say different things of an item."""
    columns = [_plain_differ(told[name], known[name]) for name in _PLAIN]
    columns += [_lists_differ(told[name], known[name]) for name in _LISTS]
    return np.logical_or.reduce(columns)


def _plain_differ(told: pa.ChunkedArray, known: pa.ChunkedArray) -> np.ndarray:
    values = pc.fill_null(pc.not_equal(told, known), False)
    return pc.or_(values, pc.not_equal(pc.is_null(told), pc.is_null(known))).to_numpy()


def _lists_differ(told: pa.ChunkedArray, known: pa.ChunkedArray) -> np.ndarray:
    lengths = [pc.fill_null(pc.list_value_length(column), -1).to_numpy() for column in (told, known)]
    out_N = lengths[0] != lengths[1]
    alike = np.flatnonzero(~out_N)
    told, known = told.take(alike), known.take(alike)
    unequal = pc.not_equal(pc.list_flatten(told), pc.list_flatten(known)).to_numpy()
    out_N[np.repeat(alike, np.maximum(lengths[0][alike], 0))[unequal]] = True
    return out_N
