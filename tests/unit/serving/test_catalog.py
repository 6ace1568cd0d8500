"""Ids to items and back, whatever their hashes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from release.world import LOG

from pinrec_core.config import LogConfig
from pinrec_core.serving import catalog
from pinrec_core.serving.catalog import Catalog, Vocabulary


def table(ids: list[str]) -> pa.Table:
    chunks = [ids[:3], ids[3:]]  # as a table of several row groups has them
    titles = [[None if name == "b" else name.upper() for name in chunk] for chunk in chunks]
    return pa.table({"item_id": pa.chunked_array(chunks, pa.string()), "title": pa.chunked_array(titles, pa.string())})


IDS = ["b", "a", "c", "item-10", "item-9", "ä", ""]


@pytest.mark.parametrize("distinct", [1, 2, 3, 10**9])
def test_ids_are_found_though_hashes_collide(monkeypatch, distinct):
    monkeypatch.setattr(catalog, "_hashes", lambda ids: np.array([hash(name) % distinct for name in ids], np.int64))
    known = Catalog(table(IDS))
    assert len(known) == len(IDS)
    asked = ["item-9", "nobody", "b", "b", "", "z", "ä", "a", "c", "item-10", "item-1"]
    wanted = [IDS.index(name) if name in IDS else -1 for name in asked]
    assert known.rows(asked).tolist() == wanted
    assert known.rows([]).tolist() == []


def test_ids_and_titles_of_items():
    known = Catalog(table(IDS))
    assert known.ids(np.array([4, 0, 4])) == ["item-9", "b", "item-9"]
    assert known.titles(np.array([0, 1])) == [None, "A"]


@pytest.mark.parametrize(("asked", "near"), [("item-99", "item-9"), ("item-100", "item-10"), ("0", "a"), ("zz", "ä")])
def test_the_nearest_id(asked, near):
    assert Catalog(table(IDS)).nearest(asked) == near


def test_without_items_nothing_is_near():
    empty = Catalog(table([]))
    assert empty.rows(["a"]).tolist() == [-1] and empty.nearest("a") is None


def test_names():
    names = Vocabulary(LOG)
    assert names.bits == {"click": 1, "save": 2, "hide": 4, "impression": 0} and names.positive_mask == 3
    assert names.surface_code("search") == 1 and names.surface_code("elsewhere") is None


def test_other_surfaces_are_the_pooled_one_where_there_is_one():
    names = Vocabulary(LogConfig(surfaces=("home",), pooled_surface="rest", positive_actions=("click",)))
    assert names.surface_code("home") == 0 and names.surface_code("elsewhere") == names.surface_code("rest") == 1
