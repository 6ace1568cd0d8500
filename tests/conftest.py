"""Puts this folder on the path, for what tests of several kinds share: receiver.py, cut_line.py, object_storage.py,
ports.py, kfp_server.py, quoted.py.

It also says how files are dealt out to the processes of `make test` (pytest-xdist).
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

FIRST_RUN = {f"tests/e2e/test_{name}.py" for name in ("refresh", "report_page", "run")}  # they read one run of 45 s


class TogetherWhatShares(LoadFileScheduling):
    """One process a file, and one for all files that read the same long run; files in the order of their names.

    xdist's own order puts files of few tests last: those of whole runs, of minutes each, which then leave a process
    without work. By name the many short files of tests/unit are last.
    """

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "tests/e2e/the first run" if file in FIRST_RUN else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> TogetherWhatShares | None:
    """Takes the place of --dist loadfile."""
    return TogetherWhatShares(config, log) if config.getvalue("dist") == "loadfile" else None
