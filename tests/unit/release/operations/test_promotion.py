"""Promotion by id, judged by the verdict a release carries; what force overlooks and what it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from quoted import says

from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.registry import read_aliases, verification_path
from pinrec_core.release.gate import gate
from pinrec_core.release.operations.promotion import promote_by_id
from pinrec_core.release.promote import promote

from ..world import LOG, build, evaluate_model, gate_config, verify_here


def live(registry: str) -> dict[str, str | None]:
    return {surface: alias.live for surface, alias in read_aliases(registry)[0].surfaces.items()}


@pytest.fixture
def worse(first_live, world, tmp_path) -> Path:
    """A verdict over home2 and search, in which home2 was measured to be far below the live release."""
    evaluations = [evaluate_model(world, name, surface, first_live, f"{tmp_path.name}-{name}")
                   for name, surface in (("home2", "home"), ("search", "search"))]
    folder = tmp_path / "worse"
    shutil.copytree(evaluations[0], folder)
    content = json.loads((folder / "evaluation.json").read_text())
    content["live"]["difference"]["recall@10"] = {"value": -0.1, "low": -0.15, "high": -0.05, "n": 60}
    (folder / "evaluation.json").write_text(json.dumps(content))
    known = read_manifest(evaluations[0], "evaluation")
    write_manifest(folder, kind="evaluation", parents=known.parents)
    gate([folder, evaluations[1]], tmp_path / "verdict-worse", gate=gate_config())
    return tmp_path / "verdict-worse"


def built(world: Path, verdict: Path, registry: str) -> list[str]:
    ids = [build(world, verdict, registry, surface, forced=True) for surface in LOG.surfaces]
    for release_id in ids:
        verify_here(world, registry, release_id)
    return ids


def test_the_verdict_that_a_release_carries_is_enough(registry, releases):
    home, search = releases["first"]
    told = promote_by_id(registry, [home, search], run_id="by hand")
    assert told.startswith("now live (revision 1): home")
    assert live(registry) == {"home": home, "search": search}
    assert promote_by_id(registry, [home], run_id="again").startswith("nothing to do")


def test_releases_of_two_verdicts_do_not_go_together(registry, releases):
    with pytest.raises(PinrecError, match="come of 2 verdicts"):
        promote_by_id(registry, [releases["first"][0], releases["second"][1]], run_id="r")
    with pytest.raises(PinrecError, match="policy all .* no release for search"):
        promote_by_id(registry, releases["first"][:1], run_id="r")


def test_failed_comparisons_alone_are_overlooked_by_force(first_live, world, worse, releases):
    with pytest.raises(PinrecError, match="did not pass surface 'home': home recall@10 .* lies below the limit"):
        build(world, worse, first_live, "home")
    ids = built(world, worse, first_live)
    with pytest.raises(PinrecError, match="verdict is to reject, nothing may be promoted: home recall@10 .* below"):
        promote_by_id(first_live, ids, run_id="r")
    with pytest.raises(PinrecError, match="verdict is to reject"):
        promote(first_live, worse, ids, "r")
    assert live(first_live)["home"] == releases["first"][0]
    promote_by_id(first_live, ids, run_id="r", forced="the old one leaks")
    assert live(first_live)["home"] == ids[0]
    entry = read_aliases(first_live)[0].history[-1]
    assert entry["why"].startswith("forced: the old one leaks; overlooked: home recall@10") and entry["run"] == "r"


def test_force_overlooks_what_was_live_at_the_comparison_only(first_live, verdicts, releases):
    with pytest.raises(PinrecError, match="compared with live release None, but live is now") as raised:
        promote_by_id(first_live, releases["second"], run_id="r")
    says("error: ...: the verdict compared with live release ..., but live is now ...; run evaluate and gate again "
         "against it", raised.value)
    promote_by_id(first_live, releases["second"], run_id="r", forced="known to be better")
    assert live(first_live)["home"] == releases["second"][0]


def test_force_never_overlooks_a_floor(registry, world, tmp_path):
    floors = {"home": {"recall@10": 0.0}, "search": {"recall@10": 0.99}}
    gate([world / "evaluation-home", world / "evaluation-search"], tmp_path / "verdict",
         gate=gate_config(floors=floors))
    with pytest.raises(PinrecError, match="search recall@10 .* is below its floor 0.990"):
        build(world, tmp_path / "verdict", registry, "search", forced=True)
    with pytest.raises(PinrecError, match="search recall@10 .* is below its floor 0.990"):
        build(world, tmp_path / "verdict", registry, "home", forced=True)


def test_force_never_overlooks_verification_or_integrity(registry, releases):
    home = releases["first"][0]
    path = Path(verification_path(registry, home))
    text = path.read_text()
    path.unlink()
    with pytest.raises(IntegrityError, match="has no verification"):
        promote_by_id(registry, releases["first"], run_id="r", forced="now")
    path.write_text(text)
    histories = Path(registry, "releases", home, "histories.parquet")
    histories.write_bytes(histories.read_bytes()[:-1] + b"2")
    with pytest.raises(IntegrityError, match="histories.parquet: altered"):
        promote_by_id(registry, releases["first"], run_id="r", forced="now")
    assert live(registry) == {}


def test_a_verdict_that_was_swapped_inside_a_release_is_refused(registry, releases):
    first, second = (Path(registry, "releases", releases[name][0]) for name in ("first", "second"))
    shutil.copyfile(second / "verdict.json", first / "verdict.json")
    with pytest.raises(IntegrityError, match="verdict.json: altered: sha256 [0-9a-f]{64}, the manifest .*[0-9a-f]{64}"):
        promote_by_id(registry, releases["first"], run_id="r")
