"""Batches made ahead: the same ones, in order; errors and early ends; and the way onto a device."""

import threading

import numpy as np
import pytest
import torch

from pinrec_core.config import ModelConfig
from pinrec_core.data.windows import engagement_windows
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.counts import action_shares
from pinrec_core.training.device import trained_on, training_device
from pinrec_core.training.prefetch import prefetched

CPU = torch.device("cpu")


def tensors(batch) -> list[torch.Tensor]:
    return [*vars(batch.history).values(), batch.user_B, *batch.targets]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


def test_the_same_batches_in_the_same_order(dataset):
    rows = engagement_windows(dataset, 1, 0.0)
    plain = list(rows.batches(1, np.random.default_rng(0)))
    found = list(prefetched(rows.batches(1, np.random.default_rng(0)), CPU))
    assert len(plain) == len(found) > 3
    for left, right in zip(plain, found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(tensors(left), tensors(right), strict=True))
    assert not threads()


def test_what_is_drawn_is_drawn_before_the_thread_starts(dataset):
    generators = [np.random.default_rng(0) for _ in range(2)]
    rows = engagement_windows(dataset, 2, 0.0)
    rows.batches(1, generators[0])
    list(prefetched(rows.batches(1, generators[1]), CPU))
    assert generators[0].random() == generators[1].random()


def test_an_error_is_raised_where_the_batch_is_read(dataset):
    def failing():
        yield from engagement_windows(dataset, 2, 0.0).batches(1, np.random.default_rng(0))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(prefetched(failing(), CPU))
    assert not threads()


def test_a_reader_that_stops_early_leaves_no_thread_behind(dataset):
    reader = prefetched(engagement_windows(dataset, 1, 0.0).batches(1, np.random.default_rng(0)), CPU)
    next(reader)
    reader.close()
    assert not threads()


def test_a_batch_and_a_model_go_to_the_device_they_are_sent_to(dataset):
    """"meta" stands in for a device that is not here: it has places but no numbers."""
    meta = torch.device("meta")
    batch = next(engagement_windows(dataset, 2, 0.0).batches(2, np.random.default_rng(0)))
    assert {tensor.device for tensor in tensors(batch.to(meta))} == {meta}
    assert training_device() == (CPU if not torch.cuda.is_available() else torch.device("cuda", 0))
    model = PinRec(ModelConfig(), dataset.log, dataset.items, action_shares(dataset))
    kept = model.token.weight
    with trained_on(CPU, model):
        assert model.token.weight is kept and torch.zeros(1).device == CPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_comes_back_from_its_device(dataset):
    model = PinRec(ModelConfig(), dataset.log, dataset.items, action_shares(dataset))
    with trained_on(torch.device("cuda", 0), model):
        assert model.token.weight.is_cuda and torch.zeros(1).is_cuda
    assert not model.token.weight.is_cuda
