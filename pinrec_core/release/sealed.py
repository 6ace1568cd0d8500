"""Small JSON documents that carry their own hash: what differs from run to run stays out of a release's manifest, and
is yet found out if it is altered.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pinrec_core import storage
from pinrec_core.errors import IntegrityError

_SEAL = "sha256"  # of the rest of the document in canonical JSON


def write_sealed(path: Path, release_id: str, content: dict[str, Any]) -> None:
    """Write a document about a release."""
    content = {"release": release_id, **content}
    storage.write_bytes(str(path), json.dumps(content | {_SEAL: _hash(content)}, indent=1).encode())


def read_sealed(path: Path, release_id: str) -> dict[str, Any]:
    """Its content. Raises IntegrityError if it is missing, altered or about another release."""
    try:
        return parse_sealed(path.read_bytes(), str(path), release_id)
    except FileNotFoundError as error:
        raise IntegrityError(f"{path}: missing from release {release_id}: there is no sha256 to compare; build the "
                             "release again") from error


def parse_sealed(data: bytes, where: str, release_id: str) -> dict[str, Any]:
    """The content of a document that was read from `where`. Raises IntegrityError as read_sealed does."""
    try:
        content = json.loads(data)
        said = content.pop(_SEAL)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise IntegrityError(f"{where}: altered: no document with a sha256 of its own any more, its bytes have "
                             f"{hashlib.sha256(data).hexdigest()}; release {release_id} must be built again") from error
    if (found := _hash(content)) != said:
        raise IntegrityError(f"{where}: altered: its content has sha256 {found}, it says {said}; build release "
                             f"{release_id} again")
    if content.get("release") != release_id:
        raise IntegrityError(f"{where}: is about release {content.get('release')}, it lies in release {release_id}; "
                             "build that one again")
    return content


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
