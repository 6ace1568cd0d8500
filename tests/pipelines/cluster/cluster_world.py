"""A configuration whose target is a server on this machine, and folders that are its data."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

import tomli_w
from kfp_server import leave_outcome

from pinrec_core.config import Config

TINY = Path(__file__).parents[3] / "pipelines/configs/tiny.toml"
DAILY = {"target": "prod", "cron": "0 30 4 * * *", "time_zone": "UTC"}


class Outcome(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


class World:
    """A configuration file in a folder, and what its target holds."""

    def __init__(self, folder: Path, url: str):
        self.folder, self.file = folder, folder / "pinrec.toml"
        self.content = tomllib.loads(TINY.read_text("utf-8"))
        self.content["targets"] = {"prod": {
            "host": url, "image": "registry.example/pinrec:7", "claim": "pinrec", "claim_folder": str(folder),
            "events": f"{folder}/events", "catalog": f"{folder}/catalog", "registry": f"{folder}/registry"}}
        self.content["schedules"] = {}
        (folder / "registry").mkdir()
        for day in range(1, 10):
            (folder / f"events/date=2026-01-0{day}").mkdir(parents=True)
            (folder / f"events/date=2026-01-0{day}/part.parquet").write_text("rows")

    @property
    def registry(self) -> str:
        """The registry of the target."""
        return f"{self.folder}/registry"

    @property
    def config(self) -> Config:
        """The configuration as it is now."""
        self.file.write_text(tomli_w.dumps(self.content), "utf-8")
        return Config.load(self.file)

    def leave_outcome(self, run: dict, status: str, **more: object) -> None:
        """What the run's exit step leaves in the registry."""
        leave_outcome(self.registry, run, status, **more)
