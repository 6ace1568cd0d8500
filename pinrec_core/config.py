"""Every setting of pinrec: one frozen section per owner, read from TOML, unknown keys refused.

A section crosses a component boundary as one JSON string (`section.model_dump_json()`), so that a changed gate
threshold does not invalidate the training cache. Load a whole file with `Config.load("pipelines/configs/demo.toml")`.
"""

from __future__ import annotations

import difflib
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pinrec_core.errors import ConfigError, explain

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
MAX_ACTIONS = 31  # actions are bits of an int32


class Section(BaseModel):
    """Base of all sections: immutable, strict about unknown keys, comparable by value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a section from the JSON string a component received. Raises ConfigError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(explain(cls, error)) from error


class LogConfig(Section):
    """The vocabulary of the event log: which surfaces and actions exist and what they mean."""

    surfaces: tuple[str, ...] = Field(min_length=1)  # surfaces that get a model, an index and a release of their own
    pooled_surface: str = ""  # name under which all other surfaces are kept as history; "" = quarantine their rows
    impression_action: str = "impression"  # the action that says "was shown"
    positive_actions: tuple[str, ...] = Field(min_length=1)  # outcomes that enter histories and are retrieved for
    negative_actions: tuple[str, ...] = ()  # outcomes that are recorded as labels but never become history or target
    item_types: tuple[str, ...] = ("pin",)  # every item type that may occur
    retrievable_types: tuple[str, ...] = ("pin",)  # item types that are indexed, retrieved and counted as targets

    @property
    def surface_names(self) -> tuple[str, ...]:
        """All surfaces by code: the modelled ones, then the pooled one if any."""
        return self.surfaces + ((self.pooled_surface,) if self.pooled_surface else ())

    @property
    def action_names(self) -> tuple[str, ...]:
        """All actions by bit number: positive ones first, then negative ones. Impressions are no bit."""
        return self.positive_actions + self.negative_actions

    @property
    def positive_mask(self) -> int:
        """Bit mask of the positive actions."""
        return (1 << len(self.positive_actions)) - 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for kind, names in (("surface", self.surface_names), ("item type", self.item_types),
                            ("action", (*self.action_names, self.impression_action))):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{kind} {repeated[0]!r} is named more than once; keep one")
        if len(self.action_names) > MAX_ACTIONS:
            raise ValueError(f"{len(self.action_names)} actions, at most {MAX_ACTIONS} fit; pool rare ones")
        for name in self.retrievable_types:
            if name not in self.item_types:
                raise ValueError(f"retrievable type {name!r} is not among item_types {list(self.item_types)}")
        return self


class AggregateConfig(Section):
    """How event partitions become a training dataset (aggregate_logs)."""

    lookback_days: Positive = 30  # days of events read, the run's date included; a missing partition stops the run
    eval_days: Positive = 2  # the last days of the window: evaluated on, never trained on
    timezone: str = "UTC"  # IANA zone in which partition dates are days
    view_gap_s: Positive = 600  # without request_id: a pause this long (seconds) on a surface starts a new feed view
    validation_user_share: Share = 0.05  # users kept from training to choose checkpoints on
    heldout_user_share: Share = 0.05  # users never seen in training or validation, evaluated as new users
    shards: int = Field(default=0, ge=0)  # user shards that readers fill; 0 = by the rows of the log, at most 256
    shard_rows: Positive = 600_000  # rows of a shard in memory; a larger one is cut again, by user
    max_user_events: int = Field(default=100_000, ge=0)  # rows of one user that are kept, the newest; 0 = all
    runner: str = "FnApiRunner"  # Beam runner by name; the local default is exact, see docs/aggregation.md
    runner_options: tuple[str, ...] = ("--direct_running_mode=in_memory", "--direct_num_workers=1")
    work_uri: str = ""  # folder that driver and workers all reach, for spilled rows and parts; "" = beside the output
    max_late_days: int = Field(default=1, ge=0, le=1000)  # an event may sit this many days off its partition's date
    keep_state: bool = True  # keep the cleaned partitions in the dataset's state/, for the next day's --previous
    seed: int = 0  # of the user split

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.eval_days >= self.lookback_days:
            raise ValueError(f"eval_days {self.eval_days} leaves nothing of lookback_days {self.lookback_days} to "
                             "train on; raise lookback_days")
        if self.validation_user_share + self.heldout_user_share >= 1:
            raise ValueError("validation_user_share + heldout_user_share must stay below 1; nobody is left to train on")
        return self


class ValidateConfig(Section):
    """Limits that stop a run before training, or are only told if named in `warn` (validate_data)."""

    warn: tuple[str, ...] = ("max_surface_drift", "max_action_drift", "max_item_type_drift", "max_top_item_drift",
                             "min_weekday_ratio", "max_weekday_ratio")  # rules that warn; all others stop the run
    min_events: Positive = 1000  # kept event rows
    min_users: Positive = 100  # users with at least one positive engagement
    min_items: Positive = 100  # items engaged with at least once
    max_quarantined_share: Share = 0.01  # quarantined rows / rows in
    max_duplicate_share: Share = 0.2  # duplicate rows / rows in
    max_uncatalogued_share: Share = 0.2  # engaged items the catalog does not know / engaged items
    max_unordered_share: Share = 1.0  # rows whose time is before that of the row above them / rows in; 1 = any
    max_null_share: dict[Literal["request_id", "position", "context_item_id"], Share] = {}  # rows without / rows in
    max_new_item_share: Share = 1.0  # of the last day: rows on items the window has not seen before / rows; 1 = any
    max_top_item_share: Share = 1.0  # of the last day: rows on its most frequent item / rows; 1 = any
    min_day_ratio: Share = 0.7  # rows of a day / median over the days of the window, modelled surfaces only
    day_ratio_days: Positive = 14  # how many of the last days the day-ratio rule looks at
    min_surface_positives: Positive = 50  # positive engagements per modelled surface in the training window
    drift_weeks: Positive = 4  # the last day is compared with the same weekday of up to this many weeks before it
    max_surface_drift: Share = 0.2  # Jensen-Shannon distance of rows by surface, modelled surfaces only
    max_action_drift: Share = 0.2  # the same of rows by action
    max_item_type_drift: Share = 0.2  # the same of rows by item type
    max_top_item_drift: Share = 0.5  # the same of rows by most frequent item, all other items as one
    min_weekday_ratio: float = Field(default=0.5, ge=0)  # rows of the last day / mean of the same weekday before
    max_weekday_ratio: float = Field(default=2.0, gt=0)  # the same, from above

    @classmethod
    def rules(cls) -> tuple[str, ...]:
        """Names of the rules, which are the fields with a limit."""
        return tuple(name for name in cls.model_fields if name.startswith(("min_", "max_")))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.warn:
            if name not in self.rules():
                near = difflib.get_close_matches(name, self.rules(), n=1)
                raise ValueError(f"warn names no rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else
                                                                  f"; rules are {', '.join(self.rules())}"))
        return self


class Conditioning(StrEnum):
    """Where the wanted outcome (action and surface) enters the model."""

    NONE = "none"
    OUTCOME = "outcome"  # at the head, beside the hidden state
    BACKBONE = "backbone"  # at the head and in the last block, whose layer norms it sets; that block runs per query


class AttentionBias(StrEnum):
    """What attention knows of the distance between two tokens, beside their position embeddings."""

    NONE = "none"
    POSITION = "position"  # a learned logit per head and bucket of the distance in positions
    POSITION_TIME = "position_time"  # and one per bucket of the gap in time


class ModelConfig(Section):
    """The PinRec model. One dial for size, `width`; the rest follows unless set."""

    width: Positive = 64  # hidden width of the backbone
    layers: Positive = 2  # transformer blocks
    heads: Positive = 2  # attention heads; must divide width
    item_dim: Positive = 64  # dimension of item vectors and queries
    max_length: Positive = 64  # most recent tokens the model sees
    dropout: Share = 0.1  # on attention and residuals
    embedding_dropout: Share | None = None  # on token inputs; left out = the same as dropout
    absolute_time: bool = True  # tokens know their time of the day, week, season and year
    relative_time: bool = True  # tokens know the gap to the token before them
    attention_bias: AttentionBias = AttentionBias.NONE
    use_content: bool = True  # frozen content vectors and attribute bags feed the item encoder
    use_ids: bool = True  # multi-hash id tables feed the item encoder
    id_hashes: Positive = 2  # hash functions, one table each
    id_buckets: Positive = 16384  # rows per id table
    id_dim: Positive = 64  # total width of the concatenated id embedding; divisible by id_hashes
    id_dropout: Share = 0.05  # probability that an item trains without its id, so that content alone can place it
    attribute_buckets: Positive = 4096  # rows of the hashed attribute table
    attribute_dim: Positive = 32  # width of the mean attribute embedding
    action_mask: Share = 0.2  # probability that a past token's action is hidden while training
    conditioning: Conditioning = Conditioning.OUTCOME
    offsets_s: tuple[float, ...] = ()  # upper bounds (seconds) of time-offset buckets, one more bucket is open-ended;
    #                                    bucket 0 is "now"; () = no offsets, queries ask for the plain next item
    transitions: bool = False  # counted item-to-item transitions join the score, weighted by what validation finds best
    transition_half_life_days: float = Field(default=0.0, ge=0)  # a transition this old counts half; 0 = all the same
    item_bias: bool = False  # a learned offset per surface and item in the score: what is popular there whoever asks
    initial_temperature: float = Field(default=0.07, gt=0)  # tau; logits = cosine / tau, tau is learned
    min_temperature: float = Field(default=0.01, gt=0)  # lower clamp of tau

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} does not divide width {self.width}")
        if self.id_dim % self.id_hashes:
            raise ValueError(f"id_hashes {self.id_hashes} does not divide id_dim {self.id_dim}")
        if not (self.use_content or self.use_ids):
            raise ValueError("use_content and use_ids are both false; an item would have no features")
        if self.conditioning is Conditioning.BACKBONE and self.layers < 2:
            raise ValueError(f"conditioning 'backbone' makes the last block a conditioned one and needs layers >= 2, "
                             f"not {self.layers}; add a layer or use conditioning 'outcome'")
        if any(bound <= 0 for bound in self.offsets_s) or list(self.offsets_s) != sorted(set(self.offsets_s)):
            raise ValueError(f"offsets_s {list(self.offsets_s)} must be bounds above 0 in ascending order")
        return self

    @property
    def offset_buckets(self) -> int:
        """Time offsets a query can be asked for: 1 when the model knows none."""
        return len(self.offsets_s) + 1


class TrainConfig(Section):
    """What pretraining and fine-tuning share: batches, optimiser, negatives, stopping."""

    epochs: Positive = 10  # passes over the training users (pretrain) or views (finetune), at most
    batch_size: Positive = 128  # users (pretrain) or views (finetune) per step
    learning_rate: float = Field(default=1e-3, gt=0)  # peak, AdamW
    weight_decay: float = Field(default=0.01, ge=0)  # on matrices only
    warmup_share: Share = 0.05  # of all steps, linear; cosine to zero after
    grad_clip: float = Field(default=1.0, gt=0)  # gradient norm
    random_negatives: int = Field(default=1024, ge=0)  # uniform items per step; as many as there are = all, full
    # softmax; 0 = none: items that are never targets are then never negatives, and nothing lowers their scores
    cold_negatives: bool = True  # random negatives include items no train user engaged with; false may favour them
    in_batch_negatives: int = Field(default=1024, ge=0)  # at most this many distinct targets of the batch; 0 = none
    correct_positive: bool = False  # also subtract log q from the positive's logit (classic) or leave it (2507.09331)
    sketch_width: Positive = 65536  # count-min sketch columns; several times the catalogue
    sketch_depth: Positive = 2  # count-min sketch rows
    feed_relaxation: bool = False  # order in a feed view means nothing: of its targets only the least loss counts
    recency_half_life_days: float = Field(default=0.0, ge=0)  # a target this old weighs half; 0 = all weigh the same
    action_loss: float = Field(default=0.0, ge=0)  # weight of predicting past actions that action_mask hid; 0 = off
    patience: Positive = 3  # validations without improvement before stopping
    validation_users: Positive = 1000  # at most this many users are validated on
    min_validation_requests: Positive = 1  # fewer choose nothing: all surfaces' do for a fine-tuned model, if enough
    max_bad_steps: int = Field(default=10, ge=0)  # steps with a non-finite loss or gradient before the run ends
    seed: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.random_negatives or self.in_batch_negatives):
            raise ValueError("random_negatives and in_batch_negatives are both 0; a softmax needs one of them above 0")
        return self


class PretrainConfig(TrainConfig):
    """Next-engagement training on all surfaces (pretrain)."""

    future_targets: Positive = 1  # next engagements each position predicts; without offsets_s an unordered window


class FinetuneConfig(TrainConfig):
    """Per-surface training on feed views (finetune)."""

    epochs: Positive = 4
    learning_rate: float = Field(default=3e-4, gt=0)
    other_surfaces: Share = 0.0  # weight of targets on the other modelled surfaces; 0 = they take no part
    popularity_half_life_days: float = Field(default=0.0, ge=0)  # the bias starts from log popularity; 0 = as it was
    popularity_prior: float = Field(default=1.0, gt=0)  # what every item has of it from the start; 1 = the mean item's
    impression_negatives: bool = True  # items of the view shown and not acted on are negatives of its targets
    keep_actionless_views: Share = 0.1  # share of views without a positive action that is kept; they hold no target


class GenerationConfig(Section):
    """How query vectors are generated and candidates split among them."""

    steps: Positive = 3  # autoregressive steps; each gives one vector per outcome
    candidates: Positive = 100  # length of the merged list
    merge_cosine: float = Field(default=0.9, gt=0, le=1)  # a vector closer than this to an earlier one joins it
    step_decay: float = Field(default=0.5, gt=0, le=1)  # budget of step s is proportional to step_decay ** s
    offset_shares: tuple[Share, ...] = ()  # of an outcome's budget, per bucket of model.offsets_s; () = alike
    overfetch: float = Field(default=2.0, ge=1)  # neighbours asked for per candidate wanted, before de-duplication
    budgets: dict[str, dict[str, Share]] = {}  # surface -> action -> share; a surface left out takes training shares
    seed: int = 0

    @field_validator("budgets")
    @classmethod
    def _sum_to_one(cls, budgets: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for surface, shares in budgets.items():
            if abs(sum(shares.values()) - 1) > 1e-6:
                raise ValueError(f"budgets of {surface!r} sum to {sum(shares.values()):.4f}, they must sum to 1")
        return budgets

    @field_validator("offset_shares")
    @classmethod
    def _offsets_sum_to_one(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if shares and abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"offset_shares sum to {sum(shares):.4f}, they must sum to 1")
        return shares


class EvaluationConfig(Section):
    """What evaluate measures."""

    ks: tuple[Positive, ...] = (10, 50, 100)  # cut-offs of recall, hit rate and unordered recall
    max_users: int = Field(default=0, ge=0)  # at most this many users per surface, seeded sample; 0 = all
    recent_days: Positive = 2  # half-life of an engagement in the recent own-surface popularity baseline
    cooccurrence_half_life_days: float = Field(default=0.0, ge=0)  # the same of the co-occurrence baselines; 0 = none
    bootstrap_samples: Positive = 1000  # resamples of users behind each interval
    confidence: float = Field(default=0.95, gt=0, lt=1)  # level of the intervals
    seed: int = 0


class Policy(StrEnum):
    """When aliases move."""

    ALL = "all"  # none moves unless every surface passes
    EACH = "each"  # each surface that passes moves


class GateConfig(Section):
    """Rules a candidate must pass. Floors are required for every modelled surface: no threshold, no blessing."""

    floors: dict[str, dict[str, float]]  # surface -> metric (as in evaluation.json, e.g. "recall@50") -> least value
    min_users: Positive = 50  # a metric over fewer users decides nothing: the surface fails closed
    max_drop: Share = 0.02  # largest relative drop against the live release, judged on the paired interval
    policy: Policy = Policy.ALL
    fail_on_reject: bool = True  # the reject step fails, so that a rejected run is visible as such


class IndexKind(StrEnum):
    """How item vectors are searched."""

    AUTO = "auto"  # exact below `exact_below` items, IVF beyond
    FLAT = "flat"
    IVF = "ivf"  # IVF with an HNSW coarse quantizer and fp16 vectors


class IndexConfig(Section):
    """The ANN index and what verify_release demands of it."""

    kind: IndexKind = IndexKind.AUTO
    exact_below: int = Field(default=50_000, ge=0)  # items
    nlist: int = Field(default=0, ge=0)  # IVF cells; 0 = 4 * sqrt(items)
    nprobe: Positive = 32  # cells visited per query
    min_ann_recall: Share = 0.95  # recall@100 against exact search on generated queries
    verify_users: Positive = 500  # users replayed by verify_release
    recall_tolerance: Share = 0.02  # largest difference from the evaluation's recall on the same users


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

    @model_validator(mode="after")
    def _surfaces_agree(self) -> Self:
        surfaces = set(self.log.surfaces)
        for surface in self.log.surfaces:
            if not self.gate.floors.get(surface):
                raise ValueError(f"gate.floors.{surface}: surface {surface!r} has no floor; without one nothing passes")
        for owner, named in (("gate.floors", self.gate.floors), ("generation.budgets", self.generation.budgets)):
            unknown = sorted(set(named) - surfaces)
            if unknown:
                raise ValueError(f"{owner}.{unknown[0]}: not a modelled surface; log.surfaces are {sorted(surfaces)}")
        return self

    @model_validator(mode="after")
    def _names_and_sizes_agree(self) -> Self:
        positive = set(self.log.positive_actions)
        for surface, shares in self.generation.budgets.items():
            unknown = sorted(set(shares) - positive)
            if unknown:
                raise ValueError(f"generation.budgets.{surface}.{unknown[0]}: not a positive action {sorted(positive)}")
        for surface, floors in self.gate.floors.items():
            unknown = sorted(set(floors) - set(self.gate_metrics))
            if unknown:
                raise ValueError(f"gate.floors.{surface}: unknown metric {unknown[0]!r}; known are {self.gate_metrics}")
        offsets = self.generation.offset_shares
        if offsets and len(offsets) != self.model.offset_buckets:
            raise ValueError(f"generation.offset_shares are {len(offsets)}, model.offsets_s give "
                             f"{self.model.offset_buckets} time offsets; give one share each")
        if max(self.evaluation.ks) > self.generation.candidates:
            raise ValueError(f"evaluation.ks reach {max(self.evaluation.ks)}, generation.candidates is only "
                             f"{self.generation.candidates}; raise it")
        return self

    @property
    def gate_metrics(self) -> list[str]:
        """Metrics a floor may name."""
        return [f"{name}@{k}" for name in ("recall", "unordered_recall", "hit_rate") for k in self.evaluation.ks]
