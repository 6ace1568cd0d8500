"""Where a run on this machine finds its input and leaves what it makes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pinrec_core import storage
from pinrec_core.config import Config
from pinrec_core.errors import DataError


class Places(NamedTuple):
    """Folders, absolute; all but the work folder may be gs:// URIs."""

    work: Path
    events: str
    catalog: str
    registry: str
    store: str = ""  # for large data; "" = the outputs of tasks hold them

    @classmethod
    def of(cls, config: Config, work: Path | None, events: str, catalog: str, registry: str) -> Places:
        """What was said, or below the work folder, which is work/<name of the configuration> if nothing was said.

        Raises DataError if there are no events or no catalog.
        """
        work = (work or Path("work") / config.name).resolve()
        return cls(work, _there(events or f"{work}/data/events"), _there(catalog or f"{work}/data/catalog"),
                   absolute(registry or f"{work}/registry"))


def absolute(uri: str) -> str:
    """A path as an absolute one, a URI as it is."""
    return uri if storage.is_remote(uri) else str(Path(uri).resolve())


def _there(uri: str) -> str:
    if not storage.list_names(uri):
        raise DataError(f"{uri}: nothing there; write it with `pinrec import` or `pinrec synth`, or pass --events and "
                        "--catalog")
    return absolute(uri)
