"""Two processes that are killed or stopped, both or one of them, end as two undisturbed ones, byte by byte."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from pair import environment
from ports import free_port

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.errors import EXIT_PREEMPTED, PinrecError, Preempted
from pinrec_core.training import row_shards
from pinrec_core.training.pretrain import pretrain

# Everything random takes part, so that each rank's own numbers must go on too.
MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.2,
                    id_dropout=0.1, action_mask=0.2, attribute_buckets=8, transitions=True)
LONG = {"epochs": 10, "batch_size": 3, "random_negatives": 4, "in_batch_negatives": 4, "sketch_width": 64,
        "patience": 100, "checkpoint_every_s": 0.02, "rank_timeout_s": 120}
LATEST = 35  # of 50 steps: the last kill comes before the end
BOTH, ONE = (0, 1), (1,)


@pytest.fixture(scope="module")
def context():
    """Processes that have torch imported when they start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pinrec_core.training.finetune", "torch._dynamo"])
    return context


def rank_of(step, arguments: dict, rank: int, port: int, shard_from: int) -> None:
    """One rank; exits as the command line does."""
    os.environ.update(environment(rank, port))
    row_shards.SHARD_FROM_BYTES = shard_from
    try:
        step(**arguments)
    except PinrecError as error:
        os._exit(EXIT_PREEMPTED if isinstance(error, Preempted) else 1)


def start(context, step, arguments: dict, shard_from: int) -> list:
    port = free_port()
    ranks = [context.Process(target=rank_of, args=(step, arguments, rank, port, shard_from)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    return ranks


def finish(context, step, arguments: dict, shard_from: int) -> None:
    ranks = start(context, step, arguments, shard_from)
    for rank in ranks:
        rank.join(300)
    assert [rank.exitcode for rank in ranks] == [0, 0]


def disturb(context, step, arguments: dict, shard_from: int, number: int, whom: tuple[int, ...], after: int,
            delay_s: float) -> None:
    """Send ranks a signal once there is a checkpoint of a step at or past `after`; the others must end as well."""
    ranks = start(context, step, arguments, shard_from)
    place = Path(f"{arguments['output']}.checkpoints")
    while not any(int(path.name[5:]) >= after for path in place.glob("*/step-*")):
        assert all(rank.exitcode is None for rank in ranks), "they ended before they could be killed"
        time.sleep(0.002)
    time.sleep(delay_s)
    for rank in whom:
        os.kill(ranks[rank].pid, number)
    for rank in ranks:
        rank.join(120)
    expected = [(-signal.SIGKILL if rank in whom else 1) if number == signal.SIGKILL else EXIT_PREEMPTED
                for rank in range(2)]
    assert [rank.exitcode for rank in ranks] == expected
    assert not arguments["output"].exists()


@pytest.mark.parametrize(("disturbances", "shard_from"), [
    ([(signal.SIGKILL, BOTH)] * 3, 1 << 30),
    ([(signal.SIGTERM, ONE), (signal.SIGKILL, ONE), (signal.SIGTERM, BOTH)], 0)],
    ids=["both killed", "one or both stopped or killed, with sharded tables"])
def test_three_times_at_random_moments(context, walks, tmp_path, same, disturbances, shard_from):
    again = {"dataset": walks, "model": MODEL, "pretrain": PretrainConfig(**LONG)}
    finish(context, pretrain, again | {"output": tmp_path / "good"}, shard_from)
    again["output"] = tmp_path / "out"
    pick = random.Random(shard_from + len(set(disturbances)))
    for (number, whom), after in zip(disturbances, sorted(pick.sample(range(1, LATEST), 3)), strict=True):
        disturb(context, pretrain, again, shard_from, number, whom, after, pick.uniform(0, 0.02))
    finish(context, pretrain, again, shard_from)
    assert same(tmp_path / "out", tmp_path / "good")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert len([line for line in lines if "loss" in line]) == LONG["epochs"]
    assert not (tmp_path / "out.checkpoints").exists()
