"""Objects at gs:// URIs: what storage.py does to them. The only place that talks to Google Cloud Storage.

An object is atomic by itself: a reader sees all of a write or none. Object storage that does not answer is waited for
(outage.py); every function here raises StorageError if it stays away, or refuses.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pinrec_core.errors import ConflictError, IntegrityError
from pinrec_core.outage import lost_storage_told, patience

ABSENT = "absent"
_WRITE = "pinrec-write"  # metadata of a swapped object: which write made it


class Versioned(NamedTuple):
    """A document and the version a compare-and-swap must name; data is None and version ABSENT if it is not there."""

    data: bytes | None
    version: str


class Stored(NamedTuple):
    """A file or object as the storage knows it."""

    size: int  # bytes
    written: float  # seconds since the epoch


def exists(uri: str) -> bool:
    """Whether the object is there."""
    with lost_storage_told(uri):
        return _blob(uri).exists(retry=patience())


def read(uri: str) -> Versioned:
    """The content together with its generation."""
    from google.api_core.exceptions import NotFound

    blob = _blob(uri)
    with lost_storage_told(uri):
        try:
            data = blob.download_as_bytes(retry=patience())
        except NotFound:
            return Versioned(None, ABSENT)
    return Versioned(data, str(blob.generation))


def write(uri: str, data: bytes) -> None:
    """Write an object."""
    with lost_storage_told(uri):
        _blob(uri).upload_from_string(data, retry=patience())


def swap(uri: str, data: bytes, version: str) -> None:
    """Write only if the object still has the generation that was read. Raises ConflictError otherwise.

    An attempt whose answer was lost may have written: tried again it is refused, although the object is ours. So every
    swap signs its object. If somebody has swapped it once more by then, ours counts as lost.
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


def names(uri: str) -> list[str]:
    """Names of the direct children of a folder, sorted."""
    bucket, root = _folder(uri)
    with lost_storage_told(uri):
        iterator = client().list_blobs(bucket, prefix=root, delimiter="/", retry=patience())
        found = {blob.name.rsplit("/", 1)[-1] for blob in iterator}
    return sorted(found | {prefix.rstrip("/").rsplit("/", 1)[-1] for prefix in iterator.prefixes})


def files(uri: str) -> dict[str, Stored]:
    """Every object of a folder by its relative path."""
    bucket, root = _folder(uri)
    with lost_storage_told(uri):
        return {blob.name.removeprefix(root): Stored(blob.size, blob.updated.timestamp())
                for blob in client().list_blobs(bucket, prefix=root, retry=patience())}


def remove(uri: str) -> None:
    """Remove an object; nothing happens if it is not there."""
    from google.api_core.exceptions import NotFound

    with lost_storage_told(uri), contextlib.suppress(NotFound):
        _blob(uri).delete(retry=patience())


def upload(path: Path, uri: str) -> None:
    """Write a file's content."""
    with lost_storage_told(uri):
        _blob(uri).upload_from_filename(str(path), retry=patience())


def download(uri: str, path: Path) -> None:
    """Write an object's content into a file. Raises FileNotFoundError if there is no such object."""
    from google.api_core.exceptions import NotFound

    with lost_storage_told(uri):
        try:
            _blob(uri).download_to_filename(str(path), retry=patience())
        except NotFound as error:
            raise FileNotFoundError(uri) from error


def download_tree(uri: str, folder: Path) -> None:
    """Write all objects of a folder below one on disk. Raises IntegrityError for a name that points outside it."""
    bucket, root = _folder(uri)
    with lost_storage_told(uri):
        for blob in client().list_blobs(bucket, prefix=root, retry=patience()):
            target = Path(folder, blob.name.removeprefix(root)).resolve()
            if not target.is_relative_to(folder):
                raise IntegrityError(f"gs://{bucket}/{blob.name}: points outside its tree; remove the object")
            target.parent.mkdir(parents=True, exist_ok=True)
            blob.download_to_filename(str(target), retry=patience())


@lru_cache(maxsize=1)
def client():
    """The client of this process; without credentials where STORAGE_EMULATOR_HOST names a local server."""
    from google.cloud import storage

    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client.create_anonymous_client()
    return storage.Client()


def _split(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def _folder(uri: str) -> tuple[str, str]:
    """Bucket and the prefix that all objects of a folder have."""
    bucket, name = _split(uri)
    return bucket, name.rstrip("/") + "/"


def _blob(uri: str):
    bucket, name = _split(uri)
    return client().bucket(bucket).blob(name)
