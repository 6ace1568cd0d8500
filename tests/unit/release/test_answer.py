"""recommend answers from the live release only, and its errors say what exists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import ConfigError, DataError, IntegrityError, PinrecError
from pinrec_core.evaluation.subject import fresh_retriever
from pinrec_core.model.experts import Experts
from pinrec_core.model.io import load_model
from pinrec_core.release.answer import recommend
from pinrec_core.release.promote import promote

from .world import END_MS, GENERATION


@pytest.fixture
def live_registry(registry, verdicts, releases) -> str:
    promote(registry, verdicts["first"], releases["first"], "run-1")
    return registry


@pytest.mark.parametrize("surface", ["home", "search"])
def test_the_answer_is_what_the_evaluated_model_retrieves(live_registry, world, surface):
    found = recommend(live_registry, surface, "u007", n=15)
    model, dataset = load_model(world / f"model-{surface}"), Dataset.open(world / "dataset")
    history = dataset.history(dataset.user_index("u007"), END_MS, 8)
    retriever = fresh_retriever(model, surface, GENERATION)
    wanted = retriever.retrieve([history], surface, np.array([END_MS]), n=15)
    assert [item.item_id for item in found] == [f"i{index}" for index in wanted.item_RN[0]]
    assert [item.score for item in found] == pytest.approx(wanted.score_RN[0].tolist())
    titles = {item.item_id: item.title for item in found}
    assert all(title == (None if int(item_id[1:]) % 3 else f"title {item_id[1:]}") for item_id, title in titles.items())
    assert [item.outcome for item in found] == [("click", "save")[code] for code in wanted.outcome_RN[0]]
    assert [item.step for item in found] == wanted.step_RN[0].tolist()
    model.experts = Experts()
    alone = retriever.retrieve([history], surface, np.array([END_MS]), n=15)
    assert (wanted.score_RN.tolist() == alone.score_RN.tolist()) is (model.transitions is None)


def test_outcomes_change_what_is_asked_for(live_registry):
    assert {item.outcome for item in recommend(live_registry, "home", "u007", outcomes={"save": 2.0})} == {"save"}


def test_a_context_item_changes_the_answer(live_registry):
    plain = recommend(live_registry, "search", "u007")
    assert [r.item_id for r in recommend(live_registry, "search", "u007", context_item_id="i5")] != \
        [r.item_id for r in plain]
    with pytest.raises(DataError, match="item 'nope' is not among the 120 items"):
        recommend(live_registry, "search", "u007", context_item_id="nope")


def test_more_items_than_there_are_gives_each_once(live_registry):
    found = recommend(live_registry, "home", "u007", n=500)
    assert len(found) == len({item.item_id for item in found}) == 120


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("hom", "u007"), PinrecError, "surface 'hom' has no live release; did you mean 'home'"),
    (("home", "u007x"), DataError, "user 'u007x' is not among the 60 users .*; the nearest known id is 'u007'"),
    (("home", ""), DataError, "user '' is not among")])
def test_what_is_unknown_is_named_with_the_nearest(live_registry, arguments, error, message):
    with pytest.raises(error, match=message):
        recommend(live_registry, *arguments)


def test_an_unknown_outcome_names_the_nearest(live_registry):
    with pytest.raises(ConfigError, match="outcome 'clik' .* did you mean 'click'"):
        recommend(live_registry, "home", "u007", outcomes={"clik": 1.0})
    with pytest.raises(ConfigError, match="n is 0"):
        recommend(live_registry, "home", "u007", n=0)


def test_nothing_live_says_what_to_do(tmp_path):
    with pytest.raises(PinrecError, match="nothing is live here yet; run the pipeline"):
        recommend(str(tmp_path), "home", "u007")


def test_hashes_are_checked_on_every_load(live_registry, releases):
    path = Path(live_registry, "releases", releases["first"][0], "histories.parquet")
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="histories.parquet: altered"):
        recommend(live_registry, "home", "u007")
