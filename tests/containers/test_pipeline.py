"""The compiled pipeline, each task in a container without a network: what it leaves, not what the runner says of it."""

from __future__ import annotations

import json

from pinrec_core.registry import read_aliases
from pinrec_core.release.bundle import BUILT
from pinrec_core.release.provenance.built import parse_built

from .conftest import IMAGE

SURFACES = {"home", "related", "search"}
IMAGES_USER = 10001


def test_the_first_run_is_promoted(promoted):
    outcome = promoted.document("outcome.json")
    assert outcome["status"] == "promoted", outcome
    aliases, _ = read_aliases(str(promoted.registry))
    assert set(aliases.surfaces) == SURFACES and aliases.revision == 1
    for surface in SURFACES:
        release = promoted.registry / "releases" / aliases.surfaces[surface].live
        assert (release / "manifest.json").is_file()
        assert promoted.document(f"verifications/{surface}.json")["passed"] is True
        assert promoted.document(f"evaluations/{surface}.json")


def test_the_tasks_ran_in_the_image_as_its_user(image, promoted):
    release_id = read_aliases(str(promoted.registry))[0].surfaces["home"].live
    release = promoted.registry / "releases" / release_id
    built = parse_built((release / BUILT).read_bytes(), release_id)
    assert (built.image, built.commit) == (IMAGE, image.labels["org.opencontainers.image.revision"])
    made = [promoted.folder / "outcome.json", release / "manifest.json", promoted.registry / "aliases.json"]
    assert {path.stat().st_uid for path in made} == {IMAGES_USER}


def test_raised_floors_reject_and_change_nothing(promoted, rejected):
    outcome = rejected.document("outcome.json")
    assert outcome["status"] == "rejected", outcome
    rejection = rejected.document("rejection.json")
    assert set(rejection["surfaces"]) == SURFACES
    assert any("0.999" in reason for reason in rejection["reasons"]), rejection["reasons"]
    assert not (rejected.folder / "promotion.json").exists()
    aliases, _ = read_aliases(str(rejected.registry))
    live = {surface: aliases.surfaces[surface].live for surface in SURFACES}
    promotion = json.dumps(promoted.document("promotion.json"))
    assert all(release in promotion for release in live.values()), "live is what the first run promoted"
    assert aliases.revision == 1
