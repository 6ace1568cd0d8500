"""Local paths and gs:// URIs behind one small interface: atomic writes, compare-and-swap, whole trees.

Nothing half-written is ever visible: a file is written aside and renamed (GCS objects are atomic by themselves), a
directory is built aside and renamed, and a tree is uploaded with its manifest last. Objects are objects.py's; for them
everything here raises StorageError if the storage stays away, or refuses.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pinrec_core import objects
from pinrec_core.errors import ConflictError, IntegrityError
from pinrec_core.objects import ABSENT, Stored, Versioned

MANIFEST_NAME = "manifest.json"
_STAGING = ".staging-"
_AT_ONCE = 8  # objects that are copied at the same time


def is_remote(uri: str) -> bool:
    """True for gs:// URIs."""
    return str(uri).startswith("gs://")


def join(uri: str, *parts: str) -> str:
    """Append path parts to a local path or URI."""
    return "/".join([str(uri).rstrip("/"), *parts])


def exists(uri: str) -> bool:
    """Whether the file or object is there."""
    return objects.exists(uri) if is_remote(uri) else Path(uri).exists()


def read_bytes(uri: str) -> bytes:
    """The content of a file or object. Raises IntegrityError if it is not there."""
    data = read_versioned(uri).data
    if data is None:
        raise IntegrityError(f"{uri}: no such file; check the path or rerun the step that writes it")
    return data


def read_versioned(uri: str) -> Versioned:
    """The content together with its version, read as one."""
    if is_remote(uri):
        return objects.read(uri)
    try:
        data = Path(uri).read_bytes()
    except FileNotFoundError:
        return Versioned(None, ABSENT)
    return Versioned(data, hashlib.sha256(data).hexdigest())


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file or object so that a reader sees all of it or none."""
    if is_remote(uri):
        objects.write(uri, data)
    else:
        _replace_file(Path(uri), data)


def compare_and_swap(uri: str, data: bytes, version: str) -> None:
    """Write only if the document still has the version that was read. Raises ConflictError otherwise.

    On disk the version is the content's sha256, compared under a lock; on GCS it is the object's generation.
    """
    if is_remote(uri):
        objects.swap(uri, data, version)
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
    if is_remote(uri):
        return objects.names(uri)
    return sorted(p.name for p in Path(uri).iterdir()) if Path(uri).is_dir() else []


def tree_files(uri: str) -> dict[str, Stored]:
    """Every file of a folder by its relative path; empty if the folder is not there."""
    if is_remote(uri):
        return objects.files(uri)
    found = {}
    for path in sorted(Path(uri).rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # gone by now
            if path.is_file():
                found[path.relative_to(uri).as_posix()] = Stored(path.stat().st_size, path.stat().st_mtime)
    return found


def remove_file(uri: str) -> None:
    """Remove a file or object; nothing happens if it is not there."""
    if is_remote(uri):
        objects.remove(uri)
    else:
        Path(uri).unlink(missing_ok=True)


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
        list(pool.map(lambda path: objects.upload(path, join(uri, path.relative_to(source).as_posix())), files))
    if (source / MANIFEST_NAME).is_file():
        objects.upload(source / MANIFEST_NAME, join(uri, MANIFEST_NAME))


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
        try:
            (objects.download if is_remote(uri) else shutil.copyfile)(join(uri, name), path)
        except FileNotFoundError as error:
            raise IntegrityError(f"{join(uri, name)}: no such file; rerun the step that writes it") from error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy, names))


@contextlib.contextmanager
def local_tree(uri: str) -> Iterator[Path]:
    """Yield a local directory with the tree's content: the tree itself on disk, a temporary copy of a remote one."""
    if not is_remote(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="pinrec-") as folder:
        objects.download_tree(uri, Path(folder).resolve())
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
