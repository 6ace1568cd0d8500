"""A synthetic event log with a known floor and ceiling of recall.

Three surfaces with audiences of their own: home (a feed by taste), related (a feed that answers a close-up pin, the
context item) and search (a "search" event on a query, then a feed with the query as context item). Feeds mix taste or
context with popularity and exploration; most impressions are ignored, some are clicked, saved, or hidden. Tastes drift
and new pins appear every day. truth.json beside the data says what popularity and the generator's own best guess reach
in the evaluation window (world/oracle.py defines both).
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path

import numpy as np

from pinrec_core.logs.importers.event_writer import PartitionWriter, new_directory
from pinrec_core.logs.world.behaviour import Stock, Today
from pinrec_core.logs.world.day import RECENT, Shown, Views, open_views, remember, show_pins
from pinrec_core.logs.world.inhabitants import (
    SURFACES,
    WORLDS,
    Audience,
    Catalogue,
    WorldConfig,
    first_tastes,
    make_audience,
    make_catalogue,
    next_tastes,
)
from pinrec_core.logs.world.oracle import Window, truth
from pinrec_core.logs.world.tables import day_events, write_world_catalog
from pinrec_core.progress import counted

__all__ = ["WORLDS", "WorldConfig", "write_world"]
logger = logging.getLogger("pinrec")


def write_world(dst: Path, world: WorldConfig) -> None:
    """Write dst/events, dst/catalog and dst/truth.json, all or nothing. Raises IntegrityError if dst exists."""
    rng = np.random.default_rng(world.seed)
    catalogue, audience = make_catalogue(world, rng), make_audience(world, rng)
    with new_directory(dst) as aside:
        write_world_catalog(aside / "catalog", catalogue, world)
        writer = PartitionWriter(aside / "events")
        window, engaged_I = _live(world, catalogue, audience, writer, rng)
        counts = writer.close()
        document = {"date": (world.first_day + timedelta(days=world.days - 1)).isoformat(),
                    "eval_days": world.eval_days, "surfaces": truth(audience, catalogue, window, engaged_I),
                    "event_rows": counts["rows_written"], "world": world.model_dump(mode="json")}
        (aside / "truth.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    logger.info("%s: %d event rows of %d users over %d days", dst, counts["rows_written"], world.users, world.days)


def _live(world: WorldConfig, catalogue: Catalogue, audience: Audience, writer: PartitionWriter,
          rng: np.random.Generator) -> tuple[Window, np.ndarray]:
    """Simulate and write day after day; returns the evaluation window and the engagements before it per pin."""
    recent_UR = np.full((world.users, RECENT), -1)
    tastes = first_tastes(world, catalogue, rng)
    engaged_I = np.zeros(world.items, np.int64)
    days: list[tuple] = []
    for day in counted(range(world.days), "simulate", "days"):
        in_window = day >= world.days - world.eval_days
        if in_window and not days:
            recent_at_start_UR = recent_UR
        today = Today(tastes, Stock.on_day(catalogue, day))
        views = open_views(world, audience, catalogue, today, recent_UR, rng)
        shown = show_pins(views, world, audience, catalogue, today, rng)
        events = day_events(views, shown, world, day)
        writer.write(events, np.full(events.num_rows, np.datetime64(world.first_day, "D") + day))
        if in_window:
            days.append((today, views, shown))
        else:
            engaged_I += np.bincount(shown.pin_X[shown.positive_X], minlength=world.items)
        recent_UR = remember(recent_UR, views, shown)
        tastes = next_tastes(tastes, world, catalogue, rng)
    pairs = [_engaged_pairs([(views, shown) for _, views, shown in days], f) for f in range(len(SURFACES))]
    return Window([today for today, *_ in days], recent_at_start_UR, pairs), engaged_I


def _engaged_pairs(days: list[tuple[Views, Shown]], surface: int) -> np.ndarray:
    """Distinct (user, pin) of clicked or saved impressions on a surface."""
    found = []
    for views, shown in days:
        x = np.flatnonzero(shown.positive_X & (views.surface_V[shown.view_X] == surface))
        found.append(np.stack([views.user_V[shown.view_X[x]], shown.pin_X[x]], axis=1))
    return np.unique(np.concatenate(found), axis=0)
