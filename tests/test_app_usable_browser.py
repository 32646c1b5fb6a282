"""What every tab owes its visitors, in a real browser: no answer about the network of before, rows and buttons that
keep up with quick clicks, a way to stop what takes long."""

import time
from collections.abc import Iterator

import pytest
from browsing import Complaints, Held, declared_file, open_page, open_tab
from playwright.sync_api import BrowserContext, Page, expect

from app.tabs.generalization import batch
from app.tabs.generalization import views as generalization_views
from app.tabs.inr import actions
from app.tabs.inr import views as inr_views
from app.tabs.tickets import views as tickets_views
from zoo import measure

pytestmark = pytest.mark.browser

PLACES = """[...document.querySelectorAll(".how-network .neuron")].map((item) => {
  const { e, f } = item.transform.baseVal[0].matrix;
  return `${Math.round(e)} ${Math.round(f)}`;
})"""
PICKS = {
    "Pictures": "#gallery [data-pick]",
    "Accuracy": "#networks tbody tr",
    "Lucky weights": "#inits tbody tr",
}
"""By tab, the networks to pick from."""


@pytest.fixture(scope="module")
def opened(window: BrowserContext, app_url) -> tuple[Page, Complaints]:
    window.grant_permissions(["clipboard-read", "clipboard-write"])
    complaints = Complaints()
    return open_page(window, app_url, complaints), complaints


@pytest.fixture
def page(opened) -> Iterator[Page]:
    """One page for all tests, as loading it is what takes long."""
    shown, complaints = opened
    yield shown
    assert not complaints


def show(page: Page, tab: str) -> None:
    """Show a tab with its first network chosen, by its own click."""
    page.get_by_role("tab", name=tab, exact=True).click()
    for number in (1, 0):
        page.locator(PICKS[tab]).nth(number).click()
        page.wait_for_function("!document.body.dataset.choosing")


def test_the_scatter_plot_is_navigated_by_keys(page):
    show(page, "Accuracy")
    page.locator("#scatter .scatter").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    wanted = page.locator("#scatter .dot.near").get_attribute("data-zoo-id")
    expect(page.locator("#scatter .tip")).to_contain_text(f"No. {str(wanted).rpartition('/')[2]}:")
    page.keyboard.press("Enter")
    expect(page.locator("#accuracy .facts")).to_contain_text(f"{wanted}:")


def test_the_chosen_row_is_marked_in_a_tab_that_is_first_shown_later(context, app_url, tmp_path):
    page = open_tab(context, app_url, "inr")
    assert page.locator("#inbox-generalization textarea").input_value() == "", "not opened before it is shown"
    for tab in ("Lucky weights", "Accuracy"):
        page.get_by_role("tab", name=tab, exact=True).click()
        rows = page.locator(PICKS[tab])
        marked = page.locator(f"{PICKS[tab]}[aria-selected=true]")
        expect(marked).to_have_count(1)
        rows.nth(2).click()
        expect(rows.nth(2)).to_have_attribute("aria-selected", "true")
        expect(marked).to_have_count(1)
    page.wait_for_function("!document.body.dataset.choosing")
    page.locator("#cnn-upload input[type=file]").set_input_files(declared_file(tmp_path, "mine.safetensors"))
    expect(page.locator("#accuracy .facts")).to_contain_text("mine.safetensors")
    expect(marked).to_have_count(0)
    page.wait_for_function("history.state === 'mine.safetensors'")
    page.reload()
    expect(page.locator("#connection")).to_contain_text("so mine.safetensors is no longer open")


def test_a_lost_connection_is_reported_and_what_is_clicked_meanwhile_opens_later(page):
    show(page, "Pictures")
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("You are offline")
    page.locator("#gallery [data-pick]").nth(4).click()
    expect(page.locator("#connection")).to_contain_text("What you clicked opens")
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_be_empty()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/4:")
    page.wait_for_function("!document.body.dataset.choosing")


def test_the_pictures_to_choose_from_are_one_stop_of_the_tab_key(page):
    show(page, "Pictures")
    assert page.locator("#gallery [data-pick][tabindex='0']").count() == 1
    page.locator("#gallery [data-pick]").first.focus()
    row = page.evaluate("""[...document.querySelectorAll("#gallery [data-pick]")]
        .filter((item, _, all) => item.offsetTop === all[0].offsetTop).length""")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator("#gallery [data-pick]").nth(row)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#verdict .facts")).to_contain_text(f"mnist-sirens/test/{row}:")
    expect(page.locator("#gallery [aria-pressed=true][tabindex='0']")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#gallery')") is None


def test_a_button_waits_for_the_network_that_was_just_clicked(page, monkeypatch):
    show(page, "Pictures")
    held = Held(monkeypatch, actions, "classify")
    page.locator("#gallery [data-pick]").nth(5).click()
    page.wait_for_function("document.body.dataset.choosing")
    page.locator("#permute").click(force=True)
    held.let_go()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")
    page.wait_for_function("!document.body.dataset.choosing")
    expect(page.locator("#symmetry-line")).to_contain_text("stayed")


def test_late_answers_about_the_previous_network_are_dropped(page, monkeypatch):
    show(page, "Pictures")
    slow(monkeypatch, inr_views, "check_symmetry", 0.7)
    page.locator("#permute").click()
    page.locator("#gallery [data-pick]").nth(3).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/3:")
    page.wait_for_timeout(1200)
    expect(page.locator("#symmetry-line")).to_be_empty()


@pytest.mark.parametrize(
    ("tab", "answer", "late"),
    [
        ("Pictures", "#verdict", (inr_views, "weight_heatmaps")),
        ("Accuracy", "#accuracy", (generalization_views, "layer_figures")),
        ("Lucky weights", "#ticket", (tickets_views, "before_race")),
    ],
)
def test_a_click_right_after_an_answer_gets_the_next_answer(page, monkeypatch, tab, answer, late):
    """The other cards of the network before may still be on their way."""
    show(page, tab)
    shown = {page.locator(answer).inner_text()}
    slow(monkeypatch, late[0], late[1], 0.4)
    for number in (2, 5, 3, 1):
        page.locator(PICKS[tab]).nth(number).click()
        page.wait_for_function(
            "([answer, shown]) => !shown.includes(document.querySelector(answer).innerText)",
            arg=[answer, list(shown)],
        )
        shown.add(page.locator(answer).inner_text())
    page.wait_for_function("!document.body.dataset.choosing")
    assert page.locator(answer).inner_text() in shown and len(shown) == 5


def test_a_control_and_a_choice_do_not_interfere(page, monkeypatch):
    show(page, "Pictures")
    held = Held(monkeypatch, inr_views, "weight_heatmaps")
    page.locator("#gallery [data-pick]").nth(3).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/3:")
    page.wait_for_function("document.body.dataset.pale === undefined")
    assert page.evaluate("document.body.dataset.choosing"), "the answer is fresh before all is shown"
    page.locator("#style label", has_text="Neon").click()
    assert page.evaluate("window.weightscope.turns.source.length") == 2
    held.let_go()
    page.wait_for_function("window.weightscope.turns.source.length === 0")
    expect(page.locator("#edit-line")).to_contain_text("glowing")
    held = Held(monkeypatch, actions, "classify")
    page.locator("#domain label", has_text="CIFAR-10").click()
    page.locator("#gallery [data-pick]").nth(5).click()
    held.let_go()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")
    page.wait_for_function("window.weightscope.turns.source.length === 0")
    expect(page.locator("#verdict")).to_contain_text("chosen by you")
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/5:")


def test_a_row_that_is_clicked_right_after_a_dot_counts(page, monkeypatch):
    """Both trigger one event, which Gradio repeats with the data of the first click."""
    show(page, "Accuracy")
    held = Held(monkeypatch, generalization_views, "picked_source")
    dot = page.locator("#scatter .dot").nth(5)
    dot.scroll_into_view_if_needed()
    dot.hover(force=True)
    dot.click(force=True)
    page.wait_for_function("document.body.dataset.choosing")
    row = page.locator("#networks tbody tr").nth(3)
    row.click()
    held.let_go()
    page.wait_for_function("!document.body.dataset.choosing")
    expect(page.locator("#accuracy .facts")).to_contain_text(
        f"{row.get_attribute('data-zoo-id')}:", timeout=8000
    )


def test_a_file_that_is_uploaded_while_a_choice_is_answered_stays_in_its_box(page, monkeypatch, tmp_path):
    show(page, "Accuracy")
    held = Held(monkeypatch, generalization_views, "picked_source")
    page.locator("#networks tbody tr").nth(4).click()
    page.wait_for_function("document.body.dataset.choosing")
    page.locator("#cnn-upload input[type=file]").set_input_files(declared_file(tmp_path, "mine.safetensors"))
    expect(page.locator("#cnn-upload")).to_contain_text("mine")
    held.let_go()
    expect(page.locator("#accuracy .facts")).to_contain_text("mine.safetensors")
    page.wait_for_function("!document.body.dataset.choosing")
    expect(page.locator("#cnn-upload")).to_contain_text("mine")
    page.locator("#networks tbody tr").nth(5).click()
    expect(page.locator("#cnn-upload input[type=file]")).to_have_count(1)  # ready for another file


def test_two_ways_to_choose_do_not_interfere(page, monkeypatch, tmp_path):
    """A file that takes long to read, and a network of the zoo that is picked meanwhile."""
    show(page, "Accuracy")
    held = Held(monkeypatch, generalization_views, "uploaded_source")
    page.locator("#cnn-upload input[type=file]").set_input_files(declared_file(tmp_path, "mine.safetensors"))
    page.wait_for_function("document.body.dataset.choosing")
    page.locator("#networks tbody tr").nth(2).click()
    held.let_go()
    page.wait_for_function("!document.body.dataset.choosing")
    row = page.locator("#networks tbody tr").nth(2)
    expect(row).to_have_attribute("aria-selected", "true")
    expect(page.locator("#accuracy .facts")).to_contain_text(f"{row.get_attribute('data-zoo-id')}:")


def slow(monkeypatch: pytest.MonkeyPatch, module: object, name: str, seconds: float) -> None:
    """Let a function take its time."""
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given, **named: time.sleep(seconds) or real(*given, **named))


def test_a_batch_shows_its_progress_and_can_be_stopped(page, monkeypatch, tmp_path):
    show(page, "Accuracy")
    held = Held(monkeypatch, batch, "_answers", pass_first=1)
    files = [declared_file(tmp_path, f"{number}.safetensors") for number in range(3)]
    page.locator("#batch-upload input[type=file]").set_input_files(files)
    expect(page.locator("#batch-line progress")).to_be_visible()
    page.locator("#batch-cancel").click()
    expect(page.locator("#batch-line")).to_contain_text("Stopping")
    held.let_go()
    expect(page.locator("#batch-line")).to_contain_text("Stopped")
    expect(page.locator("#batch-cancel")).not_to_be_visible()
    page.wait_for_timeout(700)  # for what would come of the rest
    expect(page.locator("#batch-line")).to_contain_text("Stopped")
    expect(page.locator("#batch-csv")).not_to_be_visible()


def test_measuring_can_be_stopped(page, monkeypatch):
    show(page, "Accuracy")
    held = Held(monkeypatch, measure, "predicted_classes", pass_first=1)
    page.locator("#measure").click()
    expect(page.locator("#measure-line progress")).to_be_visible()
    page.locator("#cancel").click()
    expect(page.locator("#measure-line")).to_contain_text("Stopping")
    held.let_go()
    expect(page.locator("#measure-line")).to_contain_text("Stopped")
    page.wait_for_timeout(700)  # for what would come of the rest
    expect(page.locator("#measure-line")).to_contain_text("Stopped")
    page.locator("#measure").click()
    expect(page.locator("#measure-line .big")).to_be_visible()


def test_a_link_is_copied(page):
    """It leads back: such links are opened in `test_app_zoo_browser`."""
    show(page, "Pictures")
    page.locator("#gallery [data-pick]").nth(2).click()
    expect(page.locator("#verdict .facts")).to_contain_text("mnist-sirens/test/2:")
    page.locator("#style label", has_text="Neon").click()
    expect(page.locator("#edit-line")).to_contain_text("glowing")
    page.locator("#copy-link-inr").click()
    expect(page.locator("#copy-link-inr")).to_have_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("?network=mnist-sirens/test/2&tab=inr&style=neon")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_neurons_move_and_the_picture_stays(page, motion):
    page.emulate_media(reduced_motion=motion)
    page.get_by_role("tab", name="How it works").click()
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


def places(page: Page) -> list[str]:
    return page.evaluate(PLACES)
