"""Importers: public downloads and plain tables become `events/date=YYYY-MM-DD/*.parquet` and `catalog/*.parquet`.

Each writes a whole new directory or nothing, and returns its counts (rows read, rows written, items, days, ...).
"""

from pinrec_core.logs.importers.amazon import import_amazon
from pinrec_core.logs.importers.events import import_events
from pinrec_core.logs.importers.kuairand import import_kuairand
from pinrec_core.logs.importers.mapping import CatalogMapping, EventMapping, TimeUnit

__all__ = ["CatalogMapping", "EventMapping", "TimeUnit", "import_amazon", "import_events", "import_kuairand"]
