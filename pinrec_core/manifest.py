"""manifest.json beside every output: what it is, its counts, the sha256 of its files, its config and its parents.

A directory without a manifest does not exist for a reader; one whose hashes do not hold is refused. Nothing in a
manifest depends on the clock, so the same inputs give the same fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import pinrec_core
from pinrec_core.config.section import Section
from pinrec_core.errors import IntegrityError
from pinrec_core.progress import counted
from pinrec_core.storage import MANIFEST_NAME, write_bytes


class FileEntry(BaseModel):
    """Size in bytes and sha256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int
    sha256: str


class Manifest(BaseModel):
    """The content of manifest.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: str  # "dataset", "base_model", "model", "evaluation", "verdict", "release", ...
    code_version: str
    config_fingerprint: str  # of the sections that shaped this output
    parents: dict[str, str]  # role -> fingerprint of each input
    counts: dict[str, int]  # rows and the like
    facts: dict[str, Any]  # small JSON facts a reader needs before opening files
    files: dict[str, FileEntry]  # relative posix path -> entry

    @property
    def fingerprint(self) -> str:
        """sha256 over the whole manifest in canonical JSON; 64 hex digits."""
        return hashlib.sha256(_canonical(self.model_dump(mode="json"))).hexdigest()


def fingerprint_of(*sections: BaseModel | str) -> str:
    """sha256 over the shaping settings of config sections (see Section) and other values, in order."""
    values = [s if isinstance(s, str) else _shaping(s) for s in sections]
    return hashlib.sha256(_canonical(values)).hexdigest()


@cache
def code_fingerprint() -> str:
    """sha256 over pinrec_core's own source: what another state of the code has made must not be taken for ours."""
    root, digest = Path(pinrec_core.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def write_manifest(directory: Path, *, kind: str, config_fingerprint: str = "", parents: dict[str, str] | None = None,
                   counts: dict[str, int] | None = None, facts: dict[str, Any] | None = None,
                   apart: str = "") -> Manifest:
    """Hash every file under `directory` and write its manifest, as the last file written there.

    A folder `apart` has a manifest of its own, for its own readers, and is not part of this one.
    """
    paths = sorted(p for p in directory.rglob("*") if p.is_file() and p != directory / MANIFEST_NAME
                   and not (apart and p.is_relative_to(directory / apart)))
    manifest = Manifest(
        kind=kind, code_version=pinrec_core.__version__, config_fingerprint=config_fingerprint, parents=parents or {},
        counts=counts or {}, facts=facts or {}, files={p.relative_to(directory).as_posix(): _entry(p) for p in paths})
    write_bytes(str(directory / MANIFEST_NAME), json.dumps(manifest.model_dump(mode="json"), indent=1).encode())
    return manifest


def fingerprint_of_files(files: Iterable[Sequence[Any]]) -> str:
    """Fingerprint of input files by name, size in bytes, rows and mark (a digest of what tells their content)."""
    return fingerprint_of(*(f"{name} {size} {rows} {mark}" for name, size, rows, mark in files))


def read_manifest(directory: str | Path, kind: str, *, verify: bool = True) -> Manifest:
    """Read the manifest and check that every file it names is there, unaltered.

    Raises IntegrityError if the directory is incomplete, of another kind, or altered. `verify=False` skips hashing the
    files (their presence and size are still checked), for directories this process has verified already.
    """
    directory = Path(directory)
    try:
        data = (directory / MANIFEST_NAME).read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(f"{directory}: no {MANIFEST_NAME}, so the {kind} is incomplete; rerun its step") from error
    manifest = parse_manifest(data, kind, directory)
    for problem in file_problems(directory, manifest, verify=verify):
        raise IntegrityError(problem)
    return manifest


def parse_manifest(data: bytes, kind: str, directory: str | Path) -> Manifest:
    """The manifest of an output that is said to be a `kind`. Raises IntegrityError if it is none, or of another one."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{directory}/{MANIFEST_NAME}: not a manifest ({error.error_count()} problems); its bytes "
                             f"have sha256 {hashlib.sha256(data).hexdigest()}") from error
    if manifest.kind != kind:
        raise IntegrityError(f"{directory}: is a {manifest.kind}, expected a {kind}; check which path is passed")
    return manifest


def file_problems(directory: Path, manifest: Manifest, *, verify: bool = True) -> Iterator[str]:
    """A sentence for every file that is missing, altered, or points outside; without `verify` nothing is hashed."""
    for name, entry in counted(manifest.files.items(), "check the hashes", "files"):
        path = directory / name
        said = f"manifest says {entry.sha256[:12]} ({entry.size} bytes); rerun the step that wrote it"
        if not path.resolve().is_relative_to(directory.resolve()):
            yield f"{directory / MANIFEST_NAME}: {name!r} points outside its directory; refuse this output"
        elif not path.is_file():
            yield f"{path}: named in the manifest but missing: there is no sha256, {said}"
        elif (found := _entry(path) if verify else FileEntry(size=path.stat().st_size, sha256=entry.sha256)) != entry:
            yield f"{path}: altered: sha256 {found.sha256[:12]} ({found.size} bytes), {said}"


def _entry(path: Path) -> FileEntry:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(size=path.stat().st_size, sha256=digest)


def _shaping(section: BaseModel) -> dict[str, Any]:
    return section.shaping() if isinstance(section, Section) else section.model_dump(mode="json")


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
