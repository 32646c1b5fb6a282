"""The Checkpoint tab in a real browser: a file goes in, what it is comes out, and on to the tab that takes it."""

from pathlib import Path

import pytest
import torch
from browsing import open_tab
from checkpoint_families import lora_peft, write_sparse
from playwright.sync_api import Page, expect
from safetensors.torch import save

pytestmark = pytest.mark.browser
LENET = Path(__file__).parent / "data" / "foreign_cnns" / "lenet5.pt"


@pytest.fixture(scope="module")
def page(window, app_url) -> Page:
    """One page for all tests, as loading it is what takes long."""
    return open_tab(window, app_url, "checkpoint")


def test_a_file_is_looked_at_checked_compared_and_opened_where_it_is_read(page):
    page.locator("#look-upload input[type=file]").set_input_files(LENET)
    expect(page.locator("#look .title")).to_have_text("LeNet-5")
    expect(page.locator("#health .title")).to_have_text("No problems found")
    page.locator("#compare-upload input[type=file]").set_input_files(LENET)
    expect(page.locator("#compared .title")).to_have_text("The same network")
    page.locator("#look-to-generalization").click()
    expect(page.get_by_role("tab", name="Accuracy")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#accuracy .facts")).to_contain_text("lenet5.pt")


def test_a_model_on_the_hub_is_compared_by_its_id(page, hub, tmp_path):
    page.get_by_role("tab", name="Any file", exact=True).click()
    torch.manual_seed(0)
    weights = {"a.weight": torch.randn(40, 8), "b.weight": torch.randn(8, 40)}
    for name, state in {"base": weights, "half": {n: t.half() for n, t in weights.items()}}.items():
        hub.create("models", f"someone/{name}")
        hub.commit("models", f"someone/{name}", {"model.safetensors": save(state)}, [])
    page.get_by_label("Or a model on the Hugging Face Hub", exact=True).fill("someone/base")
    page.locator("#look-go").click()
    expect(page.locator("#look .caption")).to_have_text("someone/base")
    page.locator("#compare-repo input, #compare-repo textarea").fill("someone/nothing")
    page.keyboard.press("Enter")
    expect(page.locator("#compare-refused .refusal")).to_contain_text("someone/nothing")
    page.locator("#compare-repo input, #compare-repo textarea").fill("someone/half")
    page.locator("#compare-go").click()
    expect(page.locator("#compared .title")).to_have_text("The same, in another type")
    expect(page.locator("#compared .caption").first).to_have_text("someone/base and someone/half")
    expect(page.locator("#compare-refused .refusal")).to_have_count(0)
    expect(page.locator("#walk")).not_to_be_visible()


def test_a_file_that_a_tab_refuses_says_what_it_is(page, tmp_path):
    page.get_by_role("tab", name="Pictures", exact=True).click()
    path = write_sparse(tmp_path / "adapter_model.safetensors", lora_peft(), "BF16")
    page.locator("#upload input[type=file]").set_input_files(path)
    expect(page.locator("#upload-refused .glance")).to_contain_text("LoRA of rank 16")
    page.locator("#upload-refused .next-step").click()
    expect(page.get_by_role("tab", name="Any file")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#look .title")).to_contain_text("LoRA")


def test_a_dropped_file_opens_in_the_tab_that_reads_it(page, tmp_path):
    drop = page.locator("#drop-zone input[type=file]")
    drop.set_input_files(LENET)
    expect(page.get_by_role("tab", name="Accuracy")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#drop-line")).to_contain_text(
        "lenet5.pt is LeNet-5, 61,706 parameters. Opened in Accuracy."
    )
    expect(page.locator("#accuracy .facts")).to_contain_text("lenet5.pt")
    (tmp_path / "<b>page.pt").write_text("<!doctype html>")
    drop.set_input_files(tmp_path / "<b>page.pt")
    expect(page.locator("#drop-line .refusal")).to_contain_text("This is an HTML page")
    expect(page.locator("#accuracy .facts")).to_contain_text("lenet5.pt")
    page.locator("#networks tbody tr").nth(1).click()
    expect(page.locator("#drop-line")).to_be_empty()  # another network is shown now


def test_a_guess_is_scored_against_the_predictor(page):
    page.get_by_role("tab", name="Accuracy", exact=True).click()
    page.locator("#networks tr[data-zoo-id^='cifar10-cnns/']").first.click()
    expect(page.locator("#accuracy-weights-alone")).to_be_visible()
    page.wait_for_function("!document.body.dataset.choosing")
    card = page.locator("#accuracy .accuracy")
    measured, predicted = (
        float(card.get_attribute(f"data-{name}") or "nan") for name in ("measured", "predicted")
    )
    answers = page.locator("#accuracy .split > div, #accuracy-weights-alone")
    expect(answers.first).to_be_visible()
    page.locator("#game [data-game=toggle]").click()
    for answer in answers.all():
        expect(answer).to_be_hidden()
    page.locator("#game input").fill("10")
    page.locator("#game [data-game=look]").click()
    expect(answers.first).to_be_visible()
    yours, its = abs(10 - 100 * measured), 100 * abs(predicted - measured)
    expect(page.locator("#game output")).to_have_text(
        f"You were {yours:.1f} points off, the predictor {its:.1f} points."
    )
