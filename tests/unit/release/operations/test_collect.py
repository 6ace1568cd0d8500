"""gc removes what nothing needs, tells it first, and no promotion can make live what it removes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from quoted import says

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.config import IndexConfig
from pinrec_core.errors import ConflictError, PinrecError
from pinrec_core.registry import read_aliases, release_ids
from pinrec_core.release import moves, stored
from pinrec_core.release.operations import collect as collect_
from pinrec_core.release.operations.audit import audit
from pinrec_core.release.operations.collect import collect
from pinrec_core.release.operations.rollback import rollback
from pinrec_core.release.operations.unneeded import Removal, needed
from pinrec_core.release.promote import promote
from pinrec_core.release.promote_refresh import promote_refresh
from pinrec_core.release.refresh import refresh
from pinrec_core.release.reuse import build_once

from ..world import GENERATION, write_catalog


def aged(registry: str, days: float = 2.0) -> str:
    """Make everything in a registry older."""
    then = time.time() - days * 86_400
    for path in Path(registry).rglob("*"):
        os.utime(path, (then, then))
    return registry


def gc(registry: str, **given) -> collect_.Collected:
    return collect(registry, **{"keep": 1, "older_than_days": 1.0, "run_id": "gc"} | given)


def test_it_tells_first_and_removes_only_when_told(second_live, releases):
    aged(second_live)
    search = releases["second"][1]  # serves what the first one does, so it never went live
    before = {path: path.stat().st_mtime_ns for path in Path(second_live).rglob("*")}
    found = gc(second_live)
    assert [one.release_id for one in found.removed] == [search] and not found.applied
    folder = Path(second_live, "releases", search)
    verification = Path(registry_.verification_path(second_live, search))
    assert found.size == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) + verification.stat().st_size
    assert {path: path.stat().st_mtime_ns for path in Path(second_live).rglob("*")} == before
    assert gc(second_live, apply=True).applied
    assert not folder.exists() and not verification.exists()
    assert set(release_ids(second_live)) == {*releases["first"], releases["second"][0]}
    aliases, _ = read_aliases(second_live)
    assert aliases.collecting == () and [entry["action"] for entry in aliases.history[2:]] == ["gc", "gc done"]
    assert search in aliases.history[2]["why"] and aliases.history[2]["run"] == "gc"
    assert audit(second_live) == []


def test_aliases_and_the_last_promotions_stay(second_live, releases):
    aged(second_live)
    (first_home, first_search), (second_home, _) = releases["first"], releases["second"]
    assert needed(read_aliases(second_live)[0], 1) == {
        second_home: "live on home", first_home: "previous on home", first_search: "live on search"}
    rollback(second_live, "home", reason="bad", run_id="r")
    aliases, _ = read_aliases(second_live)
    assert aliases.surfaces["home"].previous is None
    assert needed(aliases, 1)[second_home] == "one of the last 1 promotions of home", "to be looked into"
    assert needed(aliases, 2)[first_home] == "live on home"


def test_young_releases_stay_and_so_does_one_that_was_verified_anew(registry, releases):
    assert gc(registry).removed == ()
    aged(registry)
    assert len(gc(registry).removed) == len({*releases["first"], *releases["second"]})
    again = releases["second"][0]
    os.utime(registry_.verification_path(registry, again))
    found = gc(registry)
    assert again not in [one.release_id for one in found.removed]
    (why,) = [one.why for one in found.kept if one.release_id == again]
    assert why == "written or used 0.0 days ago, younger than 1"


def test_a_run_that_reuses_a_release_keeps_it_and_its_note_goes_with_it(registry, releases, world, verdicts):
    home = releases["first"][0]
    given = {"surface": "home", "generation": GENERATION, "index": IndexConfig()}
    for _ in range(2):  # the second time by the note of the first
        aged(registry)
        assert build_once(world / "dataset", verdicts["first"], registry, **given) == home
        assert home not in [one.release_id for one in gc(registry).removed]
    (note,) = Path(registry, "builds").iterdir()
    aged(registry)
    gc(registry, apply=True)
    assert not note.exists() and home not in release_ids(registry)


def test_half_a_release_and_a_verification_of_nothing_go(registry, releases):
    folder = Path(registry, "releases")
    shutil.copytree(folder / releases["first"][0], folder / "half")
    (folder / "half" / "manifest.json").unlink()
    Path(registry, "verifications", "gone.json").write_text("{}")
    Path(registry, "verifications", ".x.json.tmp").write_text("cut sho")
    (folder / ".abandoned.staging-x").mkdir()
    aged(registry)
    assert {"half", "gone"} <= {one.release_id for one in gc(registry, apply=True).removed}
    assert not [path for path in Path(registry).rglob("*") if path.name.startswith((".", "half", "gone"))]


def test_a_promotion_that_has_read_the_aliases_before_loses(registry, verdicts, releases, monkeypatch):
    """gc runs between the promotion's last look at the releases and its move."""
    aged(registry)
    commit = moves.commit

    def late(*arguments, **given):
        monkeypatch.setattr(moves, "commit", commit)
        assert len(gc(registry, apply=True).removed) == 4
        return commit(*arguments, **given)

    monkeypatch.setattr(moves, "commit", late)
    with pytest.raises(ConflictError, match=r"\(revision 2, gc done, run gc") as raised:
        promote(registry, verdicts["first"], releases["first"], "run-1")
    says("error: promote: nothing was changed, because ...; run it again", raised.value)
    says("error: promote: nothing was changed, because ... changed .../aliases.json since it was read (revision ..., "
         "..., run ...: ...); run it again", raised.value)
    assert read_aliases(registry)[0].surfaces == {} and audit(registry) == []


def test_a_promotion_that_comes_while_it_removes_is_refused(registry, verdicts, releases, monkeypatch):
    aged(registry)
    met = []

    def meanwhile(where: str, removal: Removal) -> None:
        with pytest.raises(PinrecError, match=f"{releases['first'][0]} is being removed by gc"):
            promote(registry, verdicts["first"], releases["first"], "run-1")
        met.append(removal.release_id)

    monkeypatch.setattr(collect_, "_remove", meanwhile)
    gc(registry, apply=True)
    assert len(met) == 4, "every one was whole still, and yet refused"


def test_a_gc_that_lost_a_race_removes_nothing(registry, verdicts, releases, monkeypatch):
    aged(registry)
    sorted_out = collect_.sorted_out

    def promoted_meanwhile(*given):
        found = sorted_out(*given)
        promote(registry, verdicts["first"], releases["first"], "run-1")
        return found

    monkeypatch.setattr(collect_, "sorted_out", promoted_meanwhile)
    with pytest.raises(ConflictError, match="gc: nothing was changed, because .* promote, run run-1") as raised:
        gc(registry, apply=True)
    says("...: nothing was changed, because ...; run it again", raised.value)
    assert len(release_ids(registry)) == 4 and audit(registry) == []


def test_the_next_gc_ends_what_a_killed_one_began(registry, releases, monkeypatch):
    aged(registry)

    def killed(where: str, removal: Removal) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(collect_, "_remove", killed)
        gc(registry, apply=True)
    assert len(read_aliases(registry)[0].collecting) == 4
    os.utime(registry_.verification_path(registry, releases["first"][0]))  # young again, and yet decided
    assert len(gc(registry, apply=True).removed) == 4
    assert release_ids(registry) == [] and read_aliases(registry)[0].collecting == ()


def test_a_refreshed_release_outlives_the_one_it_came_from(first_live, releases, world, tmp_path):
    index = IndexConfig(recall_tolerance=0.1)
    for name in ("n0", "n1"):
        found = refresh(first_live, "search", write_catalog(tmp_path / name, [name]), dataset=world / "dataset",
                        index=index)
        promote_refresh(first_live, found.release_id, "refresh")
    base, live = releases["first"][1], read_aliases(first_live)[0].surfaces["search"]
    aged(first_live)
    assert base in [one.release_id for one in gc(first_live, apply=True).removed]
    assert set(release_ids(first_live)) == {live.live, live.previous, releases["first"][0]}
    manifest = stored.release_manifest(first_live, live.live)
    assert stored.is_refresh_of(first_live, manifest, base) and not stored.is_refresh_of(first_live, manifest, "other")
    assert audit(first_live) == []


def test_it_removes_from_object_storage_too(bucket, registry, releases):
    for path in sorted(Path(registry, "releases", releases["first"][1]).rglob("*")):
        if path.is_file():
            storage.write_bytes(f"{bucket}/{path.relative_to(registry).as_posix()}", path.read_bytes())
    assert gc(bucket).removed == ()
    assert [one.release_id for one in gc(bucket, older_than_days=0.0, apply=True).removed] == [releases["first"][1]]
    assert storage.tree_files(f"{bucket}/releases") == {}
