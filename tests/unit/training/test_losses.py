"""The sampled softmax by hand, and against the full softmax."""

import math

import numpy as np
import pytest
import torch

from pinrec_core.training.losses import least_of_groups, sampled_softmax
from pinrec_core.training.negatives import Banned, Negatives
from pinrec_core.training.pool import log_z

LN2, LN4 = math.log(2), math.log(4)
ALL = torch.arange(2)  # each of two targets has a query of its own


def negatives(log_expected_P, banned_QP, log_expected_N=(0.0, 0.0)) -> Negatives:
    return Negatives(torch.arange(len(log_expected_P)), torch.tensor(log_expected_P), torch.tensor(log_expected_N),
                     Banned(*torch.tensor(banned_QP).nonzero(as_tuple=True)))


def softmax_loss(positive_N, logits_QP, query_N, given, view_NK=None, **switches) -> torch.Tensor:
    """The loss with pool logits told as they are: as factors, they times the identity."""
    log_z_Q = log_z(logits_QP, torch.eye(logits_QP.shape[1], dtype=logits_QP.dtype), given)
    return sampled_softmax(positive_N, log_z_Q, query_N, given, view_NK, **switches)


def test_two_targets_against_two_negatives_by_hand():
    pool = torch.tensor([[LN4, 0.0], [0.0, LN2]])
    given = negatives([LN2, 0.0], [[False, False], [False, True]])
    loss = softmax_loss(torch.tensor([0.0, LN2]), pool, ALL, given)
    # row 0: Z = 1 + 4/2 + 1 = 4; row 1: Z = 2 + 1/2, its second pool item is banned
    assert loss.tolist() == pytest.approx([math.log(4), math.log(2.5 / 2)])


def test_ignored_items_of_the_view_count_in_full_and_padding_does_not():
    pool, given = torch.zeros(2, 1), negatives([0.0], [[False], [False]])
    view = torch.tensor([[LN2, -math.inf], [0.0, 0.0]])
    loss = softmax_loss(torch.zeros(2), pool, ALL, given, view)
    assert loss.tolist() == pytest.approx([math.log(1 + 1 + 2), math.log(1 + 1 + 1 + 1)])


def test_targets_of_one_query_share_its_pool():
    given = negatives([0.0, 0.0], [[False, False]])
    loss = softmax_loss(torch.tensor([0.0, LN2]), torch.tensor([[0.0, LN4]]), torch.tensor([0, 0]), given)
    assert loss.tolist() == pytest.approx([math.log(1 + 5), math.log((2 + 5) / 2)])


def test_the_classic_form_corrects_the_positive_too():
    given = negatives([0.0], [[False], [False]], log_expected_N=[LN2, 0.0])
    loss = softmax_loss(torch.tensor([LN2, 0.0]), torch.zeros(2, 1), ALL, given, correct_positive=True)
    assert loss.tolist() == pytest.approx([math.log(2), math.log(2)])  # s+ becomes 0: Z = 1 + 1


def test_the_estimate_of_z_is_unbiased():
    """Pools drawn with known probabilities: the mean of the estimated Z is the full softmax's Z."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=12), dtype=torch.float64)
    probability = rng.dirichlet(np.ones(12))
    size, positive = 8, 3
    estimates = []
    for _ in range(20_000):
        pool = torch.from_numpy(rng.choice(12, size=size, p=probability))
        log_expected = torch.log(torch.from_numpy(probability)[pool] * size)
        given = Negatives(pool, log_expected, torch.zeros(1), Banned(*(pool == positive)[None].nonzero(as_tuple=True)))
        loss = softmax_loss(logits[positive][None], logits[pool][None], torch.tensor([0]), given)
        estimates.append(torch.exp(loss + logits[positive]).item())
    full = logits.exp().sum().item()
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - full) < 4 * error


def test_only_the_least_of_a_group_counts_and_takes_the_gradient():
    loss = torch.tensor([3.0, 1.0, 2.0, 5.0], requires_grad=True)
    total = least_of_groups(loss, torch.tensor([1.0, 1.0, 2.0, 4.0]), torch.tensor([0, 0, 1, 1]))
    assert total.item() == pytest.approx((1 * 1 + 2 * 3) / 2)  # group weights 1 and 3, the mean of their targets'
    total.backward()
    assert loss.grad.tolist() == pytest.approx([0, 0.5, 1.5, 0])


def test_targets_alone_are_a_weighted_mean():
    loss, weight = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 0.5, 2.0])
    assert least_of_groups(loss, weight, torch.arange(3)).item() == pytest.approx((3 + 0.5 + 4) / 3)


def test_a_whole_pool_is_the_cross_entropy():
    logits, item = torch.randn(3, 6), torch.tensor([0, 5, 2])
    given = Negatives(torch.arange(6), torch.zeros(6), torch.zeros(3), Banned.none(), whole=True)
    loss = softmax_loss(logits[torch.arange(3), item], logits, torch.arange(3), given)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, item, reduction="none"))
