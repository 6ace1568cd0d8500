"""The loop learns, keeps its best weights, stops in time, and never steps on bad numbers."""

import json
import math
import time

import pytest
import torch

from pinrec_core.config import FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.data.views import feed_views
from pinrec_core.data.windows import engagement_windows
from pinrec_core.errors import DataError, TrainingError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training import validation as validation_module
from pinrec_core.training.counts import action_shares
from pinrec_core.training.loop import Fit
from pinrec_core.training.optimizer import optimizer_of
from pinrec_core.training.schedule import learning_rate
from pinrec_core.training.validation import Validation

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.0,
                    id_dropout=0.0)
CONFIG = PretrainConfig(epochs=40, batch_size=1, learning_rate=0.003, random_negatives=16, patience=100)


@pytest.fixture
def cycle(build_dataset):
    """Everyone walks the items 0..8 in a circle; user 3 validates, so that the next item is all there is to learn."""
    views = [(user, 0, 100 * step + user, NO_ITEM, [((user + step) % 9, 1)]) for user in range(8) for step in range(12)]
    return build_dataset(views, {user: "validation" if user == 3 else "train" for user in range(8)})


def fit(dataset, tmp_path, config=CONFIG, data=None) -> Fit:
    torch.manual_seed(0)
    model = PinRec(MODEL, dataset.log, dataset.items, action_shares(dataset))
    rows = engagement_windows(dataset, MODEL.max_length, 0.0) if data is None else data
    validation = Validation.before_the_window(dataset, ("home",), config)
    return Fit("pretrain", model, rows, validation, config, tmp_path / "metrics.jsonl")


def entries(run: Fit, key: str) -> list[float]:
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [line[key] for line in lines if key in line]


def test_the_loss_falls_and_every_epoch_is_told(cycle, tmp_path):
    run = fit(cycle, tmp_path)
    run.run()
    losses = entries(run, "loss")
    assert len(losses) == CONFIG.epochs
    assert losses[-1] < 0.5 * losses[0]
    assert run.place.step == CONFIG.epochs * run.steps
    assert not run.model.training


def test_too_few_validation_requests_choose_nothing(cycle, tmp_path):
    run = fit(cycle, tmp_path, CONFIG.model_copy(update={"epochs": 2, "min_validation_requests": 2}))
    run.run()
    assert not run.best.weights and not entries(run, "validation_recall@50")


def test_fine_tuning_learns_from_feed_views(cycle, tmp_path):
    config = FinetuneConfig(**CONFIG.model_dump(exclude={"future_targets"}))
    run = fit(cycle, tmp_path, config, feed_views(cycle, "home", MODEL.max_length, config))
    run.run()
    losses = entries(run, "loss")
    assert losses[-1] < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_weights(cycle, tmp_path):
    runs = [fit(cycle, tmp_path / name, CONFIG.model_copy(update={"epochs": 2})) for name in "ab"]
    for run in runs:
        run.metrics_path.parent.mkdir()
        run.run()
    for left, right in zip(*(run.model.state_dict().values() for run in runs), strict=True):
        assert torch.equal(left, right)


def test_the_best_weights_are_kept_and_patience_ends_the_run(cycle, tmp_path, monkeypatch):
    recalls = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    run = fit(cycle, tmp_path, CONFIG.model_copy(update={"patience": 2}))
    seen = []

    def measured(model) -> float:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(recalls)

    monkeypatch.setattr(run.validation, "score", measured)
    run.run()
    assert (run.best.epoch, run.best.score, len(seen)) == (1, 0.5, 4)
    assert all(torch.equal(value, seen[1][name]) for name, value in run.model.state_dict().items())


def test_no_epoch_is_begun_after_the_deadline(cycle, tmp_path):
    run = fit(cycle, tmp_path)
    run.deadline = time.monotonic()
    run.run()
    assert run.place.step == run.steps and len(entries(run, "loss")) == 1


def test_bad_steps_are_skipped_counted_and_end_the_run_when_many(cycle, tmp_path, recwarn):
    rows = engagement_windows(cycle, MODEL.max_length, 0.0)
    rows.weight_G[:] = math.nan
    run = fit(cycle, tmp_path, CONFIG.model_copy(update={"max_bad_steps": 3}), rows)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    with pytest.raises(TrainingError, match="4 steps with a non-finite loss"):
        run.run()
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert not list(recwarn), "not even of a schedule that is ahead of its optimizer"


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    config = PretrainConfig(learning_rate=2.0, warmup_share=0.2)
    rates = [learning_rate(step, config, 20) for step in range(21)]
    assert rates[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert rates[12] == pytest.approx(1.0)  # half of the way down
    assert rates[20] == pytest.approx(0.0) and rates[4:] == sorted(rates[4:], reverse=True)
    assert learning_rate(0, config, 1) == 2.0


def test_linear_layers_decay_and_nothing_else(dataset):
    config = ModelConfig(width=16, item_dim=16, id_buckets=64, id_dim=16, conditioning="backbone", offsets_s=(60.0,),
                         attention_bias="position_time", item_bias=True, action_bias=True)
    model = PinRec(config, dataset.log, dataset.items, action_shares(dataset))
    groups = optimizer_of(model, PretrainConfig(weight_decay=0.3, bias_rate=30.0)).param_groups
    assert [(group["weight_decay"], group["of_rate"]) for group in groups] == [(0.3, 1.0), (0.0, 1.0), (0.0, 30.0)]
    decayed, plain, bias = groups
    assert [id(parameter) for parameter in bias["params"]] == [id(model.bias.surface_SI), id(model.bias.action_AI)]
    kept = {id(parameter) for parameter in plain["params"]}
    tables = {name for name, parameter in model.named_parameters() if id(parameter) in kept and parameter.ndim > 1}
    assert tables == {
        "surface.weight", "action.weight", "position.weight", "item_encoder.attributes.weight",
        *(f"item_encoder.ids.{k}.weight" for k in range(2)), *(f"backbone.bias.tables.{k}.weight" for k in range(2)),
        *(f"condition.tables.{part}_N.weight" for part in ("action", "surface", "offset"))}
    assert all(parameter.ndim == 2 for parameter in decayed["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_nothing_to_train_on_is_an_error(build_dataset, tmp_path):
    late = build_dataset([(0, 0, 1050, NO_ITEM, [(1, 1)])], {0: "train"})
    with pytest.raises(DataError, match="no training targets"):
        fit(late, tmp_path).run()


def test_outcome_shares_come_from_training_days_of_train_users(dataset):
    shares = action_shares(dataset)
    # home before the window: item 1 click, 3 click + save, 4 save, 8 click
    assert shares["home"] == pytest.approx({"click": 3 / 5, "save": 2 / 5})
    assert shares["search"] == pytest.approx({"click": 1.0, "save": 0.0})


def test_validation_asks_each_surface_for_what_is_retrieved_there(dataset):
    validation = Validation.before_the_window(dataset, ("home", "search"), PretrainConfig())
    assert len(validation) == 2  # user 1: item 2 on home (the query is no target), item 5 on search
    model = PinRec(MODEL, dataset.log, dataset.items, action_shares(dataset))
    assert validation.score(model) == 1.0  # nine retrievable items all fit into 50


@pytest.mark.parametrize(("metric", "expected"), [
    ("recall", 2 / 3), ("ndcg", (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3) + 1 / math.log2(4)))])
def test_validation_metrics_by_hand(build_dataset, monkeypatch, metric, expected):
    told = build_dataset([(0, 0, 900, NO_ITEM, [(1, 1), (4, 2), (7, 1)])], {0: "validation"})
    flat = MODEL.model_copy(update={"item_bias": True, "initial_temperature": 10.0})  # a cosine is 0.1 of a score
    model = PinRec(flat, told.log, told.items, action_shares(told))
    with torch.no_grad():
        model.bias.surface_SI[0] = torch.tensor([8.0, 7, 6, 5, 9, 4, 3, 2, 1, 0])  # ranks 4, 0, 1 before all others
    monkeypatch.setattr(validation_module, "TOP", 3)
    validation = Validation.before_the_window(told, ("home",), PretrainConfig(validation_metric=metric))
    assert validation.name == f"{metric}@3"
    assert validation.score(model) == pytest.approx(expected)
