"""Who is a negative of whom, how often each was expected, and the sketch that estimates it."""

import math

import numpy as np
import pytest
import torch

from pinrec_core.config import PretrainConfig
from pinrec_core.data.batch import Targets
from pinrec_core.training.losses import sampled_softmax
from pinrec_core.training.negatives import draw_negatives, draws_of
from pinrec_core.training.pool import log_z
from pinrec_core.training.sketch import CountMinSketch


def targets(row, item) -> Targets:
    n = len(row)
    return Targets(torch.tensor(row), torch.zeros(n, dtype=torch.long), torch.tensor(item),
                   torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.long), torch.ones(n),
                   torch.zeros(n, 0, dtype=torch.long), torch.zeros(n, dtype=torch.long), torch.arange(n))


def drawn(asked, user_B, retrievable, sketch, **config):
    """Negatives of a batch."""
    own_N = torch.arange(len(asked.item_N))  # each target has a query of its own
    return draw_negatives(asked, own_N, draws_of(asked, user_B), retrievable, sketch, PretrainConfig(**config))


def banned_QP(found, queries: int) -> torch.Tensor:
    """The banned pairs as a bool for every query and place."""
    out_QP = torch.zeros(queries, len(found.item_P), dtype=torch.bool)
    out_QP[found.banned.query_X, found.banned.place_X] = True
    assert found.banned.query_X.tolist() == sorted(found.banned.query_X.tolist())
    assert len(found.banned.query_X) == out_QP.sum(), "a pair is there once"
    return out_QP


def sketch_of(items) -> CountMinSketch:
    sketch = CountMinSketch(1024, 2)
    sketch.add(torch.tensor(items))
    return sketch


def test_own_item_and_other_positives_of_the_user_are_no_negatives():
    torch.manual_seed(0)
    user_B = torch.tensor([10, 20, 10])  # rows 0 and 2 are the same user
    found = drawn(targets([0, 0, 1, 2], [5, 6, 7, 8]), user_B, torch.arange(9), sketch_of([5, 6, 7, 8]),
                  random_negatives=1)
    in_batch = found.item_P[:4].tolist()
    allowed = [[item for item, banned in zip(in_batch, row[:4].tolist(), strict=True) if not banned]
               for row in banned_QP(found, 4)]
    assert allowed[0] == allowed[1] == allowed[3] == [7]
    assert sorted(allowed[2]) == [5, 6, 8]


def test_what_a_query_asks_for_besides_is_no_negative_of_it():
    asked, user_B = targets([0, 0, 1], [3, 4, 5]), torch.tensor([0, 1])
    found = draw_negatives(asked, torch.tensor([1, 1, 0]), draws_of(asked, user_B), torch.tensor([3, 4, 5, 6] * 20),
                           sketch_of([3, 4, 5]), PretrainConfig(in_batch_negatives=0, random_negatives=50))
    allowed = [sorted(set(found.item_P[~row].tolist())) for row in banned_QP(found, 2)]
    assert allowed == [[3, 4, 6], [5, 6]]


def test_a_random_draw_of_the_positive_is_banned():
    found = drawn(targets([0], [3]), torch.tensor([0]), torch.full((6,), 3), sketch_of([3]), random_negatives=5)
    assert banned_QP(found, 1).all()


def test_expected_counts_by_hand():
    found = drawn(targets([0, 1, 2], [1, 2, 1]), torch.tensor([0, 1, 2]), torch.arange(10), sketch_of([1, 1, 1, 2]),
                  random_negatives=5)
    by_item = dict(zip(found.item_P.tolist(), found.log_expected_P.tolist(), strict=True))
    assert by_item[1] == pytest.approx(math.log(1 - 0.25**2 + 0.5), rel=1e-5)  # two draws of others: 1 - (1 - p)^2
    assert by_item[2] == pytest.approx(math.log(1 - 0.75**2 + 0.5), rel=1e-5)
    assert found.log_expected_N.tolist() == pytest.approx([by_item[1], by_item[2], by_item[1]])


def test_an_item_asked_several_times_of_one_user_is_one_draw():
    draws = draws_of(targets([0, 0, 0, 1, 2], [5, 5, 6, 5, 5]), torch.tensor([7, 9, 7]))
    assert draws.user_C.tolist() == [0, 0, 1] and draws.item_C.tolist() == [5, 6, 5]
    assert draws.user_N.tolist() == [0, 0, 0, 1, 0]
    assert draws.of_others == 1.5  # three draws of two users


def test_the_in_batch_pool_is_thinned_and_its_expectation_with_it():
    found = drawn(targets(list(range(8)), list(range(8))), torch.arange(8), torch.arange(100),
                  sketch_of(list(range(8))), random_negatives=1, in_batch_negatives=2)
    assert len(found.item_P) == 3
    assert found.log_expected_P[0].item() == pytest.approx(math.log(2 / 8 * (1 - (7 / 8) ** 7) + 0.01), rel=1e-5)


def test_random_only_and_in_batch_only():
    asked, user_B = targets([0, 1, 2], [1, 2, 1]), torch.arange(3)
    random = drawn(asked, user_B, torch.arange(10), sketch_of([1, 1, 2]), in_batch_negatives=0, random_negatives=4)
    assert len(random.item_P) == 4 and random.log_expected_P.tolist() == pytest.approx([math.log(0.4)] * 4)
    in_batch = drawn(asked, user_B, torch.arange(10), sketch_of([1, 1, 2]), random_negatives=0)
    assert sorted(in_batch.item_P.tolist()) == [1, 2]
    by_item = dict(zip(in_batch.item_P.tolist(), in_batch.log_expected_P.tolist(), strict=True))
    assert by_item == pytest.approx({1: math.log(1 - 1 / 9), 2: math.log(1 - 4 / 9)}, rel=1e-5)


@pytest.mark.parametrize("correct_positive", [False, True])
def test_a_batch_of_one_user_without_random_negatives_has_no_negatives(correct_positive):
    found = drawn(targets([0, 0], [1, 2]), torch.tensor([0]), torch.arange(10), sketch_of([1, 2]), random_negatives=0)
    logits = torch.zeros(2, 2, requires_grad=True)
    log_z_Q = log_z(logits, torch.eye(2), found)
    loss = sampled_softmax(torch.zeros(2), log_z_Q, torch.arange(2), found, correct_positive=correct_positive)
    loss.sum().backward()
    assert loss.tolist() == [0, 0] and torch.isfinite(logits.grad).all()


def test_no_negatives_at_all_are_refused():
    with pytest.raises(ValueError, match="both 0"):
        PretrainConfig(random_negatives=0, in_batch_negatives=0)


N_ITEMS, N_USERS = 12, 6
POPULARITY = torch.from_numpy(np.random.default_rng(0).dirichlet(np.full(N_ITEMS, 3.0)))


def estimates_of_z(logits, positive: int, repeats: int = 1500, **config) -> tuple[float, float]:
    """Mean estimate of Z over batches of one target per user, the first one's fixed, and its standard error."""
    sketch = CountMinSketch(1 << 16, 2)  # has seen exactly the popularity of each item
    for item, share in enumerate((POPULARITY * 1e7).long().tolist()):
        for row, column in zip(sketch.counts, sketch._columns(torch.tensor([item])), strict=True):
            row[column] += share
        sketch.total += share
    generator, found = np.random.default_rng(1), []
    torch.manual_seed(0)
    for _ in range(repeats):
        items = [positive, *generator.choice(N_ITEMS, size=N_USERS - 1, p=POPULARITY.numpy()).tolist()]
        pool = drawn(targets(list(range(N_USERS)), items), torch.arange(N_USERS), torch.arange(N_ITEMS), sketch,
                     **config)
        log_z_Q = log_z(torch.ones(N_USERS, 1, dtype=torch.float64), logits[pool.item_P][:, None], pool)
        loss = sampled_softmax(logits[items], log_z_Q, torch.arange(N_USERS), pool)[0]
        found.append(torch.exp(loss + logits[positive]).item())
    return float(np.mean(found)), float(np.std(found) / math.sqrt(repeats))


@pytest.mark.parametrize("config", [
    {"random_negatives": 8, "in_batch_negatives": 0}, {"random_negatives": 4, "in_batch_negatives": 100},
    {"random_negatives": 0, "in_batch_negatives": 100}], ids=["random", "mixed", "in batch"])
def test_the_estimate_of_z_is_the_full_softmax_of_the_catalogue(config):
    """Pools as the training step draws them; every item is someone's target now and then, so in-batch is whole too."""
    logits = torch.from_numpy(np.random.default_rng(2).normal(size=N_ITEMS))
    mean, error = estimates_of_z(logits, int(POPULARITY.argmax()), **config)
    full = logits.exp().sum().item()
    assert abs(mean - full) < 4 * error
    assert error < 0.02 * full


def test_a_pool_as_large_as_the_catalogue_is_every_item_once():
    found = drawn(targets([0, 0], [3, 4]), torch.tensor([0]), torch.arange(2, 7), sketch_of([3, 4]), random_negatives=5)
    assert found.item_P.tolist() == [2, 3, 4, 5, 6]
    assert found.whole and not found.log_expected_P.any() and not len(found.banned.query_X)


def test_the_sketch_never_counts_too_little_and_is_exact_when_wide():
    items = torch.randint(0, 500, (20_000,), generator=torch.Generator().manual_seed(0))
    truth = items.bincount(minlength=500) / len(items)
    narrow, wide = CountMinSketch(64, 2), CountMinSketch(1 << 20, 2)
    narrow.add(items)
    wide.add(items)
    every = torch.arange(500)
    assert (narrow.frequency(every) >= truth - 1e-12).all()
    assert narrow.frequency(every).sum() > 1.5  # collisions show
    assert wide.frequency(every).tolist() == pytest.approx(truth.tolist())
