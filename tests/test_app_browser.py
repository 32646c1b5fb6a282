"""The page in a real browser: one click gives a result, bad files give a sentence, nothing leaves the machine."""

import re
from collections.abc import Iterator

import pytest
import torch
from browsing import HOSTILE, Complaints, new_window, open_page
from PIL import Image
from playwright.sync_api import Page, expect
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(window, app_url) -> tuple[Page, Complaints]:
    complaints = Complaints()
    return open_page(window, app_url, complaints), complaints


@pytest.fixture
def page(opened) -> Iterator[Page]:
    """One page for all tests, as loading it is what takes long; each starts with the first network chosen."""
    shown, complaints = opened
    shown.locator("#collection label", has_text="MNIST digits").click()
    for number in (1, 0):
        shown.locator("#gallery [data-pick^='mnist-sirens/']").nth(number).click()
        expect(shown.locator("#verdict")).to_contain_text(f"mnist-sirens/test/{number}:")
    shown.locator("#domain label", has_text="Auto").click()
    yield shown
    assert not complaints


def test_one_click_gives_a_result(page):
    page.locator("#gallery [data-pick]").nth(4).click()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/4")
    page.locator("#collection label", has_text="CIFAR-10").click()
    page.locator("#gallery [data-pick='cifar10-sirens/test/2']").click()
    expect(page.locator("#verdict")).to_contain_text("cifar10-sirens/test/2")
    expect(page.locator("#verdict .bars li")).to_have_count(10)


def test_the_domain_can_be_given(page):
    page.locator("#domain label", has_text="Fashion").click()
    expect(page.locator("#verdict")).to_contain_text("Fashion-MNIST articles")


def test_edit_and_download(page, tmp_path):
    page.locator("#style label", has_text="Neon").click()
    expect(page.locator("#edit-line")).to_contain_text("glowing")
    for typed in ("7", ""):  # means 2, and 1: no error
        page.locator("#strength input[type=number]").fill(typed)
        page.locator("#strength input[type=number]").blur()
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
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


def test_zoom_draws_the_network_at_more_pixels(page):
    for label, side in (("1×", 28), ("4×", 112), ("8×", 224)):
        page.locator("#zoom label", has_text=label).click()
        expect(page.locator("#zoom-line")).to_contain_text(f"{side} × {side}")
        for which in ("#zoom-original", "#zoom-bicubic", "#zoom-edited"):
            page.wait_for_function(f"document.querySelector('{which} img')?.naturalWidth === {side}")


@pytest.mark.parametrize(("button", "words"), [("#permute", "changed places"), ("#flip", "changed sign")])
def test_permuted_and_flipped_copies_get_the_same_answer(page, button, words):
    shown = page.locator("#verdict .title").inner_text()
    page.locator(button).click()
    expect(page.locator("#symmetry-line")).to_contain_text(words)
    expect(page.locator("#symmetry-line")).to_contain_text("stayed")
    expect(page.locator("#weights-after img").first).to_be_visible()
    expect(page.locator("#after-note")).to_contain_text(f"read as {shown}")


def test_an_upload_is_shown(page, foreign_file):
    page.locator("#upload input[type=file]").set_input_files(foreign_file)
    expect(page.locator("#verdict")).to_contain_text("somebody")
    expect(page.locator("#gallery [aria-pressed=true]")).to_have_count(0)
    page.locator("#gallery [data-pick]").nth(2).click()
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
    expect(page.locator("#fit-line")).to_contain_text("Upload or draw a picture first")
    expect(page.locator("#fit")).to_be_visible()
    Image.radial_gradient("L").save(tmp_path / "mine.png")
    page.locator("#editor input[type=file]").first.set_input_files(tmp_path / "mine.png")
    page.locator("#fit-size").get_by_text("Large", exact=True).click()
    page.locator("#fit").click()
    page.locator("#cancel-fit").click()
    expect(page.locator("#fit-line")).to_contain_text("Stopped")
    expect(page.locator("#verdict")).not_to_contain_text("my-picture")


def test_an_own_picture_becomes_the_network_of_the_tab(page, tmp_path):
    Image.radial_gradient("L").convert("RGB").resize((256, 128)).save(tmp_path / "mine.png")
    open_editor(page)
    page.locator("#editor input[type=file]").first.set_input_files(tmp_path / "mine.png")
    page.locator("#fit-size").get_by_text("Small", exact=True).click()
    page.locator("#fit-side").get_by_text("64", exact=True).click()
    page.locator("#fit").click()
    expect(page.locator("#fit-line")).to_contain_text(re.compile("Learned:.*Picture files .*: PNG .* JPEG"))
    expect(page.locator("#verdict")).to_contain_text("my-picture.safetensors")
    expect(page.locator("#zoom-line")).to_contain_text("512 × 256 pixels")
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
    expect(page.locator("#weights-before img").first).to_be_visible()


def test_a_bad_file_gives_a_sentence_in_place_of_the_old_answer(page, tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"<!doctype html><html><b>not found</b></html>")
    page.locator("#upload input[type=file]").set_input_files(path)
    expect(page.locator("#upload-refused .refusal")).to_contain_text("This is an HTML page")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    for old in ("#verdict", "#before-after", "#zoom-line", "#weights-before"):
        expect(page.locator(old)).to_be_hidden()
    expect(page.locator("#upload input[type=file]")).to_have_count(1)  # ready for another file
    expect(page.locator("#upload")).not_to_contain_text("net.pt")
    page.locator("#gallery [data-pick]").first.click()  # the network of before, asked for again
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    expect(page.locator("#upload-refused .refusal")).to_have_count(0)


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
    page.locator("#gallery [data-pick]").nth(1).click()
    expect(page.locator("#upload input[type=file]")).to_have_count(1)
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "bad.safetensors")
    expect(page.locator("#upload-refused .refusal")).to_contain_text(HOSTILE)
    assert page.evaluate("window.__ran") is None


def test_the_page_opens_with_a_network_shown_and_fits_the_window_in_the_dark(chromium, app_url):
    complaints = Complaints()
    context = new_window(chromium, color_scheme="dark")
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    page = open_page(context, app_url, complaints)
    assert len([url for url in asked if url.startswith("http")]) < 130, "254 when each thumbnail was a file"
    assert not any("Plotly" in url for url in asked), "1.3 MB that the first page does not need"
    expect(page.locator("h1")).to_have_text("Weightscope")
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    expect(page.locator("#gallery [aria-pressed=true]")).to_have_count(1)
    assert page.locator("#gallery [data-pick]").count() >= 100
    assert page.locator("#picture img").evaluate("image => image.naturalWidth") == 252
    check_it_fits(page, light=False)
    context.close()
    assert not complaints


def test_it_fits_the_window_in_the_light(page):
    check_it_fits(page, light=True)
    page.set_viewport_size({"width": 1280, "height": 900})


def check_it_fits(page: Page, light: bool) -> None:
    page.locator("#permute").click()
    expect(page.locator("#weights-after img").first).to_be_visible()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("document.documentElement.scrollWidth - window.innerWidth <= 1")
    ground = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert (sum(int(n) for n in re.findall(r"\d+", ground)[:3]) > 3 * 128) == light


def test_the_last_of_several_quick_clicks_wins(page):
    for number in (1, 2, 3):
        page.locator("#gallery [data-pick]").nth(number).click()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/3:")
    page.wait_for_function("!document.body.dataset.choosing")
    page.wait_for_load_state("networkidle")
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/3:")
    expect(page.locator("#gallery [aria-pressed=true]")).to_have_attribute("data-pick", "mnist-sirens/test/3")
