"""The live release of a surface, opened for comparison: the candidate must be judged against what it would replace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from pinrec_core import storage
from pinrec_core.manifest import read_manifest
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.registry import live_release, release_path


class LiveModel(NamedTuple):
    """A live release's id, its model, and the fingerprint of the model's manifest."""

    release_id: str
    model: PinRec
    fingerprint: str


@contextlib.contextmanager
def open_live(registry: str, surface: str, release_id: str | None = None) -> Iterator[LiveModel | None]:
    """Yield the release that is named, else the surface's live one.

    None if "" is named, nothing was ever promoted there, or no registry is given. Raises IntegrityError if the alias
    document or the release's model is damaged: a comparison is never skipped because the thing to compare with cannot
    be read.
    """
    if release_id is None and registry:
        release_id = live_release(registry, surface)
    if not release_id:
        yield None
        return
    with storage.local_tree(storage.join(release_path(registry, release_id), "model")) as directory:
        yield LiveModel(release_id, load_model(directory), read_manifest(directory, "model", verify=False).fingerprint)
