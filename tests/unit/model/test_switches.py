"""What the model promises however it is switched: causal, indifferent to padding, the same from the cache."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from pinrec_core.config import AttentionBias, Conditioning, ModelConfig
from pinrec_core.data.batch import History, collate
from pinrec_core.model.attention import NOWHERE
from pinrec_core.model.conditions import Conditions, elapsed_offset
from pinrec_core.model.generation import Asked, Generation, Past, Tokens
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.states import States

from .small import CONFIG, history, make

SWITCHES = {
    "conditioning": list(Conditioning), "attention_bias": list(AttentionBias), "offsets_s": [(), (60.0, 3600.0)],
    "absolute_time": [True, False], "relative_time": [True, False],
    "features": [{}, {"use_content": False}, {"use_ids": False}],
}
NOW = 1_700_002_000_000


def combinations() -> list[dict]:
    """Few of the 216 combinations, with every choice of any three switches among them (a covering array, greedily)."""
    every = {places: triples(places) for places in itertools.product(*(range(len(c)) for c in SWITCHES.values()))}
    missing, rows = set().union(*every.values()), []
    while missing:
        best = max(every, key=lambda places: len(every[places] & missing))
        missing -= every[best]
        rows.append({key: choices[place] for (key, choices), place in zip(SWITCHES.items(), best, strict=True)})
    return [row.pop("features") | row for row in rows]


def triples(places: tuple[int, ...]) -> set[tuple]:
    """What a combination chooses for each three switches."""
    return set(itertools.combinations(enumerate(places), 3))


def name(switches: dict) -> str:
    """Which combination it is, for the test's id."""
    return "-".join(f"{key}={len(value) if isinstance(value, tuple) else value}" for key, value in switches.items())


@pytest.fixture(params=combinations(), ids=name)
def model(request) -> PinRec:
    """A model of the combination."""
    return make(CONFIG.model_copy(update=request.param))


def ask(model: PinRec, states: States, columns: list[tuple[int, int]]) -> torch.Tensor:
    """Queries [columns, conditions, D] at (row, column) pairs for all conditions that the model tells apart."""
    wanted = torch.tensor(list(itertools.product((0, 1), (0, 1), range(len(model.config.offsets_s) + 1))))
    pair = torch.tensor(columns).repeat_interleave(len(wanted), dim=0)
    conditions = Conditions(*wanted.repeat(len(columns), 1).T)
    return model.query(states, *pair.T, conditions).unflatten(0, (len(columns), len(wanted)))


def join(past: History, later: History) -> History:
    """One history after the other."""
    return History(*(np.concatenate([a, b]) for a, b in zip(past, later, strict=True)))


@torch.no_grad()
def test_no_position_sees_a_later_event(model):
    past, other = history(6), history(6, seed=1)
    mixed = join(History(*(column[:3] for column in past)), History(*(column[3:] for column in other)))
    columns = [(0, column) for column in range(7)]
    before, after = (ask(model, model.encode(collate([one])), columns) for one in (past, mixed))
    torch.testing.assert_close(before[:4], after[:4], atol=1e-6, rtol=0)
    assert all(not torch.allclose(before[column], after[column], atol=1e-4) for column in range(4, 7))


@torch.no_grad()
def test_padding_and_neighbours_change_nothing(model):
    histories = [history(2), history(6), history(0), history(4, seed=3)]
    together = model.encode(collate(histories))
    order = [(3, 4), (0, 2), (1, 1), (0, 0), (1, 6), (2, 0), (3, 4)]  # not by row, and one column twice
    queries = ask(model, together, order)
    for (row, column), query in zip(order, queries, strict=True):
        alone = ask(model, model.encode(collate([histories[row]])), [(0, column)])[0]
        torch.testing.assert_close(query, alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_generation_from_the_memory_equals_encoding_again(model):
    """Three steps of one outcome each, every history in turn: read at once, and read in two parts."""
    generation, vectors = Generation(model, steps=3), model.all_item_vectors()
    for past in (history(2), history(0), history(5, seed=3)):
        wanted = encoded_again(model, past, vectors)
        whole, memory = generation(tokens(model, past, vectors), nothing(model), asked(model))
        torch.testing.assert_close(whole[0], wanted, atol=1e-5, rtol=0)
        for known in range(1, len(past.item_T)):
            seen = Past(memory[:, :, :, :known], torch.arange(1, known + 1)[None],
                        torch.from_numpy(past.time_T)[None, :known])
            again, grown = generation(tokens(model, past, vectors, known), seen, asked(model))
            torch.testing.assert_close(again[0], wanted, atol=1e-5, rtol=0)
            torch.testing.assert_close(grown, memory[:, :, :, known:], atol=1e-5, rtol=0)


def encoded_again(model: PinRec, past: History, vectors: torch.Tensor) -> torch.Tensor:
    """The queries of all steps [steps * offsets, D] for the first outcome on the second surface, without a memory."""
    offsets, queries = len(model.config.offsets_s) + 1, []
    for _ in range(3):
        states = model.encode(collate([past]), vectors)
        ahead = torch.tensor((0.0, *model.config.offsets_s))
        told = elapsed_offset(states.last.time_BL[:, None], torch.tensor([[NOW]]), ahead, model.config.offsets_s)[0]
        zeros = torch.zeros(offsets, dtype=torch.long)
        queries.append(model.query(states, zeros, zeros + len(past.item_T), Conditions(zeros, zeros + 1, told)))
        vectors = torch.cat([vectors, queries[-1][:1]])  # the soonest vector poses as an item
        past = join(past, History(*(np.array([value]) for value in (len(vectors) - 1, 1, 1, NOW))))
    return torch.cat(queries)


def tokens(model: PinRec, past: History, vectors: torch.Tensor, start: int = 0) -> Tokens:
    """What follows the first `start` tokens of a history; one column of padding behind."""
    batch, end = collate([past]), (0, 1)
    previous = pad(batch.time_BT, (1, 0))[:, :-1]
    bits = (batch.actions_BT[..., None] >> torch.arange(model.action.num_embeddings)) & 1
    columns = [pad(column[:, start:], end) for column in (batch.surface_BT, batch.time_BT, previous)]
    place = torch.tensor([[*range(start + 1, len(past.item_T) + 1), NOWHERE]])
    return Tokens(pad(vectors[batch.item_BT[:, start:]], (0, 0, *end)),
                  pad(bits[:, start:].float(), (0, 0, *end)), *columns, place)


def nothing(model: PinRec) -> Past:
    """No token was read."""
    config, none = model.config, torch.zeros(1, 0, dtype=torch.long)
    return Past(torch.zeros(1, 2 * config.layers, config.heads, 0, config.width // config.heads), none, none)


def asked(model: PinRec) -> Asked:
    """The first outcome on the second surface."""
    zero = torch.zeros(1, dtype=torch.long)
    return Asked(zero + NOW, zero + 1, zero, torch.tensor((0.0, *model.config.offsets_s)), zero[:, None].repeat(1, 3))


@pytest.mark.parametrize("conditioning", Conditioning)
@pytest.mark.parametrize("attention_bias", AttentionBias)
def test_every_parameter_learns(conditioning, attention_bias):
    config = CONFIG.model_copy(update={"conditioning": conditioning, "attention_bias": attention_bias,
                                       "offsets_s": (60.0,), "action_mask": 0.5, "dropout": 0.0})
    model = make(config).train()
    batch = collate([history(6), join(history(4, seed=4), History(*np.array([[19], [1], [0], [NOW]])))])
    states = model.encode(batch)  # item 19 is the query, which has a tower of its own
    queries = ask(model, states, [(row, column) for row in range(2) for column in range(6)])
    loss = (queries * torch.randn_like(queries)).sum() * model.scale + model.action_loss(states, batch.actions_BT)
    loss.backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not idle


def test_the_conditioned_block_begins_as_the_identity():
    torch.manual_seed(0)
    spread = make(CONFIG.model_copy(update={"conditioning": Conditioning.BACKBONE}))
    model = PinRec(spread.config, spread.log, spread.items, spread.action_shares).eval()
    states, column = model.encode(collate([history(5)])), torch.arange(6)
    answered = model.backbone.answer(states, torch.zeros_like(column), column, torch.randn(6, 32))
    torch.testing.assert_close(answered, model.backbone.norm(states.hidden_BLW[0]))


@pytest.mark.parametrize(("switches", "shift_ms", "differs"), [
    ({}, 4 * 365 * 86_400_000, True),  # a trend over years is visible: only the longest period tells these apart
    ({"absolute_time": False}, 12_345_678, False),
    ({"absolute_time": False, "attention_bias": AttentionBias.POSITION_TIME}, 12_345_678, False),
])
def test_absolute_time_is_seen_only_if_asked_for(switches, shift_ms, differs):
    model, past = make(CONFIG.model_copy(update=switches)), history(5)
    shifted = past._replace(time_T=past.time_T + shift_ms)
    here, there = (model.encode(collate([one])).hidden_BLW for one in (past, shifted))
    assert torch.allclose(here, there, atol=1e-5) is not differs


@pytest.mark.parametrize(("relative_time", "attention_bias"), list(itertools.product((True, False), AttentionBias)))
def test_gaps_are_seen_only_if_asked_for(relative_time, attention_bias):
    model = make(CONFIG.model_copy(update={"absolute_time": False, "relative_time": relative_time,
                                           "attention_bias": attention_bias}))
    past = history(5)
    slower = past._replace(time_T=past.time_T[0] + 50 * (past.time_T - past.time_T[0]))
    here, there = (model.encode(collate([one])).hidden_BLW for one in (past, slower))
    assert torch.allclose(here, there) is not (relative_time or attention_bias is AttentionBias.POSITION_TIME)


@pytest.mark.parametrize(("embedding_dropout", "dropout", "silent"), [(1.0, 0.0, True), (None, 0.0, False),
                                                                    (0.0, 1.0, False), (None, 1.0, True)])
def test_token_inputs_have_a_dropout_of_their_own_or_the_common_one(embedding_dropout, dropout, silent):
    model = make(CONFIG.model_copy(update={"embedding_dropout": embedding_dropout, "dropout": dropout})).train()
    here, there = (model.encode(collate([history(4, seed)])).hidden_BLW for seed in (0, 1))
    assert torch.allclose(here, there) is silent


@pytest.mark.parametrize(("settings", "message"), [
    ({"conditioning": "backbone", "layers": 1}, "needs layers >= 2, not 1"),
    ({"offsets_s": (60.0, 30.0)}, "ascending order"),
    ({"offsets_s": (0.0,)}, "above 0"),
])
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**settings)
