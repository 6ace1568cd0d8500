"""What the reference says of a setting is what the code says."""

from __future__ import annotations

from enum import StrEnum

import pytest
from pydantic import Field

from pinrec_core.config.comments import comments_of
from pinrec_core.config.explained import ExplainedSection, explained, type_text
from pinrec_core.config.section import Section, Share


class Inner(Section):
    """What is inside."""

    share: Share | None = None  # of the whole


class Outer(Section):
    """What is outside.

    More about it.
    """

    first: int = Field(default=3, gt=0, lt=9)  # seconds, all
    # attempts together
    second: tuple[str, ...] = ("a",)  # names
    # Below this noise would choose.
    least: int = 1
    inner: Inner = Inner()
    named: dict[str, Inner] = {}  # one each
    silent: bool = False


class Kind(StrEnum):
    """Kinds."""

    PLAIN = "plain"
    RICH = "rich"  # with all


def section(path: str) -> ExplainedSection:
    return next(each for each in explained() if each.path == path)


def test_comments_beside_below_and_above():
    assert comments_of(Outer) == {
        "first": "seconds, all attempts together", "second": "names", "least": "Below this noise would choose.",
        "inner": "", "named": "one each", "silent": ""}
    assert comments_of(Kind) == {"PLAIN": "", "RICH": "with all"}


def test_a_setting_with_its_limits():
    outer, inner, named = explained(Outer)
    assert (outer.path, outer.about) == ("", "What is outside.")
    first = outer.settings[0]
    assert (first.type, first.default, first.limits) == ("int", "3", ("above 0", "below 9"))
    assert [setting.name for setting in outer.settings] == ["first", "second", "least", "named", "silent"]
    assert (inner.path, named.path) == ("inner", "named.NAME")
    share = inner.settings[0]
    assert (share.type, share.limits, share.comment) == ("float", ("at least 0", "at most 1"), "of the whole")


@pytest.mark.parametrize(("annotation", "text"), [
    (str, "text"), (tuple[int, ...], "list of int"), (dict[str, float], "table: text -> float"),
    (Kind, "plain or rich"),
    (Share, "float"), (int | None, "int")])
def test_types_in_words(annotation, text):
    assert type_text(annotation) == text


def test_settings_of_the_configuration():
    sections = [each.path for each in explained()]
    assert {"log", "gate.floors.SURFACE.METRIC", "gate.rules.beats_baseline", "targets.NAME.steps.STEP",
            "schedules.NAME", "validate"} <= set(sections)
    epochs = next(setting for setting in section("finetune").settings if setting.name == "epochs")
    assert epochs.default == "4" and epochs.comment.startswith("passes over")  # the comment is inherited
    requests = next(each for each in section("pretrain").settings if each.name == "min_validation_requests")
    assert requests.comment.startswith("With fewer validation requests") and "last weights are kept" in requests.comment
    assert next(each for each in section("pretrain").settings if each.name == "keep_checkpoints").incidental


def test_every_setting_says_what_it_means():
    silent = [(each.path, setting.name) for each in explained() for setting in each.settings
              if not setting.comment and not any(setting.choices.values())]
    assert not silent, "write a comment beside the field: the reference is made of these"
