"""From PyTorch modules, written as people write them, to architectures."""

import inspect
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

import nfn
from nfn.architecture import Architecture, ArchitectureError, axes_of
from nfn.architecture.ops import Activation, Add, ChannelAffine, Conv, Linear, Pad, Scale, Subsample
from nfn.architecture.trace import trace_with_tensors


class MnistExample(nn.Module):
    """Functional calls, `view(-1, n)`, dropout of both kinds, log-softmax."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 8, 5)
        self.drop, self.fc1, self.fc2 = nn.Dropout2d(), nn.Linear(128, 20), nn.Linear(20, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = torch.relu(self.fc1(x.view(-1, 128)))
        return F.log_softmax(self.fc2(F.dropout(x, training=self.training)), dim=1)


class OptionA(nn.Module):
    """A residual block whose shortcut takes every second pixel and pads channels."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.more, self.stride = (out - channels) // 2, stride

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        y += x
        return y.relu_()


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.layers = nn.Sequential(OptionA(4, 4, 1), OptionA(4, 8, 2), OptionA(8, 8, 1))
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.layers(self.stem(x))
        return self.fc(F.avg_pool2d(x, x.size()[3]).view(x.size(0), -1))


class Dense(nn.Module):
    """Everything so far is concatenated; the convolutions see all of it."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 + 4 * i, 4, 3, padding="same") for i in range(3))
        self.head = nn.Linear(15, 4)

    def forward(self, x):
        for conv in self.convs:
            x = torch.cat([x, F.gelu(conv(x))], dim=1)
        return self.head(x.mean([2, 3]))


class SqueezeExcite(nn.Module):
    """Means and deviations as buffers, a squeeze-and-excitation with `expand_as`, a learned gain per channel."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.conv = nn.Conv2d(3, 6, 4, padding="same")
        self.fc = nn.Sequential(
            nn.Linear(6, 2, bias=False), nn.ReLU(inplace=True), nn.Linear(2, 6), nn.Sigmoid()
        )
        self.gain, self.shift, self.out = (
            nn.Parameter(torch.rand(6, 1, 1)),
            nn.Parameter(torch.rand(6)),
            nn.Linear(6, 3),
        )

    def forward(self, x):
        x = self.conv((x - self.mean) / 0.25)
        b, c, _, _ = x.shape
        y = self.fc(F.adaptive_avg_pool2d(x, 1).view(b, c)).view(b, c, 1, 1)
        x = x * y.expand_as(x) * self.gain + self.shift[:, None, None]
        return self.out(torch.amax(x, (2, 3)))


class Siren(nn.Module):
    """Returns its coordinates too, as the code of the paper does."""

    def __init__(self, omega=30.0, hidden=3):
        super().__init__()
        self.omega = omega
        widths = [2, *[12] * hidden, 1]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, coordinates):
        coordinates = coordinates.clone().detach().requires_grad_(True)
        x = coordinates
        for layer in self.layers[:-1]:
            x = torch.sin(self.omega * layer(x))
        return torch.sigmoid(self.layers[-1](x)), coordinates


class Matrices(nn.Module):
    """Parameters instead of layers, one of them stored `(in, out)`, and one used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.shift = nn.Parameter(torch.randn(5, 7) / 3), nn.Parameter(torch.randn(7))
        self.again, self.last = nn.Parameter(torch.randn(7, 7) / 3), nn.Parameter(torch.randn(2, 7))

    def forward(self, x):
        x = (x @ self.first + self.shift).tanh()
        x = torch.tanh(F.linear(x, self.again) + x)
        x = torch.tanh(F.linear(x, self.again) + x)
        return 1 - x.matmul(self.last.t()) / 3


class Branches(nn.Module):
    """Depthwise and grouped convolutions, padding, zeros as channels, pools of all kinds, joined vectors."""

    def __init__(self):
        super().__init__()
        self.depth, self.point = nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.Conv2d(4, 6, 1)
        self.grouped, self.act, self.head = (
            nn.Conv2d(6, 8, 2, groups=2, dilation=2),
            nn.PReLU(8),
            nn.Linear(22, 3),
        )

    def forward(self, x):
        x = self.point(self.depth(F.pad(x, (1, 1, 1, 1))))
        y = self.act(self.grouped(x))
        y = torch.cat([y, torch.zeros_like(y[:, :, :, :])], 1)
        y = F.max_pool2d(y, 3, stride=2, padding=1, ceil_mode=True)
        y = F.adaptive_max_pool2d(y, (1, 1))[:, :, 0, 0]
        return self.head(torch.cat((x.sum(dim=(2, 3)) / 10, y), dim=-1))


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(48, 2)

    def forward(self, x):
        x = F.softplus(self.conv(x)).permute(0, 2, 3, 1).contiguous()
        return self.head(x.reshape(len(x), -1))


class StandardisedConv(nn.Conv2d):
    """The weights are standardised in each call."""

    def forward(self, x):
        weight = self.weight
        weight = (weight - weight.mean((1, 2, 3), keepdim=True)) / weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias)


class Fourier(nn.Module):
    """Random Fourier features before a linear layer, and a gain that all outputs share."""

    def __init__(self):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(6, 2))
        self.hidden, self.last, self.gain = nn.Linear(12, 8), nn.Linear(8, 3), nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        x = 2 * math.pi * x @ self.frequencies.T
        x = self.hidden(torch.cat([torch.sin(x), torch.cos(x)], dim=-1))
        return self.gain * self.last(x * torch.sigmoid(x))


class Does(nn.Module):
    """A module that does one thing between layers of its own."""

    def __init__(self, what, first=None, last=None):
        super().__init__()
        self.what, self.first, self.last = what, first or nn.Identity(), last or nn.Identity()

    def forward(self, x):
        return self.last(self.what(self.first(x)))


def pooled(what):
    """What people write for a global pool, between a convolution and a linear layer."""
    return lambda: Does(what, nn.Conv2d(1, 5, 3), nn.Linear(5, 2))


def activations():
    layers = (
        nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SELU(), nn.CELU(1.3), nn.GELU(approximate="tanh"), nn.SiLU(),
        nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Hardtanh(-0.3, 0.8), nn.Softplus(2),
        nn.Softsign(), nn.Sigmoid(), nn.Tanh(), nn.RReLU(), nn.Threshold(0, 0), nn.Tanhshrink(), nn.PReLU(),
        nn.Identity(),
    )  # fmt: skip
    pairs = (layer for act in layers for layer in (nn.Linear(6, 6), nn.BatchNorm1d(6), act))
    return nn.Sequential(*pairs, nn.Linear(6, 3), nn.Softmax(dim=-1))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(256, 20), nn.Tanh(), nn.Linear(20, 10),
    )  # fmt: skip


def all_convolutional(channels=1):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2), nn.SiLU(), nn.Conv2d(8, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def shared():
    """One activation and one convolution at two places."""
    act, conv = nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), act, conv, act, conv, act, nn.Flatten(), nn.Linear(144, 2))


def weight_norm():
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))


def standardised():
    return nn.Sequential(StandardisedConv(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def pruned():
    conv = nn.Conv2d(1, 4, 3)
    prune.random_unstructured(conv, "weight", 0.5)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))


MODULES = {
    "mnist_example": (MnistExample, (1, 28, 28)), "resnet": (ResNet, (3, 16, 16)), "dense": (Dense, (3, 7, 7)),
    "squeeze_excite": (SqueezeExcite, (3, 9, 9)), "siren": (Siren, (2,)), "matrices": (Matrices, (5,)),
    "branches": (Branches, (2, 9, 9)), "channels_last": (ChannelsLast, (1, 6, 6)), "activations": (activations, (6,)),
    "lenet": (lenet, (1, 28, 28)), "all_convolutional": (all_convolutional, (1, 16, 16)),
    "shared": (shared, (1, 8, 8)), "weight_norm": (weight_norm, (4,)), "pruned": (pruned, (1, 8, 8)),
    "standardised": (standardised, (1, 8, 8)), "fourier": (Fourier, (2,)),
    "squeezed": (pooled(lambda x: F.adaptive_avg_pool2d(x, (1, 1)).squeeze(-1).squeeze(-1)), (1, 8, 8)),
    "two_maxima": (pooled(lambda x: x.max(-1)[0].max(-1)[0]), (1, 8, 8)),
    "whole_window": (pooled(lambda x: F.max_pool2d(x, x.size()[2:]).view(x.size(0), -1)), (1, 8, 8)),
    "rows_of_pixels": (pooled(lambda x: x.view(x.size(0), x.size(1), -1).mean(2)), (1, 8, 8)),
    "unflattened": (lambda: Does(lambda x: x.view(-1, 2, 3, 3), nn.Linear(4, 18), all_convolutional(2)), (4,)),
    "parallel": (lambda: nn.DataParallel(lenet()), (1, 28, 28)), "float64": (lambda: lenet().double(), (1, 28, 28)),
}  # fmt: skip


def build(name):
    """The module with batch norm as after training, and five inputs."""
    make, shape = MODULES[name]
    torch.manual_seed(0)
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features)
            part.running_var = torch.rand(part.num_features) + 0.5
            part.weight.data.uniform_(0.5, 2)
    return module, torch.randn(5, *shape).to(next(module.parameters()).dtype)


def output_of(module, x):
    with torch.no_grad():
        y = module.eval()(x)
    return y[0] if isinstance(y, tuple) else y


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", MODULES)
def test_the_architecture_computes_what_the_module_does_and_keeps_it_when_permuted(name):
    module, x = build(name)
    traced = trace_with_tensors(module, x.shape[1:])
    architecture = Architecture.from_json(traced.architecture.to_json())
    want = output_of(module, x)
    torch.testing.assert_close(architecture.run(traced.tensors, x), want, atol=1e-5, rtol=0)
    axes = axes_of(architecture)
    permutations = axes.random_permutations(torch.Generator().manual_seed(1))
    permuted = axes.permute(traced.tensors, permutations)
    assert any(not torch.equal(permuted[name], traced.tensors[name]) for name in permuted)
    torch.testing.assert_close(architecture.run(permuted, x), want, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", sorted(MODULES.keys() - {"squeeze_excite", "weight_norm", "pruned", "standardised", "fourier"})
)
def test_ops_name_the_tensors_of_the_state_dict(name):
    module, x = build(name)
    state = module.state_dict()
    architecture = nfn.trace(module, x.shape[1:])
    assert {n: tuple(state[n].shape) for n in architecture.shapes} == architecture.shapes
    used = {state[n].data_ptr() for n in architecture.shapes}
    unused = {n for n in state if state[n].data_ptr() not in used and not n.endswith("num_batches_tracked")}
    assert not unused
    torch.testing.assert_close(architecture.run(state, x), output_of(module, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["weight_norm", "pruned"])
def test_computed_weights_have_the_name_of_their_layer(name):
    module, x = build(name)
    assert "0.weight" in trace_with_tensors(module, x.shape[1:]).tensors


def kinds(name):
    return nfn.trace(build(name)[0], MODULES[name][1]).ops


def test_related_calls_become_one_op():
    sines = [op for op in kinds("siren") if isinstance(op, Activation) and op.function == "sine"]
    assert [op.parameter for op in sines] == [30.0] * 3
    assert not any(isinstance(op, Scale) for op in kinds("siren"))
    assert [op.stride for op in kinds("resnet") if isinstance(op, Subsample)] == [(2, 2)]
    assert sum(isinstance(op, Add) for op in kinds("resnet")) == 3
    linears = [op for op in kinds("matrices") if isinstance(op, Linear)]
    assert [(op.weight, op.bias, op.transposed) for op in linears] == [
        ("first", "shift", True), ("again", None, False), ("again", None, False), ("last", None, False)
    ]  # fmt: skip
    first = kinds("branches")[0]
    assert isinstance(first, Conv) and first.padding == (1, 1, 1, 1)
    assert [op.channels for op in kinds("branches") if isinstance(op, Pad)] == [(0, 8)]


def test_a_normalisation_of_the_input_is_fixed_numbers_and_a_learned_gain_is_a_tensor():
    ops = kinds("squeeze_excite")
    assert isinstance(ops[0], Scale)
    assert ops[0].factor == (4.0,)
    assert ops[0].offset == pytest.approx((-1.6, -2.0, -2.4))
    assert [(op.weight, op.bias) for op in ops if isinstance(op, ChannelAffine)] == [("gain.flat", "shift")]


@pytest.mark.parametrize("name", MODULES)
def test_tracing_leaves_the_module_as_it_was(name):
    module, x = build(name)
    module.train()
    next(module.children(), module).eval()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    random = torch.get_rng_state()
    nfn.trace(module, x.shape[1:])
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert not any(
        part._forward_hooks or part._forward_pre_hooks for part in module.modules() if "prune" not in name
    )
    assert torch.equal(torch.get_rng_state(), random)


IMAGE, VECTOR = (3, 4, 4), (6,)


@pytest.mark.parametrize(
    "what, shape, names",
    [
        (lambda x: F.interpolate(x, scale_factor=2), IMAGE, ["functional.interpolate"]),
        (lambda x: F.dropout(x), VECTOR, ["functional.dropout", "training=self.training"]),
        (lambda x: x * 2 if x.mean() > 0 else x, VECTOR, ["Tensor.mean", "decision in Python"]),
        (lambda x: x * x[0, 0].item(), VECTOR, ["Tensor", "batch"]),
        (lambda x: F.instance_norm(x), IMAGE, ["instance_norm"]),
        (lambda x: F.layer_norm(x, (6,)), VECTOR, ["layer_norm"]),
        (lambda x: F.batch_norm(x, None, None, training=True), IMAGE, ["batch_norm", "own mean"]),
        (lambda x: x / x.sum(1, keepdim=True), VECTOR, ["sum", "axes \\[1\\]"]),
        (lambda x: x[:, :2], VECTOR, ["cut out"]),
        (lambda x: x[:, :, 1:], IMAGE, ["cut out"]),
        (lambda x: x.flip(3), IMAGE, ["Tensor.flip"]),
        (lambda x: x.transpose(2, 3).relu(), IMAGE, ["order"]),
        (lambda x: x.flatten(), VECTOR, ["one result for each"]),
        (lambda x: x.permute(1, 0), VECTOR, ["one result for each"]),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float(), IMAGE, ["besides its result"]),
        (lambda x: x @ x.t(), VECTOR, ["Tensor.t "]),
        (lambda x: x + torch.rand(3, 4, 4), IMAGE, ["constant of shape"]),
        (lambda x: (x.exp(), 2 * x), VECTOR, ["2 values"]),
        (lambda x: torch.ones(3, 2), VECTOR, ["0 values"]),
        (lambda x: F.conv_transpose2d(x, torch.ones(3, 2, 2, 2)), IMAGE, ["transposed convolution"]),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), IMAGE, ["functional.pad"]),
        (lambda x: F.pad(x, (1, 1), value=1.0), IMAGE, ["zeros"]),
        (lambda x: torch.fft.fft(x).real, VECTOR, ["fft"]),
    ],
)  # fmt: skip
def test_inexpressible_operations_are_refused_with_name_place_and_advice(what, shape, names):
    with pytest.raises(ArchitectureError) as refused:
        nfn.trace(Does(what), shape)
    for name in names:
        assert refused.match(name)
    if not names[0].endswith("values"):
        line = inspect.getsourcelines(what)[1]
        assert refused.match(f"test_nfn_trace.py line {line}")
    assert "torch.onnx.export(module.eval(), (torch.zeros(1, " in str(refused.value)


def test_the_place_is_the_modules_name_too():
    module = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Upsample(scale_factor=2)), nn.ReLU())
    with pytest.raises(ArchitectureError, match=r"in '0.1' \(Upsample\): it is none"):
        nfn.trace(module, IMAGE)


def leaves_pytorch(x):
    return x + torch.from_numpy(x.numpy().max(1, keepdims=True))


def wrong_for_other_batches(x):
    return x * len(x)


def changes_a_view(x):
    y = x.clone()
    y.view(-1).relu_()
    return y * 2


def in_place_and_unused(x):
    y = 2 * x
    F.relu(y, inplace=True)
    return y + 1


@pytest.mark.parametrize("what", [wrong_for_other_batches, leaves_pytorch, changes_a_view])
def test_untraced_behaviour_is_never_silently_dropped(what):
    with pytest.raises(
        ArchitectureError, match=r"other inputs its output differs|constant of shape|one result for"
    ):
        nfn.trace(Does(what), VECTOR)


def test_changes_in_place_are_seen_even_if_their_result_is_not_used():
    x = torch.randn(4, 6)
    torch.testing.assert_close(nfn.trace(Does(in_place_and_unused), VECTOR).run({}, x), (2 * x).relu() + 1)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((28, 28), "without the batch"), ((4, 1, 28, 28), "without the batch"), ((1, 0, 3), "without the batch"),
        ("28x28", "such as"), (28, "such as"), ((1, 27, 27), "cannot run on inputs of shape .2, 1, 27, 27."),
    ],
)  # fmt: skip
def test_a_wrong_input_shape_raises_a_clear_error(shape, message):
    with pytest.raises(ArchitectureError, match=message):
        nfn.trace(lenet(), shape)


def test_an_object_that_is_not_a_module_is_refused():
    with pytest.raises(TypeError, match="load the state_dict"):
        nfn.trace(lenet().state_dict(), (1, 28, 28))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArchitectureError, match="meta device"):
        nfn.trace(nn.Linear(2, 2, device="meta"), (2,))
    with pytest.raises(ArchitectureError, match="the Python module"):
        nfn.trace(torch.jit.ScriptModule(), (1, 28, 28))


def test_errors_of_the_module_itself_are_passed_on():
    def broken(x):
        raise KeyError("missing")

    with pytest.raises(ArchitectureError, match="KeyError: 'missing'"):
        nfn.trace(Does(broken), VECTOR)


def test_powers_and_sums_over_one_side():
    module = Does(lambda x: (x**3 + x**2).mean(3).mean(2) * math.pi)
    x = torch.randn(2, *IMAGE)
    torch.testing.assert_close(nfn.trace(module, IMAGE).run({}, x), module(x))


def test_all_of_the_batch_is_no_cut():
    """torch 2.8 executes the first slice of `x[:, :, ::2]`, newer ones do not."""

    class Slice(nn.Module):
        def forward(self, x):
            return torch.ops.aten.slice.Tensor(x, 0, 0, 2**63 - 1)[:, :, ::2, ::2]

    assert nfn.trace(Slice(), (3, 8, 8)).output_shape == (3, 4, 4)
