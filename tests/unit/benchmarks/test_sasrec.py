"""The peer learns what it must, sees no future and takes no notice of padding."""

import time

import numpy as np
import pytest
import torch
from sasrec import FullSoftmax, Sasrec, SasrecConfig, train_sasrec

SMALL = {"width": 16, "layers": 1, "heads": 1, "max_length": 6, "dropout": 0.1, "learning_rate": 1e-2, "seed": 1}


@pytest.fixture(scope="module")
def rings():
    """Walks on a ring of 20 items: the next item is always one further."""
    rng = np.random.default_rng(0)
    walks = [(rng.integers(20) + np.arange(rng.integers(3, 12))) % 20 for _ in range(200)]
    return np.concatenate(walks), np.concatenate([[0], np.cumsum([len(walk) for walk in walks])])


def share_right(scorer) -> float:
    """How often the item ahead on the ring comes first."""
    histories = [(start + np.arange(1 + start % 9)) % 20 for start in range(20)]
    return float(np.mean(scorer(histories).argmax(1) == [(history[-1] + 1) % 20 for history in histories]))


@pytest.mark.parametrize("given", [{"loss": "bce", "epochs": 60, "patience": 60}, {"loss": "softmax", "epochs": 30},
                                   {"loss": "softmax", "negatives": 16, "epochs": 30}],
                         ids=["bce", "softmax", "sampled"])
def test_learns_what_follows(rings, given):
    scorer = train_sasrec(*rings, 20, SasrecConfig(**SMALL, **given), validate=share_right)
    assert share_right(scorer) > 0.9


def test_no_position_sees_a_later_item_or_padding():
    torch.manual_seed(0)
    model = Sasrec(10, SasrecConfig(**SMALL)).eval()
    short, long = torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 3, 9, 9]])
    alone = model(short, torch.tensor([3]))
    torch.testing.assert_close(model(long, torch.tensor([3]))[:, :3], alone)
    changed = model(torch.tensor([[1, 2, 7]]), torch.tensor([3]))
    torch.testing.assert_close(changed[:, :2], alone[:, :2])
    assert not torch.allclose(changed[:, 2], alone[:, 2])


def test_an_empty_history_is_answered_with_popularity_and_a_passed_deadline_ends_training(rings):
    scorer = train_sasrec(*rings, 20, SasrecConfig(**SMALL), deadline=time.monotonic())
    scores_RI = scorer([np.zeros(0, np.int64), np.array([3])])
    assert (scores_RI[0] == np.bincount(rings[0], minlength=20)).all()
    assert scores_RI.shape == (2, 20) and not (scores_RI[1] == scores_RI[0]).any()


def test_the_best_weights_are_kept(rings):
    said = iter([0.1, 0.9, 0.2, 0.3])
    seen = []

    def validate(scorer):
        seen.append(scorer([np.array([1])]))
        return next(said)

    scorer = train_sasrec(*rings, 20, SasrecConfig(**SMALL, epochs=9, patience=2), validate=validate)
    assert len(seen) == 4
    assert (scorer([np.array([1])]) == seen[1]).all()


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_the_softmax_in_blocks_is_the_softmax(kind, tolerance):
    torch.manual_seed(0)
    hidden, table, item = torch.randn(600, 8), torch.randn(30, 8), torch.randint(30, (600,))
    expected = [hidden.clone().requires_grad_(), table.clone().requires_grad_()]
    loss = torch.nn.functional.cross_entropy(expected[0] @ expected[1].T, item)
    loss.backward()
    found = [hidden.clone().requires_grad_(), table.clone().requires_grad_()]
    blocked = FullSoftmax.apply(*found, item, kind)
    (2 * blocked).backward()
    assert blocked.item() == pytest.approx(loss.item(), rel=tolerance)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.grad - 2 * theirs.grad).norm() < tolerance * (2 * theirs.grad).norm()
