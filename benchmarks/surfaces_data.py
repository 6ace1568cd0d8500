"""What the surfaces benchmark runs on: an imported data folder or a synthetic world, aggregated once and kept."""

from __future__ import annotations

from pathlib import Path

from pinrec_core.cli.options import last_date
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.logs.synth import WORLDS, write_world
from pinrec_core.manifest import fingerprint_of

CONFIGS = Path(__file__).parents[1] / "pipelines" / "configs"


def prepared(data: str, world: str, config: Config, work: Path) -> Path:
    """The dataset of a data folder (events/ and catalog/) or of a world, below `work`; built if it is not there yet."""
    if bool(data) == bool(world):
        raise ConfigError("give either --data DIR (what `pinrec import` wrote) or --world NAME")
    folder = Path(data) if data else world_folder(world, work)
    date = last_date(str(folder / "events"))
    files = sorted(path for part in ("events", "catalog") for path in (folder / part).rglob("*.parquet"))
    known = [f"{path.relative_to(folder)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    dataset = work / f"dataset-{fingerprint_of(config.log, config.aggregate, date, *known)[:16]}"
    if not dataset.exists():
        aggregate_logs(str(folder / "events"), str(folder / "catalog"), str(dataset), log=config.log,
                       aggregate=config.aggregate, date=date)
    return dataset


def config_of(path: str, world: str) -> Path:
    """The configuration file: the given one, else the world's own, else KuaiRand's."""
    return Path(path) if path else CONFIGS / f"{world or 'kuairand'}.toml"


def world_folder(name: str, work: Path) -> Path:
    """The folder of a synthetic world below `work`, written if it is not there yet. Raises ConfigError."""
    if name not in WORLDS:
        raise ConfigError(f"--world {name!r}: there are {', '.join(WORLDS)}")
    folder = work / f"world-{name}-{fingerprint_of(WORLDS[name])[:16]}"
    if not folder.exists():
        write_world(folder, WORLDS[name])
    return folder
