"""A headless chromium over local pages: what it complains of, what it asks for, how far it overflows, how it looks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

SCREENSHOTS = Path(os.environ.get("PINREC_SCREENSHOTS", "work/screenshots"))  # part of the tests' output
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
              "--disable-component-update", "--disable-sync"]


class Seen(NamedTuple):
    """What was seen of one page at one width in one colour scheme."""

    console: list[str]
    requests: list[str]  # of anything but the page itself
    overflow: int  # pixels that the page is wider than its window
    culprits: list[str]  # elements that reach beyond the window without a frame that scrolls


@contextmanager
def browser() -> Iterator:
    """A browser of playwright over Debian's chromium; the test is skipped, visibly, where one of them is absent."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no chromium here (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here (pip install playwright)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=_ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()


def look(opened, path: Path, *, width: int, scheme: str, shot: str, whole: bool = True) -> Seen:
    """Open a file at a width in a colour scheme ("light", "dark") and keep a screenshot of it."""
    context = opened.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, console, requests = context.new_page(), [], []
    page.on("console", lambda message: console.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: console.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_load_state("networkidle")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    culprits = page.evaluate(_BEYOND)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{shot}.png", full_page=whole)
    context.close()
    return Seen(console, [url for url in requests if url != path.resolve().as_uri()], overflow, culprits)


_BEYOND = """() => [...document.querySelectorAll('body *')].filter(e => {
  if (e.closest('.wide, nav, svg, pre')) return false;
  return e.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map(e => e.tagName + ' ' + (e.className || '') + ' ' + e.textContent.slice(0, 40)).slice(0, 5)"""
