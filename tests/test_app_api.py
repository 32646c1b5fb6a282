"""The API of the running app, called as its users call it."""

import base64
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from foreign import fit_foreign_siren
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from safetensors.torch import load_file

SEVEN = "mnist-sirens/test/0"


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


def test_exactly_the_documented_endpoints_are_public(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {"/list_networks", "/classify_inr", "/edit_inr"}
    for endpoint, words in (("/classify_inr", "SIREN"), ("/edit_inr", "SIREN"), ("/list_networks", "zoo")):
        assert words in described[endpoint]["description"]


def test_list_networks(client):
    rows = client.predict("cifar10-sirens", 3, api_name="/list_networks")
    assert [row["id"] for row in rows] == [f"cifar10-sirens/test/{i}" for i in range(3)]
    assert all(row["psnr"] > 20 and row["label"] for row in rows)


def test_classify_a_network_of_the_zoo(client):
    result = client.predict(None, SEVEN, "auto", api_name="/classify_inr")
    assert set(result) == {"domain", "label", "probabilities", "typical", "predictor", "seconds"}
    assert (result["domain"], result["label"], result["typical"]) == ("mnist", "7", True)
    assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_classify_a_network_saved_by_other_code(client, foreign_file):
    result = client.predict(handle_file(foreign_file), None, api_name="/classify_inr")
    assert (result["domain"], result["label"]) == ("mnist", "7")


def test_classify_a_foreign_article_saved_by_torch(client, real_images, tmp_path):
    """A file without metadata, told nothing: its owner follows the usual convention but for the names."""
    image, label = real_images("fashion_mnist", 1)
    model = fit_foreign_siren(image)
    with torch.no_grad():  # to omega 30, (row, column) and [-1, 1], the usual convention
        model.input_layer.weight.copy_(model.input_layer.weight.flip(1) * 20 / 30)
        model.input_layer.bias.mul_(20 / 30)
        model.middle.weight.mul_(25 / 30)
        model.middle.bias.mul_(25 / 30)
        model.to_pixel.weight.mul_(2)
        model.to_pixel.bias.mul_(2).sub_(1)
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "net.pt")
    result = client.predict(handle_file(tmp_path / "net.pt"), None, api_name="/classify_inr")
    assert (result["domain"], result["label"]) == ("fashion_mnist", label)


def test_edit_gives_numbers_a_network_and_a_picture(client, foreign_file):
    facts, weights, preview = client.predict(
        handle_file(foreign_file), None, "dilate", 1.0, api_name="/edit_inr"
    )
    assert set(facts) == {"style", "strength", "mse", "psnr", "predictor", "seconds"}
    assert facts["style"] == "dilate" and facts["strength"] == 1 and 0 < facts["mse"] < 0.5
    before, after = load_file(foreign_file), load_file(weights)
    assert {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}
    assert any(not np.array_equal(before[k], after[k]) for k in before)
    picture = np.asarray(Image.open(preview))
    assert picture.shape[:2] == (224, 224) and picture.std() > 20


def test_an_edited_network_can_be_read_again(client):
    _, weights, _ = client.predict(None, SEVEN, "contrast", 1.0, api_name="/edit_inr")
    assert client.predict(handle_file(weights), None, api_name="/classify_inr")["label"] == "7"


@pytest.mark.parametrize(("arguments", "endpoint", "words"), [
    ((None, None), "/classify_inr", "exactly one"),
    ((None, "mnist-sirens/test/99999"), "/classify_inr", "test/0"),
    ((None, "mnist_sirens/test/1"), "/classify_inr", "mnist-sirens/test/1"),
    ((None, SEVEN, "letters"), "/classify_inr", "letters"),
    ((None, SEVEN, "melt", 1.0), "/edit_inr", "dilate"),
    ((None, SEVEN, "dilate", 7.0), "/edit_inr", "0 to 2"),
    (("faces", 3), "/list_networks", "faces"),
    (("mnist-sirens", -1), "/list_networks", "at least 1"),
])  # fmt: skip
def test_mistakes_are_answered_in_words(client, arguments, endpoint, words):
    with pytest.raises(AppError, match=words):
        client.predict(*arguments, api_name=endpoint)


def test_a_bad_file_is_answered_in_words(client, tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"<!doctype html><html>404</html>")
    with pytest.raises(AppError, match="HTML"):
        client.predict(handle_file(path), None, api_name="/classify_inr")


def test_a_file_over_the_limit_is_refused_before_it_is_read(client, tmp_path):
    path = tmp_path / "big.safetensors"
    with path.open("wb") as file:
        file.truncate(20 * 2**20 + 1)
    with pytest.raises(ValueError, match="size"):
        client.predict(handle_file(path), None, api_name="/classify_inr")


def test_a_file_and_an_id_at_once_are_refused(client, foreign_file):
    with pytest.raises(AppError, match="exactly one"):
        client.predict(handle_file(foreign_file), SEVEN, api_name="/classify_inr")


def test_the_endpoints_are_mcp_tools(app_url):
    tools = mcp(app_url, "tools/list", {})["tools"]
    assert {tool["name"] for tool in tools} == {"list_networks", "classify_inr", "edit_inr"}
    arguments = next(tool for tool in tools if tool["name"] == "classify_inr")["inputSchema"]["properties"]
    assert all(arguments[name]["description"] for name in ("file", "zoo_id", "domain"))


def test_an_mcp_client_sends_a_file_as_a_data_uri(app_url, foreign_file):
    data = base64.b64encode(foreign_file.read_bytes()).decode()
    arguments = {"file": f"data:application/octet-stream;base64,{data}", "zoo_id": None}
    answer = mcp(app_url, "tools/call", {"name": "classify_inr", "arguments": arguments})
    assert not answer["isError"] and "'label': '7'" in answer["content"][0]["text"]


def mcp(app_url: str, method: str, parameters: dict) -> dict:
    """One call to the MCP server, and its result."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    request = urllib.request.Request(f"{app_url}gradio_api/mcp/", body, headers)
    with urllib.request.urlopen(request) as answer:
        data = next(line for line in answer.read().decode().splitlines() if line.startswith("data: "))
    return json.loads(data.removeprefix("data: "))["result"]


def call(app_url: str, data: list) -> str:
    """A raw request to /classify_inr, as no client library would send it; the text of the answer."""
    body = json.dumps({"data": data}).encode()
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{app_url}gradio_api/call/classify_inr", body, headers)
    ) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{app_url}gradio_api/call/classify_inr/{event}") as answer:
        return answer.read().decode()


@pytest.mark.parametrize("file", [{"path": "/etc/hostname"}, "/etc/hostname", 7, [], {"path": {"path": 1}}])
def test_files_of_the_server_are_not_read(app_url, file):
    answer = call(app_url, [file, None, "auto"])
    assert "event: error" in answer and ("uploaded" in answer or "file must be" in answer)


def test_files_by_url_are_not_fetched(app_url):
    data = [{"path": "http://127.0.0.1:9/x", "meta": {"_type": "gradio.FileData"}}, None, "auto"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(app_url, data)
    assert caught.value.code == 400
    caught.value.close()
