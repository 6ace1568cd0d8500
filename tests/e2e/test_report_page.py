"""The report of a real run in a real browser: nothing is asked for, nothing complains, nothing overflows.

Screenshots are left in work/screenshots, or where PINREC_SCREENSHOTS says.
"""

from __future__ import annotations

import json

import pytest
from chromium import SCREENSHOTS, browser, look


@pytest.fixture(scope="module")
def opened():
    """A headless browser."""
    with browser() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["report", "surfaces/home"])
def test_a_page_is_itself_alone_at_every_width(opened, promoted, name, width, scheme):
    path = promoted.run / f"{name}.html"
    assert path.stat().st_size < 2_000_000
    shot = f"{name.replace('/', '-')}-{width}-{scheme}"
    seen = look(opened, path, width=width, scheme=scheme, shot=shot)
    assert seen.console == [] and seen.requests == []
    assert seen.overflow <= 0 and seen.culprits == []
    assert (SCREENSHOTS / f"{shot}.png").stat().st_size > 20_000, "an empty page is smaller"


def test_the_report_of_a_run_has_every_part(promoted):
    text = (promoted.run / "report.html").read_text("utf-8")
    for plot in ("Recall of each surface", "Lift of recall", "Items by their vectors", "Training loss",
                 "Event rows by day and surface", "Seconds of each step"):
        assert f'aria-label="{plot}' in text, plot
    assert "is absent" not in text
    steps = sorted((promoted.run / "steps").glob("*.json"))
    told = {step["step"]: step["peak_mb"] for step in (json.loads(path.read_text("utf-8")) for path in steps)}
    assert {"aggregate-logs", "pretrain", "finetune home", "evaluate home", "gate"} <= set(told)
    assert told["pretrain"] > 100, "MiB of the process that trains, not of the one that waits for it"
