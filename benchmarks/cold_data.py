"""Worlds from which items were held out: as if they were not there yet, or as if nobody had met them yet."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from surfaces_data import prepared

from pinrec_core.cli.options import last_date
from pinrec_core.config import Config
from pinrec_core.data.dataset import Dataset
from pinrec_core.storage import staged_directory


def held_out_items(data: Dataset, share: float, seed: int) -> pa.Array:
    """Ids of a share of the retrievable items, drawn among those that train users engaged with, in table order."""
    retrievable_I = data.retrievable_I
    trained = np.flatnonzero(retrievable_I & (data.items["train_count"].to_numpy() > 0))
    count = round(share * int(retrievable_I.sum()))
    chosen = np.random.default_rng(seed).choice(trained, min(count, len(trained)), replace=False)
    return data.items["item_id"].take(np.sort(chosen)).combine_chunks()


def absent(world: Path, held: pa.Array, config: Config, target: Path) -> Path:
    """The dataset of the world in which the items never were: in no event, not in the catalog."""
    return _dataset(world, held, config, target, met_from=None)


def unmet(world: Path, held: pa.Array, config: Config, target: Path) -> Path:
    """The dataset of the world in which the items are in the catalog and first met in the evaluation window."""
    last = date.fromisoformat(last_date(str(world / "events")))
    return _dataset(world, held, config, target, met_from=last - timedelta(days=config.aggregate.eval_days - 1))


def _dataset(world: Path, held: pa.Array, config: Config, target: Path, met_from: date | None) -> Path:
    if not target.exists():
        with staged_directory(target) as aside:
            _copy_catalog(world, aside, held if met_from is None else held.slice(0, 0))
            for partition in sorted((world / "events").iterdir()):
                met = met_from is not None and date.fromisoformat(partition.name.removeprefix("date=")) >= met_from
                _copy_events(partition, aside / "events" / partition.name, held.slice(0, 0) if met else held)
    return prepared(str(target), "", config, target)


def _copy_catalog(world: Path, target: Path, held: pa.Array) -> None:
    (target / "catalog").mkdir()
    for path in (world / "catalog").glob("*.parquet"):
        table = pq.read_table(path)
        kept = table.filter(pc.invert(pc.is_in(table["item_id"], value_set=held)))
        pq.write_table(kept, target / "catalog" / path.name)


def _copy_events(partition: Path, target: Path, held: pa.Array) -> None:
    """Without rows on the items and rows of feeds that answer one of them."""
    target.mkdir(parents=True)
    for path in partition.glob("*.parquet"):
        table = pq.ParquetFile(path).read()
        about = pc.or_(pc.is_in(table["item_id"], value_set=held), pc.is_in(table["context_item_id"], value_set=held))
        pq.write_table(table.filter(pc.invert(about)), target / path.name)
