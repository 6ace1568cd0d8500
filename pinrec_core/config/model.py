"""[model]: the shape of PinRec, each of its parts switchable."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from pinrec_core.config.section import Positive, Section, Share


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
    repeats: bool = False  # having been engaged with already joins the score, weighted alike
    exposure_half_life_days: float = Field(default=0.0, ge=0)  # how often a surface showed an item lately joins the
    #                                               score, weighted alike; a showing this old counts half; 0 = none does
    item_bias: bool = False  # a learned offset per surface and item in the score: what is popular there whoever asks
    action_bias: bool = False  # the same per action and item: what is popular as this outcome, on every surface
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
