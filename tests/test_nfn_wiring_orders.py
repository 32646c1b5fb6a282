"""The search for the order of layers that a file does not keep."""

import itertools
import random
import time

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nfn.reader import read_network
from nfn.wiring import orders as searched
from nfn.wiring.identify import identify
from nfn.wiring.orders import TooManyOrders, orders
from nfn.wiring.pictures import PictureSet
from nfn.wiring.propose import propose


def paths(names, fits=lambda before, after: True, modules=True):
    return [" ".join(order) for order in orders(names.split(), str, fits, modules)]


def chained(widths):
    """Whether a layer's inputs are the outputs of the one before."""
    return lambda before, after: before is None or widths[before][1] == widths[after][0]


def test_all_orders_the_given_one_first():
    assert paths("a b c")[0] == "a b c"
    assert sorted(paths("a b c")) == sorted(map(" ".join, itertools.permutations("abc")))
    assert paths("") == []


def test_numbers_and_last_letters_stay_in_order():
    assert paths("a1 a2 b") == ["a1 a2 b", "a1 b a2", "b a1 a2"]
    assert paths("conv_a conv_b conv_c") == ["conv_a conv_b conv_c"]
    assert paths("block1.conv block2.conv block2.down") == [
        "block1.conv block2.conv block2.down",
        "block1.conv block2.down block2.conv",
    ]
    assert paths("layers.0 layers.2.conv1 layers.2.conv2 layers.4") == [
        "layers.0 layers.2.conv1 layers.2.conv2 layers.4"
    ]


def test_layers_of_a_module_are_neighbours_and_so_are_modules_of_a_module():
    assert paths("m.a m.b c") == ["m.a m.b c", "m.b m.a c", "c m.a m.b", "c m.b m.a"]
    assert len(paths("m.a m.b c", modules=False)) == 6
    assert set(paths("m.a.x m.b m.a.y c")) == {
        " ".join(order) for inner in ("m.a.x m.a.y", "m.a.y m.a.x")
        for pair in ((inner, "m.b"), ("m.b", inner))
        for order in ((*pair, "c"), ("c", *pair))
    }  # fmt: skip


def test_modules_and_then_numbers_do_not_count_where_they_leave_no_order():
    lists = {"convs.0": (1, 2), "convs.1": (3, 4), "downs.0": (2, 3), "downs.1": (4, 5)}
    assert paths(" ".join(lists), chained(lists)) == ["convs.0 downs.0 convs.1 downs.1"]
    falling = {"fc16": (16, 10), "fc64": (64, 16)}
    assert paths(" ".join(falling), chained(falling)) == ["fc64 fc16"]


def test_layers_that_do_not_fit_are_not_placed():
    widths = {"a": (2, 4), "b": (4, 3), "c": (3, 1), "d": (4, 9)}

    assert paths("c b a", chained(widths)) == ["a b c"]
    assert paths("d c b a", chained(widths)) == []


def test_a_search_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(searched, "MAX_LOOKED_AT", 1_000)
    names = random.Random(0).sample("abcdefghijklmnopqrstuvwxyz", 26)
    assert next(orders(names, str, lambda before, after: True)) == names
    with pytest.raises(TooManyOrders):
        list(orders(names, str, lambda before, after: before is None or after != "z"))


def test_names_of_many_parts_take_a_moment():
    """They took minutes."""
    layers = [
        f"{'.'.join(f'm{i}' for i in range(400))}.{''.join(pair)}"
        for pair in itertools.product("abcdefgh", repeat=2)
    ]
    start = time.process_time()
    with pytest.raises(TooManyOrders):
        list(orders(layers, str, lambda before, after: after != layers[0], modules=True))
    assert time.process_time() - start < 5


def proposed(module):
    """What is proposed for its state_dict with and without the order of its layers: norms by layer, in order."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items() if tensor.dim()}
    both = propose(shapes, True), propose({name: shapes[name] for name in sorted(shapes)}, False)
    return [[(layer.weight, layer.norm and layer.norm.mean) for layer in one.layers] for one in both]


class Inverted(nn.Module):
    """A block whose layers are executed in another order than that of their names."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(inputs, 4 * inputs, 1), nn.BatchNorm2d(4 * inputs)
        self.dw = nn.Conv2d(4 * inputs, 4 * inputs, 3, 1, 1, groups=4 * inputs)
        self.bn2 = nn.BatchNorm2d(4 * inputs)
        self.project, self.bn3 = nn.Conv2d(4 * inputs, outputs, 1), nn.BatchNorm2d(outputs)


class Named(nn.Module):
    """Layers and norms without numbers."""

    def __init__(self):
        super().__init__()
        self.conv_first, self.bn_first = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv_second, self.bn_second = nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)


@pytest.mark.parametrize("name", ["separable", "named"])
def test_batch_norms_are_beside_the_same_layers_without_the_order_of_the_file(name):
    modules = {
        "stem": nn.Conv2d(3, 4, 3),
        "blocks": nn.Sequential(Inverted(4, 6), Inverted(6, 8)),
        "head": nn.Linear(8, 10),
    }
    in_order, by_name = proposed(nn.ModuleDict(modules) if name == "separable" else Named())
    assert by_name == in_order


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
