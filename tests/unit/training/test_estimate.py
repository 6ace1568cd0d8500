"""What is estimated before a training is what the training then has."""

from __future__ import annotations

import pytest

from pinrec_core.config import Config, FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.model.features import content_dim
from pinrec_core.training.estimate import size_of, stages_of
from pinrec_core.training.pretrain import new_base, pretrain
from pinrec_core.training.validation import Validation

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16,
                    attribute_buckets=8)
PRETRAIN = PretrainConfig(epochs=4, batch_size=2, random_negatives=4, in_batch_negatives=4, sketch_width=64,
                          patience=100)

CHANGES = [{}, {"item_bias": True, "action_bias": True, "exposure_half_life_days": 2.0}, {"use_ids": False},
           {"conditioning": "backbone", "layers": 2, "attention_bias": "position_time", "offsets_s": (60.0,)}]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "+".join(change) or "plain")
def test_parameters_and_memory_are_those_of_the_model_that_is_trained(walks, tmp_path, change):
    data = Dataset.open(walks)
    model = ModelConfig.model_validate(MODEL.model_dump() | change)
    validation = Validation.before_the_window(data, data.log.surfaces, PRETRAIN)
    fit = new_base(data, validation, model, PRETRAIN.model_copy(update={"epochs": 1, "action_loss": 0.1}),
                   tmp_path / "metrics.jsonl")
    size = size_of(model, data.log, data.n_items, content_dim(data.items["content"]))
    parameters = list(fit.model.parameters())
    assert size.parameters == sum(parameter.numel() for parameter in parameters)
    assert size.weights == sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    taken = fit.model.item_encoder.features.attribute_rows_A  # the one thing whose length is not the catalogue's
    assert size.features == sum(b.numel() * b.element_size() for b in fit.model.buffers()) - 8 * len(taken)
    fit.run()
    optimizer = fit.update.optimizer
    held = sum(value.numel() * value.element_size() for state in optimizer.state.values()
               for name, value in state.items() if name != "step")
    assert held <= size.optimizer
    assert size.optimizer - held == 8 * sum(p.numel() for p in parameters if p not in optimizer.state)
    rows = sum(p.numel() for p in parameters if "square" in optimizer.state.get(p, {}))
    untouched = [p for p in parameters if p not in optimizer.state]
    assert rows <= size.row_parameters <= rows + sum(p.numel() for p in untouched)


def test_steps_are_those_that_training_takes(walks, tmp_path):
    data = Dataset.open(walks)
    config = Config.model_construct(log=data.log, model=MODEL, pretrain=PRETRAIN, finetune=FinetuneConfig(batch_size=3))
    pretraining, *finetuning = stages_of(config, data)
    assert (pretraining.rows, pretraining.steps_per_epoch, pretraining.steps) == (14, 7, 28)
    manifest = pretrain(walks, tmp_path / "model", model=MODEL, pretrain=PRETRAIN)
    assert (manifest.counts["steps"], manifest.counts["targets"]) == (pretraining.steps, pretraining.targets)
    assert [stage.stage for stage in finetuning] == [f"finetune {surface}" for surface in data.log.surfaces]
    assert pretraining.seconds(pretraining.positions * 2.0) == pretraining.epochs / 2
