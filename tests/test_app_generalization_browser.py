"""The Generalization tab in a real browser: pick, upload, measure, permute, many at once; by mouse and by keyboard."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from browsing import HOSTILE, PATIENCE, Complaints, declared_file
from playwright.sync_api import BrowserContext, Page, expect
from safetensors.torch import save_file

from app.tabs.generalization import actions as generalization_actions
from zoo.catalog import EMBEDDED, Zoo

pytestmark = pytest.mark.browser
NUMBER = re.compile(r"^\d+\.\d%$")


def open_tab(context: BrowserContext, url: str, complaints: Complaints) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints.listen(page, url)
    page.goto(url, wait_until="networkidle")
    expect(page.locator("#verdict .title")).to_be_visible()  # the page has opened its first tab
    page.get_by_role("tab", name="Accuracy", exact=True).click()
    expect(page.locator("#accuracy .facts")).to_be_visible()
    expect(page.locator("#layers-before img")).to_have_count(4)
    return page


@pytest.fixture(scope="module")
def opened(window, app_url) -> tuple[Page, Complaints]:
    complaints = Complaints()
    return open_tab(window, app_url, complaints), complaints


@pytest.fixture
def page(opened) -> Iterator[Page]:
    """One page for all tests, as loading it is what takes long; each starts with the best network chosen."""
    shown, complaints = opened
    row = shown.locator("#networks tbody tr").first
    shown.wait_for_function("!document.body.dataset.choosing")  # else Gradio puts the click off
    row.click()
    expect(row).to_have_attribute("aria-selected", "true")
    expect(shown.locator("#accuracy .facts")).to_contain_text(f"{row.get_attribute('data-zoo-id')}:")
    yield shown
    assert not complaints


def network_file(folder: Path, name: str, scale: float = 1.0) -> Path:
    """A zoo network under somebody's names, its weights scaled."""
    network = Zoo(EMBEDDED).network(generalization_actions.first_classifier())
    tensors = {f"net.{key}": tensor * scale for key, tensor in network.tensors().items()}
    save_file(tensors, folder / name)
    return folder / name


def measured(page: Page) -> list[float]:
    cells = page.locator("#networks tbody tr td:nth-child(2)").all_inner_texts()
    return [float(cell.strip().rstrip("%")) for cell in cells]


def test_a_network_is_shown_before_any_click(page):
    expect(page.locator("#accuracy .known .number")).to_have_text(NUMBER)
    expect(page.locator("#accuracy .strip .band")).to_have_count(1)
    expect(page.locator("#accuracy .standing").first).to_contain_text("of the zoo’s small networks")
    assert page.locator("#scatter .dot").count() >= 20
    expect(page.locator("#scatter svg.measured")).to_have_count(1)


def test_the_table_sorts_and_keys_choose(page):
    assert measured(page) == sorted(measured(page), reverse=True)
    page.get_by_role("button", name="Measured").click()
    assert measured(page) == sorted(measured(page))
    page.locator("#networks tbody tr[tabindex='0']").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    focused = page.locator("#networks tbody tr:focus")
    expect(focused).to_have_attribute("aria-selected", "true")
    expect(page.locator("#accuracy .facts")).to_contain_text(f"{focused.get_attribute('data-zoo-id')}:")
    page.get_by_role("button", name="Measured").click()


def test_a_dot_says_what_it_is_and_chooses_its_network(page):
    dot = page.locator("#scatter .dot").nth(5)
    dot.scroll_into_view_if_needed()
    dot.hover(force=True)
    expect(page.locator("#scatter .tip")).to_contain_text("predicted")
    zoo_id = page.locator("#scatter .dot.near").get_attribute("data-zoo-id")
    dot.click(force=True)
    expect(page.locator("#accuracy .facts")).to_contain_text(f"{zoo_id}:")
    expect(page.locator(f"#networks tr[data-zoo-id='{zoo_id}']")).to_have_attribute("aria-selected", "true")


def test_measuring_lands_in_card_and_plot(page):
    page.locator("#measure").click()
    expect(page.locator("#measure-line .big")).to_have_text(NUMBER)
    expect(page.locator("#measure-line")).to_contain_text("1,000 test images")
    expect(page.locator("#accuracy div.truth")).to_contain_text("just now")
    found = page.locator("#measure-line .big").inner_text()
    expect(page.locator("#accuracy div.truth .number")).to_have_text(found)
    expect(page.locator("#cancel")).not_to_be_visible()
    page.locator("#networks tbody tr").nth(3).click()
    expect(page.locator("#measure-line")).to_be_empty()


def test_own_test_images_are_measured_and_refused_in_place(page, tmp_path):
    box = page.locator("#own-images input[type=file]")
    (tmp_path / "broken.zip").write_bytes(b"PK and no more")
    box.set_input_files(tmp_path / "broken.zip")
    page.locator("#own-images").get_by_text("broken").wait_for()
    page.locator("#measure").click()
    expect(page.locator("#measure-line .refusal")).to_contain_text("archive was refused")
    page.locator("#own-images").get_by_label("Clear").click()
    np.savez(tmp_path / f"{HOSTILE}.npz", images=np.zeros((20, 32, 32), np.uint8), labels=np.arange(20) % 10)
    box.set_input_files(tmp_path / f"{HOSTILE}.npz")
    page.locator("#own-images").get_by_text("npz").first.wait_for()
    page.locator("#measure").click()
    expect(page.locator("#measure-line .line")).to_contain_text("10.0% on 20 test images")
    page.get_by_text("For a model card").click()
    expect(page.locator("#measure-line pre").first).to_contain_text("type: owner/dataset")
    page.locator("#own-images").get_by_label("Clear").click()


def test_test_images_over_their_limit_get_advice_on_images(page, tmp_path):
    with (tmp_path / "many.zip").open("wb") as file:
        file.truncate(65 << 20)
    page.locator("#own-images input[type=file]").set_input_files(tmp_path / "many.zip")
    expect(page.locator(".too-large")).to_have_text(
        "many.zip has 65 MB; at most 64 MB are read here, so it was not uploaded. Use fewer images, or smaller ones."
    )


def test_an_upload_is_read_and_measured(page, tmp_path):
    page.locator("#cnn-upload input[type=file]").set_input_files(network_file(tmp_path, "mine.safetensors"))
    expect(page.locator("#accuracy .facts")).to_contain_text("mine.safetensors")
    page.wait_for_function("!document.body.dataset.choosing")
    expect(page.locator("#accuracy div.truth")).to_contain_text("not yet")
    expect(page.locator("#reading input")).to_be_visible()
    expect(page.locator("#scatter svg.measured")).to_have_count(0)
    expect(page.locator("#networks tr[aria-selected='true']")).to_have_count(0)
    expect(page.locator("#measure-on")).to_be_visible()
    page.locator("#measure").click()
    expect(page.locator("#scatter svg.measured")).to_have_count(1)
    page.locator("#reading input").click()
    page.get_by_role("option").nth(1).click()
    expect(page.locator("#graph .line").first).to_have_text("This is the reading that you chose.")
    page.get_by_role("button", name="How to read my upload").click()
    page.locator("#activation input").click()
    page.get_by_role("option", name="ReLU", exact=True).click()
    page.get_by_role("button", name="Read my upload this way").click()
    expect(page.locator("#accuracy .facts")).to_contain_text("ReLU")


def test_noise_gets_no_reliable_number(page, tmp_path):
    page.locator("#cnn-upload input[type=file]").set_input_files(
        network_file(tmp_path, "noise.safetensors", 40)
    )
    doubtful = re.compile("better than by chance|far more sure than it is right")
    expect(page.locator("#accuracy .unlike")).to_contain_text(doubtful)
    expect(page.locator("#accuracy .band")).to_have_count(0)


def test_a_bad_file_gives_a_sentence_in_place_of_the_old_answer(page, tmp_path):
    save_file({f"{HOSTILE}.weight": torch.full((16, 3, 3, 3), float("nan"))}, tmp_path / "bad.safetensors")
    page.locator("#cnn-upload input[type=file]").set_input_files(tmp_path / "bad.safetensors")
    expect(page.locator("#cnn-upload-refused .refusal")).to_contain_text(HOSTILE)
    expect(page.locator("#cnn-upload input[type=file]")).to_have_count(1)  # ready for another file
    expect(page.locator("#accuracy")).to_be_hidden()
    assert page.evaluate("window.__ran") is None
    page.locator("#networks tbody tr").nth(1).click()
    expect(page.locator("#accuracy .facts")).to_be_visible()


def test_a_permuted_copy_keeps_the_prediction(page):
    page.locator("#permute-cnn").click()
    expect(page.locator("#disguise-line")).to_contain_text("the prediction stayed the same")
    expect(page.locator("#layers-after img")).to_have_count(page.locator("#layers-before img").count())
    sources = [
        page.locator(f"#layers-{side} img").nth(1).get_attribute("src") for side in ("before", "after")
    ]
    assert sources[0] != sources[1]


def test_the_weights_that_moved_the_accuracy_from_weights_alone_are_drawn(page):
    expect(page.locator("#moved-cnn")).not_to_be_visible()  # no reader takes the network that is chosen first
    page.wait_for_function("!document.body.dataset.choosing")
    page.locator("#networks tr[data-zoo-id^='cifar10-cnns/']").first.click()
    page.locator("#moved-cnn").click()
    expect(page.locator("#disguise-line")).to_contain_text("Blue raised it, red lowered it")
    expect(page.locator("#disguise-line b")).to_have_text(
        page.locator("#accuracy-weights-alone b").inner_text().removeprefix("Weights alone: ")
    )
    expect(page.locator("#layers-after img").last).to_have_attribute(
        "alt", "output: what each weight contributed as colours"
    )


def test_many_files_become_a_table_and_a_csv(page, tmp_path):
    (tmp_path / "page.pt").write_bytes(b"<!doctype html><html></html>")
    files = [declared_file(tmp_path, "one.safetensors"), tmp_path / "page.pt"]
    page.locator("#batch-upload input[type=file]").set_input_files(files)
    expect(page.locator("#batch-line")).to_contain_text("1 of 2 networks")
    expect(page.locator("#batch-table")).to_contain_text("one.safetensors")
    with page.expect_download() as download:
        page.locator("#batch-csv").click()
    assert len(download.value.path().read_text().splitlines()) == 3


def test_it_fits_a_phone_in_light_and_dark_mode(page, tmp_path):
    page.set_viewport_size({"width": 390, "height": 900})
    page.get_by_role("button", name="The weights as a table").click()
    expect(page.locator("#layer-table")).to_contain_text("0.weight")
    page.locator("#batch-upload input[type=file]").set_input_files(declared_file(tmp_path, "one.safetensors"))
    expect(page.locator("#batch-table")).to_contain_text("one.safetensors")
    grounds = []
    for classes in ("remove('dark')", "add('dark')"):
        page.evaluate(f"document.body.classList.{classes}")
        page.wait_for_function("document.documentElement.scrollWidth - window.innerWidth <= 1")
        text, ground = brightness(page)
        assert abs(text - ground) > 200, "the letters of the plot stand out from its ground"
        grounds.append(ground)
    page.evaluate("document.body.classList.remove('dark')")
    page.set_viewport_size({"width": 1280, "height": 900})
    assert grounds[0] > 3 * 128 > grounds[1]


def brightness(page: Page) -> list[int]:
    """Of the letters of the plot and of the ground behind it: the sum of red, green and blue."""
    colours = (
        page.evaluate(f"getComputedStyle(document.querySelector('{where}')).{what}")
        for where, what in (("#scatter .tick", "fill"), (".card", "backgroundColor"))
    )
    return [sum(int(n) for n in re.findall(r"\d+", colour)[:3]) for colour in colours]
