"""Whatever is altered, missing, mixed up or edited is refused with both fingerprints; `registry verify` finds it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pinrec_core.config import IndexConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, read_manifest
from pinrec_core.registry import aliases_path, verification_path
from pinrec_core.release.load import load_release
from pinrec_core.release.operations.audit import audit

from ..world import build, reseal

_HASH = re.compile(r"\b[0-9a-f]{12,64}\b")


@pytest.fixture(scope="module")
def alone(world, verdicts, tmp_path_factory) -> tuple[str, str]:
    """A registry with one release that has every kind of file but graphs: (registry, id)."""
    registry = tmp_path_factory.mktemp("alone") / "registry"
    return str(registry), build(world, verdicts["first"], registry, "home", index=IndexConfig(kind="ivf"))


def files_of(alone: tuple[str, str]) -> list[Path]:
    folder = Path(alone[0], "releases", alone[1])
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def restored(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    try:
        yield data
    finally:
        path.write_bytes(data)


def refused(alone: tuple[str, str]) -> str:
    """What a reader is told when it loads the release."""
    with pytest.raises(IntegrityError) as error:
        load_release(Path(alone[0], "releases", alone[1]), alone[1])
    return str(error.value)


def test_a_release_has_every_kind_of_file(alone):
    folder = Path(alone[0], "releases", alone[1])
    assert {str(path.relative_to(folder)) for path in files_of(alone)} >= {
        "manifest.json", "built.json", "lineage.json", "card.md", "index/curve.json", "index/index.faiss",
        "model/weights.safetensors", "model/transitions.npz", "model/manifest.json", "per_user.parquet"}
    assert audit(alone[0]) == []


def test_one_flipped_byte_in_any_file_is_refused_and_found(alone):
    for path in files_of(alone):
        with restored(path) as data:
            for place in (0, len(data) // 2, len(data) - 1):
                path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1:])
                told = refused(alone)
                fingerprints = set(_HASH.findall(told.replace(alone[0], "").replace(f"releases/{alone[1]}", "")))
                assert path.name in told and len(fingerprints) >= 2, f"{path} at {place}: {told}"
                found = audit(alone[0])
                assert {one.where for one in found} == {alone[1]} and told in [one.problem for one in found]
    assert audit(alone[0]) == []


def test_a_missing_file_is_refused_and_found(alone):
    for path in files_of(alone):
        with restored(path):
            path.unlink()
            told = refused(alone)
            assert path.name in told and _HASH.search(told.replace(f"releases/{alone[1]}", "")), told
            assert told in [one.problem for one in audit(alone[0])]


def test_a_manifest_edited_by_hand_is_refused_and_found(registry, releases):
    home = releases["first"][0]
    path = Path(registry, "releases", home, "manifest.json")
    edited = Manifest.model_validate_json(path.read_bytes())
    edited.facts["recall"]["recall@10"] = 0.99
    path.write_text(edited.model_dump_json())
    told = refused((registry, home))
    assert home in told and edited.fingerprint in told
    assert [one.where for one in audit(registry)] == [home]


def test_the_index_of_another_model_is_refused_and_found_even_under_a_new_manifest(registry, releases, world):
    folders = [Path(registry, "releases", releases[name][0]) for name in ("first", "second")]
    shutil.copytree(folders[1] / "index", folders[0] / "index", dirs_exist_ok=True)
    release_id = reseal(folders[0]).fingerprint
    folders[0].rename(folders[0].with_name(release_id))
    told = refused((registry, release_id))
    for model in ("model-home", "model-home2"):
        assert read_manifest(world / model, "model").fingerprint in told
    assert [(one.where, one.problem) for one in audit(registry)] == [(release_id, told)]


def test_a_file_that_no_manifest_names_is_found(registry, releases):
    home = releases["first"][0]
    path = Path(registry, "releases", home, "model", "weights.pkl")
    path.write_bytes(b"\x80\x04.")
    (found,) = audit(registry)
    assert found.where == home and hashlib.sha256(b"\x80\x04.").hexdigest()[:12] in found.problem
    assert "weights.pkl" in found.problem


@pytest.mark.parametrize("name", ["../../aliases.json", "model/../../../aliases.json", "/etc/hostname"])
def test_a_path_that_leaves_the_release_is_refused_and_found(first_live, releases, name):
    home = releases["first"][0]
    path = Path(first_live, "releases", home, "manifest.json")
    document = json.loads(path.read_text())
    data = Path(aliases_path(first_live)).read_bytes()
    document["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(json.dumps(document))
    new = Manifest.model_validate(document).fingerprint
    folder = path.parent.rename(path.parent.with_name(new))
    with pytest.raises(IntegrityError, match="points outside its directory"):
        load_release(folder, new)
    assert any("points outside" in one.problem and one.where == new for one in audit(first_live))


def test_a_link_that_leaves_the_release_is_refused_and_found(registry, releases, tmp_path):
    home = releases["first"][0]
    path = Path(registry, "releases", home, "histories.parquet")
    path.rename(tmp_path / "elsewhere.parquet")
    path.symlink_to(tmp_path / "elsewhere.parquet")
    assert "'histories.parquet' points outside" in refused((registry, home))
    assert any("points outside" in one.problem for one in audit(registry))


def test_what_the_aliases_point_to_must_be_there_verified_and_of_that_surface(first_live, releases):
    home, search = releases["first"]
    Path(verification_path(first_live, home)).unlink()
    shutil.rmtree(Path(first_live, "releases", search))
    found = [one.problem for one in audit(first_live)]
    assert any(problem.startswith(f"live on home is {home}: ") and "no verification" in problem for problem in found)
    assert any(problem.startswith(f"live on search is {search}: ") for problem in found) and len(found) == 2


def test_aliases_edited_by_hand_do_not_agree_with_the_history(second_live, releases):
    path = Path(aliases_path(second_live))
    document = json.loads(path.read_text())
    document["surfaces"]["home"]["live"] = releases["first"][1]
    path.write_text(json.dumps(document))
    found = [one.problem for one in audit(second_live)]
    assert f"live on home is {releases['first'][1]}, by the history it is {releases['second'][0]}" in found
    assert any("which answers for search" in problem for problem in found)
    document["history"].pop()
    path.write_text(json.dumps(document))
    assert any("revision is 2, the history has 1 entries" in one.problem for one in audit(second_live))
    path.write_text("{")
    assert [one.where for one in audit(second_live)] == ["aliases.json"]


def test_an_alias_that_is_a_path_is_found(first_live):
    path = Path(aliases_path(first_live))
    document = json.loads(path.read_text())
    document["surfaces"]["home"]["previous"] = "../../elsewhere"
    path.write_text(json.dumps(document))
    assert any("must be one plain name" in one.problem for one in audit(first_live))


def test_a_lineage_that_was_made_up_is_found_even_under_a_new_manifest(registry, releases):
    folder = Path(registry, "releases", releases["first"][0])
    document = json.loads((folder / "lineage.json").read_text())
    name, manifest = next((k, m) for k, m in document["manifests"].items() if m["kind"] == "dataset")
    manifest["facts"]["date"] = "2030-01-01"
    (folder / "lineage.json").write_text(json.dumps(document))
    release_id = reseal(folder).fingerprint
    folder.rename(folder.with_name(release_id))
    (found,) = audit(registry)
    assert name in found.problem and Manifest.model_validate(manifest).fingerprint in found.problem
