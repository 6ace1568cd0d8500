"""Manifests: complete or absent, unaltered or refused, the same inputs give the same fingerprint."""

import json

import pytest

from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import read_manifest, write_manifest


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.bin").write_bytes(b"abc")
    write_manifest(tmp_path, kind="thing", counts={"rows": 3}, facts={"x": [1, 2]})
    return tmp_path


def test_what_was_written_is_read(sealed):
    manifest = read_manifest(sealed, "thing")
    assert manifest.counts == {"rows": 3}
    assert list(manifest.files) == ["sub/a.bin"]
    assert manifest.files["sub/a.bin"].size == 3


def test_the_fingerprint_follows_the_content_alone(sealed, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    (again / "sub").mkdir()
    (again / "sub" / "a.bin").write_bytes(b"abc")
    same = write_manifest(again, kind="thing", counts={"rows": 3}, facts={"x": [1, 2]})
    assert same.fingerprint == read_manifest(sealed, "thing").fingerprint
    (again / "sub" / "a.bin").write_bytes(b"abd")
    assert write_manifest(again, kind="thing", counts={"rows": 3}, facts={"x": [1, 2]}).fingerprint != same.fingerprint


def test_a_flipped_byte_a_missing_file_and_no_manifest_are_refused(sealed):
    (sealed / "sub" / "a.bin").write_bytes(b"abd")
    with pytest.raises(IntegrityError, match="altered"):
        read_manifest(sealed, "thing")
    (sealed / "sub" / "a.bin").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        read_manifest(sealed, "thing")
    (sealed / "manifest.json").unlink()
    with pytest.raises(IntegrityError, match="incomplete"):
        read_manifest(sealed, "thing")


def test_another_kind_is_refused(sealed):
    with pytest.raises(IntegrityError, match="is a thing, expected a dataset"):
        read_manifest(sealed, "dataset")


def test_a_path_out_of_the_directory_is_refused(sealed):
    path = sealed / "manifest.json"
    document = json.loads(path.read_text())
    document["files"]["../secret"] = {"size": 1, "sha256": "0" * 64}
    path.write_text(json.dumps(document))
    with pytest.raises(IntegrityError, match="points outside"):
        read_manifest(sealed, "thing")
