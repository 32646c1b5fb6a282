"""The Zoo tab in a real browser: browse, open in a tab, links that restore a view, zoos of the Hub and failures."""

import re
from threading import Event

import pytest
from browsing import PATIENCE, Complaints, Held
from hub_zoo import put
from playwright.sync_api import BrowserContext, Page, expect

from app.networks import zoos
from app.page import deep_links as opening
from app.tabs.zoo import views as zoo_views

pytestmark = pytest.mark.browser
ADDRESS = "#zoo-address textarea, #zoo-address input"


@pytest.fixture
def page(context: BrowserContext) -> Page:
    shown = context.new_page()
    shown.set_default_timeout(PATIENCE)
    return shown


def test_a_hostile_link_shows_the_zoo_to_browse_and_to_open_in_a_tab(page, app_url):
    complaints = Complaints()
    complaints.listen(page, app_url)
    page.goto(f"{app_url}?zoo=%3Cimg+src%3Dx+onerror%3Dwindow.__ran%3D1%3E&network=x&tab=zoo&style=lasers")
    expect(page.get_by_test_id("toast-body")).to_contain_text("it was ignored")
    expect(page.locator(".zoo-gallery")).to_be_visible()
    assert page.evaluate("window.__ran") is None
    page.locator("[data-pick='cifar10-sirens']").click()
    expect(page.locator("#zoo-about h2")).to_have_text("CIFAR-10 objects as SIRENs")
    page.locator("[data-pick='1']").click()
    expect(page.locator("#zoo-pager")).to_contain_text("49 to 96 of 120")
    page.locator("[data-pick='cifar10-sirens/test/50']").click()
    expect(page.locator(".zoo-network h2")).to_have_text("cifar10-sirens/test/50")
    expect(page.locator("#zoo-id textarea, #zoo-id input")).to_have_value("cifar10-sirens/test/50")
    expect(page).to_have_url(re.compile(r"network=cifar10-sirens/test/50&tab=zoo$"))
    page.locator("#zoo-open-network").click()
    expect(page.locator("#verdict")).to_contain_text("cifar10-sirens/test/50:")
    expect(page).to_have_url(re.compile(r"network=cifar10-sirens/test/50&tab=inr"))
    expect(page.locator("#gallery [aria-pressed=true]")).to_have_count(1)
    page.get_by_role("tab", name="Zoo", exact=True).click()
    page.locator("[data-pick='inr-editor']").click()
    expect(page.locator(".zoo-prose")).to_contain_text("Measured")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("document.documentElement.scrollWidth - window.innerWidth <= 1")
    assert not complaints


def test_a_link_restores_the_view_on_a_fresh_page(page, app_url):
    page.goto(f"{app_url}?network=fashion-mnist-sirens/test/7&tab=inr&style=neon")
    expect(page.locator("#verdict")).to_contain_text("fashion-mnist-sirens/test/7:")
    expect(page.locator("#edit-line")).to_contain_text("glowing")
    page.goto(f"{app_url}?network=cifar10-cnns/test/3")
    expect(page.locator("#accuracy")).to_contain_text("cifar10-cnns/test/3")


def test_a_zoo_of_the_hub_and_its_failures(page, app_url, hub, made):
    zoos._pinned.cache_clear()
    sha = put(hub, made, "someone/zoo")
    page.goto(f"{app_url}?tab=zoo")
    expect(page.locator(".zoo-gallery")).to_be_visible()
    page.locator(ADDRESS).fill("someone/zoo")
    page.locator("#zoo-open").click()
    expect(page.locator("#zoo-origin")).to_contain_text(sha)
    page.locator("[data-pick='tiny-sirens/test/2']").click()
    expect(page).to_have_url(re.compile(rf"zoo=someone/zoo@{sha}&network=tiny-sirens/test/2&tab=zoo$"))
    page.goto("about:blank")
    page.goto(f"{app_url}?zoo=someone/zoo@{sha}&network=tiny-sirens/test/2&tab=inr")
    expect(page.locator("#verdict")).to_contain_text("tiny-sirens/test/2:")
    page.get_by_role("tab", name="Zoo", exact=True).click()
    expect(page.locator("#zoo-origin")).to_contain_text(sha)
    said = set()
    for kind in ("401", "404", "429", "500", "html"):
        hub.fail(kind)
        page.locator(ADDRESS).fill(f"someone/zoo-{kind}")
        page.locator("#zoo-open").click()
        expect(page.locator("#zoo-failure .refusal")).to_have_text(re.compile(r"\w"))
        page.wait_for_function(
            "said => !said.includes(document.querySelector('#zoo-failure').innerText)", arg=list(said)
        )
        said.add(page.locator("#zoo-failure").inner_text())
        expect(page.locator(".zoo-gallery")).to_be_visible()
    assert len(said) == 5
    page.locator("#zoo-home").click()
    expect(page.locator("#zoo-origin")).to_contain_text("embedded zoo of this app")


def test_a_late_link_does_not_undo_later_clicks(page, app_url, hub, monkeypatch):
    """What came of an address that was typed meanwhile stays on screen."""
    show, read = zoo_views._show, Event()
    monkeypatch.setattr(
        zoo_views, "_show", lambda tabs, view: (view.network and read.wait(60), show(tabs, view))[1]
    )
    page.goto(f"{app_url}?network=mnist-sirens/test/3&tab=zoo")
    page.wait_for_function("window.weightscope?.state.linkWasRead")
    hub.fail("404")
    page.locator(ADDRESS).fill("someone/nothing")
    page.locator("#zoo-open").click()
    refusal = page.locator("#zoo-failure .refusal")
    expect(refusal).to_contain_text("someone/nothing")
    read.set()
    page.wait_for_timeout(700)
    expect(refusal).to_contain_text("someone/nothing")


def test_a_click_on_a_tab_is_never_undone(page, app_url, monkeypatch):
    """The link is read on the server, which takes its time: the tabs are there meanwhile, without the stylesheet's last
    resort, and who clicks stays where that led. All pages wait for their links at once."""
    held = Held(monkeypatch, opening, "_outputs")
    page.context.set_default_timeout(PATIENCE)
    pages = {query: page.context.new_page() for query in ("", "?tab=inr", "?tab=zoo")}
    for query, shown in pages.items():
        shown.goto(f"{app_url}{query}")
        shown.add_style_tag(content=".gradio-container { animation: none !important; }")
    for shown in pages.values():
        shown.get_by_role("tab", name="Accuracy", exact=True).click()
    held.let_go()
    for query, shown in pages.items():
        shown.wait_for_function("window.weightscope?.state.linkWasRead")
        expect(shown.locator("#accuracy .facts"), query).to_be_visible()
        tab = shown.get_by_role("tab", name="Accuracy", exact=True)
        expect(tab, query).to_have_attribute("aria-selected", "true")
        expect(shown, query).to_have_url(re.compile("tab=generalization"))
