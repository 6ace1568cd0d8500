"""Registries with a past."""

from __future__ import annotations

import pytest

from pinrec_core.release.promote import promote


@pytest.fixture
def first_live(registry, verdicts, releases) -> str:
    """A registry in which the releases of the first verdict are live."""
    promote(registry, verdicts["first"], releases["first"], "run-1")
    return registry


@pytest.fixture
def second_live(first_live, verdicts, releases) -> str:
    """The same, and then home went over to the second verdict's, which serves the same on search."""
    promote(first_live, verdicts["second"], releases["second"], "run-2", forced="its verdict compared with nothing")
    return first_live
