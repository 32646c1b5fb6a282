"""What all browser tests share: patience, an ear for complaints, and the opened page."""

from pathlib import Path
from threading import Event
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from nfn.reader import write_network
from zoo.catalog import EMBEDDED, Zoo

PATIENCE = 60_000
"""Milliseconds: far more than an idle machine needs."""
HOSTILE = "<img src=x onerror=window.__ran=1>"
READY = {
    "inr": "#weights-before img",
    "generalization": "#scatter .scatter",
    "tickets": "#ticket .facts",
    "checkpoint": "#health .title",
    "zoo": ".zoo-gallery",
    "how": "[data-shuffle]",
}
"""By tab, what is there once it can be used."""


FIRST_DIGIT = "network=mnist-sirens/test/0&style=dilate"
"""What most tests of the INR tab start from."""


class Complaints(list):
    """What the browser complained of on a page: errors, and requests to other hosts."""

    def listen(self, page: Page, url: str) -> None:
        own = (url, url.replace("http", "ws", 1), "data:", "blob:")
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("console", lambda m: self.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("request", lambda r: self.append(f"off host: {r.url}") if not r.url.startswith(own) else None)


def new_window(browser: Browser, color_scheme: Literal["light", "dark"] = "light") -> BrowserContext:
    """A context whose pages move nothing: without animations a page takes a quarter less CPU."""
    size: ViewportSize = {"width": 1280, "height": 900}
    return browser.new_context(viewport=size, reduced_motion="reduce", color_scheme=color_scheme)


def open_page(context: BrowserContext, url: str, complaints: Complaints) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints.listen(page, url)
    page.goto(f"{url}?{FIRST_DIGIT}", wait_until="networkidle")
    expect(page.locator("#verdict .title")).to_be_visible()
    expect(page.locator("#weights-before img").first).to_be_visible()
    return page


def open_tab(context: BrowserContext, url: str, tab: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}?tab={tab}{f'&{FIRST_DIGIT}' if tab == 'inr' else ''}")
    expect(page.locator(READY[tab]).first).to_be_visible()
    page.wait_for_function("window.weightscope?.state.linkWasRead && !document.body.dataset.choosing")
    return page


def declared_file(folder: Path, name: str) -> Path:
    """A classifier whose file declares its graph: it is read at once, as no wiring has to be searched for."""
    write_network(Zoo(EMBEDDED).network("fashion-mnist-wild/test/1"), folder / name)
    return folder / name


class Held:
    """A function of a module whose calls, but for the first few, wait until they are let go; then it is as always."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str, pass_first: int = 0):
        self._real, self._go, self._pass = getattr(module, name), Event(), pass_first
        monkeypatch.setattr(module, name, self)

    def __call__(self, *given, **named):
        self._pass -= 1
        if self._pass < 0:
            self._go.wait(PATIENCE / 1000)
        return self._real(*given, **named)

    def let_go(self) -> None:
        """From now on nothing waits."""
        self._go.set()
