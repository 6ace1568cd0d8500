"""What was built or verified from the same inputs is not built or verified again; anything else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pinrec_core.config import IndexConfig
from pinrec_core.errors import PinrecError
from pinrec_core.release import reuse
from pinrec_core.release.verification import settings_of

from .world import GENERATION


def build_once(world, verdict, registry, **changes) -> str:
    settings = {"surface": "home", "generation": GENERATION, "index": IndexConfig()} | changes
    return reuse.build_once(world / "dataset", verdict, registry, **settings)


@pytest.fixture
def built(world, verdicts, registry, releases) -> str:
    """The first release of home, remembered as what its verdict makes."""
    assert build_once(world, verdicts["first"], registry) == releases["first"][0]
    return releases["first"][0]


def test_the_same_inputs_build_nothing(built, world, verdicts, registry, caplog):
    shutil.rmtree(Path(registry, "releases", built, "model"))  # building would find what is there altered
    with caplog.at_level("INFO"):
        assert build_once(world, verdicts["first"], registry) == built
    assert f"release {built} (home) is there already, reused" in caplog.text


@pytest.mark.parametrize("changes", [{"generation": GENERATION.model_copy(update={"steps": 1})},
                                     {"index": IndexConfig(exact_below=1, kind="ivf", nlist=2)}])
def test_other_settings_build_another_release(built, world, verdicts, registry, changes):
    assert build_once(world, verdicts["first"], registry, **changes) != built


def test_another_verdict_or_surface_builds_another_release(built, world, verdicts, registry, releases):
    assert build_once(world, verdicts["second"], registry) == releases["second"][0]
    assert build_once(world, verdicts["first"], registry, surface="search") == releases["first"][1]


def test_another_state_of_the_code_builds_again(built, world, verdicts, registry, monkeypatch):
    notes = Path(registry, "builds")
    monkeypatch.setattr(reuse, "code_fingerprint", lambda: "edited")
    assert build_once(world, verdicts["first"], registry) == built, "the edit changed nothing that the release holds"
    assert len(list(notes.iterdir())) == 2


def test_a_release_that_was_removed_is_built_again(built, world, verdicts, registry):
    shutil.rmtree(Path(registry, "releases", built))
    assert build_once(world, verdicts["first"], registry) == built
    assert Path(registry, "releases", built, "manifest.json").is_file()


@pytest.fixture
def passed(world, registry, releases) -> Path:
    """The verification of the first home release, as verify_release under default settings leaves it."""
    document = Path(registry, "verifications", f"{releases['first'][0]}.json")
    content = json.loads(document.read_text()) | {"settings": settings_of(IndexConfig())}
    document.write_text(json.dumps(content))
    return document


def test_a_passed_verification_is_not_repeated(passed, world, registry, releases):
    before = passed.stat().st_mtime_ns
    found = reuse.verify_once(registry, releases["first"][0], dataset=world / "dataset", index=IndexConfig())
    assert found == json.loads(passed.read_text()) and passed.stat().st_mtime_ns == before


def test_other_demands_are_verified(passed, world, registry, releases):
    index = IndexConfig(verify_users=7)
    found = reuse.verify_once(registry, releases["first"][0], dataset=world / "dataset", index=index)
    assert found == json.loads(passed.read_text()) and found["settings"] == settings_of(index)
    assert {check["n"] for check in found["checks"] if check["name"] == "replay_recall"} == {7}


def test_a_failed_verification_is_repeated(passed, world, registry, releases):
    content = json.loads(passed.read_text())
    content["passed"] = content["checks"][0]["passed"] = False
    passed.write_text(json.dumps(content))
    assert reuse.verify_once(registry, releases["first"][0], dataset=world / "dataset", index=IndexConfig())["passed"]


def test_a_release_that_is_not_there_fails_as_ever(world, registry):
    with pytest.raises(PinrecError, match="not fit to be promoted"):
        reuse.verify_once(registry, "0" * 64, dataset=world / "dataset", index=IndexConfig())
