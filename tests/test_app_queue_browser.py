"""Many visitors at once in a real browser: who waits sees their place, and who finds the queue full is told so."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from browsing import PATIENCE, new_window
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.networks.source import Source
from app.page.source_text import to_text
from app.tabs.tickets import race
from app.ui import QUEUE_SIZE

pytestmark = pytest.mark.browser


@contextmanager
def crowd(url: str, count: int) -> Iterator[None]:
    """So many others who wait for a race, until they give up."""
    config = httpx.get(f"{url}config").json()
    button = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "start-race")
    number = next(d["id"] for d in config["dependencies"] if [button, "click"] in map(list, d["targets"]))
    data, joined = [to_text(Source(zoo_id="mnist-inits/test/1")), 95, "best", 0], {}
    with httpx.Client(base_url=f"{url}gradio_api") as client:
        for i in range(count):
            body = {"data": data, "fn_index": number, "session_hash": f"crowd-{i}"}
            joined[f"crowd-{i}"] = client.post("/queue/join", json=body).json()["event_id"]
        yield
        for session, event in joined.items():
            body = {"session_hash": session, "fn_index": number, "event_id": event}
            client.post("/cancel", json=body).raise_for_status()


def open_tickets(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}?tab=tickets", wait_until="networkidle")
    expect(page.locator("#ticket .facts")).to_be_visible()
    return page


def test_waiting_visitors_see_their_place_and_a_full_queue_is_reported(
    chromium: Browser, app_url, monkeypatch
):
    monkeypatch.setitem(race.STEPS, "mnist", 10_000)  # one that lasts until it is cancelled
    monkeypatch.setattr(race.FamilyRunners, "step", lambda _: time.sleep(0.01))  # the pages need the cores
    context = new_window(chromium)
    racing, waiting, late = (open_tickets(context, app_url) for _ in range(3))
    racing.click("#start-race")
    expect(racing.locator("#cancel-race")).to_be_visible()
    expect(racing.locator("#queue .progress-text")).to_have_count(0)
    waiting.click("#start-race")
    place = waiting.locator("#queue .progress-text")
    expect(place).to_be_visible()
    expect(place).to_contain_text("queue: 1/1")
    box = place.bounding_box()
    assert box and box["y"] + box["height"] <= 900 and box["x"] + box["width"] <= 1280
    with crowd(app_url, QUEUE_SIZE - 1):
        late.click("#start-race")
        expect(late.locator(".toast-body")).to_contain_text("currently busy. Please try again.")
    racing.click("#cancel-race")
    expect(waiting.locator("#cancel-race")).to_be_visible()
    expect(place).to_have_count(0)
    waiting.click("#cancel-race")
    expect(waiting.locator("#race-line")).to_contain_text("Stopped")
    context.close()
