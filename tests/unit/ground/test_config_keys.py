"""Every key of a configuration is explained by the comment beside it, with its type, default and limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinrec_core.config import Config, Section
from pinrec_core.config.comments import comments_of
from pinrec_core.config.keys import REQUIRED, all_keys, find_keys
from pinrec_core.config.settings import changes, settings_of
from pinrec_core.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "pipelines/configs"


class Sample(Section):
    """Comments in all the places that are used."""

    first: int = 1  # beside it
    second: int = 2  # begins here
    # and goes on
    # This one stands above,
    # on two lines.
    third: int = 3
    fourth: dict[str, int] = {  # within
        "a": 1}
    fifth: int = 5


class Head(Section):
    """A comment above the first field."""

    # of the first
    one: int = 1


def test_a_comment_belongs_to_the_field_it_stands_at():
    assert comments_of(Head) == {"one": "of the first"}
    # `second` has a comment, so what follows is its own up to a field that has one; `third` has none beside it
    assert comments_of(Sample) == {"first": "beside it", "second": "begins here", "fourth": "within",
                                   "third": "and goes on This one stands above, on two lines."}


@pytest.mark.parametrize("key", all_keys(), ids=lambda key: key.name)
def test_no_key_is_unexplained(key):
    assert len(key.meaning) > 3 and key.kind != "value" or key.name == "gate.surfaces"
    assert key.default


def test_what_is_known_of_a_key():
    (found,) = find_keys("pretrain.batch_size")
    assert (found.meaning, found.kind, found.default, found.limits) == (
        "users (pretrain) or views (finetune) per step", "whole number", "128", "above 0")
    assert find_keys("finetune.epochs")[0].meaning.startswith("passes over")  # of the field that it overrides
    assert find_keys("validate.max_null_share")[0].limits == "each at least 0, at most 1"
    assert find_keys("log.surfaces")[0].default == REQUIRED
    assert find_keys("tensorboard")[0].incidental and not found.incidental
    (conditioning,) = find_keys("model.conditioning")
    assert conditioning.choices["outcome"] == "at the head, beside the hidden state"
    assert conditioning.kind == "one of none, outcome, backbone"


@pytest.mark.parametrize(("asked", "found"), [
    ("batch_size", ["pretrain.batch_size", "finetune.batch_size"]),
    ("targets.mine.image", ["targets.TARGET.image"]), ("targets.mine", ["targets"]),
    ("targets.TARGET.steps.STEP.cpu", ["targets.TARGET.steps.STEP.cpu"]),
    ("gate.floors.home.recall@50", ["gate.floors"]),
    ("gate.floors.home.recall@50.least", ["gate.floors.SURFACE.METRIC.least"]),
    ("trainjob.nodes", ["launch.trainjob.nodes"])])
def test_a_key_is_found_by_the_names_a_file_has(asked, found):
    assert [key.name for key in find_keys(asked)] == found


@pytest.mark.parametrize(("asked", "near"), [
    ("pretrain.batchsize", "pretrain.batch_size"), ("bach_size", "pretrain.batch_size"),
    ("model.layer", "model.layers"), ("pretrian.epochs", "pretrain.epochs")])
def test_an_unknown_key_names_the_nearest(asked, near):
    with pytest.raises(ConfigError, match=f"unknown key '{asked}'; did you mean '{near}'"):
        find_keys(asked)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_every_setting_of_a_configuration_has_a_key(path):
    settings = settings_of(Config.load(path))
    assert all(find_keys(one.key) for one in settings)
    assert len({one.key for one in settings}) == len(settings)


def test_what_differs_from_the_defaults_is_marked():
    told = {one.key: one for one in settings_of(Config.load(CONFIGS / "tiny.toml"))}
    assert (told["model.width"].value, told["model.width"].default, told["model.width"].differs) == (32, 64, True)
    assert not told["model.heads"].differs
    assert told["name"].required and told["name"].differs
    assert told["gate.rules.coverage"].value == "on" and not told["gate.rules.change_against_live.tolerance"].differs
    assert told["gate.floors.home.recall@50.least"].value == 0.05


def test_two_configurations_differ_in_what_their_values_differ():
    tiny = Config.load(CONFIGS / "tiny.toml")
    other = tiny.model_copy(update={"model": tiny.model.model_copy(update={"width": 48})})
    assert changes(tiny, tiny) == []
    assert [tuple(one) for one in changes(tiny, other)] == [("model.width", 32, 48)]
    without = tiny.model_copy(update={"gate": tiny.gate.model_copy(update={
        "rules": tiny.gate.rules.model_copy(update={"data_health": None})})})
    told = {one.key: (one.first, one.second) for one in changes(tiny, without)}
    assert told["gate.rules.data_health"] == ("on", None)
