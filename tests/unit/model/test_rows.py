"""Reading rows of a table: the values of indexing, and its gradient without the rows that were not read."""

import pytest
import torch

from pinrec_core.model.rows import ROUND, gather, round_up


@pytest.mark.parametrize("index", [
    (torch.tensor([3, 0, 3]),), (torch.tensor([[1, 2], [2, 2]]),),
    (torch.tensor([[0], [1]]), torch.tensor([4, 4, 1])), (torch.zeros(0, dtype=torch.long),)],
    ids=["rows", "rows of rows", "two indices that broadcast", "none"])
def test_values_and_gradient_are_those_of_indexing(index):
    table, plain = (torch.arange(30.0).view(5, 6).requires_grad_() for _ in range(2))
    found, expected = gather(table, *index), plain[index]
    assert torch.equal(found, expected)
    weight = torch.randn(found.shape)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert table.grad.is_sparse and table.grad._nnz() == torch.broadcast_tensors(*index)[0].numel()
    torch.testing.assert_close(table.grad.to_dense(), plain.grad)


def test_reads_in_two_places_add_up():
    table = torch.ones(4, 2, requires_grad=True)
    (gather(table, torch.tensor([1, 1])).sum() + 3 * gather(table, torch.tensor([1, 2])).sum()).backward()
    assert table.grad.to_dense().tolist() == [[0, 0], [5, 5], [3, 3], [0, 0]]


def test_indices_are_repeated_until_they_are_a_round_number():
    assert round_up(torch.arange(5)).tolist() == [0, 1, 2, 3, 4] + [4] * (ROUND - 5)
    assert torch.equal(round_up(torch.arange(ROUND)), torch.arange(ROUND))
    assert not len(round_up(torch.zeros(0, dtype=torch.long)))
