"""A publisher that is killed before any of its writes leaves the old releases live or the new ones, and the next
command repairs what it left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pinrec_core import storage
from pinrec_core.manifest import read_manifest
from pinrec_core.registry import aliases_path, read_aliases, release_path, verification_path
from pinrec_core.release import bundle
from pinrec_core.release.build import publish
from pinrec_core.release.operations.audit import audit
from pinrec_core.release.operations.collect import collect
from pinrec_core.release.operations.past import disagreements
from pinrec_core.release.promote import promote
from pinrec_core.release.verification import require_verification

from .killed import before_disk_writes, before_uploads, run_killed
from .world import GENERATION, LOG, build, verify_here

Ids = dict[str, str]  # surface -> release


@pytest.fixture(scope="module")
def source(verified, world, verdicts, tmp_path_factory) -> tuple[Path, Ids, Ids]:
    """A registry with two verified generations that serve differently on both surfaces, nothing live; their ids."""
    registry = tmp_path_factory.mktemp("source") / "registry"
    shutil.copytree(verified[0], registry)
    search = build(world, verdicts["second"], registry, "search",
                   generation=GENERATION.model_copy(update={"overfetch": 4.0}))
    verify_here(world, registry, search)
    return (registry, dict(zip(LOG.surfaces, verified[1]["first"], strict=True)),
            {"home": verified[1]["second"][0], "search": search})


def publish_all(source: Path, registry: str, verdict: Path, ids: Ids) -> None:
    """All that a publisher writes: releases, verifications, the move of the aliases."""
    for release_id in ids.values():
        publish_release(source, registry, release_id)
    promote_all(registry, verdict, ids)


def publish_release(source: Path, registry: str, release_id: str) -> None:
    folder = source / "releases" / release_id
    publish(registry, folder, read_manifest(folder, "release"))
    data = Path(verification_path(str(source), release_id)).read_bytes()
    storage.write_bytes(verification_path(registry, release_id), data)


def promote_all(registry: str, verdict: Path, ids: Ids) -> None:
    promote(registry, verdict, list(ids.values()), "run", forced="the verdicts compared with nothing")


def check_whole(registry: str, old: Ids, new: Ids) -> bool:
    """What a reader gets is one set or the other, each release whole and verified. True = the new one."""
    aliases, _ = read_aliases(registry)
    live = {surface: alias.live for surface, alias in aliases.surfaces.items()}
    assert live in (old, new) and disagreements(aliases) == []
    for release_id in live.values():
        with storage.local_tree(release_path(registry, release_id)) as directory:
            require_verification(registry, release_id, bundle.read_release(directory, release_id))
    return live == new


def kill_in_turn(attempt: Callable[[int], tuple[bool, bool]]) -> int:
    """Kill before every write until there is none left; `attempt` says whether it was killed and what was live then."""
    n, before = 1, False
    while (ended := attempt(n))[0]:
        assert ended[1] >= before, "once the new releases are live, they stay so"
        n, before = n + 1, ended[1]
    return n - 1


def test_a_publisher_on_disk(source, verdicts, tmp_path):
    registry, old, new = str(tmp_path / "registry"), source[1], source[2]
    publish_all(source[0], str(tmp_path / "before"), verdicts["first"], old)

    def publisher() -> None:
        publish_all(source[0], registry, verdicts["second"], new)

    def attempt(n: int) -> tuple[bool, bool]:
        shutil.rmtree(registry, ignore_errors=True)
        shutil.copytree(tmp_path / "before", registry, copy_function=os.link)  # nothing is ever written in place
        killed = run_killed(publisher, n, before_disk_writes(registry))
        ended = check_whole(registry, old, new)
        publisher()
        assert check_whole(registry, old, new) and audit(registry) == []
        assert not [path for path in Path(registry, "releases").iterdir() if path.name.startswith(".")]
        return killed, ended

    writes = kill_in_turn(attempt)
    assert writes > 2 * len(read_manifest(source[0] / "releases" / new["home"], "release").files)


def test_a_publisher_on_object_storage(source, verdicts, bucket):
    old, new = source[1], source[2]
    publish_all(source[0], bucket, verdicts["first"], old)
    publish_release(source[0], bucket, new["search"])  # as home, so search: one of them is enough to be killed in
    before = storage.read_bytes(aliases_path(bucket))

    def publisher() -> None:
        publish_release(source[0], bucket, new["home"])
        promote_all(bucket, verdicts["second"], new)

    def attempt(n: int) -> tuple[bool, bool]:
        storage.remove_tree(release_path(bucket, new["home"]))
        storage.remove_file(verification_path(bucket, new["home"]))
        storage.write_bytes(aliases_path(bucket), before)
        killed = run_killed(publisher, n, before_uploads)
        ended = check_whole(bucket, old, new)
        publisher()
        assert check_whole(bucket, old, new)
        return killed, ended

    files = read_manifest(source[0] / "releases" / new["home"], "release").files
    assert kill_in_turn(attempt) == len(files) + 2 + 1 + 1, "files, manifest, built.json, verification, one move"
    assert audit(bucket) == []


def test_gc_on_disk(source, verdicts, tmp_path):
    registry, old, new = str(tmp_path / "registry"), source[1], source[2]
    publish_all(source[0], str(tmp_path / "before"), verdicts["first"], old)
    shutil.copytree(source[0] / "releases" / new["home"], tmp_path / "before" / "releases" / new["home"])
    shutil.copy(verification_path(str(source[0]), new["home"]), tmp_path / "before" / "verifications")

    def gc() -> None:
        collect(registry, keep=1, older_than_days=0.0, run_id="gc", apply=True)

    def attempt(n: int) -> tuple[bool, bool]:
        shutil.rmtree(registry, ignore_errors=True)
        shutil.copytree(tmp_path / "before", registry, copy_function=os.link)
        killed = run_killed(gc, n, before_disk_writes(registry))
        assert not check_whole(registry, old, new)
        gone = Path(registry, "releases", new["home"])
        assert not gone.exists() or bundle.read_release(gone, new["home"]), "whole or not there"
        gc()
        assert sorted(p.name for p in Path(registry, "releases").iterdir()) == sorted(old.values())
        assert sorted(p.stem for p in Path(registry, "verifications").iterdir()) == sorted(old.values())
        assert read_aliases(registry)[0].collecting == () and audit(registry) == []
        return killed, False

    assert kill_in_turn(attempt) > 20
