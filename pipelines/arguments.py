"""A configuration file as arguments of the training pipeline: the same for a local run, a submission and a schedule."""

from __future__ import annotations

from typing import Any

from pinrec_core.config import Config


def pipeline_arguments(config: Config, *, events: str, catalog: str, registry: str, date: str,
                       previous: str = "", go_live: bool = True, store: str = "") -> dict[str, Any]:
    """One argument per pipeline parameter; sections as JSON, because KFP turns ints inside dicts into floats.

    launch is in KFP's cache key as any parameter is: it goes without what is default, to change as seldom as can be.
    notify does so to be the pipeline's own default where nothing is set.
    """
    sections = {"log": config.log, "aggregate": config.aggregate, "validate": config.validate_, "model": config.model,
                "pretrain": config.pretrain, "finetune": config.finetune, "generation": config.generation,
                "evaluation": config.evaluation, "gate": config.gate, "index": config.index}
    return {"events": events, "catalog": catalog, "registry": registry, "date": date, "previous": previous,
            "surfaces": list(config.log.surfaces), "launch": config.launch.canonical_json(),
            "notify": config.notify.canonical_json(), "go_live": go_live, "store": store} | {
                name: s.model_dump_json() for name, s in sections.items()}
