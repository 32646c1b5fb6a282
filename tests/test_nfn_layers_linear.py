"""NPLinear and HNPLinear: symmetric, equal to a slow twin, differentiable twice, clear about misuse."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nfn_cases import (
    SPECS,
    assert_close,
    chain,
    channel_counts,
    cnn,
    dtypes,
    every_spec,
    random_features,
    seeds,
    specs,
)
from space_cases import slow_fold, slow_linear
from torch import Tensor

from nfn.checks import TOLERANCE, assert_equivariant, assert_sensitive, equivariance_error
from nfn.features import WeightSpaceFeatures
from nfn.layers import HNPLinear, NPLinear
from nfn.layers.linear_map import linear_map
from nfn.layers.products import product_plus
from nfn.permutation import group_sizes, random_permutations
from nfn.spec import ANY, ArraySpec, NetworkSpec

LAYERS = {"np": NPLinear, "hnp": HNPLinear}
both = pytest.mark.parametrize("kind", LAYERS)
thorough = settings(deadline=None, derandomize=True, max_examples=40)


def build(
    kind: str,
    spec: NetworkSpec,
    in_channels: int,
    out_channels: int,
    dtype=torch.float64,
    **kwargs,
):
    torch.manual_seed(0)
    return LAYERS[kind](spec, in_channels, out_channels, **kwargs).to(dtype)


def cycles(spec: NetworkSpec, hidden: bool, ends: bool) -> tuple[Tensor, ...]:
    """Rotate every hidden group, and / or the inputs and outputs, by one: no neuron stays unless it is alone."""
    sizes = group_sizes(spec)
    moves = [ends, *[hidden] * (len(sizes) - 2), ends]
    return tuple(torch.arange(n).roll(1 if move else 0) for n, move in zip(sizes, moves, strict=True))


@thorough
@given(
    st.sampled_from(["np", "hnp"]),
    specs(),
    channel_counts,
    channel_counts,
    dtypes,
    seeds,
)
def test_equivariant_to_hidden_permutations(kind, spec, in_channels, out_channels, dtype, seed):
    features = random_features(spec, in_channels, dtype=dtype, seed=seed)
    permutations = random_permutations(spec, torch.Generator().manual_seed(seed))
    assert_equivariant(build(kind, spec, in_channels, out_channels, dtype), features, permutations)


@thorough
@given(specs(), channel_counts, dtypes, seeds)
def test_np_is_equivariant_to_input_and_output_permutations(spec, channels, dtype, seed):
    features = random_features(spec, channels, dtype=dtype, seed=seed)
    permutations = random_permutations(spec, torch.Generator().manual_seed(seed), ends=True)
    assert_equivariant(build("np", spec, channels, 2, dtype), features, permutations)


@thorough
@given(specs(min_layers=2), channel_counts, dtypes, seeds)
def test_hnp_and_io_embed_are_not_equivariant_to_input_and_output_permutations(spec, channels, dtype, seed):
    sizes = group_sizes(spec)
    features = random_features(spec, channels, dtype=dtype, seed=seed)
    if max(sizes[0], sizes[-1]) == 1:
        return
    layers = (
        build("hnp", spec, channels, 2, dtype),
        build("np", spec, channels, 2, dtype, io_embed=True),
    )
    for layer in layers:
        assert (
            equivariance_error(layer, features, cycles(spec, hidden=False, ends=True))
            > 100 * TOLERANCE[dtype]
        )
        assert_equivariant(layer, features, cycles(spec, hidden=True, ends=False))


@thorough
@given(st.sampled_from(["np", "hnp"]), specs(min_layers=2), channel_counts, dtypes, seeds)
def test_sensitive_to_uncoupled_permutations(kind, spec, channels, dtype, seed):
    layer = build(kind, spec, channels, 3, dtype)
    features = random_features(spec, channels, dtype=dtype, seed=seed)
    assert_sensitive(layer, features, generator=torch.Generator().manual_seed(seed))


@both
@every_spec
def test_equals_the_slow_twin(kind, spec):
    layer = build(kind, spec, 2, 3)
    features = random_features(spec, 2)
    out, permuting = layer(features).tensors, range(len(spec) + 1) if kind == "np" else range(1, len(spec))
    for got, tensor, want in zip(out, layer.space.tensors, slow_linear(layer, kind, features), strict=True):
        torch.testing.assert_close(slow_fold(got, tensor, permuting)[1], want)


@both
@every_spec
def test_hand_written_backward_is_right_and_twice_differentiable(kind, spec):
    layer = build(kind, spec, 2, 1)
    inputs = [x.requires_grad_() for x in random_features(spec, 2, batch=2).tensors]
    names = [name for name, _ in layer.named_parameters()]
    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]

    def run(*values: Tensor):
        weights, tensors = values[: len(names)], values[len(names) :]
        mapping = dict(zip(names, weights, strict=True))
        out = torch.func.functional_call(layer, mapping, (chain(list(tensors)),))
        return tuple(out.tensors)

    assert torch.autograd.gradcheck(run, (*parameters, *inputs), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (*parameters, *inputs), fast_mode=True)


@both
@pytest.mark.parametrize("by_convolution", [False, True], ids=["BLAS", "oneDNN"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("expanded", [False, True], ids=["dense gradients", "expanded gradients"])
@pytest.mark.parametrize("spec", [NetworkSpec.mlp(2, 32, 32, 1), cnn((1, 8, 8, 3), ((3, 3), (3, 3), ()))])
def test_fast_float32_path_equals_plain_autograd(
    kind, by_convolution, channels_last, expanded, spec, monkeypatch
):
    """By either kernel for large products, in either memory layout, against the same map under plain autograd."""
    monkeypatch.setattr("nfn.layers.products.AVX512", by_convolution)
    layer = build(kind, spec, 32, 33, torch.float32)
    features = random_features(spec, 32, batch=4, dtype=torch.float32)
    if channels_last:
        features = features.map(lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1))
    fast = [x.clone().requires_grad_() for x in features.tensors]
    slow = [x.double().clone().requires_grad_() for x in features.tensors]
    exact = build(kind, spec, 32, 33)
    got = layer(chain(fast)).tensors
    folds = exact.folds
    folded = [fold.fold(x) for fold, x in zip(folds, slow, strict=True)]
    out = linear_map(exact.levels, folded, exact.maps, exact.bias)
    want = [fold.unfold(x) for fold, x in zip(folds, out, strict=True)]
    if expanded:
        torch.stack([x.mean() for x in got]).sum().backward()
        torch.stack([x.mean() for x in want]).sum().backward()
    else:
        torch.autograd.backward(got, [torch.cos(x.detach()) for x in got])
        torch.autograd.backward(want, [torch.cos(x.detach()) for x in want])
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)
    for a, b in zip([*fast, *layer.parameters()], [*slow, *exact.parameters()], strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-3, atol=1e-4 * b.grad.abs().max().item())


@both
def test_memory_layout_does_not_matter(kind):
    spec = SPECS["convolutions, linear last"]
    layer, features = build(kind, spec, 3, 2), random_features(spec, 3)
    permuted = features.map(lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1))
    assert_close(layer(permuted), layer(features))


@both
@pytest.mark.parametrize("spec, channels", [(SPECS["siren"], 3), (NetworkSpec.mlp(2, 32, 32, 1), 32)])
def test_a_layer_reads_what_the_last_one_wrote_without_a_copy(kind, spec, channels):
    """Channels stay last in memory through a stack."""
    out = build(kind, spec, channels, channels, torch.float32)(
        random_features(spec, channels, dtype=torch.float32)
    )
    layer = build(kind, spec, channels, 2)
    for fold, x in zip(layer.folds, out.tensors, strict=True):
        folded = fold.fold(x)
        assert folded.is_contiguous() and folded.data_ptr() == x.data_ptr()


@both
@pytest.mark.parametrize("by_convolution", [False, True], ids=["BLAS", "oneDNN"])
def test_gradients_are_stored_as_the_inputs_are(kind, by_convolution, monkeypatch):
    """Autograd copies a gradient whose memory layout is not its input's."""
    monkeypatch.setattr("nfn.layers.products.AVX512", by_convolution)
    spec = NetworkSpec.mlp(2, 32, 32, 1)
    layer, features = (
        build(kind, spec, 32, 32, torch.float32),
        random_features(spec, 32, batch=4, dtype=torch.float32),
    )
    for stored in (features, features.map(lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1))):
        hidden = stored.map(lambda x: x.requires_grad_()).weights[1]
        (gradient,) = torch.autograd.grad(layer(stored).weights[1].square().sum(), hidden)
        assert gradient.stride() == hidden.stride()


@both
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_batch_may_be_empty(kind, channels_last):
    spec = NetworkSpec.mlp(2, 32, 32, 1)
    layer = build(kind, spec, 4, 5, torch.float32)
    features = random_features(spec, 4, batch=0, dtype=torch.float32)
    if channels_last:
        features = features.map(lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1))
    out = layer(features.map(lambda x: x.requires_grad_())).tensors
    torch.stack([x.sum() for x in out]).sum().backward()
    assert [x.shape for x in out] == [(0, 5, *x.shape[2:]) for x in features.tensors]
    assert all(x.grad is not None and x.grad.shape == x.shape for x in features.tensors)


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("shapes", [(), ((5,),), ((5,), (5,)), ((4, 1, 6, 5), (1, 3, 1, 5), (5,))])
def test_a_product_adds_terms_that_broadcast(shapes, channels_first, differentiable):
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(4, 3, 6, 2, generator=generator), torch.randn(5, 2, generator=generator)
    terms = [torch.randn(shape, generator=generator) for shape in shapes]
    with torch.set_grad_enabled(differentiable):
        got = product_plus(x, weight, terms, channels_first)
    torch.testing.assert_close(got, sum(terms, start=x @ weight.t()))
    assert (got.stride(-1) != 1) == channels_first


def test_inputs_without_gradient_get_none():
    spec = SPECS["siren"]
    layer, features = build("hnp", spec, 2, 2), random_features(spec, 2)
    torch.stack([x.sum() for x in layer(features).tensors]).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    assert all(x.grad is None for x in features.tensors)


def test_io_embed_adds_the_embedding_to_both_ends():
    spec = SPECS["siren"]
    layer = build("np", spec, 2, 3, io_embed=True)
    plain = build("np", spec, 2, 3)
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if not k.startswith("io_embed")})
    features, embed = random_features(spec, 2), layer.io_embed
    inputs, outputs, output_biases = embed.codes
    weights, biases = list(features.weights), list(features.biases)
    weights[0] = weights[0] + inputs
    weights[-1] = weights[-1] + outputs
    biases[-1] = biases[-1] + output_biases
    assert_close(layer(features), plain(WeightSpaceFeatures(weights, biases)))


def test_open_hidden_sizes_run_on_any_width():
    open_spec = NetworkSpec((ArraySpec((ANY, 2)), ArraySpec((1, ANY))), (ArraySpec((ANY,)), ArraySpec((1,))))
    for width in (3, 5):
        features = random_features(NetworkSpec.mlp(2, width, 1), 2)
        assert build("hnp", open_spec, 2, 4)(features).weights[0].shape == (
            3,
            4,
            width,
            2,
        )


@both
def test_init_scales_each_output_by_its_whole_fan_in(kind):
    spec = NetworkSpec.mlp(2, 3, 3, 1)
    layer = build(kind, spec, 8, 8)
    assert (
        layer.fan_in(3) == 8 * {"np": 6 + 3, "hnp": 7 + 3}[kind]
    )  # bias 1: the point level and its own line
    middle = layer.pair_maps[0] if kind == "hnp" else layer.pair_maps[1]
    assert middle.abs().max() <= layer.fan_in(2) ** -0.5
    assert middle.abs().max() > 0.8 * layer.fan_in(2) ** -0.5


def test_kaiming_init_has_no_biases_and_unit_gain():
    spec = NetworkSpec.mlp(2, 3, 3, 1)
    layer = build("np", spec, 32, 32, init_type="kaiming_normal")
    assert not layer.bias.any()
    assert layer.pair_maps[1].std().item() == pytest.approx(math.sqrt(2 / layer.fan_in(2)), rel=0.1)


STORED = {
    "np": [109.483329415, -0.025462153, -15.550099441, -0.104194906, -4.894259599, -2.577403626],
    "hnp": [26.952322318, -7.717735862, 24.420332468, -4.796671693, 12.020934919, 6.865670931],
}
"""Per tensor, the sum of the outputs times 1, 2, 3, ... of the layers below."""


@both
def test_stored_layers_keep_their_parameters_and_what_these_mean(kind):
    """Predictors are stored as state dicts: another order of the levels or their channels would change them all."""
    spec = cnn((2, 3, 2, 2), ((1, 2), (), ()))
    linear = build(kind, spec, 1, 1)
    lines = {"np": 4, "hnp": 2}[kind]
    pairs = {"np": 3, "hnp": 1}[kind]
    names = [
        "point_map",
        "bias",
        *(f"line_maps.{i}" for i in range(lines)),
        *(f"pair_maps.{i}" for i in range(pairs)),
    ]
    assert list(linear.state_dict()) == names

    def entries(count: int, first: int) -> Tensor:
        return torch.arange(first, first + count, dtype=torch.float64)

    with torch.no_grad():
        for k, parameter in enumerate(linear.parameters()):
            parameter.copy_(entries(parameter.numel(), k).mul(0.7).sin().view_as(parameter))
    shapes = [tensor.shape for tensor in linear.space.tensors]
    tensors = [entries(math.prod(s), i).mul(1.3).cos().view(1, 1, *s) for i, s in enumerate(shapes)]
    with torch.no_grad():
        out = linear(chain(tensors)).tensors
    assert [float((x.flatten() * entries(x.numel(), 1)).sum()) for x in out] == pytest.approx(
        STORED[kind], abs=1e-8
    )


def _open_inputs():
    return HNPLinear(NetworkSpec((ArraySpec((1, ANY)),), (ArraySpec((1,)),)), 1, 1)


ERRORS = {
    "wrong channels": (
        lambda: build("np", SPECS["siren"], 3, 2)(random_features(SPECS["siren"], 2)),
        "expected .batch, 3",
    ),
    "wrong depth": (
        lambda: build("np", SPECS["siren"], 2, 2)(random_features(SPECS["two layers"], 2)),
        "2 layers for a layer built for 3",
    ),
    "wrong width": (
        lambda: build("hnp", SPECS["siren"], 2, 2)(random_features(NetworkSpec.mlp(3, 6, 7, 1), 2)),
        "Layer 0 weight: got features",
    ),
    "conv for linear": (
        lambda: build("np", NetworkSpec.mlp(2, 3), 2, 2)(random_features(SPECS["one convolution"], 2)),
        "Layer 0 weight",
    ),
    "unknown init": (
        lambda: build("np", SPECS["siren"], 2, 2, init_type="magic"),
        "init_type 'magic'",
    ),
    "open inputs": (_open_inputs, "has an unknown size"),
    "open io_embed": (
        lambda: NPLinear(NetworkSpec((ArraySpec((1, ANY)),), (ArraySpec((1,)),)), 1, 1, io_embed=True),
        "io_embed needs the number",
    ),
}


@pytest.mark.parametrize("call, words", ERRORS.values(), ids=ERRORS)
def test_errors_say_where_and_what(call, words):
    with pytest.raises(ValueError, match=words):
        call()
