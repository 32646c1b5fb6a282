"""Networks that are not supported, and files that hold none or two: the error names what is supported and found."""

import itertools

import pytest
import torch
from reader_files import (
    float_entries,
    make_siren,
    write_safetensors,
)
from refusals import refusal


def test_unsupported_structures_say_what_is_supported_found_and_where(tmp_path):
    shapes = {
        "residual": {"conv1": (16, 3, 3, 3), "conv2": (32, 16, 3, 3), "down": (32, 16, 1, 1), "fc": (10, 32)},
        "flattened": {"conv": (8, 1, 3, 3), "fc": (10, 8 * 26 * 27)},
        "grouped": {"conv1": (8, 8, 1, 1), "conv2": (9, 1, 3, 3)},
        "broken": {"a": (8, 2), "b": (7, 8), "c": (1, 9)},
        "backwards": {"fc": (8, 2), "conv": (8, 8, 3, 3)},
    }
    words = {
        "residual": "layer 2 ('down.weight'): it takes 16 inputs, but 'conv2.weight' before it gives 32",
        "flattened": "layer 1 ('fc.weight'): 5,616 inputs after 8 channels, which is flattening",
        "grouped": "grouped (depthwise) convolution",
        "broken": "First mismatch at layer 2 ('c.weight')",
        "backwards": "convolution after a linear layer",
    }
    for name, layers in shapes.items():
        header, body = float_entries({f"{layer}.weight": shape for layer, shape in layers.items()})
        state = {f"{layer}.weight": torch.ones(shape) for layer, shape in layers.items()}
        torch.save(state, tmp_path / "net.pt")
        message = refusal(tmp_path / "net.pt")
        assert words[name] in message, message
        assert "Supported:" in message and f"Found {len(layers)} layers" in message
        assert "Supported:" in refusal(write_safetensors(tmp_path / "net.safetensors", header, body))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"a.weight": (8, 2), "a.bias": (8,), "b.weight": (8, 4), "b.bias": (4,)}, "looks transposed"),
        ({"a.weight": (8, 2), "a.bias": (3,)}, "'a.bias' has 3 values"),
        (
            {"a.weight": (8, 2), "norm.weight": (8,), "norm.bias": (8,)},
            "'norm.weight' of shape [8] is of no",
        ),
        ({"a.weight": (8, 2), "scale": ()}, "'scale' of shape [] is of no"),
        ({"a.weight": (8, 2, 3)}, "'a.weight' of shape [8, 2, 3] is of no"),
        ({"a.weight": (8, 2), "n.running_mean": (8,)}, "no 'n.running_var'"),
        ({f"{i}.weight": (1, 1) for i in range(500)}, "500 layers; at most 64"),
        ({"a.weight": (100_001, 1)}, "100,001 wide; at most 100,000"),
    ],
)
def test_tensors_without_a_place_are_named(tmp_path, shapes, words):
    header, body = float_entries(shapes)
    message = refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
    assert words in message, message


def test_two_networks_in_one_file_are_refused_with_their_names(tmp_path):
    state = make_siren(2, 4, 1).state_dict()
    torch.save({"generator": state, "critic": state.copy()}, tmp_path / "net.pt")
    assert "2 state_dicts ('generator', 'critic')" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.ones(2, 2), "single tensor"),
        ([torch.ones(2), "a"], "only vectors ('0')"),
        ({None: torch.ones(2, 2), (1, 2): 3}, "holds a table"),
        ({"epoch": 3, "loss": 0.5}, "entries 'epoch', 'loss'"),
        ({}, "holds nothing"),
        ({"weights": torch.nn.ReLU()}, "weights: torch.nn.modules.activation.ReLU"),
    ],
)
def test_checkpoints_without_a_state_dict_say_what_they_hold(tmp_path, value, words):
    torch.save(value, tmp_path / "net.pt")
    assert words in refusal(tmp_path / "net.pt")


def test_the_search_for_an_order_is_limited(tmp_path):
    letters = [a + b for a, b in itertools.product("abcdefgh", repeat=2)][:60]
    shapes = {f"{name}.weight": (4, 4) for name in letters[:-2]}
    shapes |= {f"{letters[-2]}.weight": (4, 3), f"{letters[-1]}.weight": (4, 3)}
    header, body = float_entries(shapes)
    refusal(write_safetensors(tmp_path / "net.safetensors", header, body))
