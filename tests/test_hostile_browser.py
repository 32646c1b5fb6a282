"""The table of bad inputs in a real browser: names, sizes, addresses and impatience; no script runs, nothing leaves."""

from collections.abc import Iterator

import pytest
from browsing import PATIENCE, Complaints, open_page
from hostile_files import siren
from playwright.sync_api import Browser, FilePayload, Page, expect
from safetensors.torch import save

from nfn.reader.limits import FILE_BYTES

pytestmark = pytest.mark.browser
SCRIPT = "<img src=x onerror=window.__xss=1>"
LONG = "x" * 20_000


@pytest.fixture
def page(chromium: Browser, app_url) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    shown = open_page(context, app_url, complaints := Complaints())
    yield shown
    assert shown.is_closed() or shown.evaluate("window.__xss") is None
    context.close()
    assert not [c for c in complaints if "status of 413" not in c]


def give(page: Page, box: str, name: str, data: bytes) -> None:
    file = FilePayload(name=name, mimeType="application/octet-stream", buffer=data)
    page.locator(f"{box} input[type=file]").set_input_files(file)


@pytest.mark.parametrize("name", [f"{SCRIPT}.safetensors", "\u202egnp.safetensors", "n" * 300 + ".pt"])
def test_a_file_name_is_only_text(page, name):
    give(page, "#upload", name, save(siren(2, 32, 32, 1)))
    expect(page.locator("#verdict")).not_to_contain_text("mnist-sirens/test/0")
    expect(page.locator("#verdict img[src=x]")).to_have_count(0)
    page.get_by_role("tab", name="Generalization", exact=True).click()
    give(page, "#batch-upload", name, save(siren(2, 32, 32, 1)))
    expect(page.locator("#batch-table")).to_contain_text(name[-4:])


def test_a_file_that_is_too_large_is_refused_with_the_limit_and_the_next_one_is_read(page, tmp_path):
    large = tmp_path / "large.safetensors"
    with large.open("wb") as file:
        file.truncate(FILE_BYTES + 1)
    page.locator("#upload input[type=file]").set_input_files(large)
    expect(page.get_by_test_id("toast-body").filter(has_text="100")).to_be_visible()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    give(page, "#upload", "good.safetensors", save(siren(2, 32, 32, 1)))
    expect(page.locator("#verdict")).to_contain_text("good.safetensors")


@pytest.mark.parametrize("query", [
    f"network={SCRIPT}", f"zoo={SCRIPT}&tab={SCRIPT}&style={SCRIPT}", "network=a&network=b&tab=zoo&tab=inr",
    "network=%00%00&zoo=%ff%fe", f"network={LONG}", "tab=__proto__&style=constructor", "deep_link=gone",
])  # fmt: skip
def test_an_address_made_by_hand_opens_the_page_and_runs_nothing(chromium, app_url, query):
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    (complaints := Complaints()).listen(page, app_url)
    page.goto(f"{app_url}?{query}")
    expect(page.locator("h1")).to_have_text("Weightscope")
    page.get_by_role("tab", name="INR", exact=True).click()
    expect(page.locator("#verdict .title")).to_be_visible()
    assert page.evaluate("window.__xss") is None and not complaints
    page.close()


def test_impatient_clicks_and_a_closed_tab_do_no_harm(page, app_url):
    for _ in range(3):
        page.locator("#permute").dblclick()
    expect(page.locator("#symmetry-line")).to_contain_text("stayed")
    page.locator("#gallery img[src*='/mnist-sirens-']").nth(3).dblclick()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/3:")
    page.locator("#permute").click(no_wait_after=True)
    page.close()
    other = open_page(page.context, app_url, complaints := Complaints())
    expect(other.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    assert not complaints
