"""The tiny synthetic world and the first run on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from journey import TINY, Outcome, run

from pinrec_core.logs.synth import WORLDS, write_world


@pytest.fixture(scope="session")
def work(tmp_path_factory) -> Path:
    """A work folder with the tiny world in it."""
    folder = tmp_path_factory.mktemp("e2e")
    write_world(folder / "data", WORLDS["tiny"])
    return folder


@pytest.fixture(scope="session")
def month(tmp_path_factory) -> Path:
    """A work folder with 33 days of few users in it, for runs of seconds (journey.small)."""
    folder = tmp_path_factory.mktemp("month")
    write_world(folder / "data", WORLDS["tiny"].model_copy(update={"users": 60, "items": 100, "days": 33}))
    return folder


@pytest.fixture(scope="session")
def promoted(work) -> Outcome:
    """The first run: nothing is live yet."""
    return run(work, TINY)
