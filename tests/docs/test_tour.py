"""docs/tour.md, gone through as it stands: every command in order, and what the page says comes of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from page import ROOT, Step, steps

TOUR = steps("docs/tour.md")
FRACTION = re.compile(r"\b(0\.\d{3})")  # a metric
CLOSE = 0.1  # floating point differs between processors, and a seed may fall otherwise in another release of torch


@pytest.fixture(scope="module")
def transcript(tmp_path_factory) -> dict[int, subprocess.CompletedProcess]:
    """Line of each block -> how it ended; one that fails ends the tour."""
    folder = tmp_path_factory.mktemp("tour")
    (folder / "pipelines").symlink_to(ROOT / "pipelines")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200",
                                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ended = {}
    for step in TOUR:
        ended[step.line] = subprocess.run(["bash", "-euo", "pipefail", "-c", step.body], cwd=folder, text=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                                          check=False, timeout=300)
        if ended[step.line].returncode:
            break
    return ended


def test_the_tour_shows_all_it_promises():
    said = " ".join(step.body for step in TOUR)
    for part in ("pinrec synth", "pinrec run", "pinrec recommend", "rollback", "0.99", "pinrec import events", ".csv"):
        assert part in said
    assert sum(bool(step.shown) for step in TOUR) >= len(TOUR) - 1


@pytest.mark.parametrize("step", TOUR, ids=lambda step: f"line {step.line}")
def test_a_block_does_what_the_page_says(transcript, step: Step):
    assert step.line in transcript, "a block before it failed"
    done = transcript[step.line]
    assert done.returncode == 0, done.stdout
    printed = re.sub(r"[ \t]+", " ", done.stdout)
    for line in step.shown:
        found = re.search(pattern(line), printed)
        assert found, f"{line!r} is not in, or not in this order:\n{done.stdout}"
        shown = [float(number) for number in FRACTION.findall(line)]
        assert [float(number) for number in found.groups()] == pytest.approx(shown, abs=CLOSE), line
        printed = printed[found.end():]


def pattern(shown: str) -> str:
    """A line of the page as a regular expression: spaces may be as wide as they like, `...` is anything."""
    words = re.sub(r"[ \t]+", " ", shown.strip())
    parts = (FRACTION.split(part.strip()) for part in words.split("..."))
    return r"[^\n]*".join(FRACTION.pattern.join(re.escape(part) for part in split[::2]) for split in parts)
