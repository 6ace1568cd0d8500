"""Filters against an index that holds nothing but what they allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinrec_core.config import GenerationConfig, IndexConfig, IndexKind, LogConfig
from pinrec_core.errors import ConfigError
from pinrec_core.model.experts import Experts
from pinrec_core.model.transitions import count_transitions
from pinrec_core.retrieval.filters import contained
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.retriever import Retriever
from pinrec_core.schemas import NO_ITEM

N_ITEMS = 300
TYPES = LogConfig(surfaces=("home", "related"), positive_actions=("click", "save", "share"), negative_actions=("hide",),
                  item_types=("pin", "query", "board", "user"), retrievable_types=("pin", "board", "user"))
COLUMNS = ("item_RN", "score_RN", "outcome_RN", "offset_RN", "step_RN")


@pytest.fixture(scope="module", params=["network", "experts"])
def typed(request, make_model):
    """Items of four types, three of them retrievable; experts that find followers and avoid what is known."""
    type_I = np.random.default_rng(4).choice(4, N_ITEMS, p=[0.6, 0.1, 0.25, 0.05])
    model = make_model(TYPES, type_I, item_bias=True)
    if request.param == "experts":
        rng = np.random.default_rng(3)
        model.transitions = count_transitions(rng.integers(N_ITEMS, size=4000), np.repeat(np.arange(200), 20),
                                              model.retrievable_I.numpy())
        model.experts = Experts(transitions=0.5, repeats=-1.0)
    return model


def over(model, allowed_I, index=None, **generation):
    """A retriever over an index of some of the items."""
    vector_ID = model.search_vectors("home").numpy()
    built = ItemIndex.build(vector_ID, allowed_I, IndexConfig(**(index or {})))
    return Retriever(model, built, GenerationConfig(**generation), vector_ID)


def of_types(model, item_types):
    codes = [TYPES.item_types.index(name) for name in item_types or TYPES.retrievable_types]
    return np.isin(model.item_encoder.features.type_I.numpy(), codes)


def exclusions(histories, seed):
    """What each history holds, some strangers and some padding; every sixth request excludes nothing."""
    rng = np.random.default_rng(seed)
    return [np.concatenate([history.item_T, rng.integers(N_ITEMS, size=rng.integers(60)), [NO_ITEM] * 3])
            if row % 6 else np.zeros(0, np.int64) for row, history in enumerate(histories)]


def times(histories):
    return np.full(len(histories), 10**9 + 20_000)


@pytest.mark.parametrize("item_types", [(), ("board",), ("user", "pin"), TYPES.retrievable_types])
@pytest.mark.parametrize("n", [1, 20, 90, 1000])
def test_lists_are_those_of_an_index_of_the_allowed_items_alone(typed, histories, item_types, n):
    exclude_R, chosen_I = exclusions(histories, n), of_types(typed, item_types)
    filtered = over(typed, typed.retrievable_I.numpy())
    found, lists = filtered.retrieve_lists(histories, "home", times(histories), n=n, depth=5, exclude_R=exclude_R,
                                           item_types=item_types)
    assert found.item_RN.shape[1] == min(n, chosen_I.sum())
    for row in range(0, len(histories), 5):
        allowed_I = chosen_I & ~np.isin(np.arange(N_ITEMS), exclude_R[row])
        alone = slice(row, row + 1)
        expected, own = over(typed, allowed_I).retrieve_lists(histories[alone], "home", times(histories)[alone], n=n,
                                                              depth=5)
        filled = expected.item_RN.shape[1]
        assert filled == min(n, allowed_I.sum()) and (found.item_RN[row, filled:] == NO_ITEM).all()
        for name in COLUMNS:
            np.testing.assert_allclose(getattr(found, name)[row, :filled], getattr(expected, name)[0], atol=1e-6)
        assert (lists.item_MK[lists.request_M == row] == own.item_MK).all()
        assert (lists.budget_M[lists.request_M == row] == own.budget_M).all()


@settings(max_examples=40, deadline=None)
@given(item_types=st.lists(st.sampled_from(TYPES.retrievable_types), unique=True).map(tuple), row=st.integers(0, 23),
       excluded=st.lists(st.integers(NO_ITEM, N_ITEMS - 1)), n=st.integers(1, N_ITEMS + 20), steps=st.integers(1, 3))
def test_whatever_is_filtered_the_list_is_that_of_the_allowed_items(typed, histories, item_types, row, excluded, n,
                                                                    steps):
    history, time_R = histories[row : row + 1], times(histories[:1])
    allowed_I = of_types(typed, item_types) & ~np.isin(np.arange(N_ITEMS), excluded)
    found = over(typed, typed.retrievable_I.numpy(), steps=steps).retrieve(
        history, "home", time_R, n=n, exclude_R=[np.array(excluded, int)], item_types=item_types).item_RN[0]
    if not allowed_I.any():
        assert (found == NO_ITEM).all()
        return
    expected = over(typed, allowed_I, steps=steps).retrieve(history, "home", time_R, n=n).item_RN[0]
    assert len(expected) == min(n, allowed_I.sum())
    assert found[found != NO_ITEM].tolist() == expected.tolist()


@pytest.mark.parametrize("index", [{}, {"kind": IndexKind.IVF, "nlist": 6, "nprobe": 1}, {"kind": IndexKind.HNSW}])
@pytest.mark.parametrize("n", [5, 1000])
def test_exactly_the_allowed_items_come_back(typed, histories, index, n):
    exclude_R = exclusions(histories, 0)
    for item_types in ((), ("user",)):
        found = over(typed, typed.retrievable_I.numpy(), index) \
            .retrieve(histories, "home", times(histories), n=n, exclude_R=exclude_R, item_types=item_types)
        for items, excluded in zip(found.item_RN, exclude_R, strict=True):
            allowed = np.setdiff1d(np.flatnonzero(of_types(typed, item_types)), excluded)
            got = items[items != NO_ITEM]
            assert len(np.unique(got)) == len(got) == min(n, len(allowed)) and np.isin(got, allowed).all()
            assert (items[len(got):] == NO_ITEM).all()


def test_what_one_request_excludes_is_nothing_to_another(typed, histories):
    exclude_R, filtered = exclusions(histories, 7), over(typed, typed.retrievable_I.numpy(), overfetch=1.0)
    together = filtered.retrieve(histories, "home", times(histories), n=60, exclude_R=exclude_R)
    for row in (0, 1, 23):
        alone = filtered.retrieve(histories[row:row + 1], "home", times(histories)[:1], n=60,
                                  exclude_R=exclude_R[row:row + 1])
        assert (alone.item_RN[0] == together.item_RN[row]).all()


def test_everything_may_be_excluded_and_a_type_may_have_no_items(typed, histories):
    filtered = over(typed, of_types(typed, ("pin",)))
    found = filtered.retrieve(histories[:2], "home", times(histories[:2]), n=9,
                              exclude_R=[np.arange(N_ITEMS), np.arange(3, N_ITEMS)])
    assert (found.item_RN[0] == NO_ITEM).all() and (found.score_RN[0] == -np.inf).all()
    pins = np.flatnonzero(of_types(typed, ("pin",))[:3])
    assert sorted(found.item_RN[1][: len(pins)].tolist()) == pins.tolist()
    assert filtered.retrieve(histories, "home", times(histories), item_types=("board",)).item_RN.shape == (24, 0)


def test_counted_experts_speak_only_of_what_is_indexed(make_model, histories):
    model = make_model(repeats=True)
    model.experts = Experts(repeats=50.0)  # a history's own items come first, if they can
    half_I = model.retrievable_I.numpy() & (np.arange(N_ITEMS) % 2 == 0)
    found = over(model, half_I).retrieve(histories, "home", times(histories), n=20)
    assert half_I[found.item_RN].all()
    own = np.unique(histories[11].item_T[half_I[histories[11].item_T]])
    assert sorted(found.item_RN[11, : len(own)].tolist()) == own.tolist()


def test_a_selector_is_made_once_per_set_of_types(typed, histories):
    filtered = over(typed, typed.retrievable_I.numpy())
    for item_types in (("pin", "user"), ("user", "pin"), ("user", "pin", "pin")):
        filtered.retrieve(histories[:1], "home", times(histories[:1]), item_types=item_types)
    subset = filtered.index.subset(frozenset({"pin", "user"}), lambda: pytest.fail("made again"))
    assert subset.n_items == of_types(typed, ("pin", "user")).sum()


def test_membership_is_by_request():
    item_RM = np.array([[[1, 2], [NO_ITEM, 3]], [[1, 2], [NO_ITEM, 3]]])
    found = contained(item_RM, np.array([[1, NO_ITEM], [3, 2]]))
    assert found.tolist() == [[[True, False], [False, False]], [[False, True], [False, True]]]


@pytest.mark.parametrize(("filters", "message"), [
    ({"item_types": ("pin", "query")}, r"'query' cannot be retrieved; retrievable types are .*'board', 'user'"),
    ({"item_types": ("poem",)}, "'poem' cannot be retrieved"),
    ({"exclude_R": [np.arange(3)]}, "1 lists of excluded items for 24 requests"),
    ({"exclude_R": [np.array([N_ITEMS])] * 24}, f"excluded item {N_ITEMS} is not among the {N_ITEMS} items"),
    ({"exclude_R": [np.array([-2, 5])] * 24}, "excluded item -2 is not among")])
def test_filters_that_make_no_sense_are_refused(typed, histories, filters, message):
    with pytest.raises(ConfigError, match=message):
        over(typed, typed.retrievable_I.numpy()).retrieve(histories, "home", times(histories), **filters)
