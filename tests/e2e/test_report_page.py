"""The report of a real run in a real browser: nothing is asked for, nothing complains, nothing overflows.

Screenshots are left in work/screenshots, or where PINREC_SCREENSHOTS says.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from headless import DESKTOP, PHONE, chromium, opened
from journey import ROOT

from pinrec_core.report import run_folder
from pinrec_core.report.run_report import write_run_report

SCREENSHOTS = Path(os.environ.get("PINREC_SCREENSHOTS", "work/screenshots"))  # part of the tests' output
BEYOND = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.wide, nav, svg, pre')
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.tagName + ' ' + e.textContent.slice(0, 40)).slice(0, 5)"""  # of what has no frame that scrolls


@pytest.fixture(scope="module")
def browser():
    """The installed browser."""
    with chromium() as found:
        yield found


def stands_alone(browser, path: Path, shot: Path, size: dict, scheme: str) -> None:
    """A page asks for nothing, complains of nothing, fits and has the colours that are wanted; leaves a screenshot."""
    assert path.stat().st_size < 2_000_000
    with opened(browser, size, color_scheme=scheme) as seen:
        asked = []
        seen.page.on("request", lambda request: asked.append(request.url))
        seen.page.goto(path.as_uri(), wait_until="networkidle")
        seen.page.screenshot(path=shot, full_page=True)
        assert seen.complaints == [] and asked == [path.as_uri()]
        assert seen.overflow() <= 0 and seen.page.evaluate(BEYOND) == []
        colour = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (colour == "rgb(255, 255, 255)") is (scheme == "light"), colour
    assert shot.stat().st_size > 20_000, "an empty page is smaller"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", ["report", "surfaces/home"])
def test_a_page_is_itself_alone_at_every_width(browser, promoted, name, size, scheme):
    shot = SCREENSHOTS / f"{name.replace('/', '-')}-{size['width']}-{scheme}.png"
    stands_alone(browser, (promoted.run / f"{name}.html").resolve(), shot, size, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", ["demo", "kuairand"])
def test_so_is_every_page_of_the_last_run_on_this_checkout(browser, name, size, scheme):
    runs = sorted((ROOT / "work" / name / "registry/runs").glob("*/report.html"), key=lambda path: path.stat().st_mtime)
    if not runs:
        pytest.skip(f"work/{name} has no run: pinrec run --config pipelines/configs/{name}.toml")
    for page in (runs[-1], *sorted(runs[-1].parent.glob("surfaces/*.html"))):
        shot = SCREENSHOTS / f"{name}-{page.stem}-{size['width']}-{scheme}.png"
        stands_alone(browser, page, shot, size, scheme)


@pytest.fixture(scope="module")
def unhappy(promoted) -> dict[str, Path]:
    """Reports of the same run, had the gate refused it and had a step failed, beside the real one."""
    runs = {name: promoted.run.parent / name for name in ("rejected", "failed")}
    shutil.copytree(promoted.run, runs["rejected"])
    (runs["rejected"] / "promotion.json").unlink()
    verdict = json.loads((promoted.run / "verdict.json").read_text("utf-8"))
    verdict["decision"] = verdict["surfaces"]["home"]["decision"] = "reject"
    floor = next(rule for rule in verdict["surfaces"]["home"]["rules"] if rule["rule"] == "floor")
    floor |= {"limit": 0.99, "outcome": "failed", "passed": False, "sentence": "home is below its floor 0.990"}
    (runs["rejected"] / "verdict.json").write_text(json.dumps(verdict))
    run_folder.record_failure(str(runs["failed"]), "aggregate-logs", "gs://a/" + "long/" * 40 + ": cannot be read",
                              ["word" * 90])
    return {name: Path(write_run_report(run)) for name, run in runs.items()}


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", ["rejected", "failed"])
def test_a_run_that_went_wrong_fits_too_and_says_what_to_do(browser, unhappy, name, size):
    with opened(browser, size) as seen:
        seen.page.goto(unhappy[name].resolve().as_uri(), wait_until="networkidle")
        seen.page.screenshot(path=SCREENSHOTS / f"{name}-{size['width']}.png", full_page=True)
        assert seen.complaints == [] and seen.overflow() <= 0 and seen.page.evaluate(BEYOND) == []
        assert seen.page.locator("h1").inner_text().startswith(name.capitalize())
        assert seen.page.locator("#next").bounding_box()["y"] < 900, "what to do is on the first screen"


def test_a_table_that_is_wider_than_paper_is_broken_or_left_out(browser, promoted):
    with opened(browser, {"width": 720, "height": 1000}) as seen:
        seen.page.goto((promoted.run / "surfaces" / "home.html").resolve().as_uri())
        seen.page.emulate_media(media="print")
        assert seen.overflow() <= 0
        assert seen.page.locator("details:not(.every)").first.locator("table").is_visible(), "what is folded is printed"


def test_the_report_of_a_run_has_every_part(promoted):
    text = (promoted.run / "report.html").read_text("utf-8")
    for plot in ("Recall of each surface", "Lift of recall", "Items by their vectors", "Training loss",
                 "Event rows by day and surface", "Seconds of each step"):
        assert f'aria-label="{plot}' in text, plot
    assert "is absent" not in text
    steps = [json.loads(path.read_text("utf-8")) for path in sorted((promoted.run / "steps").glob("*.json"))]
    told = {step["step"]: step["peak_mb"] for step in steps}
    assert {"aggregate-logs", "pretrain", "finetune home", "evaluate home", "gate"} <= set(told)
    assert told["pretrain"] > 100, "MiB of the process that trains, not of the one that waits for it"
