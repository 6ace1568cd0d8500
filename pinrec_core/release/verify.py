"""verify_release: nothing goes live before a clean process has loaded it by id and got the evaluated recall from it.

    python -m pinrec_core.release.verify REGISTRY RELEASE_ID --dataset DIR --output FILE [--index JSON]

A failed verification is written too, over any earlier one, so that a stale pass never outlives a failure.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pinrec_core
from pinrec_core import storage
from pinrec_core.config import IndexConfig
from pinrec_core.errors import PinrecError
from pinrec_core.registry import release_path, verification_path
from pinrec_core.release.verification import Check, Verification, settings_of

log = logging.getLogger("pinrec")
_TIMEOUT_S = 3600  # a process that loads and replays for longer than this hangs
_LOG_LINES = 3  # lines of the process's log that the error repeats


def verify_release(registry: str, release_id: str, *, dataset: Path, index: IndexConfig) -> dict[str, Any]:
    """Verify in a subprocess, write `<registry>/verifications/<id>.json` and return its content.

    Raises PinrecError naming every number that missed its limit, or what stopped the process (its log is then at
    `<registry>/verifications/<id>.log`).
    """
    with tempfile.TemporaryDirectory(prefix="pinrec-verify-") as folder:
        result = Path(folder, "verification.json")
        code, text = _run_clean(registry, release_id, Path(dataset), index, result)
        found = _read(result) if code == 0 else None
    if found is None:
        found = _stopped(release_id, _kept_log(registry, release_id, text), text)
    found = found.model_copy(update={"settings": settings_of(index)})
    storage.write_bytes(verification_path(registry, release_id), found.model_dump_json(indent=1).encode())
    for check in found.checks:
        told = logging.INFO if check.passed else logging.ERROR if check.rejects else logging.WARNING
        log.log(told, "verify: %s", check.sentence)
    if not found.passed:
        raise PinrecError(f"release {release_id} is not fit to be promoted: {'; '.join(found.reasons)}")
    return found.model_dump(mode="json")


def main(arguments: list[str] | None = None) -> int:
    """What the clean process runs; writes the verification to --output. Exit code 1 = it could not be carried out."""
    from pinrec_core.release.checks import verify

    parser = argparse.ArgumentParser(description="verify one release in this process")
    for name in ("registry", "release_id"):
        parser.add_argument(name)
    for name in ("--dataset", "--output"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--index", default="{}", help="IndexConfig as JSON")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    try:
        with storage.local_tree(release_path(given.registry, given.release_id)) as directory:
            found = verify(directory, given.release_id, given.dataset, IndexConfig.parse(given.index))
    except PinrecError as error:
        log.error("%s", error)
        return 1
    storage.write_bytes(str(given.output), found.model_dump_json().encode())
    return 0


def _run_clean(registry: str, release_id: str, dataset: Path, index: IndexConfig, result: Path) -> tuple[int, str]:
    """Exit code and log of the process; this process's package is the one it imports."""
    command = [sys.executable, "-m", __spec__.name if __name__ == "__main__" else __name__, registry, release_id,
               "--dataset", str(dataset), "--output", str(result), "--index", index.model_dump_json()]
    source = str(Path(pinrec_core.__file__).parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S,
                              env=os.environ | {"PYTHONPATH": path}, check=False)
    except subprocess.TimeoutExpired as error:
        return 1, f"{_tail(str(error.stderr or ''))}\nno answer within {_TIMEOUT_S} s"
    return done.returncode, done.stdout + done.stderr


def _read(result: Path) -> Verification:
    return Verification.model_validate_json(result.read_bytes())


def _stopped(release_id: str, log_path: str, text: str) -> Verification:
    sentence = f"the verifying process stopped: {_tail(text)} (its log is {log_path})"
    return Verification(release_id=release_id, surface="", passed=False, fingerprints={},
                        checks=(Check(name="integrity", passed=False, sentence=sentence),))


def _kept_log(registry: str, release_id: str, text: str) -> str:
    path = verification_path(registry, release_id).removesuffix(".json") + ".log"
    storage.write_bytes(path, text.encode())
    return path


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip(" ^~|")]
    return " | ".join(lines[-_LOG_LINES:])


if __name__ == "__main__":
    sys.exit(main())
