"""What a dataset is made of, counted in the same pass: per task while reading, per shard while building, then summed.

A report is a small JSON document of one task or shard; `statistics.json` is their sum with names instead of codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinrec_core.config import LogConfig
from pinrec_core.logs.aggregation.clean import OPTIONAL_COLUMNS, REASONS
from pinrec_core.logs.aggregation.profile import ItemDays
from pinrec_core.logs.aggregation.shard import Shard, ShardTables
from pinrec_core.logs.aggregation.window import Window
from pinrec_core.schemas import SPLITS

EXAMPLES = 5  # quarantined rows per reason, and uncatalogued items, shown in statistics.json
Report = dict[str, Any]


def shard_report(shard: Shard, tables: ShardTables, log: LogConfig, window: Window) -> Report:
    """Counts of one shard. `events` is day x surface x action of the rows kept; users of shards are disjoint."""
    rows, exposures, views = tables.rows, tables.exposures, tables.view_list
    engaged = tables.engaged_E
    train_E = engaged & (exposures.time_E < window.train_end_ms)
    shape = (len(window.dates), len(log.surface_names), len(log.action_names) + 1)
    cube = np.ravel_multi_index((rows.day_N, rows.surface_N, rows.action_N), shape)
    return {
        "rows_loaded": len(shard.rows), "rows_duplicate": tables.duplicates, "rows_kept": int(exposures.events_E.sum()),
        "users": len(shard.users), "users_by_split": np.bincount(shard.split_U, minlength=len(SPLITS)).tolist(),
        "users_engaged": len(np.unique(exposures.user_E[engaged])),
        "exposures": len(exposures.view_E), "engagements": int(engaged.sum()), "views": len(views.user_V),
        "views_by_surface": np.bincount(views.surface_V, minlength=shape[1]).tolist(),
        "engagements_in_training": np.bincount(exposures.surface_E[train_E], minlength=shape[1]).tolist(),
        "positives_in_training": _positives(exposures.surface_E[train_E], exposures.actions_E[train_E], log),
        "events": np.bincount(cube, minlength=int(np.prod(shape))).reshape(shape).tolist(),
        "rows_context_unknown": int((rows.context_N >= shard.context_items).sum()),
        "rows_item_type_differs": shard.retyped_rows,
        "first_ms": int(rows.time_N.min()), "last_ms": int(rows.time_N.max()),
    }


def item_counts(shard: Shard, tables: ShardTables, items: ItemDays, window: Window) -> dict[str, np.ndarray]:
    """Columns of a table of the items seen in a shard: index, engagements, those of train users before the evaluation
    window, first day, rows on that day."""
    exposures = tables.exposures
    engaged_E = tables.engaged_E
    train_E = (engaged_E & (exposures.time_E < window.train_end_ms)
               & (shard.split_U[exposures.user_E] == SPLITS.index("train")))
    engaged_I, train_I = (np.bincount(exposures.item_E[mask], minlength=int(items.item_S.max(initial=-1)) + 1)
                          for mask in (engaged_E, train_E))
    return {"item": items.item_S, "engagements": engaged_I[items.item_S], "train_count": train_I[items.item_S],
            "first_day": items.first_S, "first_day_rows": items.first_rows_S}


def summarise(log: LogConfig, window: Window, tasks: list[Report], shards: list[Report]) -> dict[str, Any]:
    """Sum the reports and name their codes. What the driver alone knows is added by aggregate."""
    surfaces = list(log.surface_names)
    actions = [*log.action_names, log.impression_action]
    shape = (len(window.dates), len(surfaces), len(actions))
    events = _summed(shards, "events", shape)
    types = _summed([shard["profile"] for shard in shards], "types", (*shape[:2], len(log.item_types)))
    positives = _summed(shards, "positives_in_training", (len(surfaces), len(log.positive_actions)))
    rows_read = total(tasks, "rows_read")
    return {
        "rows_by_date": _named(window.dates, events.sum((1, 2))),
        "rows_by_date_and_surface": {day: _named(surfaces, events[i].sum(1)) for i, day in enumerate(window.dates)},
        "rows_by_date_surface_and_action": _by_day(window, surfaces, actions, events),
        "rows_by_date_surface_and_item_type": _by_day(window, surfaces, log.item_types, types),
        "rows_by_surface": _named(surfaces, events.sum((0, 2))),
        "rows_by_action": _named(actions, events.sum((0, 1))),
        "rows_by_surface_and_action": {name: _named(actions, events[:, i].sum(0)) for i, name in enumerate(surfaces)},
        "views_by_surface": _named(surfaces, _summed(shards, "views_by_surface", shape[1])),
        "engagements_in_training_by_surface": _named(surfaces, _summed(shards, "engagements_in_training", shape[1])),
        "positives_in_training_by_surface_and_action": {
            name: _named(log.positive_actions, positives[i]) for i, name in enumerate(surfaces)},
        "users_by_split": _named(SPLITS, _summed(shards, "users_by_split", len(SPLITS))),
        "users_engaged": total(shards, "users_engaged"), "exposures": total(shards, "exposures"),
        "null_share": {name: sum(report["nulls"][name] for report in tasks) / rows_read if rows_read else 1.0
                       for name in OPTIONAL_COLUMNS},
        "rows_out_of_order": total(tasks, "rows_out_of_order"),
        "rows_context_unknown": total(shards, "rows_context_unknown"),
        "rows_item_type_differs": total(shards, "rows_item_type_differs"),
        "quarantined_by_reason": {name: sum(report["quarantined"][name] for report in tasks) for name in REASONS},
        "first_event_ms": min((report["first_ms"] for report in shards), default=None),
        "last_event_ms": max((report["last_ms"] for report in shards), default=None),
    }


def total(reports: list[Report], key: str) -> int:
    """Sum of one count over reports."""
    return sum(report[key] for report in reports)


def _positives(surface_E: np.ndarray, actions_E: np.ndarray, log: LogConfig) -> list[list[int]]:
    """Surface x positive action: exposures with that action."""
    counts = [np.bincount(surface_E[(actions_E >> bit) & 1 == 1], minlength=len(log.surface_names))
              for bit in range(len(log.positive_actions))]
    return np.stack(counts, axis=1).tolist()


def _by_day(window: Window, surfaces: list[str], names: list[str] | tuple[str, ...],
            counts: np.ndarray) -> dict[str, dict[str, dict[str, int]]]:
    """Counts [day, surface, name] by their names."""
    return {day: {surface: _named(names, counts[i, j]) for j, surface in enumerate(surfaces)}
            for i, day in enumerate(window.dates)}


def _summed(reports: list[Report], key: str, shape: int | tuple[int, ...]) -> np.ndarray:
    """Elementwise sum of one nested list over reports."""
    return sum((np.array(report[key], np.int64) for report in reports), np.zeros(shape, np.int64))


def _named(names: list[str] | tuple[str, ...], counts: np.ndarray) -> dict[str, int]:
    return {name: int(count) for name, count in zip(names, counts, strict=True)}
