"""What is drawn from declared ranges, and that wrong ranges are refused with one line before anything is trained."""

from __future__ import annotations

import re

import pytest

from pinrec_core.config import Config
from pinrec_core.errors import ConfigError
from pinrec_core.tuning.space import check_space, configured, drawn

ALL = """
[tune.ranges]
"pretrain.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
pretrain.random_negatives = { low = 4, high = 16, step = 4 }
pretrain.weight_decay = { low = 0, high = 1 }
"model.dropout" = { low = 0.0, high = 0.5, step = 0.25 }
"pretrain.precision" = { choices = ["float32", "bfloat16"] }
"""


def test_draws_follow_from_the_seed_and_stay_in_their_ranges(write_config):
    config = Config.load(write_config(ALL))
    draws = drawn(config, 40)
    assert draws == drawn(config, 40) and draws[:7] == drawn(config, 7)
    other = config.model_copy(update={"tune": config.tune.model_copy(update={"seed": 1})})
    assert drawn(other, 40) != draws
    assert all(1e-4 <= draw["pretrain.learning_rate"] <= 1e-2 for draw in draws)
    assert 10 <= sum(draw["pretrain.learning_rate"] < 1e-3 for draw in draws) <= 30  # half of them, on a log scale
    assert {draw["pretrain.random_negatives"] for draw in draws} == {4, 8, 12, 16}
    assert {draw["model.dropout"] for draw in draws} == {0.0, 0.25, 0.5}
    assert {draw["pretrain.precision"] for draw in draws} == {"float32", "bfloat16"}
    assert isinstance(draws[0]["pretrain.weight_decay"], float)
    check_space(config, draws)
    assert configured(config, draws[0]).pretrain.learning_rate == draws[0]["pretrain.learning_rate"]


@pytest.mark.parametrize(("ranges", "message"), [
    ('"pretrain.learning_rat" = { low = 1e-4, high = 1e-2 }',
     "tune.ranges: unknown key 'pretrain.learning_rat'; did you mean 'pretrain.learning_rate'?"),
    ('"aggregate.eval_days" = { low = 1, high = 2 }', "tune.ranges: unknown key 'aggregate.eval_days'"),
    ('"pretrain.learning_rate" = { low = 1e-2, high = 1e-4 }', "low 0.01 is not below high 0.0001"),
    ('"pretrain.learning_rate" = { low = 0, high = 1, log = true }', "log wants low above 0 and no step"),
    ('"pretrain.learning_rate" = { low = 1e-4 }', "wants choices, or low and high"),
    ('"pretrain.learning_rate" = { low = 1e-4, high = 1, choices = [1] }', "give either choices, or low and high"),
    ('"model.layers" = { low = 1, high = 2.5 }', "model.layers is a whole number; low, high and step must be too"),
    ('"pretrain.precision" = { low = 1, high = 2 }', "which has no low and high; give choices"),
    ('"pretrain.epochs" = { low = 1, high = 2 }', "pretrain.epochs cannot be tuned"),
    ('"finetune.learning_rate" = { low = 0.1, high = 0.2 }', "changes nothing of the base model"),
    ("", "at least 1 item"),
])
def test_a_wrong_range_is_refused_in_one_line(write_config, ranges, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        Config.load(write_config(f"\n[tune.ranges]\n{ranges}\n"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("settings", "message"), [
    ('surface = "homme"', "tune.surface: surface 'homme' is not modelled"),
    ('surface = "home"\nmetric = "recall@50"', "tune.metric is recall@50, but finetune chooses its weights by ndcg@50"),
])
def test_surface_and_metric_must_suit(write_config, settings, message):
    path = write_config('\n[tune.ranges]\n"pretrain.learning_rate" = { low = 1e-4, high = 1e-2 }\n')
    path.write_text(path.read_text().replace('metric = "ndcg@50"' if "metric" in settings else "trials = 4", settings))
    with pytest.raises(ConfigError, match=re.escape(message)):
        Config.load(path)


@pytest.mark.parametrize(("ranges", "message"), [
    ('"pretrain.learning_rate" = { low = -1.0, high = 1.0 }', "tune: with pretrain.learning_rate = -1: "),
    ('"model.heads" = { choices = [2, 3] }', "tune: with model.heads = 3: "),  # width is 16
    ('"pretrain.precision" = { choices = ["float32", "float8"] }', "tune: with pretrain.precision = float8: "),
    ('"pretrain.random_negatives" = { low = 0, high = 4 }\n"pretrain.in_batch_negatives" = { low = 0, high = 4 }',
     "random_negatives and in_batch_negatives are both 0"),
])
def test_every_corner_must_be_a_configuration(write_config, ranges, message):
    config = Config.load(write_config(f"\n[tune.ranges]\n{ranges}\n"))
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_space(config, [])
