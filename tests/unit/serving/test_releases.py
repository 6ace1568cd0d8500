"""The aliases are followed: new releases are loaded and put in place, bad ones refused, old ones let go."""

from __future__ import annotations

import gc
import json
import tempfile
import time
import weakref
from pathlib import Path

import pytest
from release.world import build

from pinrec_core import storage
from pinrec_core.config import IndexConfig
from pinrec_core.registry import Alias, Aliases, aliases_path, release_path
from pinrec_core.release.verify import verify_release
from pinrec_core.serving.metrics import Metrics
from pinrec_core.serving.releases import Releases


@pytest.fixture
def watched(config, scratch) -> Releases:
    """Looks when it is told to."""
    return Releases(config, scratch, Metrics())


def ids(releases: Releases) -> dict[str, str]:
    return {surface: live.release_id for surface, live in releases.live.items()}


def damage(registry: str, release_id: str) -> Path:
    """Change one byte of the index; what it was is beside it."""
    path = Path(release_path(registry, release_id), "index", "index.faiss")
    data = path.read_bytes()
    path.with_suffix(".good").write_bytes(data)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return path


def test_what_is_live_is_loaded(watched, first):
    watched.refresh()
    assert ids(watched) == first and watched.refused == {}
    assert all(live.surface == surface for surface, live in watched.live.items())


def test_an_empty_registry_has_nothing_live(watched):
    watched.refresh()
    assert watched.live == {} and watched.refused == {} and watched.unreadable == ""


def test_a_moved_alias_moves_one_surface_and_back(watched, first, second, point):
    watched.refresh()
    search = watched.live["search"]
    point(home=second["home"])
    watched.refresh()
    assert ids(watched) == first | {"home": second["home"]}
    point(home=first["home"])
    watched.refresh()
    assert ids(watched) == first and watched.live["search"] is search


def test_nothing_is_loaded_again_while_nothing_moves(watched, first):
    watched.refresh()
    before = watched.live
    watched.refresh()
    assert watched.live == before  # the very objects


def test_surfaces_come_and_go(watched, first, point):
    point(search=None)
    watched.refresh()
    assert ids(watched) == {"home": first["home"]}
    point(search=first["search"], home=None)
    watched.refresh()
    assert ids(watched) == {"search": first["search"]}


def test_a_damaged_release_is_refused_and_told_once(watched, first, second, point, registry, caplog):
    watched.refresh()
    point(**second)
    damage(registry, second["home"])
    for _ in range(3):
        watched.refresh()
    assert ids(watched) == {"home": first["home"], "search": second["search"]}
    assert watched.refused["home"].release_id == second["home"]
    assert "index.faiss: altered" in watched.refused["home"].reason
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1 and "refused, the one before it stays" in errors[0] and "index.faiss" in errors[0]
    assert 'pinrec_releases_refused_total{surface="home"} 1.0' in watched._metrics.text().decode()


@pytest.mark.parametrize("moves", ["back", "on"])
def test_a_refusal_ends_when_the_alias_moves(watched, first, second, point, registry, moves):
    watched.refresh()
    point(home=second["home"])
    damage(registry, second["home"])
    watched.refresh()
    told = f'pinrec_refused_release_info{{release_id="{second["home"]}",surface="home"}}'
    assert f"{told} 1.0" in watched._metrics.text().decode()
    point(home=first["home"] if moves == "back" else None)
    watched.refresh()
    assert f"{told} 0.0" in watched._metrics.text().decode()
    assert watched.refused == {} and ("home" in watched.live) is (moves == "back")


def test_a_refused_release_is_tried_again_after_a_while(config, scratch, second, point, registry):
    watched = Releases(config.model_copy(update={"refused_retry_s": 0.01}), scratch, Metrics())
    point(home=second["home"])
    path = damage(registry, second["home"])
    watched.refresh()
    assert watched.live == {} and "home" in watched.refused
    path.with_suffix(".good").replace(path)
    time.sleep(0.02)
    watched.refresh()
    assert ids(watched) == {"home": second["home"]} and watched.refused == {}


def test_a_release_that_is_not_there_is_refused(watched, first, point):
    watched.refresh()
    point(home="0" * 64)
    watched.refresh()
    assert ids(watched) == first and "incomplete" in watched.refused["home"].reason


def test_an_alias_of_another_surface_is_refused(watched, first, point):
    watched.refresh()
    point(home=first["search"])
    watched.refresh()
    assert ids(watched) == first and "is of surface 'search'" in watched.refused["home"].reason


def test_while_the_aliases_cannot_be_read_all_stays(watched, first, registry, caplog):
    watched.refresh()
    good = Path(aliases_path(registry)).read_bytes()
    Path(aliases_path(registry)).write_text(json.dumps({"surfaces": 3}))
    for _ in range(2):
        watched.refresh()
    assert ids(watched) == first and "not an alias document" in watched.unreadable
    assert sum("cannot be read" in record.getMessage() for record in caplog.records) == 1
    Path(aliases_path(registry)).write_bytes(good)
    watched.refresh()
    assert watched.unreadable == "" and ids(watched) == first


def test_a_replaced_release_is_let_go_with_its_last_request(watched, first, second, point, scratch):
    watched.refresh()
    in_hand = watched.live["home"]
    parts = (in_hand, in_hand.retriever, in_hand.retriever.model, in_hand.retriever.index, in_hand.histories)
    gone = [weakref.ref(part) for part in parts]
    point(home=second["home"])
    watched.refresh()
    assert all(part() for part in gone) and (scratch / f"{first['home']}.arrow").exists()
    gc.disable()  # a collection would not find what is frozen, see _settle_memory
    try:
        del in_hand, parts
        assert [part() for part in gone] == [None] * len(gone)
    finally:
        gc.enable()
    assert {path.stem for path in scratch.glob("*.arrow")} == {second["home"], first["search"]}


def test_a_registry_on_object_storage(bucket, world, verdicts, config, scratch, monkeypatch):
    ids_of = [build(world, verdicts[name], bucket, "home") for name in ("first", "second")]
    for release_id in ids_of:
        verify_release(bucket, release_id, dataset=world / "dataset", index=IndexConfig(verify_users=5))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    watched = Releases(config.model_copy(update={"registry": bucket}), scratch, Metrics())
    for live in ids_of:
        document = Aliases(surfaces={"home": Alias(live=live)}).model_dump_json()
        storage.write_bytes(aliases_path(bucket), document.encode())
        watched.refresh()
        assert ids(watched) == {"home": live}
        assert len(list(scratch.glob("pinrec-*"))) == 1, "a copy of the one that is live"
