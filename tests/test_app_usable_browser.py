"""What every tab owes its visitors, in a real browser: names for pictures, tables beside plots, the keyboard all the
way, no answer about the network of before, a way to stop what takes long."""

import re
import time

import pytest
from browsing import Complaints, open_tab
from playwright.sync_api import Page, expect
from test_app_generalization_browser import network_file

from app import actions, batch
from app.links import TABS
from app.tabs import generalization_views, inr_views, tickets_views
from zoo import classifiers

pytestmark = pytest.mark.browser

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
  return ring(style) || (near && ring(getComputedStyle(near))) ? "" : document.activeElement.outerHTML.slice(0, 200);
}"""
PLACES = """[...document.querySelectorAll(".how-network .neuron")].map((item) => {
  const { e, f } = item.transform.baseVal[0].matrix;
  return `${Math.round(e)} ${Math.round(f)}`;
})"""
HERE = """() => {
  const item = document.activeElement, named = item.closest("[id]");
  return [named?.id ?? "", item.className, item.dataset?.pick ?? "", item.textContent.slice(0, 40)].join(" ");
}"""


def walk(page: Page, steps: int) -> tuple[set[str], list[str]]:
    """Press Tab so often: where that led, and what was reached without showing it."""
    seen, hidden = set(), []
    for _ in range(steps):
        page.keyboard.press("Tab")
        seen.add(page.evaluate(HERE))
        hidden.append(page.evaluate(RINGLESS))
    return seen, [item for item in hidden if item and "<body" not in item]


@pytest.mark.parametrize("tab", TABS)
def test_every_picture_has_a_name_and_the_keyboard_shows_where_it_is(context, app_url, tab):
    page = open_tab(context, app_url, tab)
    assert page.evaluate(UNNAMED) == []
    page.locator(f"#tab-{tab}-button").focus()
    _, ringless = walk(page, 25)
    assert ringless == []


@pytest.mark.parametrize(("tab", "wanted"), [
    ("inr", ["collection", "gallery", "copy-link-inr", "domain", "style", "strength", "permute"]),
    ("generalization", ["trained-on", "networks", "copy-link-generalization", "scatter", "measure", "permute-cnn"]),
    ("zoo", ["zoo-entries", "zoo-order", "zoo-networks"]),
    ("how", ["Shuffle the hidden neurons", "Back to the file"]),
])  # fmt: skip
def test_tab_order_reaches_every_picker(context, app_url, tab, wanted):
    page = open_tab(context, app_url, tab)
    for choice in wanted:
        target = f"[id='{choice}']" if re.fullmatch(r"[a-z-]+", choice) else f"button:has-text('{choice}')"
        reached = page.locator(target).first.evaluate(
            "item => [item, ...item.querySelectorAll('*')]"
            ".some(e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility())"
        )
        assert reached, f"{choice} has nothing that the tab key stops at"


@pytest.mark.parametrize(
    ("tab", "plots"), [("generalization", ["#accuracy", "#scatter"]), ("zoo", ["#zoo-histogram"])]
)
def test_a_plot_has_its_numbers_as_a_table(context, app_url, tab, plots):
    page = open_tab(context, app_url, tab)
    for plot in plots:
        twin = page.locator(f"{plot} details.twin")
        twin.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(twin.locator("tbody tr").first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.documentElement.scrollWidth - window.innerWidth <= 1")


def test_the_scatter_plot_is_gone_through_by_keys(context, app_url):
    page = open_tab(context, app_url, "generalization")
    page.locator("#scatter .scatter").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    wanted = page.locator("#scatter .dot.near").get_attribute("data-zoo-id")
    expect(page.locator("#scatter .tip")).to_contain_text(f"No. {str(wanted).rpartition('/')[2]}:")
    page.keyboard.press("Enter")
    expect(page.locator("#accuracy .facts")).to_contain_text(f"{wanted}:")


@pytest.mark.parametrize(("tab", "listed"), [("Generalization", "#networks"), ("Tickets", "#inits")])
def test_the_chosen_row_is_marked_in_a_tab_that_is_first_shown_later(context, app_url, tab, listed):
    page = open_tab(context, app_url, "inr")
    page.get_by_role("tab", name=tab, exact=True).click()
    marked = page.locator(f"{listed} tbody tr[aria-selected=true]")
    expect(marked).to_have_count(1)
    page.locator(f"{listed} tbody tr").nth(2).click()
    expect(page.locator(f"{listed} tbody tr").nth(2)).to_have_attribute("aria-selected", "true")
    expect(marked).to_have_count(1)


def test_an_upload_leaves_no_row_marked_in_a_tab_that_is_first_shown_later(context, app_url, tmp_path):
    page = open_tab(context, app_url, "inr")
    page.get_by_role("tab", name="Generalization", exact=True).click()
    expect(page.locator("#networks tbody tr[aria-selected=true]")).to_have_count(1)
    page.locator("#cnn-upload input[type=file]").set_input_files(network_file(tmp_path, "mine.safetensors"))
    expect(page.locator("#accuracy .facts")).to_contain_text("mine.safetensors")
    expect(page.locator("#networks tbody tr[aria-selected=true]")).to_have_count(0)


def test_a_button_waits_for_the_network_that_was_just_clicked(context, app_url, monkeypatch):
    page = open_tab(context, app_url, "inr")
    slow(monkeypatch, actions, "classify", 1.0)
    page.locator("#gallery .thumbnail-item").nth(5).click()
    page.wait_for_function("document.body.dataset.choosing")
    page.locator("#permute").click(force=True)
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")
    page.wait_for_function("!document.body.dataset.choosing")
    expect(page.locator("#symmetry-line")).to_contain_text("stayed")


def test_an_answer_about_the_network_of_before_does_not_come_late(context, app_url, monkeypatch):
    page = open_tab(context, app_url, "inr")
    slow(monkeypatch, actions, "check_symmetry", 2.0)
    page.locator("#permute").click()
    page.locator("#gallery .thumbnail-item").nth(3).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/3:")
    page.wait_for_timeout(3000)
    expect(page.locator("#symmetry-line")).to_be_empty()


@pytest.mark.parametrize(
    ("tab", "picks", "answer", "late"),
    [
        ("inr", "#gallery .thumbnail-item", "#verdict", (inr_views, "weight_heatmaps")),
        ("generalization", "#networks tbody tr", "#accuracy", (generalization_views, "layer_figures")),
        ("tickets", "#inits tbody tr", "#ticket", (tickets_views, "waiting")),
    ],
)
def test_who_clicks_on_as_soon_as_the_answer_is_there_gets_the_next(
    context, app_url, monkeypatch, tab, picks, answer, late
):
    """The other cards of the network before may still be on their way."""
    page = open_tab(context, app_url, tab)
    slow(monkeypatch, late[0], late[1], 0.6)
    shown = set()
    for number in (2, 5, 3, 1):
        page.locator(picks).nth(number).click()
        page.wait_for_function(
            "([answer, shown]) => !shown.includes(document.querySelector(answer).innerText)",
            arg=[answer, list(shown)],
        )
        shown.add(page.locator(answer).inner_text())
    page.wait_for_function("!document.body.dataset.choosing")
    assert page.locator(answer).inner_text() in shown and len(shown) == 4


def test_a_control_and_a_choice_do_not_get_in_each_others_way(context, app_url, monkeypatch):
    page = open_tab(context, app_url, "inr")
    slow(monkeypatch, inr_views, "weight_heatmaps", 3.0)
    page.locator("#gallery .thumbnail-item").nth(3).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/3:")
    page.wait_for_function("document.body.dataset.pale === undefined")
    assert page.evaluate("document.body.dataset.choosing"), "the answer is fresh before all is shown"
    page.locator("#style label", has_text="Neon").click()
    assert page.evaluate("window.turns.source.length") == 2
    page.wait_for_function("window.turns.source.length === 0")
    expect(page.locator("#edit-line")).to_contain_text("glowing")
    slow(monkeypatch, actions, "classify", 1.0)
    page.locator("#domain label", has_text="CIFAR-10").click()
    page.locator("#gallery .thumbnail-item").nth(5).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")
    page.wait_for_function("window.turns.source.length === 0")
    expect(page.locator("#verdict")).to_contain_text("told by you")
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")


def test_two_ways_to_choose_do_not_get_in_each_others_way(context, app_url, monkeypatch, tmp_path):
    """A file that takes long to read, and a network of the zoo that is picked meanwhile."""
    page = open_tab(context, app_url, "generalization")
    real = generalization_views.uploaded
    monkeypatch.setattr(generalization_views, "uploaded", lambda *given: time.sleep(1.5) or real(*given))
    page.locator("#cnn-upload input[type=file]").set_input_files(network_file(tmp_path, "mine.safetensors"))
    page.wait_for_function("document.body.dataset.choosing")
    page.locator("#networks tbody tr").nth(2).click()
    page.wait_for_function("!document.body.dataset.choosing")
    row = page.locator("#networks tbody tr").nth(2)
    expect(row).to_have_attribute("aria-selected", "true")
    expect(page.locator("#accuracy .facts")).to_contain_text(f"{row.get_attribute('data-zoo-id')}:")


def slow(monkeypatch: pytest.MonkeyPatch, module: object, name: str, seconds: float) -> None:
    """Let a function take its time."""
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given, **named: time.sleep(seconds) or real(*given, **named))


def test_a_batch_shows_how_far_it_is_and_can_be_stopped(context, app_url, monkeypatch, tmp_path):
    page = open_tab(context, app_url, "generalization")
    slow(monkeypatch, batch, "_answers", 1.0)
    files = [network_file(tmp_path, f"{number}.safetensors") for number in range(8)]
    page.locator("#batch-upload input[type=file]").set_input_files(files)
    expect(page.locator("#batch-line progress")).to_be_visible()
    page.locator("#batch-cancel").click()
    expect(page.locator("#batch-line")).to_contain_text("Stopped")
    expect(page.locator("#batch-cancel")).not_to_be_visible()
    page.wait_for_timeout(2500)
    expect(page.locator("#batch-line")).to_contain_text("Stopped")
    expect(page.locator("#batch-csv")).not_to_be_visible()


def test_measuring_can_be_stopped(context, app_url, monkeypatch):
    page = open_tab(context, app_url, "generalization")
    slow(monkeypatch, classifiers, "answers", 1.0)
    page.locator("#measure").click()
    expect(page.locator("#measure-line progress")).to_be_visible()
    page.locator("#cancel").click()
    expect(page.locator("#measure-line")).to_contain_text("Stopped")
    page.wait_for_timeout(2500)
    expect(page.locator("#measure-line")).to_contain_text("Stopped")
    expect(page.locator("#measure")).to_be_enabled()


def test_a_link_is_copied_and_leads_back(context, app_url):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = open_tab(context, app_url, "inr")
    page.locator("#gallery .thumbnail-item").nth(2).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/2:")
    page.locator("#copy-link-inr").click()
    expect(page.locator("#copy-link-inr")).to_have_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("?network=mnist-sirens/test/2&tab=inr&style=dilate")
    page.goto(link)
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/2:")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_neurons_move_and_the_picture_stays(chromium, app_url, motion):
    complaints = Complaints()
    context = chromium.new_context(reduced_motion=motion)
    page = context.new_page()
    complaints.listen(page, app_url)
    page.goto(f"{app_url}?tab=how")
    expect(page.locator("[data-shuffle]")).to_be_visible()
    before = places(page)
    page.locator("[data-shuffle]").click()
    if motion == "reduce":
        assert places(page) != before, "without motion they are there at once"
    expect(page.locator("#how-said .line")).to_have_text("The same picture, the same answer.")
    expect(page.locator("#how-said dl")).to_contain_text("“7” and “7”")
    page.wait_for_function(
        f"before => JSON.stringify({PLACES}.sort()) === JSON.stringify(before.sort())", arg=before
    )
    assert places(page) != before, "the same places, other neurons in them"
    page.locator("[data-restore]").click()
    expect(page.locator("#how-said dd").first).to_have_text("0 of 1,185")
    page.wait_for_function(f"before => JSON.stringify(before) === JSON.stringify({PLACES})", arg=before)
    context.close()
    assert not complaints


def places(page: Page) -> list[str]:
    return page.evaluate(PLACES)
