"""Events become tokens; recent ones join what the release knows, once and in order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from release.world import LOG

from pinrec_core.data.batch import History
from pinrec_core.serving.catalog import Catalog, Vocabulary
from pinrec_core.serving.declined import Declined
from pinrec_core.serving.translate import Engagement, before, check_names, joined, tokens_of

NAMES = Vocabulary(LOG)
CATALOG = Catalog(pa.table({"item_id": ["i0", "i1", "i2"], "title": pa.nulls(3, pa.string())}))


def event(item: str, time_ms: int, *actions: str, surface: str = "home") -> Engagement:
    return Engagement(item, actions or ("click",), surface, time_ms)


def history(*rows: tuple[int, int, int]) -> History:
    """Of (item, action bits, time)."""
    item_T, actions_T, time_T = np.array(rows, np.int64).reshape(-1, 3).T
    return History(item_T, actions_T, np.zeros(len(rows), np.int64), time_T)


def rows(found: History) -> list[tuple[int, int, int]]:
    return list(zip(found.item_T.tolist(), found.actions_T.tolist(), found.time_T.tolist(), strict=True))


def test_events_are_tokens_in_time_order():
    tokens = tokens_of([event("i2", 30, "click", "save"), event("i0", 10, "save", "hide"),
                        event("i1", 20, surface="search")], CATALOG, NAMES)
    assert rows(tokens.history) == [(0, 2 | 4, 10), (1, 1, 20), (2, 3, 30)]
    assert tokens.history.surface_T.tolist() == [0, 1, 0] and tokens.unknown == []


def test_what_the_model_cannot_read_is_left_out_and_told():
    tokens = tokens_of([event("i9", 1), event("i0", 2), event("i1", 3, "share"), event("i2", 4, surface="moon"),
                        event("i0", 5, "click", "share")], CATALOG, NAMES)
    assert rows(tokens.history) == [(0, 1, 2)] and tokens.unknown == ["i9", "i1", "i2", "i0"]


def test_without_a_positive_action_it_is_no_history():
    tokens = tokens_of([event("i0", 1, "hide"), event("i1", 2, "impression")], CATALOG, NAMES)
    assert rows(tokens.history) == [] and tokens.unknown == []


@pytest.mark.parametrize(("wrong", "field", "near"), [
    (event("i0", 1, "click", "sav"), "history.1.action", "'save'"),
    (event("i0", 1, surface="serch"), "history.1.surface", "'search'")])
def test_unknown_names_of_a_request_are_refused(wrong, field, near):
    with pytest.raises(Declined) as caught:
        check_names([event("i0", 1), wrong], NAMES, "history")
    assert caught.value.status == 422
    assert caught.value.problem.field == field and f"did you mean {near}" in caught.value.problem.hint


KNOWN = history((0, 1, 10), (1, 3, 20))  # up to 100


def test_later_events_follow():
    assert rows(joined(KNOWN, history((1, 1, 100), (2, 2, 120)), 100)) == [
        (0, 1, 10), (1, 3, 20), (1, 1, 100), (2, 2, 120)]


def test_what_the_release_knows_counts_once():
    told = history((0, 1, 10), (1, 1, 20), (1, 2, 50))  # a save of 1 that the file has since the click at 20
    assert rows(joined(KNOWN, told, 100)) == rows(KNOWN)


def test_what_it_does_not_know_is_put_where_it_belongs():
    told = history((1, 1, 15), (0, 2, 30), (2, 1, 40))  # before the file's, another action, another item
    assert rows(joined(KNOWN, told, 100)) == [(0, 1, 10), (1, 1, 15), (1, 3, 20), (0, 2, 30), (2, 1, 40)]


def test_an_event_told_twice_counts_once():
    assert rows(joined(KNOWN, history((2, 1, 110), (2, 1, 110), (2, 2, 110)), 100))[2:] == [(2, 1, 110), (2, 2, 110)]


def test_a_new_user_has_the_recent_ones_alone():
    recent = history((2, 1, 10), (2, 1, 10), (0, 1, 20))
    assert rows(joined(history(), recent, 100)) == [(2, 1, 10), (0, 1, 20)]
    assert rows(joined(KNOWN, history(), 100)) == rows(KNOWN)


def test_what_had_not_happened_yet_is_cut_off():
    assert rows(before(KNOWN, 20)) == [(0, 1, 10)] and rows(before(KNOWN, 21)) == rows(KNOWN)
