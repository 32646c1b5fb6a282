"""The Tickets tab in a real browser: pick, cut, race, cancel, upload, take along; by mouse and by keyboard."""

import re
from collections.abc import Iterator

import pytest
import torch
from browsing import HOSTILE, PATIENCE, Complaints
from playwright.sync_api import Page, expect
from safetensors.torch import load_file, save_file

from app.tabs.tickets import race

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(window, app_url) -> tuple[Page, Complaints]:
    complaints = Complaints()
    page = window.new_page()
    page.set_default_timeout(PATIENCE)
    complaints.listen(page, app_url)
    page.goto(f"{app_url}?tab=tickets", wait_until="networkidle")
    expect(page.locator("#ticket .facts")).to_be_visible()
    return page, complaints


@pytest.fixture
def page(opened) -> Iterator[Page]:
    """One page for all tests, as loading it is what takes long; each starts with the first network chosen, at 95%."""
    shown, complaints = opened
    set_sparsity(shown, 95)
    row = shown.locator("#inits tbody tr").first
    row.click()
    expect(row).to_have_attribute("aria-selected", "true")
    expect(shown.locator("#ticket .facts")).to_contain_text(f"{row.get_attribute('data-zoo-id')}:")
    shown.wait_for_function("!document.body.dataset.choosing")
    yield shown
    assert not complaints


def set_sparsity(page: Page, percent: int) -> None:
    box = page.locator("#sparsity input[type=number]")
    box.fill(str(percent))
    box.blur()
    kept = 118_016 - round(percent / 100 * 118_016)
    if "mnist" in page.locator("#ticket .facts").inner_text():
        expect(page.locator("#ticket .verdict")).to_contain_text(f"The {kept:,} it keeps")


def test_a_ticket_is_shown_before_any_click(page):
    expect(page.locator("#ticket .title").last).to_contain_text("Keeps 5.0% of the weights")
    expect(page.locator("#masks .kept-table tbody tr")).to_have_count(3)
    expect(page.locator("#masks .pixel-map img")).to_have_count(1)
    expect(page.locator("#masks .field img")).to_have_count(24)
    expect(page.locator("#beside .pixel-map img")).to_have_count(2)
    expect(page.locator("#ticket .facts")).to_contain_text("of the weights in this ticket are also in it")
    assert all(
        alt for alt in page.locator("#tab-tickets img, #masks img").evaluate_all("x => x.map(i => i.alt)")
    )


def test_the_slider_updates_the_mask_exactly_and_at_once(page):
    for percent in (80, 98):
        set_sparsity(page, percent)
    expect(page.locator("#ticket .title").last).to_contain_text("Keeps 2.0% of the weights")


def test_keys_choose_another_network(page):
    page.locator("#inits tbody tr[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#ticket .facts")).to_contain_text("mnist-inits/test/1:")


def test_a_race_runs_can_be_stopped_and_ends_with_its_network(page, monkeypatch):
    monkeypatch.setitem(race.STEPS, "mnist", 10_000)  # one that lasts until it is stopped
    page.locator("#start-race").click()
    expect(page.locator("#race-plot .scatterlayer .trace")).to_have_count(4)
    expect(page.locator("#race")).to_contain_text(re.compile("Test accuracy after .* ticket .*%"))
    ink = """dark => {
      document.body.classList.toggle("dark", dark);
      return getComputedStyle(document.querySelector("#race-plot .xtick text")).fill;
    }"""
    assert page.evaluate(ink, True) != page.evaluate(ink, False), "the plot follows light and dark"
    page.locator("#cancel-race").dispatch_event("click")  # at once, however busy the machine is
    expect(page.locator("#race-line")).to_contain_text("Stopped")
    expect(page.locator("#start-race")).to_be_enabled()
    set_sparsity(page, 80)
    expect(page.locator("#race-card[data-old]")).to_have_count(1)  # it was a race of another ticket
    page.locator("#inits tbody tr").nth(2).click()
    expect(page.locator("#race-card[data-old]")).to_have_count(0)
    expect(page.locator("#race .not-yet")).to_be_visible()
    expect(page.locator("#race-plot")).to_be_hidden()


def test_cifar10_networks_are_listed_and_chosen(page):
    page.locator("#inits-of label", has_text="CIFAR-10").click()
    row = page.locator("#inits tbody tr[data-zoo-id='cifar10-inits/test/3']")
    row.click()
    expect(page.locator("#ticket .facts")).to_contain_text("cifar10-inits/test/3:")
    expect(page.locator("#masks .kept-table tbody tr")).to_have_count(5)
    page.locator("#inits-of label", has_text="MNIST").click()
    expect(page.locator("#inits tbody tr").first).to_have_attribute("data-zoo-id", "mnist-inits/test/0")


def test_the_files_are_those_of_the_mask_by_the_chosen_reader(page, tmp_path):
    """The choice stays as it is while other networks are chosen, also of another predictor."""
    expect(page.locator("#ticket .how")).to_contain_text("Weights alone: no image was used")
    expect(page.locator("#other-ticket")).to_contain_text("The ticket after a short training has")
    page.locator("#ticket-reader label", has_text="A short training").click()
    expect(page.locator("#ticket .how")).to_contain_text("trained for 256 steps")
    expect(page.locator("#other-ticket")).to_contain_text("The ticket from weights alone has")
    short = page.locator("#masks .kept-table").inner_text()
    page.locator("#inits-of label", has_text="CIFAR-10").click()
    expect(page.locator("#ticket .facts")).to_contain_text("cifar10-inits/test/0:")
    page.locator("#inits-of label", has_text="MNIST").click()
    expect(page.locator("#ticket .facts")).to_contain_text("mnist-inits/test/0:")
    expect(page.locator("#masks .kept-table")).to_have_text(short, use_inner_text=True)
    page.locator("#ticket-reader label", has_text="Weights alone").click()
    expect(page.locator("#ticket .how")).to_contain_text("Weights alone: no image was used")
    page.locator("#write-ticket").click()
    with page.expect_download() as download:
        page.locator("#ticket-mask").click()
    download.value.save_as(tmp_path / "mask.safetensors")
    masks = load_file(tmp_path / "mask.safetensors")
    assert set(masks) == {"1.weight", "3.weight", "5.weight"}
    assert sum(int(mask.sum()) for mask in masks.values()) == 5901
    expect(page.locator("#snippet")).to_contain_text("custom_from_mask")


def test_a_trained_upload_with_hostile_names_is_recognised_and_shown(page, tmp_path):
    torch.manual_seed(0)
    pixels = torch.randn(784)
    shapes, kinds = ((50, 784), (40, 50), (10, 40)), (0.1 * torch.randn(50, 1) * pixels, 0, 0)
    drawn = [0.05 * torch.randn(shape) + kind for shape, kind in zip(shapes, kinds, strict=True)]
    tensors = {f"{HOSTILE}.{i}.weight": weight for i, weight in enumerate(drawn)}
    save_file(tensors, tmp_path / "net.safetensors")
    page.locator("#init-upload input[type=file]").set_input_files(tmp_path / "net.safetensors")
    expect(page.locator("#ticket .unlike")).to_contain_text(
        "This network looks trained; tickets are for untrained networks."
    )
    expect(page.locator("#masks .kept-table tbody tr")).to_have_count(3)
    assert page.evaluate("window.__ran") is None


def test_a_refused_upload_takes_the_place_of_the_old_answer(page, tmp_path):
    save_file({"a.weight": torch.randn(5, 784)}, tmp_path / "net.safetensors")
    page.locator("#init-upload input[type=file]").set_input_files(tmp_path / "net.safetensors")
    expect(page.locator("#init-upload-refused .refusal")).to_contain_text(
        "Supported: classifiers into 10 classes"
    )
    expect(page.locator("#ticket")).to_be_hidden()
    expect(page.locator("#init-upload")).not_to_contain_text("net.safetensors")
    page.locator("#inits tbody tr").first.click()
    expect(page.locator("#ticket .facts")).to_contain_text("mnist-inits/test/0:")


def test_nothing_is_wider_than_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.documentElement.scrollWidth <= 390")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_last_of_several_quick_clicks_wins(page):
    rows = page.locator("#inits tbody tr")
    wanted = rows.nth(3).get_attribute("data-zoo-id")
    for number in (1, 2, 3):
        rows.nth(number).click()
    expect(page.locator("#ticket .facts")).to_contain_text(f"{wanted}:")
    page.wait_for_function("!document.body.dataset.choosing")
    expect(page.locator("#ticket .facts")).to_contain_text(f"{wanted}:")
    expect(rows.nth(3)).to_have_attribute("aria-selected", "true")
