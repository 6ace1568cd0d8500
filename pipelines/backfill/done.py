"""What earlier backfills have done: `<work>/dates/<date>-<inputs>.json` holds the result of a date by its inputs.

A date is not run again while its input files, the code, its configuration and, unless it was to promote, what is live
are the same, and what could go live of it is still there.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pinrec_core import storage
from pinrec_core.errors import ConfigError
from pinrec_core.registry import read_aliases, release_path
from pinrec_core.release.stored import release_manifest
from pipelines.backfill.plan import Planned
from pipelines.backfill.result import DateResult, DateStatus


def earlier_result(work: Path, planned: Planned) -> DateResult | None:
    """What an earlier backfill has made of the same inputs, None if that is not there, not whole, or gone."""
    data = storage.read_versioned(str(_path(work, planned))).data
    try:
        found = DateResult.model_validate_json(data) if data else None
    except ValidationError:  # of another version of pinrec
        return None
    if not found or (found.status is DateStatus.READY and _missing(planned.arguments["registry"], found)):
        return None
    return found.model_copy(update={"again": True})


def keep_result(work: Path, planned: Planned, result: DateResult) -> None:
    """Keep what came of a date, if it is complete."""
    if result.status.complete:
        storage.write_bytes(str(_path(work, planned)), result.model_dump_json(indent=1).encode())


def refuse_to_go_back(planned: list[Planned]) -> None:
    """Raises ConfigError if what is live is of a later date than the first that is still to be promoted."""
    if not planned:
        return
    first, registry = planned[0].date, planned[0].arguments["registry"]
    for surface, alias in read_aliases(registry)[0].surfaces.items():
        live = release_manifest(registry, alias.live).facts["date"] if alias.live else ""
        if live > first:
            raise ConfigError(f"{surface}: the live release is of {live}, promoting {first} would go back behind it; "
                              "begin with the day after, or leave out --promote")


def _path(work: Path, planned: Planned) -> Path:
    return work / "dates" / f"{planned.date}-{planned.inputs[:16]}.json"


def _missing(registry: str, result: DateResult) -> bool:
    return not all(storage.exists(storage.join(release_path(registry, release_id), storage.MANIFEST_NAME))
                   for release_id in result.releases)
