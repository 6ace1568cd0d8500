"""Large outputs by reference: the data below a store, and in their place one small document that says where they lie.

Kubeflow copies every artifact to and from the disk of every task. With a store a step puts its output there, manifest
last, and leaves a Reference of some hundred bytes as its artifact. A step that reads uses the data where they lie if
that is a folder; from object storage it fetches what the manifest names, once, and checks every hash.

    <store>/datasets/<fingerprint>/    <store>/models/<fingerprint>/    the same content is never uploaded again

Without a store ("") an artifact is the folder itself. Whoever reads need not know: `place` is a path or URI of either.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, file_problems, parse_manifest, read_manifest
from pinrec_core.storage import MANIFEST_NAME, is_remote, join

log = logging.getLogger("pinrec")


class Reference(BaseModel):
    """What an artifact holds in place of data that are in a store."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["pinrec.reference/1"] = "pinrec.reference/1"
    uri: str  # of the folder with the data
    kind: str  # of its manifest, as all below
    fingerprint: str
    bytes: int  # in the files that the manifest names
    counts: dict[str, int]


@contextlib.contextmanager
def kept(artifact: Path, store: str) -> Iterator[Path]:
    """Yield the folder a step is to write its output to; afterwards it is at `artifact`, or in the store (not "").

    In a folder the output is written beside its place and renamed; to object storage it is uploaded, its manifest last.
    If the block raises, neither the store nor the artifact has anything of it.
    """
    if not store:
        yield artifact
        return
    with storage.scratch_directory(Path(tempfile.gettempdir() if is_remote(store) else store)) as folder:
        yield folder / "output"
        reference = _deposit(folder / "output", store)
    _write(artifact, reference)


def refer(artifact: Path, uri: str, kind: str) -> Manifest:
    """Let an artifact refer to data that are somewhere already, as a release in its registry.

    Raises IntegrityError if they are not whole.
    """
    manifest = manifest_of(uri, kind)
    _write(artifact, _reference(uri, manifest))
    return manifest


def address(place: Path | str) -> str:
    """Where the data of an artifact are: the place itself, or what it refers to. Raises IntegrityError if that is no
    reference."""
    return _resolved(place)[0]


def manifest_of(place: Path | str, kind: str) -> Manifest:
    """The manifest of an artifact's data, which are not fetched; their presence and sizes are checked.

    Raises IntegrityError if they are gone, incomplete, of another kind, or not those that are referred to.
    """
    uri, reference = _resolved(place)
    if reference and not storage.exists(join(uri, MANIFEST_NAME)):
        raise IntegrityError(f"{uri}: no longer in the store, or never whole; run the step that wrote {place} again, "
                             "without the cache")
    manifest = _manifest_at(uri, kind)
    if reference and manifest.fingerprint != reference.fingerprint:
        raise IntegrityError(f"{uri}: has fingerprint {manifest.fingerprint}, {place} refers to "
                             f"{reference.fingerprint}; remove it and run the step that wrote it again")
    return manifest


@contextlib.contextmanager
def opened(place: Path | str, kind: str) -> Iterator[Path]:
    """Yield a local folder with an artifact's data: where they lie, or a copy that goes with the block.

    Of a copy every hash is checked, so that whoever opens data in place checks them as ever. Raises IntegrityError.
    """
    uri, reference = _resolved(place)
    if not is_remote(uri):
        if reference:
            manifest_of(place, kind)
        yield Path(uri)
        return
    with storage.scratch_directory(Path(tempfile.gettempdir())) as folder:
        fetch(uri, manifest_of(place, kind), folder / "input")
        yield folder / "input"


def fetch(uri: str, manifest: Manifest, target: Path) -> None:
    """Copy what a manifest names, and it, from a folder or URI to an empty folder. Raises IntegrityError if altered."""
    target.mkdir(parents=True, exist_ok=True)
    storage.download(uri, [*manifest.files, MANIFEST_NAME], target)
    for problem in file_problems(target, manifest):
        raise IntegrityError(f"{problem}; it came from {uri}: remove that first")
    log.info("store: %d bytes from %s", size_of(manifest), uri)


def size_of(manifest: Manifest) -> int:
    """Bytes of the files that a manifest names."""
    return sum(entry.size for entry in manifest.files.values())


def _resolved(place: Path | str) -> tuple[str, Reference | None]:
    if is_remote(str(place)) or not Path(place).is_file():
        return str(place), None
    try:
        reference = Reference.model_validate_json(Path(place).read_bytes())
    except ValidationError as error:
        raise IntegrityError(f"{place}: a file that refers to no data ({error.error_count()} problems); pass the "
                             "folder that a step wrote, or its artifact") from error
    return reference.uri, reference


def _manifest_at(uri: str, kind: str) -> Manifest:
    """Like read_manifest without hashes, of a URI too."""
    if not is_remote(uri):
        return read_manifest(uri, kind, verify=False)
    manifest = parse_manifest(storage.read_bytes(join(uri, MANIFEST_NAME)), kind, uri)
    found = storage.tree_files(uri)
    for name, entry in manifest.files.items():
        if name not in found or found[name].size != entry.size:
            there = f"has {found[name].size} bytes" if name in found else "is missing"
            raise IntegrityError(f"{join(uri, name)}: {there}, the manifest says {entry.size}; rerun the step that "
                                 "wrote it")
    return manifest


def _deposit(output: Path, store: str) -> Reference:
    """Bring a complete output into the store, unless it is there: whole, or what of it has a manifest of its own."""
    manifest = Manifest.model_validate_json((output / MANIFEST_NAME).read_bytes())
    uri = join(store if is_remote(store) else os.path.abspath(store), f"{manifest.kind}s", manifest.fingerprint)
    if not _is_whole(uri, manifest):
        _move(output, uri, manifest)
        log.info("store: %d bytes to %s", size_of(manifest), uri)
    else:
        log.info("store: %s is there already", uri)
        for part in output.iterdir():
            own = join(uri, part.name, MANIFEST_NAME)
            if (part / MANIFEST_NAME).is_file() and not storage.exists(own):
                storage.upload_tree(part, join(uri, part.name))
    return _reference(uri, manifest)


def _reference(uri: str, manifest: Manifest) -> Reference:
    return Reference(uri=uri, kind=manifest.kind, fingerprint=manifest.fingerprint, bytes=size_of(manifest),
                     counts=manifest.counts)


def _write(artifact: Path, reference: Reference) -> None:
    if artifact.is_dir():  # made by the orchestrator
        artifact.rmdir()
    storage.write_bytes(str(artifact), reference.model_dump_json(indent=1).encode())


def _is_whole(uri: str, manifest: Manifest) -> bool:
    if not storage.exists(join(uri, MANIFEST_NAME)):
        return False
    try:
        return _manifest_at(uri, manifest.kind) == manifest
    except IntegrityError as error:  # as when old data were half removed
        log.warning("store: written again: %s", error)
        return False


def _move(output: Path, uri: str, manifest: Manifest) -> None:
    if is_remote(uri):
        storage.upload_tree(output, uri)
        return
    storage.remove_tree(uri)  # what is left of it is not whole
    Path(uri).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(output, uri)
    except OSError:
        if not _is_whole(uri, manifest):  # else: another step wrote the same at the same time
            raise
