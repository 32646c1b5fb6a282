"""Modules saved with what they compute, and read back by whoever trusts nothing."""

import copy
import json
import random

import pytest
import torch
from architecture_zoo import ZOO, inputs
from architecture_zoo import build as build_zoo
from safetensors import safe_open
from test_nfn_trace import MODULES, build, output_of
from torch import nn

import nfn
from nfn.architecture import ArchitectureError, axes_of
from nfn.architecture.declared import MAX_CHARACTERS, read_beside, read_declared
from nfn.architecture.trace import trace_with_tensors


def load(path):
    """A file's metadata and tensors, by the library of the format alone."""
    with safe_open(path, "pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.fixture
def saved(tmp_path):
    module, x = build("lenet")
    nfn.save(module, tmp_path / "net.safetensors", x.shape[1:])
    return tmp_path / "net.safetensors"


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", [*MODULES, *ZOO])
def test_what_is_saved_computes_what_the_module_does_and_keeps_it_when_permuted(name, tmp_path):
    module, x = (build_zoo(name), inputs(name)) if name in ZOO else build(name)
    nfn.save(module, tmp_path / "net.safetensors", x.shape[1:])
    metadata, tensors = load(tmp_path / "net.safetensors")
    architecture = read_declared(metadata, tensors)
    assert architecture is not None
    want = output_of(module, x)
    torch.testing.assert_close(architecture.run(tensors, x), want, atol=1e-5, rtol=0)
    axes = axes_of(architecture)
    assert axes.hidden or name == "mlp-1"
    permuted = axes.permute(tensors, axes.random_permutations(torch.Generator().manual_seed(1)))
    torch.testing.assert_close(architecture.run(permuted, x), want, atol=1e-5, rtol=0)
    assert tensors.keys() == architecture.shapes.keys()


class TwoHeads(nn.Module):
    """One head is for training only."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        return (self.first(x), self.second(x)) if self.training else self.first(x)


def test_names_and_numbers_are_the_modules_own_and_unused_tensors_stay_out(tmp_path):
    module = TwoHeads()
    nfn.save(module, tmp_path / "net.safetensors", (3,))
    _, tensors = load(tmp_path / "net.safetensors")
    assert tensors.keys() == {"first.weight", "first.bias"}
    assert all(torch.equal(t, module.state_dict()[name]) for name, t in tensors.items())


def test_the_same_module_gives_the_same_bytes(saved, tmp_path):
    module, x = build("lenet")
    nfn.save(module, tmp_path / "again.safetensors", x.shape[1:])
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_normalisation_classes_and_more_stand_in_the_metadata(tmp_path):
    module, path = (
        nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(8, 2)),
        tmp_path / "net.safetensors",
    )
    nfn.save(module, path, (3, 2, 2), pixel_mean=0.1307, pixel_std=[0.2, 0.25, 0.3], classes=["cat", "dög"],
             metadata={"dataset": "pets"})  # fmt: skip
    metadata = load(path)[0]
    assert metadata["pixel_mean"] == "0.1307"
    assert json.loads(metadata["pixel_std"]) == [0.2, 0.25, 0.3]
    assert json.loads(metadata["classes"]) == ["cat", "dög"]
    assert metadata["dataset"] == "pets"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"pixel_mean": 0.5}, "both, or neither"),
        ({"pixel_mean": 0.5, "pixel_std": 0}, "above 0"),
        ({"pixel_mean": [0.5, 0.5], "pixel_std": 1}, "one number, or 1, one for each channel"),
        ({"pixel_mean": float("nan"), "pixel_std": 1}, "one number"),
        ({"classes": ["a", "b"]}, "2 classes for outputs of shape .10,."),
        ({"classes": list("aabcdefghi")}, "distinct name"),
    ],
)
def test_settings_that_do_not_fit_are_refused_and_nothing_is_written(settings, message, tmp_path):
    module, x = build("lenet")
    with pytest.raises(ValueError, match=message):
        nfn.save(module, tmp_path / "net.safetensors", x.shape[1:], **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ZOO)
def test_the_reader_takes_what_is_declared(name, tmp_path):
    """The network that the reader gives computes what torch computes, with nothing assumed about its wiring."""
    module, x, path = build_zoo(name), inputs(name), tmp_path / "net.safetensors"
    nfn.save(module, path, x.shape[1:])
    graph = nfn.read_network(path).graph
    assert graph is not None
    torch.testing.assert_close(graph.run(x), output_of(module, x), atol=1e-5, rtol=0)


def test_a_file_that_declares_nothing():
    assert read_declared({"kind": "classifier"}, {}) is None


def test_beside_the_weights(tmp_path):
    module, x = build("lenet")
    torch.save(module.state_dict(), tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    assert read_beside(tmp_path / "net.pt", state) is None
    (tmp_path / "net.architecture.json").write_text(nfn.trace(module, x.shape[1:]).to_json())
    architecture = read_beside(tmp_path / "net.pt", state)
    assert architecture is not None
    torch.testing.assert_close(architecture.run(state, x), output_of(module, x), atol=1e-5, rtol=0)


def _missing(tensors):
    del tensors["0.weight"]


def _another_shape(tensors):
    tensors["0.weight"] = tensors["0.weight"][:, :, :3]


@pytest.mark.parametrize(
    "change, message",
    [
        (_missing, "'0.weight' of shape .6, 1, 5, 5., and the file has none"),
        (_another_shape, "is .6, 1, 3, 5."),
    ],
)
def test_an_architecture_of_other_tensors_is_refused(change, message, saved):
    metadata, tensors = load(saved)
    change(tensors)
    with pytest.raises(ArchitectureError, match=message):
        read_declared(metadata, tensors)


def _document(input_shape, *ops):
    return json.dumps(
        {"format": "weightscope-architecture/1", "input_shape": input_shape, "ops": list(ops), "shapes": {}}
    )


RELU = {"kind": "activation", "function": "relu"}
WIDE = [{"inputs": [i], **RELU} for i in range(50)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("no JSON", "not JSON"),
        (" " * (MAX_CHARACTERS + 1), "characters"),
        (_document([40_000_000], {"inputs": [0], **RELU}), "40,000,000 inputs and neurons"),
        (_document([100_000], *WIDE), "5,100,000 channels"),
        (_document([3, 4, 0], {"inputs": [0], **RELU}), "expected"),
        (_document([], {"inputs": [0], **RELU}), "expected"),
        (_document([3], {"inputs": [0], "kind": "reshape", "to": [3, 1]}), "cannot become"),
    ],
)
def test_untrusted_declarations_are_refused_with_a_clear_error(text, message):
    with pytest.raises(ArchitectureError, match=message):
        read_declared({"architecture": text}, {})


JUNK = (
    None,
    True,
    -1,
    0,
    1,
    2,
    7,
    10**6,
    2**40,
    0.5,
    "",
    "relu",
    "0.weight",
    [],
    [1],
    [2, 2],
    [1, 2, 3, 4],
    {},
)


def _leaves(part):
    """Every place in a JSON document that can be set to something else."""
    for key in list(part) if isinstance(part, dict) else range(len(part)):
        yield part, key
        if isinstance(part[key], dict | list):
            yield from _leaves(part[key])


@pytest.mark.parametrize("name", ["lenet", "resnet", "branches", "squeeze_excite"])
def test_every_mutated_declaration_is_read_or_refused(name):
    module, x = build(name)
    architecture, tensors = nfn.trace(module, x.shape[1:]), trace_with_tensors(module, x.shape[1:]).tensors
    draw, outcomes = random.Random(0), set()
    for _ in range(1_000):
        document = json.loads(architecture.to_json())
        for _ in range(draw.choice((1, 1, 2, 4))):
            part, key = draw.choice(list(_leaves(document)))
            part[key] = copy.copy(draw.choice(JUNK))
        try:
            found = read_declared({"architecture": json.dumps(document)}, tensors)
            assert found is not None
            axes_of(found)
            outcomes.add("read")
        except ArchitectureError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_grouped_convolutions_of_very_many_blocks_are_refused():
    document = json.loads(
        _document([100_000, 1, 1], {"kind": "conv", "inputs": [0], "weight": "w", "groups": 50_000})
    )
    weight = torch.zeros(50_000, 2, 1, 1)
    document["shapes"] = {"w": list(weight.shape)}
    with pytest.raises(ArchitectureError, match="50,000 blocks"):
        read_declared({"architecture": json.dumps(document)}, {"w": weight})
