"""What a candidate is compared with: the live release, or what that was compared with if it is the candidate itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pinrec_core.config import IndexConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.release.compared import release_to_compare_with
from pinrec_core.release.gate import gate
from pinrec_core.release.promote import promote

from .world import ANY_CHANGE, GENERATION, LOG, build, evaluate_model, gate_config, verify_here


def rival(registry: str, world: Path, name: str, **settings) -> str:
    surface = name.rstrip("2")
    return release_to_compare_with(registry, surface, world / f"model-{name}",
                                   **{"generation": GENERATION, "index": IndexConfig()} | settings)


@pytest.fixture
def twice(registry, world, verdicts, releases, tmp_path) -> tuple[str, str, str]:
    """Home went live, then home2, judged against it: registry, first and second release of home."""
    promote(registry, verdicts["first"], releases["first"], "run-1")
    evaluations = [evaluate_model(world, name, surface, registry, f"{tmp_path.name}-{name}")
                   for name, surface in (("home2", "home"), ("search", "search"))]
    gate(evaluations, tmp_path / "verdict", gate=gate_config(rules=ANY_CHANGE))
    ids = [build(world, tmp_path / "verdict", registry, surface) for surface in LOG.surfaces]
    for release_id in ids:
        verify_here(world, registry, release_id)
    promote(registry, tmp_path / "verdict", ids, "run-2")
    return registry, releases["first"][0], ids[0]


def test_where_nothing_is_live_there_is_nothing_to_compare_with(registry, world):
    assert rival(registry, world, "home") == ""


def test_another_candidate_is_compared_with_what_is_live(registry, world, verdicts, releases):
    promote(registry, verdicts["first"], releases["first"], "run-1")
    assert rival(registry, world, "home2") == releases["first"][0]


def test_what_is_live_already_is_compared_with_what_it_was_compared_with(twice, world):
    registry, first, second = twice
    assert rival(registry, world, "home2") == first
    assert rival(registry, world, "home") == second, "an older candidate would replace what is live now"


def test_the_first_release_of_all_had_nothing_to_be_compared_with(registry, world, verdicts, releases):
    promote(registry, verdicts["first"], releases["first"], "run-1")
    assert rival(registry, world, "home") == ""


def test_the_same_model_asked_in_another_way_would_replace_what_is_live(twice, world):
    registry, _, second = twice
    assert rival(registry, world, "home2", generation=GENERATION.model_copy(update={"steps": 1})) == second
    assert rival(registry, world, "home2", index=IndexConfig(verify_users=7)) == second


def test_a_release_that_was_removed_since_cannot_be_compared_with(twice, world):
    registry, first, second = twice
    shutil.rmtree(Path(registry, "releases", first))
    assert rival(registry, world, "home2") == second


def test_an_altered_live_release_is_refused(twice, world):
    registry, _, second = twice
    path = Path(registry, "releases", second, "verdict.json")
    path.write_text(path.read_text().replace('"promote"', '"reject"'))
    with pytest.raises(IntegrityError, match="not a usable verdict"):
        rival(registry, world, "home2")
