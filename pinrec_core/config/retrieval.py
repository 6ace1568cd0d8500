"""[generation] and [index]: how candidates are asked for and found."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from pinrec_core.config.section import Level, Positive, Section, Share


class EngineKind(StrEnum):
    """What computes a release's queries."""

    AUTO = "auto"  # the fastest that verify_release finds as good
    TORCH = "torch"
    ONNX = "onnx"  # the same in onnxruntime
    INT8 = "int8"  # onnxruntime with 8-bit products


class GenerationConfig(Section):
    """How query vectors are generated and candidates split among them."""

    steps: Positive = 3  # autoregressive steps; each gives one vector per outcome
    candidates: Positive = 100  # length of the merged list
    merge_cosine: float = Field(default=0.9, gt=0, le=1)  # a vector closer than this to an earlier one joins it
    step_decay: float = Field(default=0.5, gt=0, le=1)  # budget of step s is proportional to step_decay ** s
    offset_shares: tuple[Share, ...] = ()  # of an outcome's budget, per bucket of model.offsets_s; () = alike
    overfetch: float = Field(default=3.0, ge=1)  # neighbours asked for per candidate wanted, before de-duplication
    budgets: dict[str, dict[str, Share]] = {}  # surface -> action -> share; a surface left out takes training shares
    seed: int = 0  # of the draw which outcome is fed back after a step
    engine: EngineKind = EngineKind.AUTO  # of the release; all but torch are exported when it is built

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


class IndexKind(StrEnum):
    """How item vectors are searched."""

    AUTO = "auto"  # exact below `exact_below` items, IVF beyond
    FLAT = "flat"  # every vector is compared, in fp32: exact
    IVF = "ivf"  # the cells nearest to the query; an HNSW graph finds them
    HNSW = "hnsw"  # a graph of near vectors: more memory, slow to build, fast to search


class Codes(StrEnum):
    """How an approximate index keeps a vector; bytes per number of it."""

    FP32 = "fp32"  # 4
    FP16 = "fp16"  # 2
    SQ8 = "sq8"  # 1: a step of 1/255 of the range that each dimension has


class IndexConfig(Section):
    """The ANN index and what is demanded of it."""

    kind: IndexKind = IndexKind.AUTO
    exact_below: int = Field(default=50_000, ge=0)  # items
    codes: Codes = Codes.FP16  # of ivf and hnsw
    nlist: int = Field(default=0, ge=0)  # IVF cells; 0 = 4 * sqrt(items)
    nprobe: int = Field(default=0, ge=0)  # IVF cells visited per query; 0 = as few as reach min_ann_recall
    max_memory_mb: float = Field(default=0.0, ge=0)  # bound of the index's size, estimated before building; 0 = none
    min_ann_recall: Share = 0.95  # recall@100 against exact search on generated queries
    max_engine_loss: Share = 0.005  # recall an engine may lose to torch on them before it is passed over
    verify_users: Positive = 500  # users whose queries choose the search setting, and whom verify_release replays
    recall_tolerance: Share = 0.02  # largest difference from the evaluation's recall on the same users
    max_p99_ms: float = Field(default=0.0, ge=0)  # of an answer, one at a time on one thread; 0 = no limit
    latency_level: Level = Level.ERROR  # warn: a release that is slower is told of and goes live
    allow: dict[str, str] = {}  # surface -> path or gs:// of a file with the item ids it may answer with, one a line

    @model_validator(mode="after")
    def _cells_are_of_ivf(self) -> Self:
        for name, value in (("nlist", self.nlist), ("nprobe", self.nprobe)):
            if value and self.kind in (IndexKind.FLAT, IndexKind.HNSW):
                raise ValueError(f"{name} {value} is about the cells of an ivf index, kind is {self.kind.value!r}; "
                                 f"remove {name} or set kind = 'ivf'")
        return self
