"""Files of a running job, local or remote, through Beam's filesystems, so that workers on any machine reach them.

A file that is being written is never seen under its name: runners may run an attempt twice, at the same time even,
and a reader must then find one whole file. Remote objects appear when they are closed; local files are renamed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from apache_beam.io.filesystems import FileSystems

from pinrec_core.storage import join, list_names


def is_local(uri: str) -> bool:
    """True for paths without a scheme."""
    return "://" not in uri


def absolute(uri: str) -> str:
    """The location as a worker with another current folder can use it."""
    return os.path.abspath(uri) if is_local(uri) else uri


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """Yield a sink whose content appears at `path` when the block ends without an error; folders are made."""
    if not is_local(path):
        with FileSystems.create(path) as sink:
            yield sink
        return
    aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{uuid.uuid4().hex}")
    try:
        with FileSystems.create(aside) as sink:
            yield sink
        os.replace(aside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def write_document(path: str, data: bytes) -> None:
    """Write a small file."""
    with create(path) as sink:
        sink.write(data)


def read_document(path: str) -> bytes:
    """The content of a small file."""
    with FileSystems.open(path) as source:
        return source.read()


def names_in(folder: str) -> list[str]:
    """Names of the finished files of a folder, sorted; empty if it is not there."""
    if is_local(folder):
        return [name for name in list_names(folder) if not name.startswith(".")]
    found = FileSystems.match([join(folder, "*")])[0].metadata_list
    return sorted(entry.path.rsplit("/", 1)[-1] for entry in found)


def fetch(folder: str, target: Path) -> None:
    """Copy the files of a folder into the local folder `target`, which is made."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names_in(folder):
        with FileSystems.open(join(folder, name)) as source, open(target / name, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)


def send(source: Path, folder: str) -> None:
    """Copy the files of the local folder `source` into a folder, which is made."""
    for path in sorted(source.iterdir()):
        with open(path, "rb") as content, create(join(folder, path.name)) as sink:
            shutil.copyfileobj(content, sink, 1 << 20)


def remove(folder: str) -> None:
    """Delete a folder with all that is below it; nothing happens if it is not there."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    found = FileSystems.match([join(folder, "**")])[0].metadata_list
    if found:
        FileSystems.delete([entry.path for entry in found])
