"""The processes of `pinrec serve`: uvicorn, whose supervisor starts a worker again that has died.

With one worker the calling process is the worker. Settings reach workers through the environment, because each builds
its application itself. What workers share below one temporary folder (mapped histories, counters, copies of remote
releases) goes when the server ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from pinrec_core import storage
from pinrec_core.config import ServeConfig

_SETTINGS, _SCRATCH = "PINREC_SERVE", "PINREC_SERVE_SCRATCH"
_KEEP_ALIVE_S = 75  # above the idle timeout of usual load balancers (60), which would else meet a closed connection
_HUNG_S = 60  # a worker that answers its supervisor no longer is started again
ALLOCATOR = "glibc.malloc.hugetlb=1"  # weights and index on huge pages: a tenth to a seventh less processor time
_SWITCH_S = 0.001  # longest that the thread which computes keeps the other, which receives and sends, from its turn


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn repeats the signal once it is done
    if not storage.is_remote(config.registry):
        config = config.model_copy(update={"registry": str(Path(config.registry).resolve())})
    with tempfile.TemporaryDirectory(prefix="pinrec-serve-") as scratch:
        _prepare_environment(config, Path(scratch))
        uvicorn.run("pinrec_core.serving.server:worker_app", factory=True, host=config.host, port=config.port,
                    workers=config.workers, loop="uvloop", http="httptools", ws="none", log_config=None,
                    log_level="info", access_log=config.access_log, server_header=False, proxy_headers=False,
                    timeout_keep_alive=_KEEP_ALIVE_S, timeout_graceful_shutdown=config.drain_s,
                    timeout_worker_healthcheck=_HUNG_S)


def worker_app() -> FastAPI:
    """The application of a worker, made in its process."""
    from pinrec_core.serving.app import build_app
    from pinrec_core.serving.service import Service

    sys.setswitchinterval(_SWITCH_S)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    if not logging.getLogger("pinrec").level:
        logging.getLogger("pinrec").setLevel(logging.INFO)
    return build_app(Service(ServeConfig.parse(os.environ[_SETTINGS]), Path(os.environ[_SCRATCH])))


def _prepare_environment(config: ServeConfig, scratch: Path) -> None:
    """What must be known before a worker imports anything."""
    for name, variable in (("counters", "PROMETHEUS_MULTIPROC_DIR"), ("shared", _SCRATCH), ("temporary", "TMPDIR")):
        (scratch / name).mkdir()
        os.environ[variable] = str(scratch / name)
    tempfile.tempdir = None  # look at TMPDIR again
    os.environ.setdefault("GLIBC_TUNABLES", ALLOCATOR)  # read as a worker starts; a single one has started already
    os.environ |= {_SETTINGS: config.model_dump_json(), "OMP_NUM_THREADS": "1"}
