"""Dropout with cheap masks: the share, the scale, the gradient, and every element for itself."""

import pytest
import torch

from pinrec_core.model.dropout import dropout


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_the_share_dropped_and_the_mean_kept(p):
    torch.manual_seed(0)
    x = torch.full((1000, 401), 2.0)
    found = dropout(x, p, True)
    dropped = found == 0
    assert dropped.float().mean().item() == pytest.approx(p, abs=0.003)
    assert found[~dropped].unique().tolist() == pytest.approx([2 / (1 - p)], rel=1e-4)


def test_neighbours_that_share_a_draw_are_independent():
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(200_000, 4), 0.3, True) == 0).float()
    assert torch.corrcoef(dropped.T).fill_diagonal_(0).abs().max() < 0.01


def test_the_gradient_goes_where_the_values_went():
    torch.manual_seed(0)
    x = torch.randn(7, 13, requires_grad=True)
    found = dropout(x, 0.4, True)
    found.sum().backward()
    assert torch.equal(x.grad == 0, found == 0)
    torch.testing.assert_close(x.grad * x.detach(), found.detach())


def test_nothing_or_everything_is_dropped():
    x = torch.randn(5, 5)
    assert dropout(x, 0.5, False) is x or torch.equal(dropout(x, 0.5, False), x)
    assert torch.equal(dropout(x, 0.0, True), x)
    assert not dropout(x, 1.0, True).any()


def test_the_seed_decides():
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(dropout(torch.ones(11, 3), 0.5, True))
    assert torch.equal(*masks)
