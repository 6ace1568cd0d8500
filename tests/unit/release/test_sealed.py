"""A sealed document tells whether it was altered or lies in another release."""

from __future__ import annotations

import json

import pytest

from pinrec_core.errors import IntegrityError
from pinrec_core.release.sealed import read_sealed, write_sealed


def test_what_was_written_is_read(tmp_path):
    write_sealed(tmp_path / "a.json", "r" * 64, {"b": [1.5, None], "a": "ü"})
    assert read_sealed(tmp_path / "a.json", "r" * 64) == {"release": "r" * 64, "b": [1.5, None], "a": "ü"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"release": "x"}', "\x00"])
def test_what_is_none_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(IntegrityError, match="altered"):
        read_sealed(tmp_path / "a.json", "r")


def test_altered_missing_and_foreign_documents_are_refused(tmp_path):
    path = tmp_path / "a.json"
    write_sealed(path, "r1", {"ms": 2.0})
    with pytest.raises(IntegrityError, match="is about release r1, it lies in release r2"):
        read_sealed(path, "r2")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ms": 1.0}))
    with pytest.raises(IntegrityError, match="its content has sha256 [0-9a-f]{64}, it says [0-9a-f]{64}"):
        read_sealed(path, "r1")
    path.unlink()
    with pytest.raises(IntegrityError, match="missing from release r1"):
        read_sealed(path, "r1")
