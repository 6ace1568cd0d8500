"""Allow lists: the items that a surface may answer with, one id per line, from config.

Evaluation reads the same list as the release, so that what is measured is what will serve.

Legend: I items.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core import storage
from pinrec_core.config import IndexConfig
from pinrec_core.errors import DataError

if TYPE_CHECKING:
    from pinrec_core.model.pinrec import PinRec  # loads torch, which `allow_sha256` can do without

log = logging.getLogger("pinrec")


class Allowed(NamedTuple):
    """What may be indexed for a surface."""

    item_I: np.ndarray  # bool by dense item index; only retrievable items
    sha256: str  # of the list; "" = there is none and every retrievable item is allowed
    unknown: int  # ids of the list that are no retrievable item of the model


def allowed_items(model: PinRec, surface: str, config: IndexConfig) -> Allowed:
    """The retrievable items that the surface's allow list names, all of them if it has none; unknown ids are logged.

    Raises DataError if no item is left or the list is not text, IntegrityError if there is no such file.
    """
    retrievable_I = model.retrievable_I.numpy()
    path = config.allow.get(surface)
    if path is None:
        return Allowed(retrievable_I, "", 0)
    content = storage.read_bytes(path)
    ids = _ids(path, content)
    named_I = pc.is_in(model.items["item_id"], value_set=pa.array(ids, pa.string())).to_numpy()
    item_I = named_I & retrievable_I
    unknown = len(ids) - int(item_I.sum())
    if not item_I.any():
        raise DataError(f"allow list {path} of surface {surface!r}: none of its {len(ids)} ids is a retrievable item "
                        "of the model; name some, or remove index.allow")
    log.log(logging.WARNING if unknown else logging.INFO,
            "allow list %s of surface %s: %d items allowed, %d ids are no retrievable item of the model", path, surface,
            item_I.sum(), unknown)
    return Allowed(item_I, hashlib.sha256(content).hexdigest(), unknown)


def allow_sha256(surface: str, config: IndexConfig) -> str:
    """What `allowed_items` would give as the list's sha256. Raises IntegrityError if there is no such file."""
    path = config.allow.get(surface)
    return hashlib.sha256(storage.read_bytes(path)).hexdigest() if path else ""


def _ids(path: str, content: bytes) -> list[str]:
    """Distinct ids; blank lines do not count."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"allow list {path}: not UTF-8 text at byte {error.start}; give one id per line") from error
    return list(dict.fromkeys(filter(None, map(str.strip, lines))))
