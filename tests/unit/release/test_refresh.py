"""A refresh adds items to the live release and nothing else, proves it, and takes only that release's place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from quoted import says

from pinrec_core.config import IndexConfig
from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.model.io import load_model, save_model
from pinrec_core.registry import read_aliases, verification_path
from pinrec_core.release import bundle, moves
from pinrec_core.release.answer import recommend
from pinrec_core.release.gate import gate
from pinrec_core.release.load import load_release
from pinrec_core.release.operations.freeze import freeze, unfreeze
from pinrec_core.release.operations.promotion import promote_by_id
from pinrec_core.release.operations.rollback import rollback
from pinrec_core.release.promote import promote
from pinrec_core.release.promote_refresh import promote_refresh
from pinrec_core.release.provenance.lineage import read_lineage
from pinrec_core.release.refresh import Refreshed, refresh

from .world import (
    ANY_CHANGE,
    GENERATION,
    LOG,
    N_ITEMS,
    build,
    evaluate_model,
    gate_config,
    reseal,
    verify_here,
    write_catalog,
)

INDEX = IndexConfig(recall_tolerance=0.1)  # of untrained models new items push out what they have found by chance
NEW = 5


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> str:
    return write_catalog(tmp_path_factory.mktemp("news") / "catalog", [f"n{n}" for n in range(NEW)])


@pytest.fixture(scope="module")
def refreshed(verified, verdicts, world, catalog, tmp_path_factory) -> tuple[Path, Refreshed]:
    """A registry with the first releases live and home refreshed, not yet promoted."""
    registry = tmp_path_factory.mktemp("refreshed") / "registry"
    shutil.copytree(verified[0], registry)
    promote(str(registry), verdicts["first"], verified[1]["first"], "run-1")
    return registry, refresh(str(registry), "home", catalog, dataset=world / "dataset", index=INDEX)


@pytest.fixture
def registry(refreshed, tmp_path) -> str:
    shutil.copytree(refreshed[0], tmp_path / "registry")
    return str(tmp_path / "registry")


@pytest.fixture
def new_id(refreshed) -> str:
    return refreshed[1].release_id


def live(registry: str, surface: str = "home") -> str | None:
    return read_aliases(registry)[0].surfaces[surface].live


def resealed(registry: str, release_id: str) -> str:
    """Give an altered release a fresh manifest, the id that follows and a verification that says all is well."""
    folder = Path(registry, "releases", release_id)
    model = read_manifest(folder / "model", "model", verify=False)
    inner = write_manifest(folder / "model", kind="model", parents=model.parents, facts=model.facts,
                           counts=model.counts).fingerprint
    described = json.loads((folder / bundle.INDEX_DESCRIPTION).read_text()) | {"model_fingerprint": inner}
    (folder / bundle.INDEX_DESCRIPTION).write_text(json.dumps(described))
    new = reseal(folder, model_fingerprint=inner)
    folder.rename(folder.with_name(new.fingerprint))
    document = json.loads(Path(verification_path(registry, release_id)).read_text())
    document |= {"release_id": new.fingerprint,
                 "fingerprints": document["fingerprints"] | {"model_fingerprint": inner}}
    Path(verification_path(registry, new.fingerprint)).write_text(json.dumps(document))
    return new.fingerprint


def test_everything_but_model_and_index_is_the_live_releases(registry, new_id, releases, world):
    old_id = releases["first"][0]
    folders = [Path(registry, "releases", release_id) for release_id in (old_id, new_id)]
    old, new = (bundle.read_release(folder, folder.name) for folder in folders)
    assert bundle.taken_over(new) == bundle.taken_over(old) and set(bundle.taken_over(new)) >= bundle.EVIDENCE
    assert new.counts == old.counts | {"items": N_ITEMS + NEW, "indexed_items": N_ITEMS + NEW, "new_items": NEW}
    evaluated = read_manifest(world / "model-home", "model").fingerprint
    assert new.facts["refreshed_from"] == old_id and new.facts["evaluated_model_fingerprint"] == evaluated
    assert new.parents["refreshed_from"] == old_id and new.parents["evaluation"] == old.parents["evaluation"]
    model = read_manifest(folders[1] / "model", "model")
    assert model.fingerprint == new.facts["model_fingerprint"] and model.parents["extended"] == evaluated
    assert live(registry) == old_id, "nothing was promoted"


def test_it_was_verified_in_a_clean_process(registry, new_id, refreshed):
    found = json.loads(Path(verification_path(registry, new_id)).read_text())
    assert found["passed"] and found["surface"] == "home"
    assert f"release {new_id} has {NEW} new items beside {N_ITEMS}; verified" in refreshed[1].sentence


def test_known_items_keep_their_vectors_and_new_ones_are_found(registry, new_id, releases):
    old, new = (load_release(Path(registry, "releases", release_id), release_id)
                for release_id in (releases["first"][0], new_id))
    before, after = old.retriever.search_vectors_ID, new.retriever.search_vectors_ID
    assert np.array_equal(after[:N_ITEMS], before)
    added = np.array(after[N_ITEMS:])
    _, found = new.retriever.index.search(added, 10)
    assert (found == np.arange(N_ITEMS, N_ITEMS + NEW)[:, None]).any(axis=1).all()
    assert new.retriever.generation == GENERATION


def test_the_promoted_refresh_answers_with_new_items(registry, new_id, releases):
    old_id = releases["first"][0]
    before = {item.item_id for item in recommend(registry, "home", "u007", n=500)}
    assert promote_refresh(registry, new_id, "refresh").startswith("now live (revision 2): home")
    found = {item.item_id: item.title for item in recommend(registry, "home", "u007", n=500)}
    assert set(found) - before == {f"n{n}" for n in range(NEW)} and before < set(found)
    assert found["n0"] == "new n0"
    assert recommend(registry, "home", "u007", context_item_id="n3", n=5)
    aliases, _ = read_aliases(registry)
    assert aliases.surfaces["home"].live == new_id and aliases.surfaces["home"].previous == old_id
    assert aliases.surfaces["search"].live == releases["first"][1]
    entry = aliases.history[-1]
    assert entry["why"].startswith(f"refresh: {NEW} new items") and entry["run"] == "refresh"
    says("refresh: ... new items; model and evidence are those of what was live", entry["why"])
    assert promote_refresh(registry, new_id, "again").startswith("nothing to do")
    assert read_aliases(registry)[0] == aliases


def test_on_a_frozen_surface_it_waits(registry, new_id, releases):
    freeze(registry, "home", reason="exam", run_id="r")
    with pytest.raises(PinrecError, match=f"home is frozen .*: exam. .* pinrec registry promote {new_id}"):
        promote_refresh(registry, new_id, "refresh")
    assert read_aliases(registry)[0].surfaces["home"].candidate == new_id and live(registry) == releases["first"][0]
    unfreeze(registry, "home", reason="", run_id="r")
    promote_by_id(registry, [new_id], run_id="r")
    assert live(registry) == new_id and read_aliases(registry)[0].surfaces["home"].candidate is None


def test_it_leaves_another_candidate_waiting(registry, new_id):
    aliases, version = read_aliases(registry)
    moves.commit(registry, aliases, version, moves.held_back(aliases, {"home": "other"}), action="hold", run_id="r",
                 why="r")
    promote_refresh(registry, new_id, "refresh")
    assert read_aliases(registry)[0].surfaces["home"].candidate == "other"


def test_one_that_was_rolled_back_comes_back_by_force_only(registry, new_id, releases):
    promote_refresh(registry, new_id, "refresh")
    rollback(registry, "home", reason="the new items are junk", run_id="r")
    assert live(registry) == releases["first"][0]
    with pytest.raises(PinrecError, match="was marked bad by .*: the new items are junk"):
        promote_refresh(registry, new_id, "refresh")
    promote_by_id(registry, [new_id], run_id="r", forced="they are not")
    assert live(registry) == new_id and read_aliases(registry)[0].history[-1]["why"].startswith("forced: they are not")
    with pytest.raises(PinrecError, match="promote it alone"):
        promote_by_id(registry, [new_id, releases["first"][1]], run_id="r")


def test_its_lineage_and_card_name_what_it_came_from(registry, new_id, releases):
    folder = Path(registry, "releases", new_id)
    kept = read_lineage(folder, new_id).manifests
    assert {releases["first"][0], new_id} - kept.keys() == {new_id}
    card = (folder / "card.md").read_text()
    assert f"It is release `{releases['first'][0]}` with {NEW} new items" in card
    assert f"| items | {N_ITEMS + NEW} |" in card


def test_twice_is_once(registry, new_id, catalog, world):
    document = Path(verification_path(registry, new_id))
    before = document.stat().st_mtime_ns
    again = refresh(registry, "home", catalog, dataset=world / "dataset", index=INDEX)
    assert again.release_id == new_id and "nothing new, it was there and verified already" in again.sentence
    assert document.stat().st_mtime_ns == before
    promote_refresh(registry, new_id, "refresh")
    known = sorted(path.name for path in Path(registry, "releases").iterdir())
    after = refresh(registry, "home", catalog, dataset=world / "dataset")
    assert after.release_id == "" and "nothing new" in after.sentence
    assert sorted(path.name for path in Path(registry, "releases").iterdir()) == known


def test_a_refresh_can_be_refreshed(registry, new_id, world, tmp_path):
    promote_refresh(registry, new_id, "refresh")
    more = write_catalog(tmp_path / "more", ["m0", "n1"])
    found = refresh(registry, "home", more, dataset=world / "dataset", index=INDEX)
    assert "has 1 new items beside 125" in found.sentence
    assert "1 known items are described differently" in found.sentence
    manifest = bundle.read_release(Path(registry, "releases", found.release_id), found.release_id)
    assert manifest.facts["refreshed_from"] == new_id
    assert bundle.evaluated_model(manifest) == read_manifest(world / "model-home", "model").fingerprint
    promote_refresh(registry, found.release_id, "refresh")
    assert live(registry) == found.release_id


def test_the_index_is_built_as_the_live_one_was_or_as_told(registry, world, tmp_path):
    one = write_catalog(tmp_path / "one", ["m0"])
    as_before, as_told = (
        refresh(registry, "home", one, dataset=world / "dataset", index=index) for index in (
            None, IndexConfig(kind="ivf", recall_tolerance=0.1)))
    for found, kind in ((as_before, "flat"), (as_told, "ivf")):
        manifest = bundle.read_release(Path(registry, "releases", found.release_id), found.release_id)
        assert manifest.facts["index"] == kind


def test_what_cannot_be_placed_is_left_out_and_said(registry, world, tmp_path):
    bare = write_catalog(tmp_path / "bare", ["m0", "m1"], described=False)
    found = refresh(registry, "home", bare, dataset=world / "dataset")
    assert found.release_id == "" and "nothing new" in found.sentence and "2 new items are left out" in found.sentence


def test_items_that_push_out_what_was_evaluated_are_not_released(registry, world, tmp_path):
    flood = write_catalog(tmp_path / "flood", [f"m{n}" for n in range(1000)])
    before = read_aliases(registry)
    with pytest.raises(PinrecError, match="not within 0.01 of each other"):
        refresh(registry, "home", flood, dataset=world / "dataset", index=IndexConfig(recall_tolerance=0.01))
    assert read_aliases(registry) == before
    (failed,) = [path for path in Path(registry, "verifications").iterdir()
                 if not json.loads(path.read_text())["passed"]]
    with pytest.raises(IntegrityError, match="did not pass verification"):
        promote_refresh(registry, failed.stem, "refresh")


def test_another_dataset_proves_nothing(registry, world, tmp_path):
    shutil.copytree(world / "dataset", tmp_path / "dataset")
    manifest = read_manifest(world / "dataset", "dataset")
    write_manifest(tmp_path / "dataset", kind="dataset", facts=manifest.facts | {"date": "2024-10-04"})
    with pytest.raises(PinrecError, match="was evaluated on"):
        refresh(registry, "home", write_catalog(tmp_path / "one", ["m0"]), dataset=tmp_path / "dataset")


def test_without_a_live_release_there_is_nothing_to_refresh(tmp_path, catalog, world):
    with pytest.raises(PinrecError, match="surface 'home' has no live release"):
        refresh(str(tmp_path), "home", catalog, dataset=world / "dataset")


def test_without_a_verification_it_does_not_go_live(registry, new_id, releases):
    Path(verification_path(registry, new_id)).unlink()
    with pytest.raises(IntegrityError, match="has no verification"):
        promote_refresh(registry, new_id, "refresh")
    assert live(registry) == releases["first"][0]


def test_it_takes_the_place_of_its_base_only(registry, new_id, releases, world, tmp_path):
    with pytest.raises(PinrecError, match="is no refresh of another"):
        promote_refresh(registry, releases["second"][0], "refresh")
    other = refresh(registry, "home", write_catalog(tmp_path / "one", ["m0"]), dataset=world / "dataset", index=INDEX)
    promote_refresh(registry, other.release_id, "refresh")
    with pytest.raises(PinrecError, match=f"but live on home is {other.release_id}"):
        promote_refresh(registry, new_id, "refresh")
    Path(registry, "aliases.json").unlink()
    with pytest.raises(PinrecError, match="but live on home is nothing"):
        promote_refresh(registry, new_id, "refresh")


@pytest.mark.parametrize("name", [bundle.EVALUATION, bundle.PER_USER, bundle.VERDICT, bundle.HISTORIES,
                                  bundle.GENERATION])
def test_other_evidence_histories_or_settings_are_refused(registry, new_id, name):
    path = Path(registry, "releases", new_id, name)
    if path.suffix == ".parquet":
        pq.write_table(pq.read_table(path), path, compression="none")
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(IntegrityError, match=f"{name} differ from the live release"):
        promote_refresh(registry, resealed(registry, new_id), "refresh")


def test_another_model_under_the_same_evidence_is_refused(registry, new_id, releases):
    folder = Path(registry, "releases", new_id, "model")
    model = load_model(folder)
    with torch.no_grad():
        model.token.weight[0, 0] += 0.5
    save_model(model, folder)
    with pytest.raises(IntegrityError, match="its model is not that of the live release"):
        promote_refresh(registry, resealed(registry, new_id), "refresh")
    assert live(registry) == releases["first"][0]


def test_a_candidate_is_compared_with_a_refreshed_live_release(registry, new_id, world, tmp_path):
    promote_refresh(registry, new_id, "refresh")
    judged = gate([evaluate_model(world, name, surface, registry, f"{tmp_path.name}-{name}")
                   for name, surface in (("home2", "home"), ("search", "search"))], tmp_path / "verdict",
                  gate=gate_config(rules=ANY_CHANGE))
    assert judged.surfaces["home"].live_release == new_id
    ids = promoted(registry, world, tmp_path / "verdict")
    assert live(registry) == ids[0] and read_aliases(registry)[0].surfaces["home"].previous == new_id


def test_a_refresh_between_gate_and_promotion_does_not_void_the_comparison(registry, new_id, world, tmp_path):
    judged = gate([evaluate_model(world, name, surface, registry, f"{tmp_path.name}-{name}")
                   for name, surface in (("home2", "home"), ("search", "search"))], tmp_path / "verdict",
                  gate=gate_config(rules=ANY_CHANGE))
    assert judged.surfaces["home"].live_release == live(registry)
    promote_refresh(registry, new_id, "refresh")
    ids = promoted(registry, world, tmp_path / "verdict")
    assert live(registry) == ids[0]


def test_the_same_run_judged_anew_does_not_take_new_items_away(registry, new_id, world, tmp_path):
    promote_refresh(registry, new_id, "refresh")
    gate([evaluate_model(world, surface, surface, registry, f"{tmp_path.name}-{surface}") for surface in LOG.surfaces],
         tmp_path / "verdict", gate=gate_config(rules=ANY_CHANGE))
    promoted(registry, world, tmp_path / "verdict")
    assert live(registry) == new_id
    ids = [build(world, tmp_path / "verdict", registry, surface, **(
        {"generation": GENERATION.model_copy(update={"steps": 1})} if surface == "home" else {}))
        for surface in LOG.surfaces]
    for release_id in ids:
        verify_here(world, registry, release_id)
    promote(registry, tmp_path / "verdict", ids, "other settings")
    assert live(registry) == ids[0], "what serves otherwise does move"


def promoted(registry: str, world: Path, verdict: Path) -> list[str]:
    """Build, verify and promote both surfaces of a verdict."""
    ids = [build(world, verdict, registry, surface, index=INDEX) for surface in LOG.surfaces]
    for release_id in ids:
        verify_here(world, registry, release_id)
    promote(registry, verdict, ids, "run-2")
    return ids
