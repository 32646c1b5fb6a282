"""The table of bad inputs in a real browser: names, sizes, addresses and impatience; no script runs, nothing leaves."""

from collections.abc import Iterator

import pytest
from browsing import PATIENCE, Complaints, open_page
from hostile_files import siren
from playwright.sync_api import FilePayload, Page, expect
from safetensors.torch import save

from nfn.reader.limits import FILE_BYTES

pytestmark = pytest.mark.browser
SCRIPT = "<img src=x onerror=window.__xss=1>"
LONG = "x" * 20_000
FAILED = "console: Failed to load resource: the server responded with a status of"
REFUSED_UPLOAD = (f"{FAILED} 413", f"{FAILED} 404", "console: Response")
"""What the browser says of an upload that is refused: it is too large, and there is no progress of it."""


@pytest.fixture(scope="module")
def opened(window, app_url) -> tuple[Page, Complaints]:
    complaints = Complaints()
    return open_page(window, app_url, complaints), complaints


@pytest.fixture
def page(opened) -> Iterator[Page]:
    """One page for all tests, as loading it is what takes long; each starts with the first network chosen."""
    shown, complaints = opened
    shown.get_by_role("tab", name="Pictures", exact=True).click()
    shown.locator("#gallery [data-pick]").first.click()
    expect(shown.locator("#verdict")).to_contain_text("mnist-sirens/test/0:")
    yield shown
    assert shown.is_closed() or shown.evaluate("window.__xss") is None
    assert not [c for c in complaints if not c.startswith(REFUSED_UPLOAD)]


def give(page: Page, box: str, name: str, data: bytes) -> None:
    file = FilePayload(name=name, mimeType="application/octet-stream", buffer=data)
    page.locator(f"{box} input[type=file]").set_input_files(file)


@pytest.mark.parametrize("name", [f"{SCRIPT}.safetensors", "\u202egnp.safetensors", "n" * 300 + ".pt"])
def test_a_file_name_is_escaped(page, name):
    give(page, "#upload", name, save(siren(2, 32, 32, 1)))
    expect(page.locator("#verdict")).not_to_contain_text("mnist-sirens/test/0")
    expect(page.locator("#verdict img[src=x]")).to_have_count(0)
    page.get_by_role("tab", name="Accuracy", exact=True).click()
    give(page, "#batch-upload", name, save(siren(2, 32, 32, 1)))
    expect(page.locator("#batch-table")).to_contain_text(name[-4:])


def test_a_file_that_is_too_large_is_refused_with_the_limit_and_the_next_one_is_read(page, tmp_path):
    large = tmp_path / "large.safetensors"
    with large.open("wb") as file:
        file.truncate(FILE_BYTES + 1)
    page.locator("#upload input[type=file]").set_input_files(large)
    expect(page.locator(".too-large")).to_contain_text("at most 100 MB are read here")
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    give(page, "#upload", "good.safetensors", save(siren(2, 32, 32, 1)))
    expect(page.locator("#verdict")).to_contain_text("good.safetensors")


@pytest.mark.parametrize("query", [
    f"network={SCRIPT}&tab={SCRIPT}&style={SCRIPT}", "network=%00%00&zoo=%ff%fe&tab=__proto__&style=constructor",
    f"network=a&network={LONG}&tab=zoo&tab=inr&deep_link=gone",
])  # fmt: skip
def test_an_address_made_by_hand_opens_the_page_and_runs_nothing(context, app_url, query):
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    (complaints := Complaints()).listen(page, app_url)
    page.goto(f"{app_url}?{query}")
    expect(page.locator("h1")).to_have_text("Weightscope")
    page.get_by_role("tab", name="Pictures", exact=True).click()
    expect(page.locator("#verdict .title")).to_be_visible()
    assert page.evaluate("window.__xss") is None and not complaints


def test_repeated_clicks_and_a_closed_tab_are_harmless(page, app_url):
    for _ in range(3):
        page.locator("#permute").dblclick()
    expect(page.locator("#symmetry-line")).to_contain_text("stayed")
    page.locator("#gallery [data-pick^='mnist-sirens/']").nth(3).dblclick()
    expect(page.locator("#verdict")).to_contain_text("mnist-sirens/test/3:")
    page.locator("#permute").click(no_wait_after=True)
    page.close()
    other = open_page(page.context, app_url, complaints := Complaints())
    expect(other.locator("#verdict")).to_contain_text("mnist-sirens/test/0")
    assert not complaints
