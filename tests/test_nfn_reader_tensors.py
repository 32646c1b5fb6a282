"""Tensors that are not there, and tensors that are no dense and finite floats: refused by name."""

import pytest
import torch
from hostile_files import KINDS
from reader_files import (
    Call,
    Storage,
    make_siren,
    tensor_call,
    to_pickle,
    write_checkpoint,
)
from refusals import refusal
from safetensors.torch import save_file
from torch._utils import _rebuild_tensor_v2

NAN, INF = float("nan"), float("inf")


def test_tensors_larger_than_their_storage_are_refused(tmp_path):
    shapes = {
        "expanded": tensor_call((10**6, 10**5), (0, 0)),
        "long": tensor_call((2, 2), (2, 1)),
        "offset": tensor_call((1, 1), (1, 1), offset=1),
        "negative offset": tensor_call((1, 1), (1, 1), offset=-1),
        "huge stride": tensor_call((2, 1), (2**62, 1), Storage(numel=4, key="4")),
        "negative stride": tensor_call((2, 1), (-1, 1), Storage(numel=4, key="4"), offset=1),
        "huge shape": tensor_call((2**70, 2**70), (1, 1)),
        "few strides": tensor_call((1, 1), (1,)),
    }
    storages = {"0": bytes(4), "4": bytes(16)}
    for name, tensor in shapes.items():
        path = write_checkpoint(tmp_path / "net.pt", to_pickle({f"{name}.weight": tensor}), storages)
        message = refusal(path)
        assert f"corrupt at tensor '{name}.weight'" in message, message
    path = write_checkpoint(tmp_path / "net.pt", to_pickle({"a.weight": shapes["expanded"]}), storages)
    assert "claims more data than the file has (100,000,000,000 values of 1)" in refusal(path)


def test_views_that_use_a_value_twice_are_refused(tmp_path):
    storage = Storage(numel=16, key="16")
    for shape, strides in [
        ((4, 4), (0, 1)),
        ((4, 4), (1, 1)),
        ((2, 8), (4, 1)),
        ((4, 2, 1, 2), (2, 0, 1, 1)),
    ]:
        pickled = to_pickle({"a.weight": tensor_call(shape, strides, storage)})
        path = write_checkpoint(tmp_path / "net.pt", pickled, {"16": bytes(64)})
        assert "'a.weight' is an expanded view" in refusal(path)


def test_a_real_expanded_tensor_is_refused(tmp_path):
    torch.save({"a.weight": torch.ones(1).expand(10**6, 10**5)}, tmp_path / "net.pt")
    assert (tmp_path / "net.pt").stat().st_size < 2000
    assert "claims more data than the file has" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize("numel", [0, 2, 3, -1, 2**70])
def test_a_storage_that_is_not_as_long_as_declared_is_refused(tmp_path, numel):
    pickled = to_pickle({"a.weight": tensor_call((1, 1), (1, 1), Storage(numel=numel))})
    message = refusal(write_checkpoint(tmp_path / "net.pt", pickled))
    assert "'a.weight' is corrupt" in message and "4 bytes" in message


def test_a_missing_storage_is_refused(tmp_path):
    pickled = to_pickle({"a.weight": tensor_call((1, 1), (1, 1), Storage(key="7"))})
    assert "'a.weight' is corrupt: its storage is missing" in refusal(
        write_checkpoint(tmp_path / "net.pt", pickled)
    )


def test_malformed_tensor_arguments_are_refused(tmp_path):
    for arguments in [
        (Storage(), 0, (1.5,), (1,), False, None),
        (Storage(), 0, [1], (1,), False, None),
        (Storage(), None, (1,), (1,), False, None),
        (Storage(key=1), 0, (1,), (1,), False, None),
        (Storage(numel="x"), 0, (1,), (1,), False, None),
        ("storage", 0, (1,), (1,), False, None),
        (Storage(), 0, (1,) * 100, (1,) * 100, False, None),
        (Storage(),),
    ]:
        path = write_checkpoint(
            tmp_path / "net.pt", to_pickle({"a.weight": Call(_rebuild_tensor_v2, *arguments)})
        )
        assert "corrupt" in refusal(path)


@pytest.mark.parametrize(("make", "words"), KINDS.values(), ids=KINDS)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_not_dense_floats_are_refused_by_name(tmp_path, make, words):
    torch.save({"body.weight": make()}, tmp_path / "net.pt")
    message = refusal(tmp_path / "net.pt")
    assert "'body.weight'" in message and words in message and "expected" in message


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e5m2, torch.complex64])
def test_safetensors_of_other_types_are_refused_by_name(tmp_path, dtype):
    save_file({"body.weight": torch.ones(2, 2).to(dtype)}, tmp_path / "net.safetensors")
    message = refusal(tmp_path / "net.safetensors")
    assert "'body.weight'" in message and str(dtype).removeprefix("torch.")[:6] in message


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nan_and_infinity_are_refused_by_name(tmp_path, value, dtype):
    state = make_siren(2, 4, 1).to(dtype).state_dict()
    state["1.bias"][0] = value
    save_file(state, tmp_path / "net.safetensors")
    torch.save(state, tmp_path / "net.pt")
    for name in ("net.safetensors", "net.pt"):
        said = refusal(tmp_path / name)
        assert "Tensor '1.bias' has NaN or infinity in 1 of 1 values" in said and "diverged" in said


def test_a_double_too_large_for_float32_is_refused(tmp_path):
    state = make_siren(2, 4, 1).double().state_dict()
    state["1.bias"][0] = 1e300
    save_file(state, tmp_path / "net.safetensors")
    assert "'1.bias' has values beyond the range of float32" in refusal(tmp_path / "net.safetensors")


def test_storages_shared_by_many_tensors_count_against_the_budget(tmp_path):
    flat = torch.zeros(1000 * 1000)
    torch.save({f"{i}.weight": flat.view(1000, 1000) for i in range(31)}, tmp_path / "net.pt")
    assert "31,000,000 values; at most 30,000,000" in refusal(tmp_path / "net.pt")
