"""The page in a real browser: one click gives a result, bad files give a sentence, nothing leaves the machine."""

import re
from collections.abc import Iterator

import pytest
import torch
from browsing import HOSTILE, Complaints, open_page
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def desktop(chromium) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture(scope="module")
def opened(desktop, app_url) -> tuple[Page, Complaints]:
    complaints = Complaints()
    return open_page(desktop, app_url, complaints), complaints


@pytest.fixture
def page(opened) -> Iterator[Page]:
    """One page for all tests, as loading it is what takes long; each starts with the first network chosen."""
    shown, complaints = opened
    shown.locator("#collection label", has_text="MNIST digits").click()
    shown.locator("#domain label", has_text="Find it").click()
    for number in (1, 0):
        shown.locator("#gallery img[src*='/mnist-sirens-']").nth(number).click()
        expect(shown.locator("#verdict")).to_contain_text(f"mnist-sirens/test/{number}:")
    yield shown
    assert not complaints


def test_the_page_opens_with_a_network_shown(desktop, app_url):
    complaints = Complaints()
    page = open_page(desktop, app_url, complaints)
    expect(page.locator("h1")).to_have_text("Weightscope")
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    expect(page.locator("#gallery .thumbnail-item.selected")).to_have_count(1)
    assert page.locator("#gallery .thumbnail-item").count() >= 100
    assert page.locator("#picture img").evaluate("image => image.naturalWidth") == 28
    page.close()
    assert not complaints


def test_one_click_gives_a_result(page):
    page.locator("#gallery .thumbnail-item").nth(4).click()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/4")
    page.locator("#collection label", has_text="CIFAR-10").click()
    page.get_by_label("Thumbnail 3 of").click()
    expect(page.locator("#verdict")).to_contain_text("cifar10-sirens/test/2")
    expect(page.locator("#verdict .bars li")).to_have_count(10)


def test_the_domain_can_be_told(page):
    page.locator("#domain label", has_text="Fashion").click()
    expect(page.locator("#verdict .bars")).to_contain_text("sneaker")


def test_edit_and_download(page, tmp_path):
    page.locator("#style label", has_text="Neon").click()
    expect(page.locator("#edit-line")).to_contain_text("glowing")
    before = page.locator("#edit-line").inner_text()
    page.locator("#strength input[type=number]").fill("0.4")
    page.locator("#strength input[type=number]").blur()
    expect(page.locator("#edit-line")).not_to_have_text(before)
    for button, name in (("#download-network", "edited.safetensors"), ("#download-png", "edited.png")):
        with page.expect_download() as download:
            page.locator(button).click()
        assert re.match(r"mnist-sirens-test-0-neon\.(safetensors|png)", download.value.suggested_filename)
        download.value.save_as(tmp_path / name)
    assert load_file(tmp_path / "edited.safetensors")["net.0.linear.weight"].shape == (32, 2)


def test_zoom_asks_the_network_for_more_pixels(page):
    for label, side in (("1×", 28), ("4×", 112), ("8×", 224)):
        page.locator("#zoom label", has_text=label).click()
        expect(page.locator("#zoom-line")).to_contain_text(f"{side} × {side}")
        for which in ("#zoom-original", "#zoom-edited"):
            page.wait_for_function(f"document.querySelector('{which} img')?.naturalWidth === {side}")


@pytest.mark.parametrize(("button", "words"), [("#permute", "changed places"), ("#flip", "changed sign")])
def test_disguises_leave_the_verdict(page, button, words):
    shown = page.locator("#verdict .title").inner_text()
    page.locator(button).click()
    expect(page.locator("#symmetry-line")).to_contain_text(words)
    expect(page.locator("#symmetry-line")).to_contain_text("stayed")
    expect(page.locator("#weights-after .main-svg").first).to_be_visible()
    expect(page.locator("#after-note")).to_contain_text(f"read as {shown}")


def test_an_upload_is_shown(page, foreign_file):
    page.locator("#upload input[type=file]").set_input_files(foreign_file)
    expect(page.locator("#verdict")).to_contain_text("somebody")
    expect(page.locator("#gallery .thumbnail-item.selected")).to_have_count(0)
    page.locator("#gallery .thumbnail-item").nth(2).click()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/2")


def open_editor(page) -> None:
    """It takes a moment to come up: before, it drops what it is given."""
    if not page.locator("#fit").is_visible():
        page.locator("#own-picture > button").first.click()
    expect(page.locator("#editor canvas").first).to_be_visible()
    page.wait_for_timeout(1500)


def test_a_fit_needs_a_picture_and_can_be_cancelled(page, tmp_path):
    open_editor(page)
    page.locator("#fit").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("Bring or draw a picture first")
    expect(page.locator("#fit")).to_be_visible()
    Image.radial_gradient("L").save(tmp_path / "mine.png")
    page.locator("#editor input[type=file]").first.set_input_files(tmp_path / "mine.png")
    page.locator("#fit-size").get_by_text("Large", exact=True).click()
    page.locator("#fit").click()
    page.locator("#cancel-fit").click()
    expect(page.locator("#fit-line")).to_contain_text("Stopped")
    expect(page.locator("#verdict")).not_to_contain_text("my-picture")


def test_a_picture_of_ones_own_becomes_the_network_of_the_tab(page, tmp_path):
    Image.radial_gradient("L").convert("RGB").save(tmp_path / "mine.png")
    open_editor(page)
    page.locator("#editor input[type=file]").first.set_input_files(tmp_path / "mine.png")
    page.locator("#fit-size").get_by_text("Small", exact=True).click()
    page.locator("#fit-side").get_by_text("64", exact=True).click()
    page.locator("#fit").click()
    expect(page.locator("#fit-line")).to_contain_text("Learned:")
    expect(page.locator("#verdict")).to_contain_text("my-picture.safetensors")
    expect(page.locator("#zoom-line")).to_contain_text("512 × 512 pixels")
    expect(page.locator("#edit-line")).to_contain_text("PSNR")


def test_a_large_network_is_shown_though_it_cannot_be_edited(page, tmp_path):
    sizes = [(600, 2), (600, 600), (1, 600)]
    save_file(
        {f"net.{i}.weight": torch.randn(s) / s[1] for i, s in enumerate(sizes)}, tmp_path / "wide.safetensors"
    )
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "wide.safetensors")
    expect(page.locator("#verdict")).to_contain_text("wide.safetensors")
    expect(page.locator("#edit-line")).to_contain_text("250,000")
    expect(page.locator("#download-network")).to_be_disabled()
    expect(page.locator("#weights-before .main-svg").first).to_be_visible()


def test_a_bad_file_gives_a_sentence_and_changes_nothing(page, tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"<!doctype html><html><b>not found</b></html>")
    page.locator("#upload input[type=file]").set_input_files(path)
    expect(page.get_by_test_id("toast-body").filter(has_text="This is an HTML page")).to_be_visible()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    expect(page.locator("#upload input[type=file]")).to_have_count(1)  # ready for another file
    expect(page.locator("#upload")).not_to_contain_text("net.pt")


def test_a_hostile_name_is_only_text(page, tmp_path):
    names = [f"{HOSTILE}.{i}" for i in range(3)]
    shapes = [(32, 2), (32, 32), (1, 32)]
    tensors = {f"{n}.weight": torch.randn(s) for n, s in zip(names, shapes, strict=True)}
    save_file(tensors, tmp_path / "net.safetensors")
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "net.safetensors")
    expect(page.locator("#verdict")).to_contain_text("net.safetensors")
    page.get_by_role("button", name="The weights as a table").click()
    expect(page.locator("#weight-table")).to_contain_text(HOSTILE)
    save_file({f"{HOSTILE}.weight": torch.full((1, 2), float("nan"))}, tmp_path / "bad.safetensors")
    page.locator("#gallery .thumbnail-item").nth(1).click()
    expect(page.locator("#upload input[type=file]")).to_have_count(1)
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "bad.safetensors")
    expect(page.get_by_test_id("toast-body").filter(has_text=HOSTILE)).to_be_visible()
    assert page.evaluate("window.__ran") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_in_light_and_dark(chromium, app_url, scheme):
    complaints = Complaints()
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = open_page(context, app_url, complaints)
    page.locator("#permute").click()
    expect(page.locator("#weights-after .main-svg").first).to_be_visible()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("document.documentElement.scrollWidth - window.innerWidth <= 1")
    ground = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    light = sum(int(n) for n in re.findall(r"\d+", ground)[:3]) > 3 * 128
    assert light == (scheme == "light")
    context.close()
    assert not complaints


def test_of_quick_clicks_the_last_one_counts(page):
    for number in (1, 2, 3):
        page.locator("#gallery .thumbnail-item").nth(number).click()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/3:")
    page.wait_for_function("!document.body.dataset.choosing")
    page.wait_for_load_state("networkidle")
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/3:")
    expect(page.locator("#gallery .thumbnail-item.selected")).to_have_attribute(
        "aria-label", "Thumbnail 4 of 120"
    )
