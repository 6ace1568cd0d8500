"""Buckets of distance and the mask they make, by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from pinrec_core.config import AttentionBias
from pinrec_core.model.attention import (
    FAR_POSITIONS,
    NOWHERE,
    POSITION_BUCKETS,
    TIME_BUCKETS,
    Places,
    RelativeBias,
    attention,
    position_buckets,
    time_buckets,
)

from .small import CONFIG

YEAR_MS = 365 * 86_400_000


def test_near_positions_have_buckets_of_their_own_and_far_ones_share():
    buckets = position_buckets(torch.arange(2 * FAR_POSITIONS))
    assert buckets[:17].tolist() == list(range(17))
    assert (buckets.diff() >= 0).all() and (buckets.diff() <= 1).all()
    assert (buckets[FAR_POSITIONS:] == POSITION_BUCKETS - 1).all()
    assert position_buckets(torch.tensor([-3])).item() == 0


def test_time_buckets_double_every_second_and_know_unknown_times():
    gap_s = torch.tensor([0, 1, 3, 7, 7, 86_400])
    buckets = time_buckets(YEAR_MS + 1000 * gap_s, torch.full_like(gap_s, YEAR_MS))
    assert buckets.tolist() == [0, 2, 4, 6, 6, int(2 * math.log2(86_401))]
    assert time_buckets(torch.tensor([90 * YEAR_MS]), torch.tensor([1])).item() == TIME_BUCKETS - 2
    assert time_buckets(torch.tensor([5, 0]), torch.tensor([0, 5])).tolist() == [TIME_BUCKETS - 1] * 2


def test_the_mask_adds_both_biases_where_a_query_may_look():
    bias = RelativeBias(CONFIG.model_copy(update={"attention_bias": AttentionBias.POSITION_TIME}))
    with torch.no_grad():
        bias.tables[0].weight.copy_(torch.arange(POSITION_BUCKETS)[:, None] * torch.tensor([1.0, 10.0]))
        bias.tables[1].weight.copy_(torch.arange(TIME_BUCKETS)[:, None] * 100.0)
    seen = Places(torch.tensor([[0, 1, 2, NOWHERE]]), torch.tensor([[0, 1000, 4000, 0]]))
    mask = bias(Places(torch.tensor([[1]]), torch.tensor([[1000]])), seen)
    unseen, no_time = float("-inf"), 100.0 * (TIME_BUCKETS - 1)
    assert mask.shape == (1, 2, 1, 4)
    assert mask[0, :, 0].tolist() == [[1 + no_time, 0, unseen, unseen], [10 + no_time, 0, unseen, unseen]]


def test_without_biases_the_mask_is_bare():
    bias, places = RelativeBias(CONFIG), Places(torch.tensor([[0, 1, NOWHERE]]), torch.zeros(1, 3, dtype=torch.long))
    assert bias(Places(torch.tensor([[1]]), torch.tensor([[0]])), places).tolist() == [[[[True, True, False]]]]
    assert not list(bias.parameters())


@pytest.mark.parametrize("kind", ["causal", "bool", "additive"])
def test_attention_with_dropout_is_torchs_own_but_for_what_is_dropped(kind):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 5, 4).unbind(0)
    seen = torch.rand(2, 1, 5, 5) < 0.7
    seen[..., 0] = True
    mask = {"causal": None, "bool": seen, "additive": torch.randn(2, 2, 5, 5).masked_fill(~seen, -math.inf)}[kind]
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
    torch.testing.assert_close(attention(query, key, value, mask, 0.0), expected)
    torch.testing.assert_close(attention(query, key, value, mask, 1e-6), expected)  # so rare that nothing is dropped
    mean = torch.stack([attention(query, key, value, mask, 0.3) for _ in range(4000)]).mean(0)
    torch.testing.assert_close(mean, expected, atol=0.1, rtol=0)
