"""[pretrain] and [finetune]: how the model learns."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from pinrec_core.config.section import Incidental, Positive, Section, Share


class ValidationMetric(StrEnum):
    """What weights are chosen by, over the 50 likeliest items of each validation request."""

    RECALL = "recall"
    NDCG = "ndcg"  # places near the top count more


class Precision(StrEnum):
    """Type of the numbers in matrix products while training; weights, sums and the optimiser's state stay float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"  # half the time on a processor that multiplies it (AVX-512 BF16, AMX, a recent GPU)


class TrainConfig(Section):
    """What pretraining and fine-tuning share: batches, optimiser, negatives, stopping."""

    epochs: Positive = 10  # passes over the training users (pretrain) or views (finetune), at most
    batch_size: Positive = 128  # users (pretrain) or views (finetune) per step
    learning_rate: float = Field(default=1e-3, gt=0)  # peak, AdamW
    bias_rate: float = Field(default=1.0, gt=0)  # of score biases, as a multiple of learning_rate: fashion is fast
    weight_decay: float = Field(default=0.01, ge=0)  # on the matrices of linear layers only
    warmup_share: Share = 0.05  # of all steps, linear; cosine to zero after
    grad_clip: float = Field(default=1.0, gt=0)  # gradient norm
    precision: Precision = Precision.FLOAT32  # of matrix products; bfloat16 rounds each factor to 8 bits
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
    validation_metric: ValidationMetric = ValidationMetric.RECALL
    validation_users: Positive = 1000  # at most this many users are validated on
    # With fewer validation requests noise would choose. A fine-tuned model is then judged by those of all modelled
    # surfaces; where these are too few as well, the last weights are kept.
    min_validation_requests: Positive = 1
    max_bad_steps: int = Field(default=10, ge=0)  # steps with a non-finite loss or gradient before the run ends
    seed: int = 0  # of initial weights, order of batches, dropout and sampled negatives
    checkpoint_every_s: Annotated[float, Incidental] = Field(default=600.0, ge=0)  # seconds between two checkpoints, so
    # at most this much work is lost to a kill; 0 = one after every step
    keep_checkpoints: Annotated[Positive, Incidental] = 2  # newest ones that stay, should the last turn out damaged
    rank_timeout_s: Annotated[float, Incidental] = Field(default=600.0, gt=0)  # seconds that a process of a training
    # waits for the others before it gives up; must exceed the time in which a checkpoint or the model is written
    tensorboard: Annotated[bool, Incidental] = False  # event files beside progress.jsonl; needs pinrec[tensorboard]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.random_negatives or self.in_batch_negatives):
            raise ValueError("random_negatives and in_batch_negatives are both 0; a softmax needs one of them above 0")
        return self


class PretrainConfig(TrainConfig):
    """Next-engagement training on all surfaces (pretrain)."""

    future_targets: Positive = 1  # next engagements each position predicts; without offsets_s an unordered window


class ExpertWeights(Section):
    """What counted experts (see [model]) are worth on a surface; what is left out is chosen on validation."""

    transitions: float | None = None  # factor of the log-count of followers in the score; none = by validation
    repeats: float | None = None  # added for what was engaged with already; none = by validation
    exposure: float | None = None  # factor of the log-count of showings in the score; none = by validation


class FinetuneConfig(TrainConfig):
    """Per-surface training on feed views (finetune)."""

    epochs: Positive = 4
    learning_rate: float = Field(default=3e-4, gt=0)
    other_surfaces: Share = 0.0  # weight of targets on the other modelled surfaces; 0 = they take no part
    impression_negatives: bool = True  # items of the view shown and not acted on are negatives of its targets
    experts: dict[str, ExpertWeights] = {}  # surface -> weights of counted experts that are fixed
    keep_actionless_views: Share = 0.1  # share of views without a positive action that is kept; they hold no target
