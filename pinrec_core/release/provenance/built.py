"""built.json of a release: who built it when, and with which code in which image.

Not under the release's fingerprint: the same model of the same data, built elsewhere or a day later, is the same
release. The document carries its own hash (see sealed).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

import pinrec_core
from pinrec_core.errors import IntegrityError
from pinrec_core.release import bundle, moves
from pinrec_core.release.sealed import parse_sealed, write_sealed

IMAGE_VARIABLE = "PINREC_CONTAINER_IMAGE"  # set in the image, see Dockerfile
COMMIT_VARIABLE = "PINREC_COMMIT"  # the same; where it is not set, the source's own git is asked
NO_IMAGE = "not in a container"
_TIMEOUT_S = 10


class Built(BaseModel):
    """The facts of one build."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    release: str
    when: str  # ISO 8601, UTC
    who: str
    code_version: str
    commit: str  # "" = not known; "+changes" after it = the source was not that commit's
    image: str


def write_built(folder: Path, release_id: str) -> None:
    """Say who and what builds this release now."""
    content = {"when": moves.now(), "who": moves.who(), "code_version": pinrec_core.__version__, "commit": commit(),
               "image": os.environ.get(IMAGE_VARIABLE) or NO_IMAGE}
    write_sealed(folder / bundle.BUILT, release_id, content)


def parse_built(data: bytes, release_id: str) -> Built:
    """What was said. Raises IntegrityError if it is altered or about another release."""
    try:
        return Built.model_validate(parse_sealed(data, bundle.BUILT, release_id))
    except ValidationError as error:
        raise IntegrityError(f"{bundle.BUILT} of release {release_id}: not the facts of a build "
                             f"({error.error_count()} problems); build the release again") from error


def commit() -> str:
    """The git commit of this code, "" if it is not known."""
    if told := os.environ.get(COMMIT_VARIABLE):
        return told
    source = Path(pinrec_core.__file__).resolve().parents[1]
    if _git(source, "rev-parse", "--show-toplevel") != str(source):  # installed, perhaps inside a checkout of others
        return ""
    changes = "+changes" if _git(source, "status", "--porcelain") else ""
    return _git(source, "rev-parse", "HEAD") + changes


def _git(source: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(source), *arguments], capture_output=True, text=True, check=False,
                              timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
