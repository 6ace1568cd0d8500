"""One process of a training:  python -m pinrec_core.training.worker JOB.json

Exits with 0 when done, 1 when failed (failure-RANK.json beside JOB.json says why), 75 when it was asked to stop and
has written its place. However it ends, peak-RANK.json says how much memory it had. torchrun and Kubeflow Trainer start
several; training finds the others by torchrun's environment.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pinrec_core.errors import EXIT_PREEMPTED, ConfigError, PinrecError, Preempted
from pinrec_core.training.failure import record_failure
from pinrec_core.training.job import read_job
from pinrec_core.training.memory import record_peak

logger = logging.getLogger("pinrec")
LOG_FORMAT = "%(levelname)s %(message)s"  # whoever started the worker takes the level off again


def main(arguments: Sequence[str]) -> int:
    """Run a job and return the exit code. Errors that are not pinrec's own are recorded and go on."""
    logging.basicConfig(stream=sys.stderr, format=LOG_FORMAT)
    logger.setLevel(logging.INFO)
    if len(arguments) != 1:
        raise ConfigError(f"one job file is wanted, got {list(arguments)}")
    path, rank = Path(arguments[0]), int(os.environ.get("RANK", "0"))
    try:
        read_job(path).run()
        return 0
    except Preempted as stopped:
        logger.warning("%s", stopped)
        return EXIT_PREEMPTED
    except Exception as error:
        record_failure(path.parent, error, rank, int(os.environ.get("WORLD_SIZE", "1")))
        if isinstance(error, PinrecError):
            logger.error("%s", error)
            return 1
        raise
    finally:
        record_peak(path.parent, rank)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
