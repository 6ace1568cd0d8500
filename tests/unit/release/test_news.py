"""What is new in a catalog, what changed, and what nothing can be said of, from real catalog files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.errors import DataError
from pinrec_core.logs.catalog import read_catalog
from pinrec_core.model.pinrec import PinRec
from pinrec_core.release.news import news_of
from pinrec_core.schemas import CATALOG, ITEMS

LOG = LogConfig(surfaces=("home",), positive_actions=("click",), item_types=("pin", "query"))
ROWS = {
    "plain": ("pin", [1.0, 2.0], ["red"], "Plain", 5), "bare": ("pin", None, [], None, None),
    "query": ("query", [0.5, 0.5], ["red", "blue"], "ask", None), "empty": ("pin", None, ["blue"], None, 7)}


def write(folder: Path, rows: dict[str, tuple]) -> str:
    folder.mkdir()
    columns = zip(*((item_id, *row) for item_id, row in rows.items()), strict=True)
    table = pa.table([pa.array(list(column), field.type) for column, field in zip(columns, CATALOG, strict=True)],
                     names=CATALOG.names)
    pq.write_table(table, folder / "part.parquet")
    return str(folder)


@pytest.fixture
def model(tmp_path) -> PinRec:
    """A model of the items in ROWS, as an aggregation would have read them, and of one that only events know."""
    items = read_catalog(write(tmp_path / "known", ROWS), LOG).items
    items = items.append_column("train_count", pa.array(np.ones(len(items), np.int64))).cast(ITEMS)
    seen = {"item_id": "seen", "item_type": 0, "id_hash": 1, "attributes": [], "train_count": 3}
    items = pa.concat_tables([items, pa.table({f.name: pa.array([seen.get(f.name)], f.type) for f in ITEMS},
                                              schema=ITEMS)])
    torch.manual_seed(0)
    config = ModelConfig(width=8, layers=1, heads=1, item_dim=4, max_length=4, id_buckets=8, id_dim=4)
    return PinRec(config, LOG, items, {"home": {"click": 1.0}}).eval()


def news(model, tmp_path, rows):
    return news_of(model, read_catalog(write(tmp_path / "catalog", rows), model.log))


def test_the_same_catalog_says_nothing_new(model, tmp_path):
    found = news(model, tmp_path, ROWS)
    assert (found.items.num_rows, found.unplaceable, found.changed, found.remarks) == (0, 0, 0, [])


def test_new_items_of_all_known_types_are_found_and_the_unplaceable_counted(model, tmp_path):
    found = news(model, tmp_path, ROWS | {
        "n1": ("pin", [3.0, 1.0], None, "new", 9), "n2": ("pin", None, ["red"], None, None),
        "n3": ("query", [0.0, 1.0], [], "new query", None), "n4": ("pin", None, [], "title only", None),
        "n5": ("board", [3.0, 1.0], [], "of a type the model does not know", None)})
    assert found.items["item_id"].to_pylist() == ["n1", "n2", "n3"]
    assert (found.unplaceable, found.foreign, found.changed) == (1, 1, 0)
    bare, foreign = found.remarks
    assert bare.startswith("1 new items are left out: they have neither content nor attributes")
    assert foreign == "1 rows are left out: the model does not know their item type"


@pytest.mark.parametrize(("item_id", "row"), [
    ("plain", ("pin", [1.0, 2.5], ["red"], "Plain", 5)), ("plain", ("pin", [1.0, 2.0], ["green"], "Plain", 5)),
    ("plain", ("pin", [1.0, 2.0], ["red", "green"], "Plain", 5)), ("plain", ("pin", [1.0, 2.0], ["red"], "plain", 5)),
    ("plain", ("pin", [1.0, 2.0], ["red"], None, 5)), ("plain", ("pin", [1.0, 2.0], ["red"], "Plain", 6)),
    ("plain", ("pin", None, ["red"], "Plain", 5)), ("plain", ("query", [1.0, 2.0], ["red"], "Plain", 5)),
    ("bare", ("pin", None, [], "a title", None)), ("empty", ("pin", [1.0, 1.0], ["blue"], None, 7)),
    ("seen", ("pin", [1.0, 1.0], [], None, None))])
def test_one_change_is_one_changed_item_and_nothing_new(model, tmp_path, item_id, row):
    found = news(model, tmp_path, ROWS | {item_id: row})
    assert (found.items.num_rows, found.changed) == (0, 1)
    assert found.remarks[0].startswith("1 known items are described differently now")


def test_a_partial_catalog_and_another_order_change_nothing(model, tmp_path):
    some = {name: ROWS[name] for name in ("query", "plain")}
    found = news(model, tmp_path, some | {"n1": ("pin", [3.0, 1.0], [], None, None)})
    assert (found.items["item_id"].to_pylist(), found.changed) == (["n1"], 0)


def test_content_of_another_length_is_refused(model, tmp_path):
    with pytest.raises(DataError, match="length 3, the model reads 2"):
        news(model, tmp_path, {"n1": ("pin", [3.0, 1.0, 1.0], [], None, None)})


def test_no_catalog_is_told(model, tmp_path):
    with pytest.raises(DataError, match="no catalog file"):
        read_catalog(str(tmp_path / "absent"), LOG)
