"""A whole configuration file: all sections, and that they agree with each other."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from pinrec_core.config.data import AggregateConfig, ValidateConfig
from pinrec_core.config.evaluation import EvaluationConfig
from pinrec_core.config.gate import GateConfig
from pinrec_core.config.launch import LaunchConfig, Launcher
from pinrec_core.config.log import LogConfig
from pinrec_core.config.model import ModelConfig
from pinrec_core.config.notify import NotifyConfig
from pinrec_core.config.retrieval import GenerationConfig, IndexConfig
from pinrec_core.config.schedule import ScheduleConfig
from pinrec_core.config.section import Level, Section
from pinrec_core.config.serve import ServeConfig
from pinrec_core.config.target import DIGEST, LOCAL, SECRET_KEY, TargetConfig
from pinrec_core.config.training import FinetuneConfig, PretrainConfig
from pinrec_core.config.tune import TUNABLE, TuneConfig
from pinrec_core.errors import ConfigError, explain

FLOOR_METRICS = ("recall", "unordered_recall", "hit_rate")  # means over users: what a floor may name
SPREAD_METRICS = ("coverage", "distinct")  # of all lists together: what rule coverage may name


class Config(Section):
    """A whole configuration file."""

    name: str = Field(min_length=1)  # names the pipeline run and the work folder
    log: LogConfig
    aggregate: AggregateConfig = AggregateConfig()
    validate_: ValidateConfig = Field(default=ValidateConfig(), alias="validate")
    model: ModelConfig = ModelConfig()
    pretrain: PretrainConfig = PretrainConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    generation: GenerationConfig = GenerationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    gate: GateConfig
    index: IndexConfig = IndexConfig()
    launch: LaunchConfig = LaunchConfig()
    serve: ServeConfig = ServeConfig()
    notify: NotifyConfig = NotifyConfig()
    tune: TuneConfig | None = None  # None: nothing is declared, and `pinrec tune` refuses
    targets: dict[str, TargetConfig] = {}
    schedules: dict[str, ScheduleConfig] = {}

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read and check a TOML file. Raises ConfigError naming file, key and limit."""
        try:
            return cls.model_validate(tomllib.loads(Path(path).read_text("utf-8")))
        except FileNotFoundError as error:
            raise ConfigError(f"{path}: no such configuration file; see pipelines/configs for examples") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: not TOML: {error}") from error
        except ValidationError as error:
            raise ConfigError(f"{path}: {explain(cls, error)}") from error

    def tunable(self) -> dict[str, Any]:
        """Every setting that [tune.ranges] may name, by dotted name."""
        return dict(_leaves({name: getattr(self, name).model_dump(mode="json") for name in TUNABLE}))

    def target(self, name: str) -> TargetConfig:
        """The section [targets.NAME]. Raises ConfigError if there is none."""
        if name not in self.targets:
            raise ConfigError(f"no target {name!r}: targets of configuration {self.name!r} are {sorted(self.targets)}; "
                              f"write [targets.{name}]")
        return self.targets[name]

    @model_validator(mode="after")
    def _surfaces_agree(self) -> Self:
        surfaces = set(self.log.surfaces)
        for surface in self.log.surfaces:
            if all(floor.level is Level.WARN for floor in self.gate.floors.get(surface, {}).values()):
                raise ValueError(f"gate.floors.{surface}: surface {surface!r} has no floor of level error; without one "
                                 "nothing passes")
        for owner, named in (("gate.floors", self.gate.floors), ("gate.surfaces", self.gate.surfaces),
                             ("generation.budgets", self.generation.budgets),
                             ("finetune.experts", self.finetune.experts), ("index.allow", self.index.allow)):
            unknown = sorted(set(named) - surfaces)
            if unknown:
                raise ValueError(f"{owner}.{unknown[0]}: not a modelled surface; log.surfaces are {sorted(surfaces)}")
        return self

    @model_validator(mode="after")
    def _schedules_have_a_target(self) -> Self:
        if LOCAL in self.targets:
            raise ValueError(f"targets.{LOCAL}: that is this machine and needs no section; name the cluster otherwise")
        for name, schedule in self.schedules.items():
            if schedule.target not in self.targets:
                raise ValueError(f"schedules.{name}.target: no target {schedule.target!r}; targets are "
                                 f"{sorted(self.targets)}")
            cluster = self.targets[schedule.target].cron_time_zone
            if schedule.time_zone != cluster:
                raise ValueError(
                    f"schedules.{name}.time_zone is {schedule.time_zone!r}, targets.{schedule.target} reads cron in "
                    f"{cluster!r}: Kubeflow has one time zone for all schedules. Write the cron in it, or set "
                    "CRON_SCHEDULE_TIMEZONE of ml-pipeline-scheduledworkflow and cron_time_zone; see docs/schedules.md")
        return self

    @model_validator(mode="after")
    def _targets_have_what_the_steps_need(self) -> Self:
        """What the exit step and the launcher would miss in their pods."""
        job = self.launch.trainjob
        for name, target in self.targets.items():
            if self.notify.webhook and not target.notify_secret:
                raise ValueError(f"targets.{name}.notify_secret is empty, so that notify.webhook would get nothing; "
                                 f"name the Kubernetes secret with the key {SECRET_KEY}")
            if self.launch.launcher is not Launcher.TRAINJOB:
                continue
            if (target.claim, target.claim_folder) != (job.claim, job.volume):
                raise ValueError(f"targets.{name} mounts claim {target.claim!r} at {target.claim_folder}, "
                                 f"launch.trainjob {job.claim!r} at {job.volume}; step and TrainJob share one volume")
            if target.production and not DIGEST.match(job.image):
                raise ValueError(f"launch.trainjob.image {job.image!r} is no digest, but targets.{name} is of "
                                 "production; write name@sha256:...")
        return self

    @model_validator(mode="after")
    def _names_and_sizes_agree(self) -> Self:
        positive = set(self.log.positive_actions)
        for surface, shares in self.generation.budgets.items():
            unknown = sorted(set(shares) - positive)
            if unknown:
                raise ValueError(f"generation.budgets.{surface}.{unknown[0]}: not a positive action {sorted(positive)}")
        offsets = self.generation.offset_shares
        if offsets and len(offsets) != self.model.offset_buckets:
            raise ValueError(f"generation.offset_shares are {len(offsets)}, model.offsets_s give "
                             f"{self.model.offset_buckets} time offsets; give one share each")
        if max(self.evaluation.ks) > self.generation.candidates:
            raise ValueError(f"evaluation.ks reach {max(self.evaluation.ks)}, generation.candidates is only "
                             f"{self.generation.candidates}; raise it")
        return self

    @model_validator(mode="after")
    def _gate_can_be_passed(self) -> Self:
        """A metric that is never measured, or a rank above the width of the vectors, fails every run."""
        for surface in self.log.surfaces:
            rules = self.gate.rules_of(surface)
            self._check_metrics(f"gate.floors.{surface}", self.gate.floors[surface], FLOOR_METRICS)
            if rules.coverage:
                self._check_metrics("gate.rules.coverage.least", rules.coverage.least, SPREAD_METRICS)
            health = rules.embedding_health
            if health and health.min_effective_rank > self.model.item_dim:
                raise ValueError(f"gate.rules.embedding_health.min_effective_rank is {health.min_effective_rank:g}, "
                                 f"the vectors have model.item_dim {self.model.item_dim}; stay below it")
        return self

    def _check_metrics(self, owner: str, named: Iterable[str], measured: tuple[str, ...]) -> None:
        known = [f"{name}@{k}" for name in measured for k in self.evaluation.ks]
        unknown = sorted(set(named) - set(known))
        if unknown:
            raise ValueError(f"{owner}: unknown metric {unknown[0]!r}; known are {known}")

    @model_validator(mode="after")
    def _tuned_settings_exist(self) -> Self:
        if self.tune:
            self.tune.check(self.tunable(), self.log.surfaces)
        return self

    @model_validator(mode="after")
    def _training_suits_the_model(self) -> Self:
        """What training would refuse hours later."""
        known = {"transitions": self.model.transitions, "repeats": self.model.repeats,
                 "exposure": self.model.exposure_half_life_days}
        for surface, weights in self.finetune.experts.items():
            for name, weight in weights.model_dump(exclude_none=True).items():
                if not known[name]:
                    raise ValueError(f"finetune.experts.{surface}.{name} is {weight:g}, but [model] has no such "
                                     "expert; set model.transitions, model.repeats or model.exposure_half_life_days")
        for stage, train in (("pretrain", self.pretrain), ("finetune", self.finetune)):
            if train.action_loss and not self.model.action_mask:
                raise ValueError(f"{stage}.action_loss {train.action_loss:g} predicts masked actions, but "
                                 "model.action_mask is 0; raise action_mask or set action_loss to 0")
        return self


def _leaves(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of dotted name and value."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}", inner
