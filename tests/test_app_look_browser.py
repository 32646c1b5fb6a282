"""What every tab looks like, measured in a real browser: text that can be read by day and by night, targets that a
finger hits, all tabs in sight of a phone, and where a visitor is told what happened."""

from pathlib import Path

import pytest
from browsing import open_tab
from playwright.sync_api import Page, expect

from app.links import TABS

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


@pytest.mark.parametrize("tab", TABS)
def test_text_can_be_read_by_day_and_by_night_and_a_finger_hits(context, app_url, tab):
    page = open_tab(context, app_url, tab)
    page.add_style_tag(content=STILL)
    assert page.evaluate(FAINT) == []
    page.evaluate("document.body.classList.add('dark')")
    assert page.evaluate(FAINT) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.scrollWidth <= 390")
    for button in page.get_by_role("tab").all():
        expect(button).to_be_in_viewport(ratio=1)
    assert page.evaluate(SMALL) == []


def test_the_first_sentence_leads_to_the_tabs(context, app_url):
    page = open_tab(context, app_url, "inr")
    page.evaluate("window.same = true")
    page.locator("header a", has_text="how often it will be right").click()
    expect(page.get_by_role("tab", name="Generalization")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#scatter .scatter")).to_be_visible()
    assert page.evaluate("window.same"), "the page was not loaded again"


def test_a_refused_file_is_said_where_it_was_dropped_until_the_next_choice(context, app_url, tmp_path):
    page = open_tab(context, app_url, "inr")
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, tmp_path / "<b>page.pt", "<!doctype html><p>Not found</p>")
    expect(page.locator("#upload-refused .refusal")).to_contain_text(
        "page.pt was not taken. This is an HTML page"
    )
    expect(page.locator("#upload-refused")).to_be_in_viewport()
    page.locator("#gallery .thumbnail-item").nth(4).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/4:")
    expect(page.locator("#upload-refused .refusal")).to_have_count(0)
    expect(page.locator("#verdict")).to_be_in_viewport()
    expect(page.locator("#spoken")).to_have_text("4")


def drop(page: Page, path: Path, text: str) -> None:
    path.write_text(text)
    page.locator("#upload input[type=file]").set_input_files(path)
