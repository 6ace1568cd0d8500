"""ready: where a run ends that is not to promote: its releases are built and verified, and no alias moves."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pinrec_core.errors import PinrecError
from pinrec_core.release import stored
from pinrec_core.release.verdict import Decision, read_verdict
from pinrec_core.release.verification import require_verification

log = logging.getLogger("pinrec")


class Ready(BaseModel):
    """What could go live; written by the promote component as ready.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    run: str
    releases: dict[str, str]  # surface -> verified release
    sentence: str


def ready(registry: str, verdict: Path, release_ids: list[str], run_id: str) -> Ready:
    """Say which releases could go live. Raises PinrecError or IntegrityError if the verdict or a verification forbids.

    Whether they may is decided again when they are promoted: something else may be live by then.
    """
    judged, _ = read_verdict(verdict)
    if judged.decision is not Decision.PROMOTE:
        raise PinrecError(f"the verdict is to reject, nothing is ready: {'; '.join(judged.reasons)}")
    releases = {}
    for release_id in release_ids:
        manifest = stored.release_manifest(registry, release_id)
        require_verification(registry, release_id, manifest)
        releases[manifest.facts["surface"]] = release_id
    names = ", ".join(f"{surface} {release_id[:12]}" for surface, release_id in sorted(releases.items()))
    found = Ready(run=run_id, releases=releases, sentence=f"ready, not promoted as the run was not to: {names}")
    log.info("promote: %s", found.sentence)
    return found
