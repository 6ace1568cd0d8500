"""Which release a candidate is compared with: what it would replace.

A candidate that is live already, as when a date is run twice, would replace itself. It is compared with what it was
compared with before it went live, so that the same run comes to the same verdict and the same release.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.config import GenerationConfig, IndexConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, fingerprint_of
from pinrec_core.release import bundle, stored
from pinrec_core.release.verdict import Verdict
from pinrec_core.store import manifest_of


def release_to_compare_with(registry: str, surface: str, model: Path, *, generation: GenerationConfig,
                            index: IndexConfig) -> str:
    """Id of a release, "" if there is none. Raises IntegrityError if what is live was altered."""
    live = stored.live_manifest(registry, registry_.read_aliases(registry)[0], surface)
    if live is None:
        return ""
    candidate = manifest_of(model, "model").fingerprint, fingerprint_of(generation, index)
    if candidate != (bundle.evaluated_model(live), live.config_fingerprint):
        return live.fingerprint
    before = _compared_with(registry, surface, live)
    kept = not before or storage.exists(storage.join(registry_.release_path(registry, before), storage.MANIFEST_NAME))
    return before if kept else live.fingerprint


def _compared_with(registry: str, surface: str, live: Manifest) -> str:
    """The release that the live one was compared with, "" if none was live then."""
    path = storage.join(registry_.release_path(registry, live.fingerprint), bundle.VERDICT)
    try:
        judged = Verdict.model_validate_json(storage.read_bytes(path))
    except ValidationError as error:
        raise IntegrityError(f"{path}: not a usable verdict ({error.error_count()} problems); restore release "
                             f"{live.fingerprint}") from error
    return judged.surfaces[surface].live_release or ""
