"""What a run of a configuration would take, from what of its data is there already; for `pinrec config validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinrec_core.cli.options import last_date
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError

if TYPE_CHECKING:
    from pinrec_core.training.estimate import StageSize

_FORMULA = "at most positions an epoch x epochs / positions_per_s for each stage, without validation"


def outlook(config: Config, *, dataset: Path | None, events: str, catalog: str,
            positions_per_s: float | None) -> dict[str, Any]:
    """Sizes in bytes, steps and seconds as JSON values; without data those of an empty catalogue and no stages.

    Raises ConfigError for a dataset of another vocabulary or beside an event log, DataError for data that cannot be
    read.
    """
    if dataset and (events or catalog):
        raise ConfigError("--dataset has events and catalog in it; leave out --events and --catalog")
    from pinrec_core.training.estimate import size_of

    items, retrievable, content_dim, stages = 0, 0, 0, []
    if dataset:
        items, retrievable, content_dim, stages = _of_dataset(config, dataset)
    elif catalog:
        items, retrievable, content_dim = _of_catalog(config, catalog)
    if events:
        stages = [_of_events(config, events)]
    size = size_of(config.model, config.log, items, content_dim)
    times = {stage.stage: stage.seconds(positions_per_s) for stage in stages} if positions_per_s else {}
    return {"items": items, "content_dim": content_dim,
            "catalogue": str(dataset or catalog or "none given: --dataset or --catalog"),
            "model": size._asdict() | {"training": size.training}, "index": _index(config, retrievable),
            "stages": [stage._asdict() | {"steps": stage.steps} for stage in stages], "estimated": bool(events),
            "steps_told": _steps_told(dataset, events), "seconds": times, "time_told": _time_told(times)}


def _of_dataset(config: Config, path: Path) -> tuple[int, int, int, list[StageSize]]:
    from pinrec_core.data.dataset import Dataset
    from pinrec_core.model.features import content_dim
    from pinrec_core.training.estimate import stages_of

    data = Dataset.open(path, verify=False)
    if data.log != config.log:
        raise ConfigError(f"{path} was aggregated with another [log] than this configuration's; aggregate again")
    return data.n_items, int(data.retrievable_I.sum()), content_dim(data.items["content"]), stages_of(config, data)


def _of_catalog(config: Config, catalog: str) -> tuple[int, int, int]:
    from pinrec_core.logs.catalog import read_catalog

    found = read_catalog(catalog, config.log)
    codes = {config.log.item_types.index(name) for name in config.log.retrievable_types}
    return found.facts.items, sum(code in codes for code in found.items["item_type"].to_pylist()), \
        found.facts.content_dim


def _of_events(config: Config, events: str) -> StageSize:
    from pinrec_core.logs.outlook import positives_per_user
    from pinrec_core.training.estimate import StageSize

    aggregate, length = config.aggregate, config.model.max_length
    count_U = positives_per_user(events, last_date(events), config.log, aggregate)
    trained = 1 - aggregate.validation_user_share - aggregate.heldout_user_share
    rows = round(trained * int((-(-count_U // length)).sum()))
    positions = round(trained * int(count_U.sum()))
    return StageSize("pretrain", rows, positions, positions, -(-rows // config.pretrain.batch_size),
                     config.pretrain.epochs)


def _index(config: Config, n_items: int) -> dict[str, Any] | None:
    if not n_items:
        return None
    from pinrec_core.retrieval.kinds import estimate, kind_of

    model = config.model
    columns = int(model.item_bias or model.exposure_half_life_days > 0)
    columns += len(config.log.positive_actions) if model.action_bias else 0
    size = estimate(n_items, model.item_dim + columns, config.index)
    return {"kind": kind_of(n_items, config.index).value, "bytes": size.index, "building_bytes": size.building}


def _steps_told(dataset: Path | None, events: str) -> str:
    if dataset:
        return "exact, of the rows that training takes; patience may end a stage earlier"
    if events:
        return ("estimated: an engagement with several actions counts once for each; those of finetune need the feed "
                "views, which --dataset has")
    return "not known without data; pass --dataset, or --events"


def _time_told(times: dict[str, float]) -> str:
    if not times:
        return (f"{_FORMULA}; pass --positions-per-s with data (progress/progress.jsonl of an earlier model has it)")
    return ", ".join(f"{stage} {seconds:,.0f} s" for stage, seconds in times.items()) + f": {_FORMULA}"
