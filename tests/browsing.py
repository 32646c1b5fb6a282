"""What all browser tests share: patience, an ear for complaints, and the opened page."""

from playwright.sync_api import BrowserContext, Page, expect

PATIENCE = 60_000
"""Milliseconds: far more than an idle machine needs."""
HOSTILE = "<img src=x onerror=window.__ran=1>"
READY = {
    "inr": "#weights-before .main-svg",
    "generalization": "#scatter .scatter",
    "tickets": "#ticket .facts",
    "checkpoint": "#look .not-yet",
    "zoo": ".zoo-gallery",
    "how": "[data-shuffle]",
}
"""By tab, what is there once it can be used."""


class Complaints(list):
    """What the browser complained of on a page: errors, and requests to other hosts."""

    def listen(self, page: Page, url: str) -> None:
        own = (url, url.replace("http", "ws", 1), "data:", "blob:")
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("console", lambda m: self.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("request", lambda r: self.append(f"off host: {r.url}") if not r.url.startswith(own) else None)


def open_page(context: BrowserContext, url: str, complaints: Complaints) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints.listen(page, url)
    page.goto(url, wait_until="networkidle")
    expect(page.locator("#verdict .title")).to_be_visible()
    expect(page.locator("#weights-before .main-svg").first).to_be_visible()
    return page


def open_tab(context: BrowserContext, url: str, tab: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}?tab={tab}")
    expect(page.locator(READY[tab]).first).to_be_visible()
    page.wait_for_function("window.linkWasRead && !document.body.dataset.choosing")
    return page
