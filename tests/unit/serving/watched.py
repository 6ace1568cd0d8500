"""A retriever that a test can hold."""

from __future__ import annotations

import threading

import numpy as np

from pinrec_core.data.batch import History
from pinrec_core.retrieval.retriever import Candidates, Retriever


class Watched(Retriever):
    """The real one, which tells what it is called with and waits until it is free."""

    def __init__(self, real: Retriever):
        super().__init__(real.model, real.index, real.generation, real.search_vectors_ID)
        self.free, self.calls = threading.Event(), []

    def retrieve(self, histories: list[History], surface: str, time_R: np.ndarray, **settings) -> Candidates:
        """As ever, once it may."""
        self.calls.append((len(histories), settings["n"]))
        assert self.free.wait(60)
        return super().retrieve(histories, surface, time_R, **settings)
