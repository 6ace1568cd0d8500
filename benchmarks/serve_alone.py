"""What a request costs without a service, in one process and one thread: the parts of benchmarks/serve.py beside it.

    python benchmarks/serve_alone.py '{"registry": ..., "surface": "home", "seconds": 3, "n": 100, "users": 20000,
                                     "rate": 40}'

model       tokens to query vectors, by the engine that serves: the whole history, all steps and outcomes
faiss       the search of these vectors, n neighbours each
retriever   what the service calls: both, and budgets, merging and interleaving
paced       model and faiss for one request after another, at the rate that a worker has in the service's slowest run:
            what is asked seldom finds caches cold, and costs up to twice as much as in a row
two_tower   a plain lookup: one query vector, the mean of the history's item vectors, n neighbours in the same index

Prints one line of JSON: milliseconds per request of each, by the clock (p50) and of the processor (mean).
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pinrec_core.data.batch import History
from pinrec_core.registry import live_release, release_path
from pinrec_core.release.bundle import HISTORIES
from pinrec_core.release.load import load_verified
from pinrec_core.retrieval.engine import Inputs
from pinrec_core.retrieval.index import set_threads
from pinrec_core.serving.histories import open_histories

WARM = 20  # calls before a measurement
ASKED = 500  # users taken in turn


class Alone:
    """A release without a service, and whom it is asked for."""

    def __init__(self, told: dict):
        self.told, release_id = told, live_release(told["registry"], told["surface"])
        directory = Path(release_path(told["registry"], release_id))
        self.retriever = load_verified(told["registry"], release_id, directory).retriever
        self.vectors_ID = np.ascontiguousarray(self.retriever.search_vectors_ID)
        found = open_histories(directory / HISTORIES, Path(told["scratch"]), release_id)
        users = np.random.default_rng(0).integers(told["users"], size=ASKED)
        self.histories = [found.find(f"u{user:07}") for user in users]
        self.now = np.array([round(time.time() * 1000)])

    def model(self, inputs: Inputs) -> None:
        """Query vectors of a request that is laid out for the engine."""
        self.retriever.generate.engine(inputs)

    def faiss(self, queries_MD: np.ndarray) -> None:
        """Their neighbours."""
        self.retriever.index.search(queries_MD, self.told["n"])

    def parts(self, asked: tuple[Inputs, np.ndarray]) -> None:
        """Model and Faiss for one request."""
        self.model(asked[0])
        self.faiss(asked[1])

    def whole(self, history: History) -> None:
        """Candidates."""
        self.retriever.retrieve([history], self.told["surface"], self.now, n=self.told["n"])

    def two_tower(self, history: History) -> None:
        """Neighbours of what was engaged with."""
        query_D = self.vectors_ID[history.item_T].mean(0)
        self.retriever.index.search((query_D / np.linalg.norm(query_D))[None], self.told["n"])

    def inputs(self) -> list[Inputs]:
        """What the engine is asked by every request."""
        found, engine = [], self.retriever.generate.engine
        self.retriever.generate.engine = lambda asked: (found.append(asked), engine(asked))[1]
        for history in self.histories:
            self.whole(history)
        self.retriever.generate.engine = engine
        return found

    def queries(self) -> list[np.ndarray]:
        """The query vectors of every request."""
        return [self.retriever.retrieve_lists([history], self.told["surface"], self.now, n=self.told["n"])[1].search_MD
                for history in self.histories]


def per_request(call: Callable, inputs: list, seconds: float, rate: float = math.inf) -> dict[str, float]:
    """Milliseconds of a call, inputs taken in turn, `rate` a second at most."""
    for number in range(WARM):
        call(inputs[number % len(inputs)])
    clock, cpu, until = [], time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < until:
        time.sleep(1 / rate)
        start = time.perf_counter()
        call(inputs[len(clock) % len(inputs)])
        clock.append(time.perf_counter() - start)
    return {"p50_ms": 1000 * float(np.median(clock)), "p99_ms": 1000 * float(np.percentile(clock, 99)),
            "cpu_ms": 1000 * (time.process_time() - cpu) / len(clock)}


def main() -> None:
    """Measure, print."""
    torch.set_num_threads(1)
    set_threads(1)
    alone = Alone(json.loads(sys.argv[1]))
    seconds, queries, inputs = alone.told["seconds"], alone.queries(), alone.inputs()
    asked = list(zip(inputs, queries, strict=True))
    found = {"model": per_request(alone.model, inputs, seconds),
             "faiss": per_request(alone.faiss, queries, seconds),
             "retriever": per_request(alone.whole, alone.histories, seconds),
             "model + faiss": per_request(alone.parts, asked, seconds),
             "paced": per_request(alone.parts, asked, 4 * seconds, alone.told["rate"]),
             "two_tower": per_request(alone.two_tower, alone.histories, seconds)}
    found["engine"] = alone.retriever.generate.engine.kind.value
    found["vectors"] = float(np.mean([len(query) for query in queries]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
