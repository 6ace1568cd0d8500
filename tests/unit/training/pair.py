"""Two real processes in one gloo group, kept alive to run one function after the other on both."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable

import torch
from ports import free_port

from pinrec_core.errors import PinrecError
from pinrec_core.training.ranks import Ranks

TIMEOUT_S = 60


def environment(rank: int, port: int) -> dict[str, str]:
    """What torchrun tells a rank of two."""
    return {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}


class Pair:
    """Ranks 0 and 1; `run` gives back what the function returned on each, or the exception that it raised."""

    def __init__(self, timeout_s: float = TIMEOUT_S):
        context, port = multiprocessing.get_context("spawn"), free_port()
        self.pipes, self.processes = [], []
        for rank in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, environment(rank, port), timeout_s),
                                      daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)
        for rank in range(2):
            self.answer(rank)  # both have imported all; from here on the timeout counts
        for pipe in self.pipes:
            pipe.send("join")

    def run(self, function: Callable, *arguments, seconds: float = TIMEOUT_S) -> list:
        """function(ranks, *arguments) on both; functions of a test module can be sent, lambdas cannot."""
        for pipe in self.pipes:
            pipe.send((function, arguments))
        return [self.answer(rank, seconds) for rank in range(2)]

    def answer(self, rank: int, seconds: float = TIMEOUT_S):
        """What a rank answers; fails when it does not."""
        assert self.pipes[rank].poll(seconds), f"rank {rank} hangs"
        return self.pipes[rank].recv()

    def close(self) -> None:
        """End both processes."""
        for process in self.processes:
            process.kill()
            process.join()


def _serve(pipe, variables: dict[str, str], timeout_s: float) -> None:
    os.environ.update(variables)
    torch.set_num_threads(1)
    pipe.send("ready")
    pipe.recv()
    ranks = Ranks.join(timeout_s)
    while True:
        function, arguments = pipe.recv()
        try:
            answer = function(ranks, *arguments)
        except PinrecError as error:  # of any other the rank dies, and its traceback is the test's output
            answer = error
        pipe.send(answer)
