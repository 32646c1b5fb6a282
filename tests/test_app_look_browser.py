"""What every tab looks like, measured in a real browser: text that can be read by day and by night, names for pictures,
tables beside plots, the keyboard all the way, targets that a finger hits, and where a visitor is told what happened."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import READY, open_tab
from playwright.sync_api import Page, expect

from app.ui import TABS

pytestmark = pytest.mark.browser

FAINT = """() => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const on = (above, below) => [0, 1, 2].map((i) => above[i] * above[3] + below[i] * (1 - above[3]));
  const linear = (v) => v <= 10.3 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
  const own = (item) => rgba(getComputedStyle(item).backgroundColor);
  const ground = (item) => item ? on(own(item), ground(item.parentElement)) : [255, 255, 255];
  const behind = (item) => {
    const box = item.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
    const shapes = [...item.parentElement.querySelectorAll(":scope > :is(rect, circle, path)")].filter((shape) => {
      const { left, right, top, bottom } = shape.getBoundingClientRect();
      const before = shape.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING;
      return before && left <= x && x <= right && top <= y && y <= bottom;
    });
    return shapes.reduce((below, shape) => {
      const { fill, fillOpacity, opacity } = getComputedStyle(shape);
      const [r, g, b, a] = fill === "none" ? [0, 0, 0, 0] : rgba(fill);
      return on([r, g, b, a * fillOpacity * opacity], below);
    }, ground(item));
  };
  const faint = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const item = texts.currentNode.parentElement, style = getComputedStyle(item), size = parseFloat(style.fontSize);
    const text = texts.currentNode.textContent.trim();
    if (!text || item.closest(":disabled, .icon, script, style, title")) continue;
    if (!item.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const drawn = item.closest("svg"), colour = rgba(drawn ? style.fill : style.color);
    const below = drawn ? behind(item.closest("text") ?? item) : ground(item);
    const [low, high] = [light(below), light(on(colour, below))].sort((a, b) => a - b);
    const wanted = size >= 24 || (size >= 18.6 && style.fontWeight >= 700) ? 3 : 4.5;
    if (high / low < wanted) faint.push(`${(high / low).toFixed(2)}: ${text.slice(0, 60)}`);
  }
  return faint;
}"""
"""Text on screen with less contrast than WCAG AA asks for."""
SMALL = """() => [...document.querySelectorAll("button, summary, .segmented label, tbody tr, input")]
  .filter((item) => !item.matches("[type=radio], [type=file]"))
  .filter((item) => item.checkVisibility() && !item.closest("[aria-hidden=true]"))
  .map((item) => [item.getBoundingClientRect().height, item])
  .filter(([height]) => height > 1 && height < 43.5)
  .map(([height, item]) => `${height}: ${item.outerHTML.slice(0, 120)}`)"""
"""What a finger would miss: less than 44 pixels high."""
STILL = "* { animation: none !important; transition: none !important; }"
UNNAMED = """() => [...document.querySelectorAll(".tabitem img, .tabitem svg")].filter((item) => {
  if (!item.checkVisibility() || item.closest("[aria-hidden=true]")) return false;
  if (item.tagName === "IMG") return !item.hasAttribute("alt");
  if (item.closest("button, a, label, .js-plotly-plot, [role=img], [role=application]") !== null) return false;
  if (item.parentElement.closest(".upload, .icon-wrap, .wrap")) return false;
  return !item.getAttribute("aria-label");
}).map((item) => item.outerHTML.slice(0, 200))"""
"""Pictures and drawings on screen that nobody can hear of; icons beside words, and plotly's, are named around them."""
RINGLESS = """() => {
  const style = getComputedStyle(document.activeElement), near = document.activeElement.closest("label, .block");
  const ring = (s) => (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none";
  if (document.activeElement === document.body) return "";
  return ring(style) || (near && ring(getComputedStyle(near))) ? "" : document.activeElement.outerHTML.slice(0, 200);
}"""
STOPS = {
    "inr": ["#collection", "#gallery", "#copy-link-inr", "#domain", "#style", "#strength", "#permute"],
    "generalization": [
        "#trained-on",
        "#networks",
        "#copy-link-generalization",
        "#scatter",
        "#measure",
        "#permute-cnn",
    ],
    "zoo": ["#zoo-entries", "#zoo-order", "#zoo-networks"],
    "how": ["[data-shuffle]", "[data-restore]"],
}
"""By tab, what the Tab key must stop at, or at something within it."""
STOPPED_AT = """item => [item, ...item.querySelectorAll("*")]
  .some((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility())"""
PLOTS = {"generalization": ["#accuracy", "#scatter"], "zoo": ["#zoo-histogram"]}
"""By tab, the plots that have their numbers as a table."""
NARROW = "document.documentElement.scrollWidth <= 390"


@pytest.fixture(scope="module")
def opened(window, app_url) -> Page:
    """One page for all tests, as loading it is what takes long."""
    page = open_tab(window, app_url, "inr")
    page.add_style_tag(content=STILL)
    return page


@pytest.fixture
def page(opened) -> Iterator[Page]:
    """The page in the light, on a desktop."""
    opened.set_viewport_size({"width": 1280, "height": 900})
    yield opened
    opened.evaluate("document.body.classList.remove('dark')")


@pytest.mark.parametrize("tab", TABS, ids=[tab.key for tab in TABS])
def test_a_tab_is_readable_named_and_reached_by_keys_and_fingers(page, tab):
    """Text by day and by night; names of pictures; the Tab key; tables beside plots; all of it on a phone."""
    page.get_by_role("tab", name=tab.title, exact=True).click()
    expect(page.locator(READY[tab.key]).first).to_be_visible()
    page.wait_for_function("!document.body.dataset.choosing")
    assert page.evaluate(FAINT) == []
    assert page.evaluate(UNNAMED) == []
    check_keys(page, tab.key)
    page.evaluate("document.body.classList.add('dark')")
    assert page.evaluate(FAINT) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(NARROW)
    page.evaluate("window.scrollTo(0, 0)")  # from where the keys led
    for button in page.get_by_role("tab").all():
        expect(button).to_be_in_viewport(ratio=1)
    assert page.evaluate(SMALL) == []
    for plot in PLOTS.get(tab.key, []):
        open_table(page, plot)
    page.wait_for_function(NARROW)


def check_keys(page: Page, tab: str) -> None:
    """The Tab key stops at every picker, and shows where it is."""
    for picker in STOPS.get(tab, ()):
        assert page.locator(picker).first.evaluate(STOPPED_AT), picker
    page.locator(f"#tab-{tab}-button").focus()
    for _ in range(25):
        page.keyboard.press("Tab")
        assert page.evaluate(RINGLESS) == ""


def open_table(page: Page, plot: str) -> None:
    twin = page.locator(f"{plot} details.twin")
    twin.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(twin.locator("tbody tr").first).to_be_visible()


def show_pictures(page: Page) -> None:
    """The first tab, with the first network chosen."""
    page.get_by_role("tab", name="Pictures", exact=True).click()
    page.locator("#gallery [data-pick]").first.click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/0:")
    page.wait_for_function("!document.body.dataset.choosing")


def test_the_first_sentence_links_to_the_tabs(page):
    show_pictures(page)
    page.evaluate("window.same = true")
    page.locator("header a", has_text="how accurate it will be").click()
    expect(page.get_by_role("tab", name="Accuracy")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#scatter .scatter")).to_be_visible()
    assert page.evaluate("window.same"), "the page was not loaded again"


def test_a_refusal_is_shown_at_the_drop_zone_until_the_next_choice(page, tmp_path):
    show_pictures(page)
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, tmp_path / "<b>page.pt", "<!doctype html><p>Not found</p>")
    expect(page.locator("#upload-refused .refusal")).to_contain_text("This is an HTML page")
    expect(page.locator("#upload-refused")).to_be_in_viewport()
    page.locator("#gallery [data-pick]").nth(4).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/4:")
    expect(page.locator("#upload-refused .refusal")).to_have_count(0)
    expect(page.locator("#verdict")).to_be_in_viewport()
    expect(page.locator("#spoken")).to_have_text("4")


def test_a_file_over_the_limit_is_refused_at_its_box_before_it_is_sent(page, tmp_path):
    show_pictures(page)
    page.evaluate("document.querySelector('#limits').dataset.maxMb = 0")
    drop(page, tmp_path / "large.pt", "x" * 2_000)
    expect(page.locator(".too-large")).to_contain_text("large.pt has 1 MB; at most 0 MB are read here")
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/0:")
    page.evaluate("document.querySelector('#limits').dataset.maxMb = 100")
    drop(page, tmp_path / "page.pt", "<!doctype html>")
    expect(page.locator("#upload-refused .refusal")).to_contain_text("This is an HTML page")
    expect(page.locator(".too-large")).to_have_count(0)


def drop(page: Page, path: Path, text: str) -> None:
    path.write_text(text)
    page.locator("#upload input[type=file]").set_input_files(path)


def test_back_and_forward_restore_what_was_shown(page):
    show_pictures(page)
    for place in (3, 5):
        page.locator("#gallery [data-pick]").nth(place).click()
        expect(page.locator("#verdict .facts")).to_contain_text(f"mnist-sirens/test/{place}:")
        page.wait_for_url(f"**network=mnist-sirens/test/{place}&**")
    page.get_by_role("tab", name="How it works").click()
    page.wait_for_url("**tab=how**")
    page.go_back()
    expect(page.get_by_role("tab", name="Pictures")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")
    page.go_back()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/3:")
    page.go_forward()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")
