"""The API of the running app, called as its users call it."""

import base64
import json
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import foreign_sirens
import httpx
import numpy as np
import pytest
import torch
from foreign import fit_foreign_siren
from foreign_cnn import TinyNet, read_gray, train
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from safetensors.torch import load_file

from app.server.share_card import DESCRIPTION, thumbnail
from nfn.reader import limits, read_network
from nfn.siren import native_shape
from zoo.bundled import FOLDER

SEVEN = "mnist-sirens/test/0"
CNN = "cifar10-cnns/test/0"
ENDPOINTS = {
    "list_networks",
    "classify_inr",
    "describe_network",
    "compare_networks",
    "weight_spectra",
    "measure_network",
    "list_collections",
    "edit_inr",
    "fit_inr",
    "predict_generalization",
    "predict_generalization_batch",
    "winning_ticket",
    "read_cards",
}


def size_of(path: str) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


def test_exactly_the_documented_endpoints_are_public(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {f"/{name}" for name in ENDPOINTS}
    for endpoint, words in (
        ("/classify_inr", "SIREN"),
        ("/edit_inr", "SIREN"),
        ("/list_networks", "zoo"),
        ("/predict_generalization", "without any test data"),
        ("/predict_generalization_batch", "CNNs"),
        ("/winning_ticket", "worth training"),
    ):
        assert words in described[endpoint]["description"]


def test_list_networks(client):
    rows = client.predict("cifar10-sirens", 3, api_name="/list_networks")
    assert [row["id"] for row in rows] == [f"cifar10-sirens/test/{i}" for i in range(3)]
    assert all(row["psnr"] > 20 and row["label"] for row in rows)


def test_classify_a_network_of_the_zoo(client):
    result = client.predict(None, SEVEN, "auto", api_name="/classify_inr")
    assert set(result) == {
        "domain", "label", "probabilities", "typical", "reason", "agree", "convention", "assumed", "alternatives",
        "predictor", "seconds",
    }  # fmt: skip
    assert result["assumed"] == [] and result["convention"]["omega"] == "30,30"
    assert (result["domain"], result["label"], result["typical"]) == ("mnist", "7", True)
    assert result["reason"] == "" and result["agree"] is None
    assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_classify_by_weights_alone(client):
    result = client.predict(None, SEVEN, reader="weights", api_name="/classify_inr")
    assert (result["domain"], result["label"], result["predictor"]) == ("mnist", "7", "reader-gray")
    assert result["typical"] and result["agree"]
    with pytest.raises(AppError, match="choose best or weights"):
        client.predict(None, SEVEN, reader="fastest", api_name="/classify_inr")


def test_classify_a_network_saved_by_other_code(client, foreign_file):
    result = client.predict(handle_file(foreign_file), None, api_name="/classify_inr")
    assert (result["domain"], result["label"]) == ("mnist", "7")


def test_classify_a_foreign_article_saved_by_torch(client, real_images, tmp_path):
    """A file without metadata, and no arguments: its owner follows the usual convention but for the names."""
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
    assert set(facts) == {
        "style", "strength", "mse", "psnr", "convention", "assumed", "before", "after", "predictor", "seconds",
    }  # fmt: skip
    assert facts["before"]["label"] == facts["after"]["label"] == "7" and facts["before"]["typical"]
    assert facts["style"] == "dilate" and facts["strength"] == 1 and 0 < facts["mse"] < 0.5
    before, after = load_file(foreign_file), load_file(weights)
    assert {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}
    assert any(not np.array_equal(before[k], after[k]) for k in before)
    with Image.open(preview) as opened:
        picture = np.asarray(opened)
    assert picture.shape[:2] == (224, 224) and picture.std() > 20


def test_an_edited_network_can_be_read_again(client):
    _, weights, _ = client.predict(None, SEVEN, "contrast", 1.0, api_name="/edit_inr")
    assert client.predict(handle_file(weights), None, api_name="/classify_inr")["label"] == "7"


def test_a_convention_is_found_or_given_and_reported(client, tmp_path):
    """A file in the layout of siren-pytorch: omega 30 and then 1, outputs from 0 to 1."""
    path = foreign_sirens.write_state_dict("siren_pytorch", 3, tmp_path / "net.pt")
    label = str(foreign_sirens.describe("siren_pytorch", 3)["label"])
    declared = ("30,1", "row,col", "-1,1", "0,1", "linear")
    for arguments in ((), declared):
        result = client.predict(handle_file(path), None, "auto", *arguments, api_name="/classify_inr")
        assert (result["label"], result["typical"]) == (label, True)
        assert tuple(result["convention"].values()) == declared
        sentence = "Omega 30 in the first layer and 1 in the others"
        assert [text.startswith(sentence) for text in result["assumed"]] == ([] if arguments else [True])
    wrong = client.predict(handle_file(path), None, "auto", "30", api_name="/classify_inr")
    assert not wrong["typical"] and wrong["convention"]["omega"] == "30,30"
    facts, weights, _ = client.predict(
        handle_file(path), None, "dilate", 1.0, *declared, api_name="/edit_inr"
    )
    assert tuple(facts["convention"].values()) == declared and facts["mse"] < 0.2
    again = client.predict(handle_file(weights), None, api_name="/classify_inr")
    assert again["assumed"] == [] and tuple(again["convention"].values()) == declared


@pytest.mark.parametrize(("place", "value", "words"), [
    (0, "thirty", "omega.*30,1"), (0, "-3", "omega"), (1, "z,y", "coordinates.*x,y"), (2, "1,1", "two different"),
    (2, "0,pie", "coordinate_range.*-pi,pi"), (3, "cifar10", "3 channels"), (3, "0,0", "differ"), (4, "relu", "tanh"),
])  # fmt: skip
def test_an_impossible_convention_gives_a_clear_error(client, foreign_file, place, value, words):
    declared = ["auto"] * 5
    declared[place] = value
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(foreign_file), None, "auto", *declared, api_name="/classify_inr")


GENERALIZATION = {
    "test_accuracy", "low", "high", "coverage", "percentile", "typical", "reason", "images", "activation", "assumed",
    "predictor", "weights_alone", "seconds", "readings", "agree", "note",
}  # fmt: skip


def test_predict_generalization_of_a_network_of_the_zoo(client):
    result = client.predict(None, "cifar10-cnns/test/5", api_name="/predict_generalization")
    assert set(result) == GENERALIZATION
    assert 0 <= result["low"] <= result["test_accuracy"] <= result["high"] <= 1
    assert result["coverage"] == 0.9 and 0 <= result["percentile"] <= 100
    assert result["predictor"] == "generalization" and result["seconds"] > 0
    assert abs(result["weights_alone"] - result["test_accuracy"]) < 0.1 and result["agree"] is None


def test_the_general_predictor_answers_for_a_network_that_hardly_learned(client):
    result = client.predict(None, CNN, api_name="/predict_generalization")
    assert result["predictor"] == "accuracy" and result["typical"] and result["high"] < 0.12
    assert "do not fit each other" in result["note"]


def test_predict_generalization_from_weights_alone(client):
    result = client.predict(None, CNN, reader="weights", api_name="/predict_generalization")
    best = client.predict(None, CNN, api_name="/predict_generalization")
    assert set(result) == GENERALIZATION and result["test_accuracy"] == best["weights_alone"]
    assert (result["predictor"], result["images"]) == ("reader-cifar10-cnns", "cifar10")
    assert [result[name] for name in ("low", "high", "coverage")] == [None] * 3
    assert result["agree"] == (best["low"] <= result["test_accuracy"] <= best["high"])


@pytest.fixture(scope="module")
def cnn_files(tmp_path_factory):
    """A CNN by code that knows nothing of this project, trained a little; the second file tells its activation."""
    torch.manual_seed(0)
    net, (x, y) = TinyNet("tanh"), read_gray(FOLDER / "fashion_mnist.parquet")
    train(net, 2 * x - 1, y, steps=40, lr=3e-3)
    folder = tmp_path_factory.mktemp("cnns")
    torch.save({"model": net.state_dict(), "epoch": 1}, folder / "net.pt")
    torch.save({"model": net.state_dict(), "activation": "tanh"}, folder / "told.pt")
    return folder / "net.pt", folder / "told.pt"


def test_predict_generalization_of_a_network_trained_by_other_code(client, cnn_files):
    results = [
        client.predict(handle_file(cnn_files[0]), None, "tanh", api_name="/predict_generalization"),
        client.predict(handle_file(cnn_files[1]), None, api_name="/predict_generalization"),
    ]
    assert all(set(result) == GENERALIZATION for result in results)
    assert results[0]["test_accuracy"] == pytest.approx(results[1]["test_accuracy"], abs=1e-4)
    assert results[0]["typical"] == results[1]["typical"]


def test_predict_generalization_batch(client, cnn_files, foreign_file):
    files = [handle_file(path) for path in (*cnn_files, foreign_file)]
    rows = client.predict(files, api_name="/predict_generalization_batch")
    assert set(rows[0]) == {"name", "predicted", "low", "high", "typical", "images", "activation", "error"}
    assert [0 <= row["predicted"] <= 1 for row in rows[:2]] == [True, True]
    assert rows[1]["activation"] == "tanh" and rows[2]["predicted"] is None
    assert "not an image classifier" in rows[2]["error"]


def test_a_stack_of_networks_is_a_batch(client, cnn_files, tmp_path):
    one = torch.load(cnn_files[1])["model"]
    torch.save({name: torch.stack([tensor, tensor]) for name, tensor in one.items()}, tmp_path / "stack.pt")
    rows = client.predict([handle_file(tmp_path / "stack.pt")], api_name="/predict_generalization_batch")
    assert [row["name"] for row in rows] == ["stack.pt[0]", "stack.pt[1]"]
    assert rows[0]["predicted"] == pytest.approx(rows[1]["predicted"], abs=1e-4)


@pytest.mark.parametrize(("arguments", "endpoint", "words"), [
    ((None, None), "/predict_generalization", "exactly one"),
    ((None, SEVEN), "/predict_generalization", "not an image classifier"),
    ((None, CNN), "/classify_inr", "classifier"),
    ((None, CNN, "relu"), "/predict_generalization", "leave images, activation, pixels and reading at auto"),
    ((None, "cifar10-cnns/test/99999"), "/predict_generalization", "test/0"),
    ((None, CNN, *["auto"] * 5, "fastest"), "/predict_generalization", "choose best or weights"),
    ((None, CNN, *["auto"] * 5, None), "/predict_generalization", "reader must be text such as 'best'"),
    ((None, "cifar10-wild/test/0", *["auto"] * 5, "weights"), "/predict_generalization", "Leave reader at best"),
    (([],), "/predict_generalization_batch", "at least one"),
    ((None, None), "/classify_inr", "exactly one"),
    ((None, "mnist-sirens/test/99999"), "/classify_inr", "test/0"),
    ((None, "mnist_sirens/test/1"), "/classify_inr", "mnist-sirens/test/1"),
    ((None, SEVEN, "letters"), "/classify_inr", "letters"),
    ((None, SEVEN, "auto", "30"), "/classify_inr", "leave omega"),
    ((None, SEVEN, "melt", 1.0), "/edit_inr", "dilate"),
    ((None, SEVEN, "dilate", 7.0), "/edit_inr", "0 to 2"),
    (("faces", 3), "/list_networks", "faces"),
    (("mnist-sirens", -1), "/list_networks", "at least 1"),
])  # fmt: skip
def test_mistakes_give_clear_errors(client, arguments, endpoint, words):
    with pytest.raises(AppError, match=words):
        client.predict(*arguments, api_name=endpoint)


@pytest.mark.parametrize("sparsity", [0.8, 0.95, 0.98])
@pytest.mark.parametrize("zoo_id, total", [("mnist-inits/test/1", 118_016), ("cifar10-inits/test/1", 21_984)])
def test_winning_ticket(client, zoo_id, total, sparsity):
    facts, path = client.predict(None, zoo_id, sparsity, api_name="/winning_ticket")
    assert set(facts) == {"sparsity", "kept", "total", "layers", "note", "assumed", "reader", "reason", "shared",
                          "predictor", "seconds"}  # fmt: skip
    assert (facts["sparsity"], facts["total"], facts["note"]) == (sparsity, total, "")
    assert facts["kept"] == total - round(sparsity * total) == sum(layer["kept"] for layer in facts["layers"])
    masks = load_file(path)
    for layer in facts["layers"]:
        mask = masks[layer["name"]]
        assert mask.dtype == torch.uint8 and list(mask.shape) == layer["shape"]
        assert int(mask.sum()) == layer["kept"] and int(mask.max()) == 1


def test_winning_ticket_of_an_upload_has_its_names(client, tmp_path):
    torch.manual_seed(0)
    net = torch.nn.ModuleDict({
        "a": torch.nn.Linear(784, 30), "b": torch.nn.Linear(30, 20), "c": torch.nn.Linear(20, 10, bias=False),
    })  # fmt: skip
    torch.save(net.state_dict(), tmp_path / "mine.pt")
    facts, path = client.predict(handle_file(tmp_path / "mine.pt"), None, api_name="/winning_ticket")
    assert set(load_file(path)) == {"a.weight", "b.weight", "c.weight"} and facts["sparsity"] == 0.95
    assert facts["assumed"] == ["MNIST is assumed: 784 inputs and 10 classes."]
    assert facts["reader"] == "training" and facts["reason"].startswith(
        "Only networks with weights of 128×784, 128×128, 10×128"
    )
    with pytest.raises(AppError, match=r"are read from weights alone\. Leave reader at best"):
        client.predict(handle_file(tmp_path / "mine.pt"), reader="weights", api_name="/winning_ticket")


def test_a_winning_ticket_by_either_reader(client):
    ask = partial(client.predict, zoo_id="mnist-inits/test/1", api_name="/winning_ticket")
    best, weights, training = (ask(reader=name) for name in ("best", "weights", "training"))
    assert [facts["reader"] for facts, _ in (best, weights, training)] == ["weights", "weights", "training"]
    masks = [load_file(path) for _, path in (best, weights, training)]
    assert all(torch.equal(masks[0][name], mask) for name, mask in masks[1].items())
    both = sum(int((mask & masks[2][name]).sum()) for name, mask in masks[0].items())
    assert weights[0]["shared"] == training[0]["shared"] == pytest.approx(both / best[0]["kept"])
    assert best[0]["shared"] is None and best[0]["reason"] == training[0]["reason"] == ""
    with pytest.raises(AppError, match="Unknown reader 'luck': choose best or weights or training"):
        ask(reader="luck")


@pytest.mark.parametrize("sparsity", [0, 1, 2.5, "x", None, [0.9]])
def test_an_impossible_sparsity_gives_a_clear_error(client, sparsity):
    with pytest.raises(AppError, match=r"between 0 and 1|must be a number such as 0\.95"):
        client.predict(None, "mnist-inits/test/1", sparsity, api_name="/winning_ticket")


def test_a_bad_file_gives_a_clear_error(client, tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"<!doctype html><html>404</html>")
    with pytest.raises(AppError, match="HTML"):
        client.predict(handle_file(path), None, api_name="/classify_inr")


def test_a_file_over_the_limit_is_refused_before_it_is_read(client, tmp_path):
    path = tmp_path / "big.safetensors"
    with path.open("wb") as file:
        file.truncate(limits.FILE_BYTES + 1)
    with pytest.raises(ValueError, match="size"):
        client.predict(handle_file(path), None, api_name="/classify_inr")


def test_a_file_and_an_id_at_once_are_refused(client, foreign_file):
    with pytest.raises(AppError, match="exactly one"):
        client.predict(handle_file(foreign_file), SEVEN, api_name="/classify_inr")


def test_a_picture_becomes_a_network_that_every_endpoint_takes(client, tmp_path, real_images):
    pixels = real_images("mnist", 0)[0][0].numpy()
    Image.fromarray(pixels).save(tmp_path / "seven.png")
    facts, weights, preview = client.predict(
        handle_file(tmp_path / "seven.png"), "small", 28, api_name="/fit_inr"
    )
    assert facts["psnr"] > 30 and facts["steps"] == 150 and facts["parameters"] == 1185
    assert size_of(preview) == (28, 28)
    assert (
        facts["bytes"].keys() == {"float32", "float16", "png", "jpeg", "webp"} and facts["float16_psnr"] > 30
    )
    assert facts["bytes"]["float32"] == 4 * 1185 and facts["bytes"]["png"] < 1000
    named = client.predict(handle_file(weights), None, api_name="/classify_inr")
    assert named["label"] == "7" and named["typical"]
    larger, weights, _ = client.predict(
        handle_file(tmp_path / "seven.png"), "small", 64, 20, api_name="/fit_inr"
    )
    assert larger["steps"] == 20
    edit, _, png = client.predict(handle_file(weights), None, "dilate", 1.0, api_name="/edit_inr")
    assert edit["mse"] < 0.2 and size_of(png) == (512, 512)


def test_a_picture_that_is_not_square_keeps_its_shape_through_fit_download_and_edit(
    client, tmp_path, real_images
):
    Image.fromarray(real_images("mnist", 0)[0][0].numpy()[4:24]).save(tmp_path / "wide.png")
    arguments = ("small", 28, 20)
    facts, weights, preview = client.predict(
        handle_file(tmp_path / "wide.png"), *arguments, api_name="/fit_inr"
    )
    assert (facts["height"], facts["width"]) == (20, 28) and size_of(preview) == (28, 20)
    _, edited, png = client.predict(handle_file(weights), None, "dilate", 1.0, api_name="/edit_inr")
    assert native_shape(read_network(edited)) == (20, 28) and size_of(png) == (224, 160)


@pytest.mark.parametrize(("arguments", "words"), [
    (("huge", 28, 0), "small, medium, large"), (("small", 4, 0), "8 to 256"), (("small", 28, 9999), "1 to 5,000"),
])  # fmt: skip
def test_mistakes_of_a_fit_give_clear_errors(client, tmp_path, arguments, words):
    Image.new("RGB", (30, 30)).save(tmp_path / "black.png")
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(tmp_path / "black.png"), *arguments, api_name="/fit_inr")


def call(app_url: str, data: list, endpoint: str = "classify_inr") -> str:
    """A raw request, as no client library would send it; the text of the answer."""
    body = json.dumps({"data": data}).encode()
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{app_url}gradio_api/call/{endpoint}", body, headers)
    ) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{app_url}gradio_api/call/{endpoint}/{event}") as answer:
        return answer.read().decode()


@pytest.mark.parametrize(("path", "body", "status", "words"), [
    ("list_networks", {"data": []}, 422, "needs collection"), ("v2/list_networks", {}, 422, "needs collection"),
    ("v2/list_networks", {"name": 1}, 422, "names no argument of list_networks"), ("v2/draw", {}, 404, "no endpoint"),
])  # fmt: skip
def test_impossible_calls_are_refused_with_clear_errors(app_url, path, body, status, words):
    answer = httpx.post(f"{app_url}gradio_api/call/{path}", json=body)
    assert answer.status_code == status and words in answer.json()["error"]


def test_a_call_by_name_leaves_out_what_has_a_default(app_url):
    event = httpx.post(f"{app_url}gradio_api/call/v2/classify_inr", json={"zoo_id": SEVEN}).json()["event_id"]
    assert '"label": "7"' in httpx.get(f"{app_url}gradio_api/call/v2/classify_inr/{event}", timeout=60).text


@pytest.mark.parametrize("file", [{"path": "/etc/hostname"}, "/etc/hostname", 7, [], {"path": {"path": 1}}])
def test_files_of_the_server_are_not_read(app_url, file):
    answer = call(app_url, [file, None, *["auto"] * 6])
    assert "event: error" in answer and ("uploaded" in answer or "file must be" in answer)


@pytest.mark.parametrize(
    "files", [[{"path": "/etc/hostname"}], ["/etc/hostname"], [7], [[]], 7, None, {"path": "/x"}]
)
def test_files_of_the_server_are_not_read_in_a_batch(app_url, files):
    answer = call(app_url, [files], "predict_generalization_batch")
    assert "event: error" in answer and ("uploaded" in answer or "file must be" in answer)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ([7, "auto", "auto"], "activation must be text such as 'auto'"),
        (["auto", {"low": 0}, "auto"], "pixels must be text such as 'auto'"),
        (["auto", "auto", ["mnist"]], "images must be text such as 'auto'"),
    ],
)
def test_conventions_of_a_wrong_type_give_clear_errors(app_url, cnn_files, declared, words):
    data = base64.b64encode(cnn_files[0].read_bytes()).decode()
    file = f"data:application/octet-stream;base64,{data}"
    answer = call(app_url, [file, None, *declared], "predict_generalization")
    assert "event: error" in answer and words in answer


@pytest.mark.parametrize(
    "endpoint", ["classify_inr", "predict_generalization", "predict_generalization_batch"]
)
def test_files_by_url_are_not_fetched(app_url, endpoint):
    file = {"path": "http://127.0.0.1:9/x", "meta": {"_type": "gradio.FileData"}}
    data = [[file]] if endpoint.endswith("batch") else [file, None, *["auto"] * 6]
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(app_url, data, endpoint)
    assert caught.value.code == 400
    caught.value.close()


def test_a_link_to_the_app_shows_what_it_is(app_url, monkeypatch):
    assert f'content="{DESCRIPTION}"' in httpx.get(app_url).text
    monkeypatch.setenv("SPACE_ID", "someone/weightscope")
    picture = (thumbnail() or "").removeprefix(
        "https://huggingface.co/spaces/someone/weightscope/resolve/main/"
    )
    assert (Path(__file__).parents[1] / picture).is_file() and picture.endswith(".webp")
