"""A catalog by itself: found, checked and cleaned the way aggregate_logs does it, without an event log beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from pinrec_core.config import LogConfig
from pinrec_core.logs.aggregation.files import absolute
from pinrec_core.logs.aggregation.items import CatalogFacts, find_catalog, normalise_catalog


@dataclass(frozen=True)
class Catalog:
    """All items of a catalog, one row each, as a training dataset would hold them."""

    items: pa.Table  # schemas.ITEMS without train_count
    facts: CatalogFacts
    sha256: str  # of the cleaned rows


def read_catalog(catalog: str, log: LogConfig) -> Catalog:
    """Read the catalog at a folder or URI. Raises DataError if there is none or it cannot be used as it is."""
    files = find_catalog(absolute(catalog))
    with TemporaryDirectory(prefix="pinrec-catalog-") as folder:
        path = Path(folder, "catalog.parquet")
        facts = normalise_catalog(files, log, str(path))
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Catalog(pq.read_table(path), facts, digest)
