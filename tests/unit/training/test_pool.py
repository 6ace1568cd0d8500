"""The pool's part of the loss in blocks: the value and the gradients of the plain formula."""

import pytest
import torch

from pinrec_core.training.negatives import Banned, Negatives
from pinrec_core.training.pool import log_z

Q, P, E = 300, 70, 6  # more queries than a block, and neither number round


@pytest.fixture
def told():
    """Two factors, the correction, and some banned places."""
    torch.manual_seed(0)
    query, vectors = torch.randn(Q, E, dtype=torch.float64), torch.randn(P, E, dtype=torch.float64)
    banned = torch.rand(Q, P) < 0.05
    return query, vectors, torch.randn(P), banned


def negatives(log_expected, banned) -> Negatives:
    return Negatives(torch.arange(P), log_expected, torch.zeros(0), Banned(*banned.nonzero(as_tuple=True)))


def plain(query, vectors, log_expected, banned) -> torch.Tensor:
    return (query @ vectors.T - log_expected).masked_fill(banned, -torch.inf).logsumexp(1)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_value_and_gradients_are_those_of_the_plain_formula(told, kind):
    query, vectors, log_expected, banned = told
    tolerance = {torch.float64: 1e-6, torch.float32: 1e-5, torch.bfloat16: 2e-2}[kind]  # log_expected is float32
    weight = torch.rand(Q, dtype=torch.float64)  # every query counts differently
    found = [query.clone().requires_grad_(), vectors.clone().requires_grad_()]
    expected = [query.clone().requires_grad_(), vectors.clone().requires_grad_()]
    value = log_z(*found, negatives(log_expected, banned), kind)
    (value * weight).sum().backward()
    (plain(*expected, log_expected, banned) * weight).sum().backward()
    torch.testing.assert_close(value, plain(*expected, log_expected, banned), rtol=tolerance, atol=tolerance)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.grad - theirs.grad).norm() < tolerance * theirs.grad.norm()


def test_the_gradient_is_that_of_finite_differences(told):
    query, vectors, log_expected, banned = told
    given = negatives(log_expected, banned)
    few = [query[:5].requires_grad_(), vectors.requires_grad_()]
    few_given = given._replace(banned=Banned(*banned[:5].nonzero(as_tuple=True)))
    assert torch.autograd.gradcheck(lambda *factors: log_z(*factors, few_given), few)


def test_large_logits_do_not_overflow(told):
    query, vectors, log_expected, banned = told
    value = log_z(1000 * query, vectors, negatives(log_expected, banned))
    torch.testing.assert_close(value, plain(1000 * query, vectors, log_expected, banned))


def test_a_query_without_negatives_adds_nothing_and_learns_nothing(told):
    query, vectors, log_expected, banned = told
    banned = banned.clone()
    banned[7] = True
    query = query.requires_grad_()
    value = log_z(query, vectors, negatives(log_expected, banned))
    loss = torch.logaddexp(torch.zeros(Q, dtype=torch.float64), value)
    loss.sum().backward()
    assert loss[7] == 0 and not query.grad[7].any() and query.grad[8].any()
