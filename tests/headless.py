"""A real headless browser for pages that people see, and what they must keep: chromium, driven by playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
_OWN = ("data", "blob")  # schemes of addresses that leave the page nowhere


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed browser; skips the test, in a line that says so, where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no chromium is installed, so no page is opened (apt-get install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


class Seen(NamedTuple):
    """A page, and what it has done since it was opened."""

    page: Page
    complaints: list[str]  # errors and warnings of its console, exceptions nobody caught
    hosts: set[str]  # host:port of all it asked for

    def overflow(self) -> int:
        """Pixels by which it is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@contextmanager
def opened(browser: Browser, size: dict[str, int], **settings) -> Iterator[Seen]:
    """A fresh page of a size, for example opened(browser, PHONE, color_scheme="dark")."""
    context = browser.new_context(viewport=size, **settings)
    seen = Seen(context.new_page(), [], set())
    seen.page.on("console", lambda told: seen.complaints.append(f"{told.type}: {told.text}")
                 if told.type in ("error", "warning") else None)
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda asked: seen.hosts.add(urlsplit(asked.url).netloc)
                 if urlsplit(asked.url).scheme not in _OWN else None)
    yield seen
    context.close()
