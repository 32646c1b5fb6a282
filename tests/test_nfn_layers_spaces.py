"""NF-layers on weight spaces with any labelling of axes: symmetric, sensitive, equal to slow twins, differentiable."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nfn_cases import channel_counts, dtypes, residual, seeds
from space_cases import REPEATED, SPACES, layer, random_on, slow_fold, slow_linear, space
from torch import Tensor, nn

from nfn import layers
from nfn.checks import TOLERANCE, assert_equivariant, assert_invariant, assert_sensitive, equivariance_error
from nfn.features import WeightSpaceFeatures
from nfn.layers.linear_map import linear_map
from nfn.models import EquivariantConfig, EquivariantNFN, InvariantConfig, InvariantNFN, StackConfig
from nfn.space import WeightSpace, as_space
from nfn.spec import NetworkSpec

LINEAR = {"np": layers.NPLinear, "hnp": layers.HNPLinear}
ALL = {**SPACES, **REPEATED}
both = pytest.mark.parametrize("kind", LINEAR)
every_space = pytest.mark.parametrize("space", ALL.values(), ids=ALL)
MET_TWICE = {name: s for name, s in ALL.items() if any(len(s.places(g)) > 1 for g in s.permuting)}
WITH_ENDS = {name: s for name, s in ALL.items() if any(s.groups[g] > 1 for g in s.ends)}
thorough = settings(deadline=None, derandomize=True, max_examples=40)


@st.composite
def spaces(draw: st.DrawFn) -> WeightSpace:
    """Up to four groups and five tensors of up to three axes, groups in any order and repeated."""
    sizes = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axis = st.one_of(st.integers(0, len(sizes) - 1), st.sampled_from(["1", "2"]))
    axes = draw(st.lists(st.lists(axis, min_size=1, max_size=3), min_size=1, max_size=5))
    permuting = draw(st.sets(st.integers(0, len(sizes) - 1)))
    return space(sizes, permuting, *((f"t{i}.weight", tuple(a)) for i, a in enumerate(axes)))


def moves(space: WeightSpace, kind: str, seed: int) -> dict[int, Tensor]:
    return space.random_permutations(torch.Generator().manual_seed(seed), ends=kind == "np")


def build(kind: str, space: WeightSpace, in_channels: int, out_channels: int, dtype=torch.float64, **kwargs):
    torch.manual_seed(0)
    return LINEAR[kind](space, in_channels, out_channels, **kwargs).to(dtype)


@thorough
@given(st.sampled_from(list(LINEAR)), spaces(), channel_counts, channel_counts, dtypes, seeds)
def test_linear_is_equivariant(kind, space, in_channels, out_channels, dtype, seed):
    linear = build(kind, space, in_channels, out_channels, dtype)
    features = random_on(space, in_channels, dtype=dtype, seed=seed)
    assert_equivariant(linear, features, moves(space, kind, seed), space=space)


@both
@pytest.mark.parametrize("space", MET_TWICE.values(), ids=MET_TWICE)
def test_linear_is_sensitive_to_a_permutation_of_one_axis(kind, space):
    assert_sensitive(build(kind, space, 2, 3), random_on(space, 2), space=space)


@both
@pytest.mark.parametrize("space", WITH_ENDS.values(), ids=WITH_ENDS)
def test_hnp_and_io_embed_distinguish_the_ends(kind, space):
    ends = {g: torch.arange(space.groups[g]).roll(1) for g in space.ends}
    linear = build(kind, space, 2, 3, io_embed=True) if kind == "np" else build(kind, space, 2, 3)
    features = random_on(space, 2)
    assert equivariance_error(linear, features, ends, space) > 100 * TOLERANCE[torch.float64]
    assert_equivariant(linear, features, space=space)


@both
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_linear_equals_the_slow_twin(kind, space):
    linear, features = build(kind, space, 2, 3), random_on(space, 2)
    permuting = range(len(space.groups)) if kind == "np" else space.permuting
    for got, tensor, want in zip(
        linear(features).tensors, space.tensors, slow_linear(linear, kind, features), strict=True
    ):
        got = slow_fold(got, tensor, permuting)[1]
        torch.testing.assert_close(got, want.expand_as(got))


@both
@every_space
def test_hand_written_backward_is_right_and_twice_differentiable(kind, space):
    linear = build(kind, space, 1, 2)
    inputs = [x.requires_grad_() for x in random_on(space, 1, batch=2).tensors]
    names = [name for name, _ in linear.named_parameters()]
    parameters = [p.detach().clone().requires_grad_() for p in linear.parameters()]

    def run(*values: Tensor):
        mapping = dict(zip(names, values[: len(names)], strict=True))
        features = WeightSpaceFeatures.of_tensors(values[len(names) :])
        return torch.func.functional_call(linear, mapping, (features,)).tensors

    assert torch.autograd.gradcheck(run, (*parameters, *inputs), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (*parameters, *inputs), fast_mode=True)


WIDE = {
    "block": space(
        (1, 24, 16, 3), {1, 2}, *layer("stem", 1, 0), *layer("conv1", 2, 1, "2"), *layer("conv2", 1, 2, "2"),
        *layer("fc", 3, 1),
    ),
    "bottleneck": space((16, 24, 20), {0, 1, 2}, ("in", (1, 0)), ("mid", (2, 1)), ("out", (0, 2))),
    "recurrent": space((2, 24), {1}, ("in.weight", (1, 0)), ("hidden.weight", (1, 1)), ("hidden.bias", (1,))),
    "cube": space((8, 9, 10), {0, 1, 2}, ("cube", (0, 2, 1)), ("pair", (1, 0)), ("line", (2,))),
}  # fmt: skip


@both
@pytest.mark.parametrize("channels_last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("space", WIDE.values(), ids=WIDE)
def test_fast_float32_path_equals_plain_autograd(kind, channels_last, space):
    """At sizes where oneDNN takes over, in either memory layout, against the same map under plain autograd."""
    linear, exact = build(kind, space, 32, 33, torch.float32), build(kind, space, 32, 33)
    features = random_on(space, 32, batch=4, dtype=torch.float32)
    if channels_last:
        features = features.map(lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1))
    fast = [x.clone().requires_grad_() for x in features.tensors]
    slow = [x.double().clone().requires_grad_() for x in features.tensors]
    got = linear(WeightSpaceFeatures.of_tensors(fast)).tensors
    folded = [fold.fold(x) for fold, x in zip(exact.folds, slow, strict=True)]
    out = linear_map(exact.levels, folded, exact.maps, exact.bias)
    want = [fold.unfold(x) for fold, x in zip(exact.folds, out, strict=True)]
    torch.autograd.backward(got, [torch.cos(x.detach()) for x in got])
    torch.autograd.backward(want, [torch.cos(x.detach()) for x in want])
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)
    for a, b in zip([*fast, *linear.parameters()], [*slow, *exact.parameters()], strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-3, atol=1e-4 * b.grad.abs().max().item())


@both
@every_space
def test_memory_layout_does_not_matter(kind, space):
    linear, features = build(kind, space, 3, 2), random_on(space, 3)
    permuted = features.map(lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1))
    for a, b in zip(linear(permuted).tensors, linear(features).tensors, strict=True):
        torch.testing.assert_close(a, b)


@both
def test_a_chain_is_the_same_as_spec_and_as_space(kind):
    spec = NetworkSpec.mlp(2, 3, 4, 1)
    features = random_on(as_space(spec), 2)
    by_spec, by_space = LINEAR[kind](spec, 2, 3).double(), build(kind, as_space(spec), 2, 3)
    by_spec.load_state_dict(by_space.state_dict())
    chain = WeightSpaceFeatures(features.tensors[::2], features.tensors[1::2])
    got, want = by_spec(chain), by_space(features)
    assert got.is_chain and not want.is_chain
    assert all(torch.equal(a, b) for a, b in zip(got.tensors, want.tensors, strict=True))


# Name -> (build(space, channels), equivariant to inputs and outputs too)
EQUIVARIANT = {
    "Pointwise": (lambda space, c: layers.Pointwise(space, c, 3), True),
    "NPAttention": (lambda space, c: layers.NPAttention(space, c, num_heads=1, share_projections=False), True),
    "SimpleLayerNorm": (layers.SimpleLayerNorm, True),
    "ParamLayerNorm": (layers.ParamLayerNorm, False),
    "ChannelDropout": (lambda space, c: layers.ChannelDropout(0.5), True),
    "IOSinusoidalEncoding": (lambda space, c: layers.IOSinusoidalEncoding(space), False),
    "GaussianFourierFeatureTransform": (
        lambda space, c: layers.GaussianFourierFeatureTransform(space, c, 3, 1.0),
        True,
    ),
    "LearnedPosEmbedding": (layers.LearnedPosEmbedding, False),
    "LearnedScale": (lambda space, c: layers.LearnedScale(space, 0.1), True),
    "TupleOp": (lambda space, c: layers.TupleOp(nn.ReLU()), True),
    "ResBlock": (residual, False),
    "FlattenWeights": (
        lambda space, c: nn.Sequential(layers.FlattenWeights(space), layers.UnflattenWeights(space)),
        True,
    ),
    "EquivariantNFN hnp": (lambda space, c: equivariant_stack(space, c, "hnp"), False),
    "EquivariantNFN np": (lambda space, c: equivariant_stack(space, c, "np"), False),
}  # fmt: skip
INVARIANT = {
    "NPPool": (lambda space, c: layers.NPPool(space), True),
    "HNPPool": (lambda space, c: layers.HNPPool(space), False),
    "StatFeaturizer": (lambda space, c: layers.StatFeaturizer(), True),
    "CrossAttnEncoder": (lambda space, c: layers.CrossAttnEncoder(space, c, 3), True),
    "InvariantNFN hnp": (lambda space, c: invariant_stack(space, c, "hnp"), False),
    "InvariantNFN np": (lambda space, c: invariant_stack(space, c, "np"), False),
}


def equivariant_stack(space: WeightSpace, channels: int, kind) -> nn.Module:
    return EquivariantNFN(space, EquivariantConfig(StackConfig(kind, 4, 2, norm=True), 3), channels)


def invariant_stack(space: WeightSpace, channels: int, kind) -> nn.Module:
    return InvariantNFN(space, InvariantConfig(3, StackConfig(kind, 4, 2, fourier_features=2), 8), channels)


@pytest.mark.parametrize("name", EQUIVARIANT)
@settings(thorough, max_examples=15)
@given(space=spaces(), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_other_layers_are_equivariant(name, space, channels, dtype, seed):
    make, ends = EQUIVARIANT[name]
    torch.manual_seed(0)
    module = make(space, channels).to(dtype).eval()
    features = random_on(space, channels, dtype=dtype, seed=seed)
    tolerance = TOLERANCE[dtype] * (10 if "NFN" in name else 1)
    assert_equivariant(module, features, moves(space, "np" if ends else "hnp", seed), tolerance, space)


@pytest.mark.parametrize("name", INVARIANT)
@settings(thorough, max_examples=15)
@given(space=spaces(), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_pools_and_readers_are_invariant(name, space, channels, dtype, seed):
    make, ends = INVARIANT[name]
    torch.manual_seed(0)
    module = make(space, channels).to(dtype).eval()
    features = random_on(space, channels, dtype=dtype, seed=seed)
    tolerance = TOLERANCE[dtype] * (10 if "NFN" in name else 1)
    assert_invariant(module, features, moves(space, "np" if ends else "hnp", seed), tolerance, space)


@pytest.mark.parametrize("name", [name for name, (_, ends) in EQUIVARIANT.items() if not ends])
def test_layers_with_fixed_ends_distinguish_them(name):
    space = SPACES["resnet"]
    torch.manual_seed(0)
    module = EQUIVARIANT[name][0](space, 2).double().eval()
    for norm in (m for m in module.modules() if isinstance(m, nn.LayerNorm)):
        nn.init.uniform_(norm.weight)  # a fresh norm treats all inputs alike
    for end in space.ends:
        assert equivariance_error(module, random_on(space, 2), {end: torch.tensor([1, 0])}, space) > 1e-3


@pytest.mark.parametrize("space", MET_TWICE.values(), ids=MET_TWICE)
def test_attention_is_sensitive_to_a_permutation_of_one_axis(space):
    torch.manual_seed(0)
    attention = layers.NPAttention(space, 4, num_heads=2, share_projections=False).double()
    assert_sensitive(attention, random_on(space, 4), space=space)


@every_space
@pytest.mark.parametrize("pool", [layers.NPPool, layers.HNPPool])
def test_pools_count_what_they_give(pool, space):
    assert pool(space)(random_on(space, 2)).shape == (3, 2, pool.get_num_outs(space))


def test_a_pool_keeps_the_diagonal_apart():
    space = REPEATED["recurrent"]
    features = random_on(space, 1)
    hidden = features.tensors[1]
    pooled = layers.NPPool(space)(features)
    torch.testing.assert_close(pooled[..., 1], hidden.mean((2, 3)))
    torch.testing.assert_close(pooled[..., 2], hidden.diagonal(0, 2, 3).mean(-1))


def test_statistics_count_what_they_give():
    space = SPACES["depthwise"]
    got = layers.StatFeaturizer()(random_on(space, 2))
    assert got.shape == (3, 2, layers.StatFeaturizer.get_num_outs(space))


def test_a_learned_scale_has_a_factor_per_tensor():
    space = SPACES["depthwise"]
    scale, features = layers.LearnedScale(space, 0.5).double(), random_on(space, 2)
    with torch.no_grad():
        scale.weight_scales[1], scale.bias_scales[2] = 3.0, -2.0
    out = scale(features)
    torch.testing.assert_close(out.tensors[2], 3 * features.tensors[2])
    torch.testing.assert_close(out.tensors[4], -2 * features.tensors[4])
    torch.testing.assert_close(out.tensors[5], 0.5 * features.tensors[5])


def test_encodings_put_positions_on_every_axis_of_an_end():
    space = SPACES["concat"]
    encoding = layers.IOSinusoidalEncoding(space, max_freq=6, num_bands=1, enc_layers=False)
    out = encoding(random_on(space, 2)).tensors
    for i in (4, 5):  # the two parts of the last weight, (outputs, units)
        assert out[i][0, 4, :, 0].tolist() == [-1, 1] and (out[i][0, 4] == out[i][0, 4, :, :1]).all()
    assert out[6][0, 4].tolist() == [-1, 1] and not out[2][0, 2:].any()


ONE_VECTOR = space((2,), {0}, ("a", (0,)))
ERRORS = {
    "wrong number": (
        lambda: build("np", SPACES["resnet"], 2, 2)(random_on(SPACES["depthwise"], 2)),
        "Got features of 6 tensors, expected 8",
    ),
    "wrong shape": (
        lambda: build("np", SPACES["bottleneck resnet"], 2, 2)(random_on(SPACES["depthwise"], 2)),
        r"Layer stem weight: got features \(3, 2, 3, 1\)|Layer conv1 weight: got features",
    ),
    "layers of no chain": (lambda: random_on(SPACES["resnet"], 1).weights, "use their 8 `tensors`"),
    "length of no chain": (lambda: len(random_on(SPACES["resnet"], 1)), "use their 8 `tensors`"),
    "other number": (lambda: random_on(SPACES["resnet"], 1).with_tensors([]), "Got 0 tensors, expected 8"),
    "sum": (
        lambda: random_on(SPACES["resnet"], 1) + random_on(SPACES["depthwise"], 1),
        "Cannot combine features of 8 tensors and 6 tensors",
    ),
    "nothing to check": (
        lambda: assert_sensitive(lambda x: x, random_on(ONE_VECTOR, 1), space=ONE_VECTOR),
        "there is nothing to check",
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, words", ERRORS.values(), ids=ERRORS)
def test_errors_say_where_and_what(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_checks_name_the_axis_that_went_unnoticed():
    space = SPACES["resnet"]
    with pytest.raises(AssertionError, match=r"permuting only axis 0 of 'stem\.weight' of hidden group 1"):
        assert_sensitive(layers.Pointwise(space, 2, 2).double(), random_on(space, 2), space=space)
    with pytest.raises(AssertionError, match="Not equivariant"):
        assert_equivariant(lambda x: x.map(lambda t: t.cumsum(2)), random_on(space, 2), space=space)
