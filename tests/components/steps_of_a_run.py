"""One run of the tiny world for one surface, step by step through the components, with its large data in a bucket."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from kfp import dsl
from object_storage import Wire

from pinrec_core.config import Config, LaunchConfig
from pinrec_core.logs.synth import WORLDS, write_world
from pinrec_core.store import manifest_of, size_of

ROOT = Path(__file__).parents[2]
TRAINING = {"epochs": 1, "batch_size": 64, "random_negatives": 64, "in_batch_negatives": 64, "sketch_width": 512,
            "validation_users": 20}
GATE = {"min_users": 1, "floors": {"home": {"recall@50": 0.0}}}


def call(name: str, **arguments: Any) -> Any:
    """A component's own function, as KFP calls it."""
    return getattr(importlib.import_module(f"components.{name}"), name).python_func(**arguments)


class Steps:
    """A run, what its steps left as artifacts, and how many bytes each moved."""

    def __init__(self, folder: Path, bucket: str, wire: Wire):
        self.folder, self.bucket, self.wire = folder, bucket, wire
        self.registry = str(folder / "registry")
        self.artifacts: dict[str, dsl.Artifact] = {}
        self.moved: dict[str, tuple[int, int]] = {}  # bytes received and sent
        config = Config.load(ROOT / "pipelines/configs/tiny.toml")
        self.sections = {name: section.model_dump_json() for name, section in {
            "log": config.log, "aggregate": config.aggregate, "validate": config.validate_, "model": config.model,
            "pretrain": config.pretrain.model_copy(update=TRAINING), "launch": LaunchConfig(), "index": config.index,
            "finetune": config.finetune.model_copy(update=TRAINING), "generation": config.generation,
            "evaluation_config": config.evaluation,
            "gate": type(config.gate).model_validate(config.gate.model_dump() | GATE)}.items()}

    def run(self, step: str, *sections: str, **arguments: Any) -> Any:
        """Run a step with sections of the configuration; names of artifacts stand for artifacts."""
        self.wire.reset()
        given = {name: self.artifacts.get(value, value) if isinstance(value, str) else value
                 for name, value in arguments.items()}
        returned = call(step, **{name: self.sections[name] for name in sections}, **given)
        self.moved[step] = (self.wire.received, self.wire.sent)
        return returned

    def new(self, kind: type[dsl.Artifact], name: str) -> dsl.Artifact:
        """An artifact that a step is to write."""
        self.artifacts[name] = kind(uri=str(self.folder / name))
        return self.artifacts[name]

    def size(self, name: str) -> int:
        """Bytes of what an artifact's reference points to."""
        return size_of(manifest_of(self.artifacts[name].path, "dataset" if name == "dataset" else "model"))


def to_the_model(made: Steps) -> None:
    """From the event log to the surface's candidate."""
    write_world(made.folder / "data", WORLDS["tiny"])
    events, here = made.folder / "data/events", {"registry": made.registry, "run_id": "run-1"}
    date = max(path.name for path in events.iterdir()).removeprefix("date=")
    made.run("aggregate_logs", "log", "aggregate", events=str(events), catalog=str(made.folder / "data/catalog"),
             date=date, store=made.bucket, registry=made.registry, dataset=made.new(dsl.Dataset, "dataset"),
             metrics=made.new(dsl.Metrics, "counts"))
    made.run("validate_data", "validate", dataset="dataset", validation=made.new(dsl.Artifact, "validation"),
             summary=made.new(dsl.Markdown, "checks"), **here)
    made.run("pretrain", "model", "pretrain", "launch", dataset="dataset", store=made.bucket, registry=made.registry,
             base=made.new(dsl.Model, "base"), curve=made.new(dsl.Artifact, "curve"),
             metrics=made.new(dsl.Metrics, "pretrained"))
    made.run("finetune", "finetune", "launch", dataset="dataset", base="base", surface="home", store=made.bucket,
             registry=made.registry, model=made.new(dsl.Model, "model"), metrics=made.new(dsl.Metrics, "finetuned"))


def to_the_release(made: Steps) -> None:
    """From the candidate to the live release and the report."""
    here = {"registry": made.registry, "run_id": "run-1"}
    live, allow = made.run("resolve_live", "generation", "index", model="model", surface="home", **here)
    made.run("evaluate", "generation", "index", "evaluation_config", dataset="dataset", model="model", surface="home",
             registry=made.registry, live=live, allow=allow, evaluation=made.new(dsl.Artifact, "evaluation"),
             metrics=made.new(dsl.Metrics, "measured"))
    made.run("gate", "gate", evaluations=[made.artifacts["evaluation"]], validation="validation", curve="curve",
             verdict=made.new(dsl.Artifact, "verdict"), summary=made.new(dsl.Markdown, "judged"), **here)
    built = made.run("build_index", "generation", "index", dataset="dataset", verdict="verdict", surface="home",
                     release=made.new(dsl.Artifact, "release"), **here)
    made.run("verify_release", "index", dataset="dataset", release_id=built, surface="home",
             metrics=made.new(dsl.Metrics, "verified"), **here)
    made.run("promote", verdict="verdict", release_ids=[built], go_live=True,
             summary=made.new(dsl.Markdown, "promoted"), **here)
    made.run("notify", notify="{}", page=made.new(dsl.HTML, "page"), **here)
