"""The Checkpoint tab in a real browser: a file goes in, what it is comes out, and on to the tab that takes it."""

from pathlib import Path

import pytest
from browsing import open_tab
from checkpoint_families import lora_peft, write_sparse
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
LENET = Path(__file__).parent / "data" / "foreign_cnns" / "lenet5.pt"


def test_a_file_is_looked_at_checked_compared_and_opened_where_it_is_read(context, app_url):
    page = open_tab(context, app_url, "checkpoint")
    page.locator("#look-upload input[type=file]").set_input_files(LENET)
    expect(page.locator("#look .title")).to_have_text("LeNet-5")
    expect(page.locator("#health .title")).to_have_text("Nothing wrong was found")
    page.locator("#compare-upload input[type=file]").set_input_files(LENET)
    expect(page.locator("#compared .title")).to_have_text("The same network")
    page.locator("#look-to-generalization").click()
    expect(page.get_by_role("tab", name="Generalization")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#accuracy .facts")).to_contain_text("lenet5.pt")


def test_a_file_that_a_tab_refuses_says_what_it_is(context, app_url, tmp_path):
    page = open_tab(context, app_url, "inr")
    path = write_sparse(tmp_path / "adapter_model.safetensors", lora_peft(), "BF16")
    page.locator("#upload input[type=file]").set_input_files(path)
    expect(page.locator("#upload-refused .glance")).to_contain_text("LoRA of rank 16")
