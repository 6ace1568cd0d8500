"""The one retrieval path: exact counts, independence of batch and search depth, budgets that show in the list."""

import numpy as np
import pytest

from pinrec_core.config import GenerationConfig, IndexConfig, IndexKind
from pinrec_core.errors import ConfigError
from pinrec_core.retrieval import retriever as retriever_module
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.retriever import Retriever

LATER = 20_000  # ms from a history's end to its request: within the first offset, 30 s


def retriever(model, index=None, **generation):
    vector_ID = model.search_vectors("home")
    config = IndexConfig(**(index or {}))
    item_index = ItemIndex.build(vector_ID.numpy(), model.retrievable_I.numpy(), config)
    return Retriever(model, item_index, GenerationConfig(**generation), vector_ID)


def times(histories):
    return np.array([history.time_T[-1] + LATER if len(history.time_T) else LATER for history in histories])


@pytest.mark.parametrize("index", [{}, {"kind": IndexKind.IVF, "nlist": 6, "nprobe": 1}, {"kind": IndexKind.HNSW}])
@pytest.mark.parametrize("n", [1, 7, 60, 10_000])
def test_exactly_n_distinct_retrievable_items(model, histories, index, n):
    found = retriever(model, index).retrieve(histories, "home", times(histories), n=n)
    retrievable = int(model.retrievable_I.sum())
    assert found.item_RN.shape == (len(histories), min(n, retrievable))
    for row in found.item_RN:
        assert len(set(row.tolist())) == len(row)
        assert model.retrievable_I[row].all()
    assert (found.outcome_RN >= 0).all() and (found.step_RN >= 0).all()


def test_each_score_is_the_inner_product_with_the_query_that_claimed_it(model, histories):
    found, queries = retriever(model, merge_cosine=1.0).retrieve_lists(histories, "home", times(histories), n=20)
    vectors = model.all_item_vectors().numpy()
    for row in range(len(histories)):
        mine = queries.request_M == row
        by_key = {(o, s): v for o, s, v in zip(queries.outcome_M[mine], queries.step_M[mine], queries.search_MD[mine],
                                               strict=True)}
        for item, score, outcome, step in zip(found.item_RN[row], found.score_RN[row], found.outcome_RN[row],
                                              found.step_RN[row], strict=True):
            assert score == pytest.approx(vectors[item] @ by_key[outcome, step], abs=1e-5)


def test_answers_do_not_depend_on_batch_depth_or_overfetch(model, histories):
    check_independence(model, histories)


def test_nor_do_they_with_transitions_and_a_bias(followed_model, histories):
    check_independence(followed_model, histories)


def check_independence(model, histories):
    together = retriever(model).retrieve(histories, "home", times(histories), n=50)
    for other in (retriever(model, overfetch=1.0), retriever(model, overfetch=50.0)):
        assert (other.retrieve(histories, "home", times(histories), n=50).item_RN == together.item_RN).all()
    deep = retriever(model).retrieve_lists(histories, "home", times(histories), n=50, depth=200)[0]
    assert (deep.item_RN == together.item_RN).all()
    for row in (0, 7, 23):
        alone = retriever(model).retrieve(histories[row : row + 1], "home", times(histories[row : row + 1]), n=50)
        assert (alone.item_RN[0] == together.item_RN[row]).all()


def test_batches_come_back_in_the_order_of_the_requests(model, histories, monkeypatch):
    whole = retriever(model).retrieve_lists(histories[::-1], "home", times(histories[::-1]), n=20, depth=3)
    monkeypatch.setattr(retriever_module, "_BATCH", 5)
    parts = retriever(model).retrieve_lists(histories[::-1], "home", times(histories[::-1]), n=20, depth=3)
    assert (parts[0].item_RN == whole[0].item_RN).all()
    assert (parts[1].item_MK == whole[1].item_MK).all() and (parts[1].request_M == whole[1].request_M).all()


def test_budgets_show_in_every_prefix(model, histories):
    shares = {"click": 0.5, "share": 0.5}
    one_step = retriever(model, steps=1, merge_cosine=1.0)
    found = one_step.retrieve(histories, "home", times(histories), shares=shares, n=40)
    clicks_RN = np.cumsum(found.outcome_RN == 0, axis=1)
    assert np.abs(clicks_RN.mean(axis=0) - np.arange(1, 41) / 2).max() < 4
    only = retriever(model).retrieve(histories, "home", times(histories), shares={"save": 1}, n=10)
    assert (only.outcome_RN == 1).all()


def test_own_lists_are_each_querys_nearest_items(model, histories):
    _, queries = retriever(model).retrieve_lists(histories, "home", times(histories), n=30, depth=5)
    index = ItemIndex.build(model.all_item_vectors().numpy(), model.retrievable_I.numpy(), IndexConfig())
    assert (queries.item_MK == index.search(queries.search_MD, 5)[1]).all()
    assert (np.bincount(queries.request_M, weights=queries.budget_M) == 30).all()
    assert (np.diff(queries.request_M) >= 0).all()


def test_offsets_share_an_outcomes_budget_and_are_told(timed_model, histories):
    found, queries = retriever(timed_model, steps=2, merge_cosine=1.0, offset_shares=(0.4, 0.3, 0.2, 0.1)) \
        .retrieve_lists(histories, "home", times(histories), shares={"click": 0.5, "save": 0.5}, n=40, depth=3)
    for row in range(len(histories)):
        mine = queries.request_M == row
        assert queries.budget_M[mine].sum() == 40 and mine.sum() == 16
        per_offset = np.bincount(queries.offset_M[mine], weights=queries.budget_M[mine])
        assert per_offset.tolist() == [16, 12, 8, 4]
    assert set(found.offset_RN.ravel().tolist()) == {0, 1, 2, 3}
    only = retriever(timed_model, offset_shares=(0, 0, 1, 0)).retrieve(histories, "home", times(histories), n=10)
    assert (only.offset_RN == 2).all()


def test_a_model_without_offsets_tells_now(model, histories):
    assert (retriever(model).retrieve(histories, "home", times(histories), n=10).offset_RN == 0).all()


def test_long_histories_are_cut_to_the_models_length(model, histories):
    long = histories[11]._replace(**{name: np.concatenate([np.zeros_like(column)] * 3 + [column])
                                     for name, column in histories[11]._asdict().items()})
    long = type(long)(*(column[-12:] for column in long)), long
    found = retriever(model).retrieve(long, "home", times(long), n=10)
    assert (found.item_RN[0] == found.item_RN[1]).all()


def test_no_requests_give_no_lists(model):
    found, queries = retriever(model).retrieve_lists([], "home", np.zeros(0, int), n=5)
    assert found.item_RN.shape == (0, 5) and len(queries.request_M) == 0


def test_experts_on_histories_need_the_vectors_that_are_searched(followed_model):
    index = retriever(followed_model).index
    with pytest.raises(ConfigError, match="pass model.search_vectors"):
        Retriever(followed_model, index, GenerationConfig())


def test_nonsense_is_refused(model, histories):
    with pytest.raises(ConfigError, match="unknown"):
        retriever(model).retrieve(histories, "search", times(histories))
    with pytest.raises(ConfigError, match="-3"):
        retriever(model).retrieve(histories, "home", times(histories), n=-3)
