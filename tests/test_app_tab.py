"""A tab is one record: a scratch one is built, linked, opened into and styled without a line elsewhere."""

import re

import gradio as gr
import pytest
from playwright.sync_api import expect
from waiting import free_port

from app.page.inbox import from_inbox
from app.page.refusal import refusal_html
from app.page.source_text import from_text
from app.page.tab import Page, Tab
from app.runtime.errors import UnsuitableNetwork
from app.server.serving import launch_options, serve
from app.tabs.zoo.tab import TAB as ZOO
from app.ui import build_app
from nfn.network import Network
from nfn.reader import write_network
from zoo.catalog import Zoo


def build_scratch(page: Page) -> None:
    shown = gr.Textbox(interactive=False, elem_id="scratch-shown")
    page.inbox("scratch").change(
        lambda text: from_text(from_inbox(text)).name, page.inbox("scratch"), shown, api_visibility="private"
    )


def is_classifier(network: Network) -> bool:
    return network.kind == "classifier"


@pytest.fixture
def scratch(tmp_path) -> Tab:
    (tmp_path / "scratch.css").write_text("#scratch-shown { outline: 3px solid rgb(1, 2, 3); }")
    (tmp_path / "scratch.js").write_text("weightscope.scratch = 7;")
    return Tab(
        key="scratch",
        title="Scratch",
        build=build_scratch,
        lists=lambda spec: spec.kind == "classifier",
        reads=is_classifier,
        content="a scratch network",
        next_step="Open it in Scratch",
        first=lambda: "cifar10-cnns/test/0",
        stylesheet=tmp_path / "scratch.css",
        script=tmp_path / "scratch.js",
    )


def test_a_refused_file_is_offered_to_a_tab_that_reads_it(scratch):
    network = Zoo().network("cifar10-cnns/test/1")
    shown = refusal_html((scratch, ZOO), "inr", "/tmp/net.pt", UnsuitableNetwork("Not a picture.", network))
    assert "Open it in Scratch" in shown and 'data-pick="scratch ' in shown
    assert "Scratch" not in refusal_html((scratch, ZOO), "inr", "/tmp/net.pt", ValueError("Not a file."))


@pytest.mark.browser
def test_a_new_tab_needs_one_record(chromium, scratch, tmp_path):
    tabs = (ZOO, scratch)
    demo = build_app(tabs)
    url = serve(demo, {**launch_options(tabs), "server_port": free_port(), "quiet": True})
    page = chromium.new_page(reduced_motion="reduce")
    page.goto(f"{url}?network=cifar10-cnns/test/3")
    shown = page.locator("#scratch-shown :is(textarea, input)")
    expect(page.get_by_role("tab", name="Scratch")).to_have_attribute("aria-selected", "true")
    expect(shown).to_have_value("cifar10-cnns/test/3")
    expect(page.locator("#scratch-shown")).to_have_css("outline-width", "3px")
    expect(page).to_have_url(re.compile("tab=scratch"))
    assert page.evaluate("weightscope.scratch") == 7
    page.get_by_role("tab", name="Zoo").click()
    other = page.locator("#zoo-networks [data-pick]").nth(4)
    other.click()
    chosen = other.get_attribute("data-pick")
    expect(page.locator("#zoo-id :is(textarea, input)")).to_have_value(str(chosen))
    page.get_by_role("button", name="Open in Scratch").click()
    expect(shown).to_have_value(str(chosen))
    write_network(Zoo().network("cifar10-cnns/test/1"), tmp_path / "dropped.safetensors")
    page.locator("#drop-zone input[type=file]").set_input_files(tmp_path / "dropped.safetensors")
    expect(page.locator("#drop-line")).to_contain_text(
        "is a scratch network, 4,970 parameters. Opened in Scratch."
    )
    expect(shown).to_have_value("dropped.safetensors")
    page.close()
    demo.close()
