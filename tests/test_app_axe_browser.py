"""axe-core finds nothing serious on any tab, by day and by night, and nothing jumps while the page loads."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import READY, new_window, open_tab
from playwright.sync_api import Page, expect
from test_app_look_browser import STILL

from app.ui import TABS

pytestmark = pytest.mark.browser
SERIOUS = ("serious", "critical")
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""Dark mode changes nothing else."""
MEASURE_SHIFTS = """window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (!entry.hadRecentInput) window.shifted += entry.value;
})).observe({ type: "layout-shift", buffered: true });"""
"""Chromium's cumulative layout shift: below 0.1 is called good."""


def test_no_accessibility_violations_and_no_layout_shift(chromium, app_url):
    context = new_window(chromium)
    context.add_init_script(MEASURE_SHIFTS)
    page = open_tab(context, app_url, TABS[0].key)
    assert page.evaluate("window.shifted") < 0.02
    page.add_style_tag(content=STILL)
    by_day = violations(page, {})
    page.evaluate("document.body.classList.add('dark')")
    by_night = violations(page, COLOURS)
    context.close()
    assert by_day == by_night == []


def violations(page: Page, rules: dict) -> list[tuple[str, str, str]]:
    """The tab, the rule and the element of everything serious, on all tabs; `rules` are axe-core's options."""
    found = []
    for tab in TABS:
        page.get_by_role("tab", name=tab.title, exact=True).click()
        expect(page.locator(READY[tab.key]).first).to_be_visible()
        page.wait_for_function("!document.body.dataset.choosing")
        for rule in Axe().run(page, options={"resultTypes": ["violations"], **rules}).response["violations"]:
            found += [
                (tab.key, rule["id"], node["html"][:200])
                for node in rule["nodes"]
                if rule["impact"] in SERIOUS
            ]
    return found
