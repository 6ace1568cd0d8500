"""Finding the files of an event log, partition by partition, and splitting them into reading tasks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pinrec_core.errors import DataError
from pinrec_core.logs.aggregation.table_files import EVENT_KINDS, TableFile, data_names, inspect_file
from pinrec_core.logs.aggregation.window import Window
from pinrec_core.schemas import REQUIRED_EVENT_COLUMNS
from pinrec_core.storage import join, list_names

TASK_ROWS = 1 << 21  # rows of one reading task, about; a Parquet file is cut between row groups


@dataclass(frozen=True)
class ReadTask:
    """A stretch of one file that one worker reads."""

    number: int
    day: int  # position of the file's partition in Window.dates
    file: TableFile
    row_groups: tuple[int, ...]  # of a Parquet file; () = all of a JSON Lines file
    first_row: int  # number in the file of the stretch's first row
    rows: int  # as footer or line count have it, counted apart from reading
    part: int  # number of the task among those of its partition


def find_partitions(events: str, window: Window) -> list[tuple[int, TableFile]]:
    """(day, file) of every file of the window, looked at. Raises DataError for missing or unreadable partitions."""
    present = set(list_names(events))
    missing = [date for date in window.dates if f"date={date}" not in present]
    if missing:
        raise DataError(f"{events}: {len(missing)} of {len(window.dates)} partitions are missing: {', '.join(missing)}"
                        "; supply them, or change the date or aggregate.lookback_days")
    paths = {date: data_names(join(events, f"date={date}")) for date in window.dates}
    bare = [date for date, names in paths.items() if not names]
    if bare:
        raise DataError(f"{events}: no file in {len(bare)} partitions: {', '.join(bare)}; supply their files (a day "
                        "without events is a file with 0 rows)")
    return [(day, inspect_file(join(events, f"date={date}", name), f"date={date}/{name}", EVENT_KINDS,
                               REQUIRED_EVENT_COLUMNS))
            for day, date in enumerate(window.dates) for name in paths[date]]


def plan_reading(files: list[tuple[int, TableFile]]) -> list[ReadTask]:
    """Cut the files into tasks of about TASK_ROWS rows; files without rows need none."""
    tasks: list[ReadTask] = []
    parts: Counter[int] = Counter()

    def add(day: int, file: TableFile, groups: tuple[int, ...], first_row: int, rows: int) -> None:
        tasks.append(ReadTask(len(tasks), day, file, groups, first_row, rows, parts[day]))
        parts[day] += 1

    for day, file in files:
        if not file.is_parquet and file.rows:
            add(day, file, (), 0, file.rows)
        first_row, groups, rows = 0, [], 0
        for index, group_rows in enumerate(file.row_groups):
            groups.append(index)
            rows += group_rows
            if rows >= TASK_ROWS or (rows and index == len(file.row_groups) - 1):
                add(day, file, tuple(groups), first_row, rows)
                first_row, groups, rows = first_row + rows, [], 0
    return tasks
