"""The input of one aggregation, found and looked at before anything expensive starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pinrec_core.errors import DataError
from pinrec_core.logs.aggregation.items import find_catalog
from pinrec_core.logs.aggregation.partitions import find_partitions
from pinrec_core.logs.aggregation.table_files import TableFile
from pinrec_core.logs.aggregation.window import Window


@dataclass(frozen=True)
class Inputs:
    """The input files, looked at."""

    window: Window
    events: list[tuple[int, TableFile]]  # (day, file)
    catalog: list[TableFile]

    @property
    def rows(self) -> int:
        """Event rows by footers and line counts, never by the job itself."""
        return sum(file.rows for _, file in self.events)

    def document(self) -> dict[str, Any]:
        """Name, size, rows and mark of every file, those of the events by partition: inputs.json of the dataset."""
        events: dict[str, list[list[Any]]] = {}
        for day, file in self.events:
            events.setdefault(self.window.dates[day], []).append(file.told())
        return {"events": events, "catalog": [file.told() for file in self.catalog]}


def look_at(events: str, catalog: str, window: Window) -> Inputs:
    """Find and check all input files. Raises DataError before anything expensive."""
    inputs = Inputs(window, find_partitions(events, window), find_catalog(catalog))
    if not inputs.rows:
        raise DataError(f"{events}: all {len(inputs.events)} files from {window.dates[0]} to {window.dates[-1]} have 0 "
                        "rows; check the date and the import")
    return inputs
