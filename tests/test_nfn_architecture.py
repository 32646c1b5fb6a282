"""Architectures as data: the forward pass, the JSON form, and which axes permute together."""

import itertools
import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nfn.architecture import Architecture, ArchitectureError, axes_of
from nfn.architecture.ops import (
    Activation,
    AdaptivePool,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    Linear,
    Multiply,
    Pad,
    Pool,
    Reshape,
    Softmax,
    Subsample,
)
from nfn.architecture.trace import trace


def conv(x, name, **settings):
    return Conv(inputs=(x,), weight=f"{name}.weight", bias=f"{name}.bias", **settings)


def linear(x, name, **settings):
    return Linear(inputs=(x,), weight=f"{name}.weight", bias=f"{name}.bias", **settings)


def relu(x):
    return Activation(inputs=(x,), function="relu")


def shapes_of(**weights):
    return {
        f"{name}.{part}": shape
        for name, weight in weights.items()
        for part, shape in (("weight", weight), ("bias", weight[:1]))
    }


def lenet():
    ops = (conv(0, "a"), relu(1), Pool(inputs=(2,), mode="max", kernel=(2, 2), stride=(2, 2)), Flatten(inputs=(3,)),
           linear(4, "b"), relu(5), linear(6, "c"))  # fmt: skip
    return Architecture((1, 8, 8), ops, shapes_of(a=(5, 1, 3, 3), b=(7, 45), c=(3, 7)))


def residual():
    """Two blocks: one with a plain skip, one whose shortcut subsamples and pads channels, then squeeze-excitation."""
    ops = (
        conv(0, "stem", padding=(1, 1, 1, 1)), relu(1),
        conv(2, "a", padding=(1, 1, 1, 1)), relu(3), conv(4, "b", padding=(1, 1, 1, 1)), Add(inputs=(5, 2)), relu(6),
        conv(7, "c", padding=(1, 1, 1, 1), stride=(2, 2)), Subsample(inputs=(7,), stride=(2, 2)),
        Pad(inputs=(9,), channels=(1, 2)), Add(inputs=(8, 10)), relu(11),
        AdaptivePool(inputs=(12,), mode="average"), conv(13, "se"), Activation(inputs=(14,), function="sigmoid"),
        Multiply(inputs=(12, 15)), AdaptivePool(inputs=(16,), mode="max"), Flatten(inputs=(17,)), linear(18, "head"),
        Softmax(inputs=(19,), log=True),
    )  # fmt: skip
    shapes = shapes_of(
        stem=(6, 3, 3, 3), a=(4, 6, 3, 3), b=(6, 4, 3, 3), c=(9, 6, 3, 3), se=(9, 9, 1, 1), head=(5, 9)
    )
    return Architecture((3, 7, 7), ops, shapes)


def branches():
    """Concatenation, depthwise and grouped convolutions, batch norm, flattening, and a sum over the joined channels."""
    ops = (
        conv(0, "a"), conv(0, "b"), Concat(inputs=(1, 2)), conv(3, "c"), Add(inputs=(3, 4)),
        conv(5, "depth", groups=10), conv(6, "grouped", groups=2),
        BatchNorm(inputs=(7,), mean="n.mean", variance="n.variance", weight="n.weight", bias="n.bias"),
        Flatten(inputs=(8,)), linear(9, "d"),
    )  # fmt: skip
    shapes = shapes_of(a=(4, 2, 1, 1), b=(6, 2, 1, 1), c=(10, 10, 1, 1), depth=(20, 1, 2, 2), grouped=(8, 10, 1, 1),
                       d=(3, 32))  # fmt: skip
    shapes |= {f"n.{part}": (8,) for part in ("mean", "variance", "weight", "bias")}
    return Architecture((2, 3, 3), ops, shapes)


def pixelwise_flatten():
    ops = (
        conv(0, "a"),
        Flatten(inputs=(1,), order="hwc"),
        Linear(inputs=(2,), weight="b.weight", transposed=True),
    )
    return Architecture((1, 4, 4), ops, {**shapes_of(a=(5, 1, 2, 2)), "b.weight": (45, 3)})


ARCHITECTURES = {f.__name__: f for f in (lenet, residual, branches, pixelwise_flatten)}


def random_tensors(architecture, seed=0):
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        name: 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in architecture.shapes.items()
    }
    return {name: x.abs() + 0.5 if name.endswith("variance") else x for name, x in drawn.items()}


def random_images(architecture, count=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *architecture.input_shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_hidden_permutations_leave_the_function_as_it_is(name):
    architecture = ARCHITECTURES[name]()
    tensors, x, axes = random_tensors(architecture), random_images(architecture), axes_of(architecture)
    permutations = axes.random_permutations(torch.Generator().manual_seed(2))
    assert permutations
    permuted = axes.permute(tensors, permutations)
    assert any(not torch.equal(permuted[name], tensors[name]) for name in tensors)
    torch.testing.assert_close(architecture.run(permuted, x), architecture.run(tensors, x))


def test_scales_of_relu_units_leave_the_function_as_it_is():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 5), nn.ReLU(),
                          nn.Linear(5, 3))  # fmt: skip
    architecture = trace(model, (1, 6, 6))
    tensors, x, axes = random_tensors(architecture), random_images(architecture), axes_of(architecture)
    factors = {group: 0.1 + 5 * torch.rand(axes.groups[group].size) for group in axes.hidden}
    rescaled = axes.rescale(tensors, factors)
    assert len(factors) == 2 and not any(
        torch.equal(rescaled[n], tensors[n]) for n in tensors if "weight" in n
    )
    torch.testing.assert_close(
        architecture.run(rescaled, x), architecture.run(tensors, x), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_group_matters_in_every_tensor_that_it_meets(name):
    """Permuting a group in one tensor alone changes the function: no axis is labelled without need."""
    architecture = ARCHITECTURES[name]()
    tensors, x, axes = random_tensors(architecture), random_images(architecture), axes_of(architecture)
    before = architecture.run(tensors, x)
    for group in axes.hidden:
        order = torch.arange(axes.groups[group].size).roll(1).numpy()
        permuted = axes.permute(tensors, {group: order})
        changed = [n for n in tensors if not torch.equal(permuted[n], tensors[n])]
        assert len(changed) > 1
        for one in changed:
            after = architecture.run({**tensors, one: permuted[one]}, x)
            assert (after - before).abs().max() > 1e-6, f"group {group} in {one}"


def test_groups_of_the_residual_network():
    axes = axes_of(residual())
    sizes = sorted(axes.groups[g].size for g in axes.hidden)
    # the 3 channels that are zeros in the shortcut, a's 4, and the 6 of the stem, which the second sum takes on
    assert sizes == [3, 4, 6]


def test_a_pool_whose_windows_may_lie_in_the_padding_alone_is_refused():
    pool = Pool(inputs=(0,), mode="max", kernel=(3, 2), stride=(1, 1), padding=(0, 2, 0, 0))
    with pytest.raises(ArchitectureError, match="padding"):
        Architecture((1, 5, 5), (pool,), {})


def slow_pool(op, x):
    """Window by window: the mean or maximum of what lies inside, of the padding too where it counts."""
    inside = F.pad(torch.ones_like(x), op.padding) > 0
    padded, (height, width) = F.pad(x, op.padding), op.shape([x.shape[1:]], {})[1:]
    rows = []
    for i, j in itertools.product(range(height), range(width)):
        start = i * op.stride[0], j * op.stride[1]
        ends = (start[0] + op.dilation[0] * op.kernel[0], start[1] + op.dilation[1] * op.kernel[1])
        place = (..., slice(start[0], ends[0], op.dilation[0]), slice(start[1], ends[1], op.dilation[1]))
        values, real = padded[place].flatten(2), inside[place].flatten(2)
        if op.mode == "max":
            rows.append(values.masked_fill(~real, -math.inf).amax(2))
        else:
            rows.append(values.sum(2) / (values.shape[2] if op.count_padding else real.sum(2)))
    return torch.stack(rows, 2).unflatten(2, (height, width))


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (1, 0, 0, 1), (2, 2, 2, 1)])
@pytest.mark.parametrize("settings", [{"mode": "max"}, {"mode": "max", "dilation": (2, 1)}, {"mode": "average"},
                                      {"mode": "average", "count_padding": False}])  # fmt: skip
def test_pools_with_any_padding(settings, padding, ceil):
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    for kernel, stride in (((3, 3), (2, 2)), ((3, 3), (3, 2)), ((4, 3), (3, 3))):
        op = Pool(inputs=(0,), kernel=kernel, stride=stride, padding=padding, ceil=ceil, **settings)
        torch.testing.assert_close(op.run([x], {}), slow_pool(op, x))


def test_a_permutation_of_the_wrong_length_is_refused():
    architecture = lenet()
    axes = axes_of(architecture)
    with pytest.raises(ValueError, match="units"):
        axes.permute(random_tensors(architecture), {axes.hidden[0]: torch.arange(2).numpy()})


def test_lenet_is_what_torch_computes():
    architecture, x = lenet(), random_images(lenet())
    t = random_tensors(architecture)
    y = F.max_pool2d(F.relu(F.conv2d(x, t["a.weight"], t["a.bias"])), 2).flatten(1)
    y = F.linear(F.relu(F.linear(y, t["b.weight"], t["b.bias"])), t["c.weight"], t["c.bias"])
    torch.testing.assert_close(architecture.run(t, x), y)


@pytest.mark.parametrize(
    "kernel, stride, padding, ceil", [(2, 2, 0, False), (3, 2, 1, True), (3, 2, 0, True), (3, 1, 1, False)]
)
@pytest.mark.parametrize("mode", ["max", "average"])
def test_pooling_has_torchs_shape_and_values(mode, kernel, stride, padding, ceil):
    module = {"max": torch.nn.MaxPool2d, "average": torch.nn.AvgPool2d}[mode](
        kernel, stride, padding, ceil_mode=ceil
    )
    op = Pool(
        inputs=(0,), mode=mode, kernel=(kernel,) * 2, stride=(stride,) * 2, padding=(padding,) * 4, ceil=ceil
    )
    for side in range(5, 12):
        architecture = Architecture((2, side, side), (op,), {})
        x = torch.randn(1, 2, side, side)
        want = module(x)
        assert architecture.output_shape == want.shape[1:]
        torch.testing.assert_close(architecture.run({}, x), want)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_json_round_trip(name):
    architecture = ARCHITECTURES[name]()
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert again.to_json() == architecture.to_json()


def _changed(change):
    document = json.loads(lenet().to_json())
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d.update(format="other"), "format"),
        (lambda d: d.update(ops="none"), "list"),
        (lambda d: d.update(input_shape=[1, -8, 8]), "input"),
        (lambda d: d["ops"][0].update(kind="python"), "Unknown operation"),
        (lambda d: d["ops"][0].update(code="import os"), "no field"),
        (lambda d: d["ops"][0].update(stride=[10**12, 1]), "stride"),
        (lambda d: d["ops"][0].update(stride=[True, 1]), "stride"),
        (lambda d: d["ops"][0].update(padding=[10**6] * 4), "padding"),
        (lambda d: d["ops"][0].update(inputs=[5]), "values"),
        (lambda d: d["ops"][0].update(inputs=[]), "values"),
        (lambda d: d["ops"][0].pop("weight"), "lacks"),
        (lambda d: d["ops"][1].update(function="eval"), "unknown function"),
        (lambda d: d["ops"][1].update(parameter=1e400), "parameter"),
        (lambda d: d["shapes"].pop("a.weight"), "not there"),
        (lambda d: d["shapes"].update({"b.weight": [7, 46]}), "features"),
        (lambda d: d["shapes"].update({"a.weight": [5, 1, 9, 9]}), "too small"),
    ],
)
def test_a_wrong_document_is_refused_with_a_sentence(change, message):
    with pytest.raises(ArchitectureError, match=message):
        Architecture.from_json(_changed(change))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_a_document_that_is_not_json_is_refused(text):
    with pytest.raises(ArchitectureError):
        Architecture.from_json(text)


def test_reshaping_back_keeps_the_channels():
    ops = (conv(0, "a"), Flatten(inputs=(1,)), Reshape(inputs=(2,), to=(4, 2, 2)), conv(3, "b"))
    architecture = Architecture((1, 2, 2), ops, shapes_of(a=(4, 1, 1, 1), b=(2, 4, 1, 1)))
    assert [axes_of(architecture).groups[g].size for g in axes_of(architecture).hidden] == [4]


def test_inputs_of_another_shape_are_refused():
    with pytest.raises(ArchitectureError, match="takes"):
        lenet().run(random_tensors(lenet()), torch.zeros(1, 3, 8, 8, dtype=torch.float64))


def test_only_what_is_still_needed_is_kept():
    assert lenet().peak == 5 * 6 * 6 * 2  # a convolution's output and its ReLU
    assert lenet().multiplications > 5 * 9 * 36


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("needs_gradients", [False, True])
def test_pictures_stay_in_channels_last_layout(channels, needs_gradients):
    """torch takes the layout of gray pictures for channels first, in which all that follows takes three times as long;
    the numbers are those of torch, and so are gradients."""
    torch.manual_seed(0)
    tensors = {"a.weight": torch.randn(4, channels, 3, 3), "b.weight": torch.randn(5, 4, 3, 3)}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    ops = (Conv(inputs=(0,), weight="a.weight"), Conv(inputs=(1,), weight="b.weight"))
    x = torch.randn(2, channels, 9, 8).contiguous(memory_format=torch.channels_last)
    x.requires_grad_(needs_gradients)
    y = Architecture((channels, 9, 8), ops, shapes).run(tensors, x)
    wanted = F.conv2d(F.conv2d(x, tensors["a.weight"]), tensors["b.weight"])
    torch.testing.assert_close(y, wanted, atol=1e-4, rtol=1e-4)
    if needs_gradients:
        gradients = [torch.autograd.grad(z.sum(), x, retain_graph=True)[0] for z in (y, wanted)]
        torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)
    else:
        assert y.is_contiguous(memory_format=torch.channels_last)
