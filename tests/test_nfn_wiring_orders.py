"""The search for the order of layers that a file does not keep."""

import itertools
import random

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nfn.reader import read_network
from nfn.wiring import orders as searched
from nfn.wiring.identify import identify
from nfn.wiring.orders import TooManyOrders, orders
from nfn.wiring.pictures import PictureSet


def paths(names, fits=lambda before, after: True):
    return [" ".join(order) for order in orders(names.split(), str, fits)]


def test_all_orders_the_given_one_first():
    assert paths("a b c")[0] == "a b c"
    assert sorted(paths("a b c")) == sorted(map(" ".join, itertools.permutations("abc")))
    assert paths("") == []


def test_numbers_stay_in_order():
    assert paths("a1 a2 b") == ["a1 a2 b", "a1 b a2", "b a1 a2"]


def test_layers_of_a_module_are_neighbours_and_so_are_modules_of_a_module():
    assert paths("m.a m.b c") == ["m.a m.b c", "m.b m.a c", "c m.a m.b", "c m.b m.a"]
    assert set(paths("m.a.x m.b m.a.y c")) == {
        " ".join(order) for inner in ("m.a.x m.a.y", "m.a.y m.a.x")
        for pair in ((inner, "m.b"), ("m.b", inner))
        for order in ((*pair, "c"), ("c", *pair))
    }  # fmt: skip


def test_layers_that_do_not_fit_are_not_placed():
    widths = {"a": (2, 4), "b": (4, 3), "c": (3, 1), "d": (4, 9)}

    def fits(before, after):
        return before is None or widths[before][1] == widths[after][0]

    assert paths("c b a", fits) == ["a b c"]
    assert paths("d c b a", fits) == []


def test_a_search_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(searched, "MAX_LOOKED_AT", 1_000)
    names = random.Random(0).sample("abcdefghijklmnopqrstuvwxyz", 26)
    assert next(orders(names, str, lambda before, after: True)) == names
    with pytest.raises(TooManyOrders):
        list(orders(names, str, lambda before, after: before is None or after != "z"))


def test_of_several_orders_the_one_that_classifies_is_taken(tmp_path):
    torch.manual_seed(0)
    first, before, after, last = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 10)
    hidden = nn.Sequential(
        first, nn.ReLU(), before, nn.ReLU(), after, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    images = torch.randint(256, (400, 1, 1, 1)) * torch.rand(400, 1, 28, 28)
    with torch.no_grad():
        units = hidden(images.round() / 255)
        scale, axes = torch.linalg.eigh(units.T.cov() + 1e-9 * torch.eye(8))
        uncorrelated = axes / scale.sqrt()
        examples = nn.functional.normalize((units[:10] - units.mean(0)) @ uncorrelated)  # one of each class
        last.weight.copy_(5 * examples @ uncorrelated.T)
        last.bias.copy_(-last.weight @ units.mean(0))
        labels = last(units).argmax(1)
    assert len(labels.unique()) == 10
    layers = {"first": first, "second": before, "another": after, "last": last}
    state = {
        f"{name}.{part}": value
        for name, layer in layers.items()
        for part, value in layer.state_dict().items()
    }
    save_file(state, tmp_path / "net.safetensors")
    network = read_network(tmp_path / "net.safetensors")
    found = identify(network, [PictureSet("mnist", images.round().to(torch.uint8), labels)])
    assert found is not None and found.best.accuracy > 0.9
    weights = [op.tensors[0] for op in found.graph.architecture.ops if op.tensors]
    assert weights == ["first.weight", "second.weight", "another.weight", "last.weight"]
