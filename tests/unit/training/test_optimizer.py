"""Row-wise Adam by hand and beside dense Adam; gradient clipping over dense and sparse gradients together."""

import copy
import math

import pytest
import torch

from pinrec_core.model.rows import gather
from pinrec_core.training.gradients import clip_gradients
from pinrec_core.training.optimizer import BETAS, RowwiseAdamW
from pinrec_core.training.ranks import ALONE

FIRST, SECOND = BETAS
MOVEMENT = (1 - FIRST) / (1 - FIRST / math.sqrt(SECOND))  # of a row left alone after one gradient


def optimizer(*parameters, rate=0.1) -> RowwiseAdamW:
    return RowwiseAdamW(parameters, lr=rate, betas=BETAS, weight_decay=0.0, fused=True)


def read(table, rows, factor=1.0) -> None:
    """A step's backward pass: each row read gets a gradient of `factor`."""
    table.grad = None
    (factor * gather(table, torch.tensor(rows))).sum().backward()


def test_two_steps_of_a_table_by_hand():
    table = torch.nn.Parameter(torch.zeros(4, 3))
    adam = optimizer(table)
    read(table, [1])
    adam.step()
    assert table[1].tolist() == pytest.approx([-0.1 * MOVEMENT] * 3)  # sqrt(v) of a first step is the gradient
    read(table, [2, 2])
    adam.step()
    # row 2 is read twice: gradient 2, v = (1 - b2) 4, corrected by 1 - b2^2
    step = 2 / math.sqrt((1 - SECOND) * 4 / (1 - SECOND**2))
    assert table[2].tolist() == pytest.approx([-0.1 * MOVEMENT * step] * 3)
    assert table[1].tolist() == pytest.approx([-0.1 * MOVEMENT] * 3) and not table[[0, 3]].any()


def test_the_second_moment_fades_while_a_row_is_not_read():
    table = torch.nn.Parameter(torch.zeros(2, 3))
    adam = optimizer(table)
    for step in range(6):
        read(table, [0 if step in (0, 5) else 1])
        adam.step()
    assert adam.state[table]["square"][0].item() == pytest.approx((1 - SECOND) * (SECOND**5 + 1))
    assert adam.state[table]["seen"].tolist() == [6, 5]


def test_a_rare_row_ends_where_dense_adam_takes_it():
    """Read every 60th step with one gradient, a row moves as far as dense Adam moves it in the meantime."""
    sparse, dense = torch.nn.Parameter(torch.zeros(2, 4)), torch.nn.Parameter(torch.zeros(2, 4))
    ours, theirs = optimizer(sparse, rate=0.01), torch.optim.Adam([dense], lr=0.01, betas=BETAS)
    for step in range(600):
        read(sparse, [0 if step % 60 == 0 else 1])
        dense.grad = sparse.grad.to_dense()
        ours.step()
        theirs.step()
    assert sparse[0, 0].item() == pytest.approx(dense[0, 0].item(), rel=0.1)


def test_dense_parameters_get_adamw(recwarn):
    torch.manual_seed(0)
    layer, table = torch.nn.Linear(3, 2), torch.nn.Parameter(torch.zeros(4, 3))
    twin = copy.deepcopy(layer)
    ours = RowwiseAdamW([{"params": layer.parameters()}, {"params": [table]}], lr=0.1, betas=BETAS, weight_decay=0.1)
    theirs = torch.optim.AdamW(twin.parameters(), lr=0.1, betas=BETAS, weight_decay=0.1)
    for _ in range(3):
        x = torch.randn(5, 3)
        for each, adam in ((layer, ours), (twin, theirs)):
            adam.zero_grad()
            each(x).square().sum().backward()
        read(table, [0])
        ours.step()
        theirs.step()
    for mine, other in zip(layer.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_run_goes_on_from_its_state():
    tables = [torch.nn.Parameter(torch.ones(5, 2)) for _ in range(2)]
    adams = [optimizer(table) for table in tables]
    for number, rows in enumerate([[0, 1], [1], [3, 0], [1, 1]]):
        for table, adam in zip(tables, adams, strict=True):
            read(table, rows, 1.0 + number)
            adam.step()
        if number == 1:  # one of them is killed and started again
            adams[1] = optimizer(tables[1])
            adams[1].load_state_dict(copy.deepcopy(adams[0].state_dict()))
    assert torch.equal(*tables)


@pytest.mark.parametrize(("most", "scale"), [(100.0, 1.0), (1.0, 1 / 5)])
def test_clipping_counts_sparse_and_dense_gradients(most, scale):
    model = torch.nn.Module()
    model.table, model.weight = torch.nn.Parameter(torch.zeros(3, 1)), torch.nn.Parameter(torch.zeros(1))
    (2 * gather(model.table, torch.tensor([1, 1])).sum() + 3 * model.weight.sum()).backward()
    norm = clip_gradients(list(model.parameters()), most, ALONE)
    assert norm.item() == pytest.approx(5.0)  # 4 = 2 + 2 of a row read twice, and 3
    assert model.table.grad.to_dense()[:, 0].tolist() == pytest.approx([0, 4 * scale, 0])
    assert model.weight.grad.item() == pytest.approx(3 * scale)
