"""The table's bad files and their names against the running app, over HTTP: a sentence for each, nothing run."""

import re
from pathlib import Path

import pytest
import torch
from asking import (
    ARGUMENTS,
    CNN,
    INIT,
    SEVEN,
    answers_still,
    ask,
    folder,
    kept,
    made,
    raw,
    result,
    sentence,
    upload,
)
from hostile_files import MARKER, REFUSED, saved, siren
from reader_files import make_siren
from safetensors.torch import save

from app.tabs.generalization.actions import first_classifier
from nfn.reader.limits import FILE_BYTES
from zoo.catalog import EMBEDDED, Zoo

DECLARED = {"predict_generalization": {"activation": "relu", "pixel_range": "[-1, 1]"}}
"""By endpoint, metadata that spares the search for them."""


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_gets_the_right_error(http, name):
    endpoint = list(ARGUMENTS)[list(REFUSED).index(name) % len(ARGUMENTS)]
    assert re.search(REFUSED[name].words, sentence(ask(http, endpoint, upload(http, made(name)))))
    assert not MARKER.exists()


ONE_OF_EACH_ROW = {hostile.row: name for name, hostile in REFUSED.items()}


@pytest.mark.parametrize("row", ONE_OF_EACH_ROW)
def test_every_endpoint_refuses_hostile_files_and_the_app_survives(http, row):
    name = ONE_OF_EACH_ROW[row]
    file = upload(http, made(name), "net.safetensors")
    for endpoint in ARGUMENTS:
        assert re.search(REFUSED[name].words, sentence(ask(http, endpoint, file)))
    assert answers_still(http)


def test_a_batch_of_hostile_files_is_processed_to_the_end(http):
    network = Zoo(EMBEDDED).network(first_classifier())
    declared = DECLARED["predict_generalization"] | {"activation": str(network.classifier.activation)}
    good = save(dict(network.tensors()), declared)
    files = [upload(http, made(name), f"{i}.pt") for i, name in enumerate(REFUSED)]
    files.insert(70, upload(http, good, "good.safetensors"))
    (rows,) = result(raw(http, "predict_generalization_batch", [files]))
    row = rows.pop(70)
    assert 0 < row["predicted"] < 1 and not row["error"]
    for row, name in zip(rows, REFUSED, strict=True):
        stacks = "rank 3", "nested tensor"  # read as a stack of networks, and refused in other words
        assert row["error"] and (name.endswith(stacks) or re.search(words_of(name), row["error"])), (
            name,
            row,
        )
    assert not MARKER.exists()


def words_of(name: str) -> str:
    """A tensor of three dimensions is a stack to the batch, which has other words for what is wrong with it."""
    return f"{REFUSED[name].words}|[Ss]tack"


def test_a_file_at_the_limit_is_answered_and_one_byte_more_is_refused(http):
    body = bytes(262_000 * 400)
    head = f'{{"a.weight":{{"dtype":"F32","shape":[100,262000],"data_offsets":[0,{len(body)}]}}}}'.encode()
    head = head.ljust(FILE_BYTES - len(body) - 8)
    data = len(head).to_bytes(8, "little") + head + body
    assert len(data) == FILE_BYTES and "262,000 wide" in sentence(
        ask(http, "classify_inr", upload(http, data))
    )
    before = kept()
    refused = http.post("gradio_api/upload", files={"files": ("net.pt", data + b"\0")})
    assert refused.status_code == 413 and kept() <= before
    assert answers_still(http)


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors", "net"])
def test_content_decides_whatever_the_name(http, name):
    for data in (saved(siren()), save(siren())):
        assert "probabilities" in result(ask(http, "classify_inr", upload(http, data, name)))[0]


LIKE = {"classify_inr": SEVEN, "edit_inr": SEVEN, "predict_generalization": CNN, "winning_ticket": INIT}


@pytest.mark.parametrize("value", [0.0, 0.5, 1e38, 1e20, 1e-42])
@pytest.mark.parametrize("endpoint", ARGUMENTS)
def test_odd_values_give_finite_answers_that_are_not_believed_or_a_sentence(http, value, endpoint):
    """A number that is none would not even be JSON."""
    network = Zoo(EMBEDDED).network(LIKE[endpoint])
    tensors = {name: torch.full_like(tensor, value) for name, tensor in network.tensors().items()}
    data = save(tensors, DECLARED.get(endpoint))
    answer = ask(http, endpoint, upload(http, data))
    if "event: complete" not in answer:
        assert value > 1 and "so large" in sentence(answer)
    else:
        assert not re.search("NaN|Infinity", answer) and result(answer)[0].get("typical", False) is False


def test_a_batch_says_of_huge_weights_that_they_give_no_number(http):
    huge = {n: torch.full_like(t, 1e20) for n, t in Zoo(EMBEDDED).network(CNN).tensors().items()}
    data = save(huge, DECLARED["predict_generalization"])
    ((row,),) = result(ask(http, "predict_generalization_batch", upload(http, data)))
    assert row["predicted"] is None and "so large" in row["error"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floats_are_read(http, dtype):
    state = {name: tensor.to(dtype) for name, tensor in siren().items()}
    assert result(ask(http, "classify_inr", upload(http, save(state))))[0]["label"]


@pytest.mark.parametrize("widths", [(2, 1, 1, 1), (2, 1), (2, *[4] * 60, 3)])
def test_odd_sirens_are_answered(http, widths):
    """Networks of one neuron, of one layer, and of sixty."""
    data = saved(make_siren(*widths).state_dict())
    assert result(ask(http, "classify_inr", upload(http, data)))[0]["typical"] is False


NAMES = [
    "<img src=x onerror=window.__xss=1>.pt", "n" * 300 + ".pt", "сеть 网络 🔬.pt", ".hidden", "no extension",
    "../../../escape.pt", "..\\..\\escape.pt", "a\u202etp.exe", "=cmd|' /C calc'!A0.pt", "CON", "a\nb.pt", "%2e%2e%2fx",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_odd_file_names_are_treated_as_text(http, name):
    file = upload(http, save(siren(2, 32, 32, 1)), name)
    path = Path(file["path"]).resolve()
    assert path.is_relative_to(folder()) and len(path.name.encode()) <= 255 and "<" not in path.name
    facts, weights, preview = result(ask(http, "edit_inr", file))
    assert facts["style"] == "dilate"
    for given in (weights, preview):
        assert re.fullmatch(r"[\w-]+\.(safetensors|png)", Path(given["path"]).name)
        assert Path(given["path"]).resolve().is_relative_to(folder())
