"""Which rows the surfaces benchmark has, and the settings that make each of them.

Fine-tuning starts from the outcome row's model, or, with `--base multi_token`, from that row's: a switch that does not
pay is not carried along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from pydantic import ValidationError

from pinrec_core.config import Conditioning, Config, FinetuneConfig, ModelConfig, PretrainConfig, Section
from pinrec_core.errors import ConfigError

OFFSETS_S = (60.0, 600.0, 86_400.0)  # of the multi-token row when the config names none: a minute, a feed, a day
FUTURE_TARGETS = 4  # of the multi-token row when the config predicts the next engagement only
AnySection = TypeVar("AnySection", bound=Section)


class Source(StrEnum):
    """Where a row's answers come from."""

    BASELINE = "baseline"  # untrained
    SASREC = "sasrec"
    PRETRAINED = "pretrained"
    FINETUNED = "finetuned"  # one model per surface


@dataclass(frozen=True)
class Row:
    """One line of the tables."""

    name: str
    source: Source
    says: str  # what it is, for the reader of the JSON
    model: ModelConfig | None = None
    pretrain: PretrainConfig | None = None
    finetune: FinetuneConfig | None = None
    one_vector: bool = False  # asked for the surface's most frequent action, once
    against: str = ""  # the row it is compared with; "" = the row before it

    @property
    def conditioned(self) -> bool:
        """Whether its vectors differ by outcome."""
        return self.model is not None and self.model.conditioning is not Conditioning.NONE


def all_rows(config: Config) -> list[Row]:
    """Every row in the order of the tables."""
    told = Conditioning.OUTCOME if config.model.conditioning is Conditioning.NONE else config.model.conditioning
    plain = _changed(config.model, conditioning=told, offsets_s=())
    bare = _changed(config.model, conditioning=Conditioning.NONE, offsets_s=())
    offsets = _changed(plain, offsets_s=config.model.offsets_s or OFFSETS_S)
    next_only = _changed(config.pretrain, future_targets=1)
    ahead = config.pretrain.future_targets if config.pretrain.future_targets > 1 else FUTURE_TARGETS
    several = _changed(config.pretrain, future_targets=ahead)
    views = config.finetune
    return [
        Row("popularity", Source.BASELINE, "most engaged with on all surfaces"),
        Row("recent_surface_popularity", Source.BASELINE, "most engaged with on the surface, old ones counting less"),
        Row("recent_surface_exposure", Source.BASELINE, "most shown on the surface, acted on or not, old ones less"),
        Row("cooccurrence", Source.BASELINE, "what follows the history's items, untrained"),
        Row("cooccurrence_x_recent", Source.BASELINE, "the same times recent popularity on the surface"),
        Row("sasrec_softmax", Source.SASREC, "SASRec with a softmax over the whole catalogue"),
        Row("one_vector", Source.PRETRAINED, "the outcome row's model, asked once for the most frequent action", plain,
            next_only, one_vector=True),
        Row("unconditioned", Source.PRETRAINED, "PinRec that is told nothing of the outcome", bare, next_only),
        Row("outcome", Source.PRETRAINED, "outcome conditioned PinRec, next engagement", plain, next_only),
        Row("multi_token", Source.PRETRAINED, "+ several time offsets per outcome", offsets, several),
        Row("finetuned", Source.FINETUNED, "+ fine-tuning on the surface's feed views", plain, next_only,
            _changed(views, impression_negatives=False)),
        Row("impression_negatives", Source.FINETUNED, "+ shown and ignored items as negatives", plain, next_only,
            _changed(views, impression_negatives=True))]


def chosen_rows(config: Config, names: list[str], variants: list[str], base: str = "outcome") -> list[Row]:
    """The named rows in table order ([] = all) and the variants; fine-tuned ones start from the row `base`.

    A variant reads NAME:section.key=value[,section.key=value] and is the outcome row with these settings of [model] or
    [pretrain]; it is compared with that row. Raises ConfigError for unknown names and settings.
    """
    rows = all_rows(config)
    unknown = [name for name in names if name not in {row.name for row in rows}]
    if unknown:
        raise ConfigError(f"--rows: there is no row {unknown[0]!r}; there are {', '.join(row.name for row in rows)}")
    start, kept = next(row for row in rows if row.name == base), []
    for row in rows:
        if names and row.name not in names:
            continue
        if row.source is Source.FINETUNED:
            row = replace(row, model=start.model, pretrain=start.pretrain)
            row = replace(row, against=base) if row.name == "finetuned" else row
        kept.append(row)
    outcome = next(row for row in rows if row.name == "outcome")
    return kept + [_variant(outcome, text) for text in variants]


def _variant(outcome: Row, text: str) -> Row:
    name, colon, settings = text.partition(":")
    changes: dict[str, dict[str, str]] = {"model": {}, "pretrain": {}}
    for setting in settings.split(","):
        section, dot, rest = setting.partition(".")
        key, equals, value = rest.partition("=")
        if not (colon and dot and equals and section in changes):
            raise ConfigError(f"--variant {text!r}: write NAME:model.key=value or NAME:pretrain.key=value")
        changes[section][key] = value
    return Row(name, Source.PRETRAINED, f"the outcome row with {settings}", _changed(outcome.model, **changes["model"]),
               _changed(outcome.pretrain, **changes["pretrain"]), against=outcome.name)


def _changed(section: AnySection, **settings: object) -> AnySection:
    """The section with other settings, checked like a file."""
    try:
        return type(section).model_validate(section.model_dump() | settings)
    except ValidationError as error:
        raise ConfigError(f"[{type(section).__name__}] {settings}: {error}") from error
