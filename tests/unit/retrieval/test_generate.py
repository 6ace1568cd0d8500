"""Generation: the cache changes nothing, and a request's answer is its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pinrec_core.config import GenerationConfig
from pinrec_core.data.batch import collate
from pinrec_core.errors import ConfigError
from pinrec_core.model.conditions import Conditions
from pinrec_core.retrieval.generate import Generator, draw_outcomes
from pinrec_core.retrieval.plan import Question

SHARES = {"click": 0.5, "save": 0.3, "share": 0.2}
LATER = 20_000  # ms from a history's end to its request: within the first offset, 30 s


def at(histories):
    return np.array([int(history.time_T[-1]) + LATER if len(history.time_T) else LATER for history in histories])


def generate(model, histories, question, generation):
    return Generator(model, generation, model.search_vectors("home").numpy())(histories, question)


def without_cache(model, history, generation, offsets=(0,)):
    """Queries of one request by re-encoding the whole sequence, generated tokens included, at every step."""
    batch, per_outcome, now = collate([history]), len(offsets), at([history])
    codes, asked = torch.arange(3).repeat_interleave(per_outcome), torch.tensor(offsets).repeat(3)
    chosen_S = draw_outcomes([history.packed_T4], now, tuple(SHARES.values()), generation)[0]
    length, item_vectors = len(history.item_T), model.all_item_vectors()
    queries = []
    for step in range(generation.steps):
        zeros = torch.zeros_like(codes)
        states = model.encode(batch, item_vectors)
        vector_QD = model.query(states, zeros, zeros + length + step, Conditions(codes, zeros, asked))
        queries.append(vector_QD)
        chosen = chosen_S[step]
        fed_1D = vector_QD[chosen * per_outcome][None]  # the soonest vector of the outcome poses as an item
        item_vectors = torch.cat([item_vectors, fed_1D])
        one = [torch.tensor([[value]]) for value in (len(item_vectors) - 1, 1 << int(chosen), 0, int(now[0]))]
        columns = [torch.cat([column, token], 1) for column, token in
                   zip((batch.item_BT, batch.actions_BT, batch.surface_BT, batch.time_BT), one, strict=True)]
        batch = replace(batch, item_BT=columns[0], actions_BT=columns[1], surface_BT=columns[2], time_BT=columns[3],
                        length_B=batch.length_B + 1)
    return torch.cat(queries).detach().numpy()


def test_cache_equals_reencoding(model, histories):
    generation = GenerationConfig(steps=4)
    queries = generate(model, histories[:12], Question("home", SHARES, at(histories[:12])),
                       generation)
    assert queries.plan.outcome_Q.tolist() == [0, 1, 2] * 4
    assert queries.plan.step_Q.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for row, history in enumerate(histories[:12]):
        assert np.abs(queries.vector_BQD[row] - without_cache(model, history, generation)).max() < 1e-5


@pytest.mark.parametrize("offset_shares, offsets", [((), (0, 1, 2, 3)), ((0.5, 0, 0.25, 0.25), (0, 2, 3)),
                                                    ((0, 0.5, 0, 0.5), (1, 3))])
def test_every_step_asks_every_outcome_at_every_offset_with_a_share(timed_model, histories, offset_shares, offsets):
    generation, some = GenerationConfig(steps=3, offset_shares=offset_shares), histories[:12]
    queries = generate(timed_model, some, Question("home", SHARES, at(some)), generation)
    assert queries.plan.outcome_Q.tolist() == [o for o in (0, 1, 2) for _ in offsets] * 3
    assert queries.plan.offset_Q.tolist() == list(offsets) * 9
    assert queries.plan.step_Q.tolist() == [s for s in range(3) for _ in range(3 * len(offsets))]
    for row, history in enumerate(some):
        alone = without_cache(timed_model, history, generation, offsets)
        assert np.abs(queries.vector_BQD[row] - alone).max() < 1e-5


def test_one_step_gives_a_vector_per_outcome_and_offset_without_a_generated_token(timed_model, histories):
    shares, generation = {"click": 0.5, "save": 0.5}, GenerationConfig(steps=2)
    queries = generate(timed_model, histories, Question("home", shares, at(histories)), generation)
    once = generate(timed_model, histories, Question("home", shares, at(histories)),
                    GenerationConfig(steps=1))
    assert queries.vector_BQD.shape[1] == 16 and once.vector_BQD.shape[1] == 8
    assert np.abs(queries.vector_BQD[:, :8] - once.vector_BQD).max() < 1e-6
    cosine_BQQ = once.vector_BQD @ once.vector_BQD.transpose(0, 2, 1)
    assert (cosine_BQQ[:, 0, 1:4] < 0.9999).all()  # offsets of one outcome differ


@pytest.mark.parametrize("passed_s, told", [(0, (0, 1, 2, 3)), (29.9, (0, 1, 2, 3)), (30, (1, 2, 2, 3)),
                                            (100, (2, 2, 2, 3)), (10**6, (3, 3, 3, 3))])
def test_offsets_count_from_the_request(timed_model, histories, passed_s, told):
    history = histories[7]
    now = np.array([int(history.time_T[-1] + 1000 * passed_s)])
    queries = generate(timed_model, [history], Question("home", SHARES, now), GenerationConfig(steps=1))
    states, zeros = timed_model.encode(collate([history])), torch.zeros(12, dtype=torch.long)
    asked = Conditions(torch.arange(3).repeat_interleave(4), zeros, torch.tensor(told).repeat(3))
    wanted = timed_model.query(states, zeros, zeros + 7, asked).detach().numpy()
    assert np.abs(queries.vector_BQD[0] - wanted).max() < 1e-5
    assert queries.plan.offset_Q.tolist() == [0, 1, 2, 3] * 3


@pytest.mark.parametrize("offset_shares", [(0.5, 0.5), (1.0,)])
def test_offset_shares_that_do_not_fit_the_model_are_refused(timed_model, model, histories, offset_shares):
    generation = GenerationConfig(offset_shares=offset_shares)
    with pytest.raises(ConfigError, match="4 time offsets"):
        generate(timed_model, histories[:1], Question("home", SHARES, at(histories[:1])), generation)
    if len(offset_shares) == 2:
        with pytest.raises(ConfigError, match="1 time offsets"):
            generate(model, histories[:1], Question("home", SHARES, at(histories[:1])), generation)


def test_same_request_same_queries_in_any_batch(model, histories):
    generation = GenerationConfig(steps=3)
    together = generate(model, histories, Question("home", SHARES, at(histories)), generation)
    for row in (0, 3, 11, 17):
        alone = generate(model, [histories[row]], Question("home", SHARES, at(histories[row:row + 1])),
                         generation)
        assert np.abs(alone.vector_BQD[0] - together.vector_BQD[row]).max() < 1e-5


def test_outcomes_are_drawn_by_share_and_seed(histories):
    generation = GenerationConfig(steps=30)
    times, packed = at(histories), [history.packed_T4 for history in histories]
    drawn = draw_outcomes(packed, times, (0.5, 0.3, 0.2), generation)
    assert np.bincount(drawn.flatten(), minlength=3) / drawn.size == pytest.approx([0.5, 0.3, 0.2], abs=0.05)
    assert (draw_outcomes(packed, times, (0.0, 1.0), generation) == 1).all()
    assert (drawn != draw_outcomes(packed, times, (0.5, 0.3, 0.2), GenerationConfig(steps=30, seed=1))).any()
    assert (drawn[0] == drawn[12]).all()  # both histories are empty: the same request
    assert (drawn[11] != drawn[23]).any()


def test_outcomes_and_surfaces_give_different_queries(model, histories):
    generation = GenerationConfig(steps=1)
    ask = [generate(model, histories[5:6], Question(surface, SHARES, at(histories[5:6])), generation)
           for surface in ("home", "related")]
    cosine = ask[0].vector_BQD[0] @ ask[1].vector_BQD[0].T
    assert (np.diag(cosine) < 0.999).all() and (ask[0].vector_BQD[0] @ ask[0].vector_BQD[0].T)[0, 1] < 0.999


def test_budgets_follow_share_and_decay(model, histories):
    queries = generate(model, histories[:1], Question("home", SHARES, at(histories[:1])),
                       GenerationConfig(steps=2, step_decay=0.5))
    assert queries.plan.budget_Q(30).tolist() == [10, 6, 4, 5, 3, 2]


def test_unknown_surface_and_too_many_steps_are_refused(model, histories):
    with pytest.raises(ConfigError, match="search"):
        generate(model, histories[:1], Question("search", SHARES, at(histories[:1])), GenerationConfig())
    with pytest.raises(ConfigError, match="steps 99"):
        generate(model, histories[:1], Question("home", SHARES, at(histories[:1])), GenerationConfig(steps=99))
