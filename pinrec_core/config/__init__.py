"""Every setting of pinrec: one frozen section per owner, read from TOML, unknown keys refused.

A section crosses a component boundary as one JSON string (`section.model_dump_json()`), so that a changed gate
threshold does not invalidate the training cache. Load a whole file with `Config.load("pipelines/configs/demo.toml")`.
"""

from pinrec_core.config.data import AggregateConfig, ValidateConfig
from pinrec_core.config.evaluation import EvaluationConfig
from pinrec_core.config.gate import (
    BeatsBaseline,
    ComparisonRule,
    CoverageRule,
    DataHealth,
    EmbeddingHealth,
    Floor,
    GateConfig,
    MaxDropPerSlice,
    OnReject,
    Policy,
    Rules,
    Undecided,
)
from pinrec_core.config.launch import LaunchConfig, Launcher, TrainJobConfig
from pinrec_core.config.log import MAX_ACTIONS, LogConfig
from pinrec_core.config.model import AttentionBias, Conditioning, ModelConfig
from pinrec_core.config.notify import NotifyConfig
from pinrec_core.config.retrieval import Codes, EngineKind, GenerationConfig, IndexConfig, IndexKind
from pinrec_core.config.schedule import ScheduleConfig
from pinrec_core.config.section import Incidental, Level, Positive, Section, Share
from pinrec_core.config.serve import ServeConfig
from pinrec_core.config.target import StepConfig, TargetConfig, Toleration
from pinrec_core.config.training import (
    ExpertWeights,
    FinetuneConfig,
    Precision,
    PretrainConfig,
    TrainConfig,
    ValidationMetric,
)
from pinrec_core.config.tune import Range, TuneConfig
from pinrec_core.config.whole import Config

__all__ = ["MAX_ACTIONS", "AggregateConfig", "AttentionBias", "BeatsBaseline", "Codes", "ComparisonRule",
           "Conditioning", "Config", "CoverageRule", "DataHealth", "EmbeddingHealth", "EngineKind", "EvaluationConfig",
           "ExpertWeights", "FinetuneConfig", "Floor", "GateConfig", "GenerationConfig", "Incidental", "IndexConfig",
           "IndexKind", "LaunchConfig", "Launcher", "Level", "LogConfig", "MaxDropPerSlice", "ModelConfig",
           "NotifyConfig", "OnReject", "Policy", "Positive", "Precision", "PretrainConfig", "Range", "Rules", "Section",
           "ScheduleConfig", "ServeConfig", "Share", "StepConfig", "TargetConfig", "Toleration", "TrainConfig",
           "TrainJobConfig", "TuneConfig", "Undecided", "ValidateConfig", "ValidationMetric"]
