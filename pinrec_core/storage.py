"""Local paths and gs:// URIs behind one small interface: atomic writes, compare-and-swap, whole trees.

Nothing half-written is ever visible: a file is written aside and renamed (GCS objects are atomic by themselves), a
directory is built aside and renamed, and a tree is uploaded with its manifest last. Object storage that does not answer
is waited for (outage.py); what can be raised for it is StorageError.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pinrec_core.errors import ConflictError, IntegrityError
from pinrec_core.outage import lost_storage_told, patience

ABSENT = "absent"
MANIFEST_NAME = "manifest.json"
_STAGING = ".staging-"
_AT_ONCE = 8  # objects that are copied at the same time
_WRITE = "pinrec-write"  # metadata of a swapped object: which write made it


class Versioned(NamedTuple):
    """A document and the version a compare-and-swap must name; data is None and version ABSENT if it is not there."""

    data: bytes | None
    version: str


class Stored(NamedTuple):
    """A file or object as the storage knows it."""

    size: int  # bytes
    written: float  # seconds since the epoch


def is_remote(uri: str) -> bool:
    """True for gs:// URIs."""
    return str(uri).startswith("gs://")


def join(uri: str, *parts: str) -> str:
    """Append path parts to a local path or URI."""
    return "/".join([str(uri).rstrip("/"), *parts])


def exists(uri: str) -> bool:
    """Whether the file or object is there."""
    if not is_remote(uri):
        return Path(uri).exists()
    with lost_storage_told(uri):
        return _blob(uri).exists(retry=patience())


def read_bytes(uri: str) -> bytes:
    """The content of a file or object. Raises IntegrityError if it is not there."""
    data = read_versioned(uri).data
    if data is None:
        raise IntegrityError(f"{uri}: no such file; check the path or rerun the step that writes it")
    return data


def read_versioned(uri: str) -> Versioned:
    """The content together with its version, read as one."""
    if is_remote(uri):
        return _read_object(uri)
    try:
        data = Path(uri).read_bytes()
    except FileNotFoundError:
        return Versioned(None, ABSENT)
    return Versioned(data, hashlib.sha256(data).hexdigest())


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file or object so that a reader sees all of it or none."""
    if is_remote(uri):
        with lost_storage_told(uri):
            _blob(uri).upload_from_string(data, retry=patience())
    else:
        _replace_file(Path(uri), data)


def compare_and_swap(uri: str, data: bytes, version: str) -> None:
    """Write only if the document still has the version that was read. Raises ConflictError otherwise.

    On disk the version is the content's sha256, compared under a lock; on GCS it is the object's generation.
    """
    if is_remote(uri):
        _swap_object(uri, data, version)
        return
    path = Path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if read_versioned(uri).version != version:
            raise ConflictError(f"{uri}: changed since it was read; read it again and retry")
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):  # of a killed process: we hold the lock
            leftover.unlink()
        _replace_file(path, data)


def list_names(uri: str) -> list[str]:
    """Names of the direct children of a folder, sorted; empty if the folder is not there."""
    if not is_remote(uri):
        return sorted(p.name for p in Path(uri).iterdir()) if Path(uri).is_dir() else []
    bucket, prefix = _split(uri)
    with lost_storage_told(uri):
        iterator = _client().list_blobs(bucket, prefix=prefix.rstrip("/") + "/", delimiter="/", retry=patience())
        names = {blob.name.rsplit("/", 1)[-1] for blob in iterator}
    return sorted(names | {p.rstrip("/").rsplit("/", 1)[-1] for p in iterator.prefixes})


def tree_files(uri: str) -> dict[str, Stored]:
    """Every file of a folder by its relative path; empty if the folder is not there."""
    if not is_remote(uri):
        found = {}
        for path in sorted(Path(uri).rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # gone by now
                if path.is_file():
                    found[path.relative_to(uri).as_posix()] = Stored(path.stat().st_size, path.stat().st_mtime)
        return found
    bucket, prefix = _split(uri)
    root = prefix.rstrip("/") + "/"
    with lost_storage_told(uri):
        return {blob.name.removeprefix(root): Stored(blob.size, blob.updated.timestamp())
                for blob in _client().list_blobs(bucket, prefix=root, retry=patience())}


def remove_file(uri: str) -> None:
    """Remove a file or object; nothing happens if it is not there."""
    if not is_remote(uri):
        Path(uri).unlink(missing_ok=True)
        return
    from google.api_core.exceptions import NotFound

    with lost_storage_told(uri), contextlib.suppress(NotFound):
        _blob(uri).delete(retry=patience())


def remove_tree(uri: str) -> None:
    """Remove a folder so that no reader takes what is left of it for complete, even if this is killed on the way."""
    if is_remote(uri):
        for name in sorted(tree_files(uri), key=lambda name: name != MANIFEST_NAME):
            remove_file(join(uri, name))
    elif (path := Path(uri)).is_dir():
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}{_STAGING}", dir=path.parent))
        with contextlib.suppress(FileNotFoundError):  # somebody else removes it too
            path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)  # what stays is hidden, and removed as abandoned


@contextlib.contextmanager
def staged_directory(destination: str | Path) -> Iterator[Path]:
    """Yield a fresh directory beside `destination` that takes its place only if the block ends without an error.

    What a killed process has left aside for the same destination is removed; a living process holds a lock on its own.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(destination.parent, destination.name)
    aside, lock = _locked_directory(f".{destination.name}{_STAGING}", destination.parent)
    try:
        yield aside
        aside.chmod(0o755)
        if destination.is_dir() and not any(destination.iterdir()):
            destination.rmdir()
        aside.rename(destination)
    except OSError as error:
        if destination.exists() and aside.exists():
            raise IntegrityError(f"{destination}: already exists; remove it or choose another output") from error
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """Yield a fresh directory in `parent`, gone when the block ends; what killed processes left of theirs goes too."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent, "scratch")
    folder, lock = _locked_directory(f".scratch{_STAGING}", parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_abandoned(folder: Path, name: str = "") -> None:
    """Remove what killed processes have left aside in a folder for one destination, or for all of them."""
    for leftover in folder.glob(f".{glob.escape(name) if name else '*'}{_STAGING}*"):
        _remove_if_abandoned(leftover)


def upload_tree(source: Path, uri: str) -> None:
    """Copy a complete directory to `uri`; its manifest goes last, so that a reader never takes half a tree."""
    if not is_remote(uri):
        with staged_directory(uri) as aside:
            shutil.copytree(source, aside, dirs_exist_ok=True)
        return
    files = sorted(p for p in source.rglob("*") if p.is_file() and p != source / MANIFEST_NAME)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda path: _upload(path, join(uri, path.relative_to(source).as_posix())), files))
    if (source / MANIFEST_NAME).is_file():
        _upload(source / MANIFEST_NAME, join(uri, MANIFEST_NAME))


def download(uri: str, names: Sequence[str], target: Path) -> None:
    """Copy some files of a folder, by their relative paths, into another one on disk.

    Raises IntegrityError if a file is not there or its name points outside the folder, StorageError if the storage is
    out of reach for too long.
    """
    def copy(name: str) -> None:
        path = target / name
        if not path.resolve().is_relative_to(target.resolve()):
            raise IntegrityError(f"{join(uri, name)}: points outside its folder; refuse what names it")
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(join(uri, name), path)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy, names))


@contextlib.contextmanager
def local_tree(uri: str) -> Iterator[Path]:
    """Yield a local directory with the tree's content: the tree itself on disk, a temporary copy of a remote one."""
    if not is_remote(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="pinrec-") as folder:
        with lost_storage_told(uri):
            _download_tree(uri, Path(folder).resolve())
        yield Path(folder)


def _locked_directory(prefix: str, parent: Path) -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock until it is closed or the process ends."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with contextlib.suppress(FileNotFoundError):  # another process took it for abandoned before it was locked
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.is_dir():
                return path, lock
            os.close(lock)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a staging directory unless the process that made it lives."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:  # gone by now, or not ours to read
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


def _replace_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def _upload(path: Path, uri: str) -> None:
    with lost_storage_told(uri):
        _blob(uri).upload_from_filename(str(path), retry=patience())


def _download(uri: str, path: Path) -> None:
    from google.api_core.exceptions import NotFound

    with lost_storage_told(uri):
        try:
            if is_remote(uri):
                _blob(uri).download_to_filename(str(path), retry=patience())
            else:
                shutil.copyfile(uri, path)
        except (NotFound, FileNotFoundError) as error:
            raise IntegrityError(f"{uri}: no such file; rerun the step that writes it") from error


def _download_tree(uri: str, folder: Path) -> None:
    bucket, prefix = _split(uri)
    root = prefix.rstrip("/") + "/"
    for blob in _client().list_blobs(bucket, prefix=root, retry=patience()):
        target = Path(folder, blob.name.removeprefix(root)).resolve()
        if not target.is_relative_to(folder):
            raise IntegrityError(f"gs://{bucket}/{blob.name}: points outside its tree; remove the object")
        target.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(target), retry=patience())


def _read_object(uri: str) -> Versioned:
    from google.api_core.exceptions import NotFound

    blob = _blob(uri)
    with lost_storage_told(uri):
        try:
            data = blob.download_as_bytes(retry=patience())
        except NotFound:
            return Versioned(None, ABSENT)
    return Versioned(data, str(blob.generation))


def _swap_object(uri: str, data: bytes, version: str) -> None:
    """An attempt whose answer was lost may have written: tried again it is refused, although the object is ours.

    So every swap signs its object. If somebody has swapped it once more by then, ours counts as lost.
    """
    from google.api_core.exceptions import PreconditionFailed

    generation = 0 if version == ABSENT else int(version)
    blob = _blob(uri)
    blob.metadata = signed = {_WRITE: uuid.uuid4().hex}
    with lost_storage_told(uri):
        try:
            blob.upload_from_string(data, if_generation_match=generation, retry=patience())
        except PreconditionFailed as error:
            found = blob.bucket.get_blob(blob.name, retry=patience())
            if found is None or (found.metadata or {}).get(_WRITE) != signed[_WRITE]:
                raise ConflictError(f"{uri}: changed since it was read; read it again and retry") from error


@lru_cache(maxsize=1)
def _client():
    from google.cloud import storage

    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client.create_anonymous_client()
    return storage.Client()


def _split(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def _blob(uri: str):
    bucket, name = _split(uri)
    return _client().bucket(bucket).blob(name)
