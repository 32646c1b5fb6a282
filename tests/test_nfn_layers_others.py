"""The other NF-layers: symmetric over random weight spaces, and equal to slow, obvious twins."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from nfn_cases import SPECS, assert_close, channel_counts, cnn, dtypes, random_features, seeds, specs
from torch import Tensor, nn

from nfn import layers
from nfn.checks import assert_equivariant, assert_invariant, assert_sensitive, equivariance_error
from nfn.features import WeightSpaceFeatures
from nfn.layers.folding import tensors_of
from nfn.permutation import permute_uncoupled, random_permutations
from nfn.spec import ANY, ArraySpec, NetworkSpec

every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
thorough = settings(deadline=None, derandomize=True, max_examples=15)


def has_kernels(spec: NetworkSpec) -> bool:
    return max(spec.kernel_sizes) > 1


def attention(spec: NetworkSpec, channels: int, **kwargs) -> layers.NPAttention:
    return layers.NPAttention(
        spec, 2 * channels, num_heads=2, share_projections=not has_kernels(spec), **kwargs
    )


class Widen(nn.Module):
    """Doubles the channels, so that attention with two heads can follow any number of them."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        return self.layer(WeightSpaceFeatures.cat([features, features.map(torch.cos)], 1))


def residual(spec: NetworkSpec, channels: int) -> layers.ResBlock:
    base = layers.HNPLinear(spec, channels, channels)
    return layers.ResBlock(base, layers.TupleOp(nn.ReLU()), 0.3, layers.SimpleLayerNorm(spec, channels))


# Name -> (build(spec, channels), equivariant to inputs and outputs too, to uncoupled permutations too)
EQUIVARIANT = {
    "Pointwise": (lambda spec, c: layers.Pointwise(spec, c, 3), True, True),
    "NPAttention": (lambda spec, c: Widen(attention(spec, c)), True, False),
    "NPAttention without shared projections": (
        lambda spec, c: Widen(layers.NPAttention(spec, 2 * c, num_heads=1, share_projections=False)),
        True,
        False,
    ),
    "SimpleLayerNorm": (layers.SimpleLayerNorm, True, True),
    "ParamLayerNorm": (layers.ParamLayerNorm, False, True),
    "ChannelDropout": (lambda spec, c: layers.ChannelDropout(0.5), True, True),
    "IOSinusoidalEncoding": (lambda spec, c: layers.IOSinusoidalEncoding(spec), False, True),
    "GaussianFourierFeatureTransform": (
        lambda spec, c: layers.GaussianFourierFeatureTransform(spec, c, 3, 1.0),
        True,
        True,
    ),
    "LearnedPosEmbedding": (layers.LearnedPosEmbedding, False, True),
    "LearnedScale": (lambda spec, c: layers.LearnedScale(spec, 0.1), True, True),
    "TupleOp": (lambda spec, c: layers.TupleOp(nn.ReLU()), True, True),
    "ResBlock": (residual, False, False),
}
INVARIANT = {
    "NPPool": (lambda spec, c: layers.NPPool(spec), True),
    "HNPPool": (lambda spec, c: layers.HNPPool(spec), False),
    "StatFeaturizer": (lambda spec, c: layers.StatFeaturizer(), True),
    "CrossAttnEncoder": (lambda spec, c: layers.CrossAttnEncoder(spec, c, 3), True),
}


def build(make, spec: NetworkSpec, channels: int, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return make(spec, channels).to(dtype).eval()


@pytest.mark.parametrize("name", EQUIVARIANT)
@thorough
@given(spec=specs(), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_equivariant(name, spec, channels, dtype, seed):
    make, ends, _ = EQUIVARIANT[name]
    layer, features = (
        build(make, spec, channels, dtype),
        random_features(spec, channels, dtype=dtype, seed=seed),
    )
    assert_equivariant(
        layer, features, random_permutations(spec, torch.Generator().manual_seed(seed), ends=ends)
    )


@pytest.mark.parametrize("name", [name for name, case in EQUIVARIANT.items() if not case[1]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_layers_that_know_inputs_and_outputs_tell_them_apart(name, dtype):
    spec = NetworkSpec.mlp(3, 4, 5, 2)
    layer, features = build(EQUIVARIANT[name][0], spec, 2, dtype), random_features(spec, 2, dtype=dtype)
    for layer_norm in (m for m in layer.modules() if isinstance(m, nn.LayerNorm)):
        nn.init.uniform_(layer_norm.weight)  # a fresh norm treats all inputs alike
    still = torch.arange(4), torch.arange(5)
    for ends in ((torch.tensor([1, 2, 0]), torch.arange(2)), (torch.arange(3), torch.tensor([1, 0]))):
        assert equivariance_error(layer, features, (ends[0], *still, ends[1])) > 1e-3


@pytest.mark.parametrize("name", ["NPAttention", "NPAttention without shared projections"])
@thorough
@given(spec=specs(min_layers=2), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_sensitive_to_uncoupled_permutations(name, spec, channels, dtype, seed):
    layer = build(EQUIVARIANT[name][0], spec, channels, dtype)
    features = random_features(spec, channels, dtype=dtype, seed=seed)
    assert_sensitive(layer, features, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_residual_block_is_sensitive_to_uncoupled_permutations(dtype):
    spec = SPECS["siren"]
    features = random_features(spec, 8, dtype=dtype)  # over one channel its norm would erase everything
    assert_sensitive(build(residual, spec, 8, dtype), features)


@pytest.mark.parametrize("name", [name for name, case in EQUIVARIANT.items() if case[2]])
def test_layers_that_work_entry_by_entry_commute_with_uncoupled_permutations(name):
    spec = SPECS["siren"]
    layer, features = build(EQUIVARIANT[name][0], spec, 2, torch.float64), random_features(spec, 2)
    rows, columns = [torch.randperm(6), torch.randperm(7), None], [None, torch.randperm(6), torch.randperm(7)]
    assert_close(
        layer(permute_uncoupled(features, rows, columns)), permute_uncoupled(layer(features), rows, columns)
    )


@pytest.mark.parametrize("name", INVARIANT)
@thorough
@given(spec=specs(), channels=channel_counts, dtype=dtypes, seed=seeds)
def test_invariant(name, spec, channels, dtype, seed):
    make, ends = INVARIANT[name]
    layer, features = (
        build(make, spec, channels, dtype),
        random_features(spec, channels, dtype=dtype, seed=seed),
    )
    assert_invariant(
        layer, features, random_permutations(spec, torch.Generator().manual_seed(seed), ends=ends)
    )


def test_hnp_pool_keeps_inputs_and_outputs_apart():
    spec = NetworkSpec.mlp(3, 4, 2)
    features = random_features(spec, 1)
    for ends in ((torch.tensor([1, 2, 0]), torch.arange(2)), (torch.arange(3), torch.tensor([1, 0]))):
        assert equivariance_error(layers.HNPPool(spec), features, (ends[0], torch.arange(4), ends[1])) > 1e-3


# Slow twins


@every_spec
def test_pointwise_twin(spec):
    layer = layers.Pointwise(spec, 2, 3).double()
    features = random_features(spec, 2)
    for i, (got_weight, got_bias) in enumerate(layer(features)):
        weight, bias = features[i]
        want = torch.zeros_like(got_weight)
        kernel = (
            [(a, b) for a in range(weight[0, 0, 0, 0].shape[0]) for b in range(weight.shape[5])]
            if weight.dim() == 6
            else [()]
        )
        linear, bias_linear = layer.maps[2 * i], layer.maps[2 * i + 1]
        assert isinstance(linear, nn.Linear) and isinstance(bias_linear, nn.Linear)
        matrix = linear.weight.view(len(kernel), 3, len(kernel), 2)
        offset = linear.bias.view(len(kernel), 3)
        for k, out_place in enumerate(kernel):
            for c in range(3):
                total = offset[k, c]
                for m, in_place in enumerate(kernel):
                    for d in range(2):
                        total = total + matrix[k, c, m, d] * weight[(slice(None), d, ..., *in_place)]
                want[(slice(None), c, ..., *out_place)] = total
        torch.testing.assert_close(got_weight, want)
        want_bias = torch.einsum("ed,bdn->ben", bias_linear.weight, bias) + bias_linear.bias[:, None]
        torch.testing.assert_close(got_bias, want_bias)


@every_spec
def test_pool_twins(spec):
    features = random_features(spec, 2)
    last = len(spec) - 1
    np_parts, hnp_parts = [], []
    for i, (weight, bias) in enumerate(features):
        np_parts += [weight.mean((2, 3)).reshape(3, 2, -1), bias.mean(2, keepdim=True)]
        kept = weight if i == last else weight.mean(2, keepdim=True)
        kept = kept if i == 0 else kept.mean(3, keepdim=True)
        hnp_parts += [kept.reshape(3, 2, -1), bias if i == last else bias.mean(2, keepdim=True)]
    for pool, parts in ((layers.NPPool, np_parts), (layers.HNPPool, hnp_parts)):
        got = pool(spec)(features)
        torch.testing.assert_close(got, torch.cat(parts, 2))
        assert got.shape[2] == pool.get_num_outs(spec)


@every_spec
@pytest.mark.parametrize("enc_layers", [True, False])
def test_io_sinusoidal_encoding_twin(spec, enc_layers):
    encoding = layers.IOSinusoidalEncoding(spec, max_freq=6, num_bands=2, enc_layers=enc_layers)
    features = random_features(spec, 2)
    out = encoding(features)
    last = len(spec) - 1

    def code(index: int, count: int) -> list[float]:
        x = -1 + 2 * index / (count - 1) if count > 1 else -1.0
        return [
            math.sin(math.pi * x),
            math.sin(3 * math.pi * x),
            math.cos(math.pi * x),
            math.cos(3 * math.pi * x),
            x,
        ]

    for i, (weight, bias) in enumerate(out):
        assert weight.shape[1] == bias.shape[1] == encoding.num_out_chan(2) == 7
        torch.testing.assert_close(weight[:, :2], features.weights[i])
        torch.testing.assert_close(bias[:, :2], features.biases[i])
        base = code(i, len(spec)) if enc_layers else [0.0] * 5
        for row in range(weight.shape[2]):
            outputs = code(row, weight.shape[2]) if i == last else [0.0] * 5
            for channel in range(5):
                want = base[channel] + outputs[channel]
                assert (bias[:, 2 + channel, row] - want).abs().max() < 1e-12
                for column in range(weight.shape[3]):
                    inputs = code(column, weight.shape[3]) if i == 0 else [0.0] * 5
                    assert (weight[:, 2 + channel, row, column] - want - inputs[channel]).abs().max() < 1e-12


@every_spec
def test_learned_pos_embedding_twin(spec):
    embedding = layers.LearnedPosEmbedding(spec, 2).double()
    features = random_features(spec, 2)
    last = len(spec) - 1
    for i, ((weight, bias), (w, b)) in enumerate(zip(embedding(features), features, strict=True)):
        for c in range(2):
            for row in range(weight.shape[2]):
                outputs = embedding.out_emb.weight[row, c] if i == last else 0
                torch.testing.assert_close(
                    bias[:, c, row], b[:, c, row] + embedding.bias_emb.weight[i, c] + outputs
                )
                for column in range(weight.shape[3]):
                    inputs = embedding.inp_emb.weight[column, c] if i == 0 else 0
                    want = w[:, c, row, column] + embedding.weight_emb.weight[i, c] + outputs + inputs
                    torch.testing.assert_close(weight[:, c, row, column], want)


@every_spec
def test_gaussian_fourier_features_twin(spec):
    transform = layers.GaussianFourierFeatureTransform(spec, 2, mapping_size=3, scale=2.0).double()
    features = random_features(spec, 2)
    assert transform.out_channels == 6
    for got, x in zip(tensors_of(transform(features)), tensors_of(features), strict=True):
        for j in range(3):
            first, second = (x[:, c] * transform.frequencies[c, j] for c in range(2))
            phase = 2 * math.pi * (first + second)
            torch.testing.assert_close(got[:, j], torch.sin(phase))
            torch.testing.assert_close(got[:, 3 + j], torch.cos(phase))


def normalised(groups: Tensor, eps: float) -> Tensor:
    mean = groups.mean(-1, keepdim=True)
    return (groups - mean) / ((groups - mean).square().mean(-1, keepdim=True) + eps).sqrt()


@every_spec
def test_layer_norm_twins(spec):
    features = random_features(spec, 3)
    simple = layers.SimpleLayerNorm(spec, 3).double()(features)
    param = layers.ParamLayerNorm(spec, 3).double()(features)
    last = len(spec) - 1
    for i, (weight, bias) in enumerate(features):
        kernel = list(range(4, weight.dim()))
        ends = [2] * (i == last) + [3] * (i == 0)
        for out, dims in ((simple, [1, *kernel]), (param, [1, *ends, *kernel])):
            mean = weight.mean(dims, keepdim=True)
            variance = (weight - mean).square().mean(dims, keepdim=True)
            torch.testing.assert_close(out.weights[i], (weight - mean) / (variance + 1e-5).sqrt())
        want = normalised(bias.transpose(1, 2), 1e-5).transpose(1, 2)
        torch.testing.assert_close(simple.biases[i], want)
        if i == last:
            want = normalised(bias.flatten(1), 1e-5).view_as(bias)
        torch.testing.assert_close(param.biases[i], want)


def test_channel_layer_norm_uses_its_affine_map_and_stands_one_channel():
    norm = layers.ChannelLayerNorm(2)
    with torch.no_grad():
        norm.gamma.copy_(torch.tensor([1.0, 2.0]))
        norm.beta.copy_(torch.tensor([0.0, 5.0]))
    got = norm(torch.tensor([[[1.0, -3.0], [3.0, 3.0]]]))
    torch.testing.assert_close(got, torch.tensor([[[-1.0, -1.0], [7.0, 7.0]]]), rtol=0, atol=1e-4)
    assert torch.equal(layers.ChannelLayerNorm(1)(torch.randn(2, 1, 3)), torch.zeros(2, 1, 3))


@pytest.mark.parametrize("spec", [SPECS["siren"], SPECS["convolutions only"]], ids=["mlp", "cnn"])
def test_channel_dropout_drops_whole_channels_in_training_only(spec):
    dropout = layers.ChannelDropout(0.5)
    ones = random_features(spec, 40).map(torch.ones_like)
    assert_close(dropout.eval()(ones), ones)
    torch.manual_seed(0)
    out = dropout.train()(ones)
    kept = 0.0
    for weight, bias in out:
        for x in (weight, bias):
            per_entry = x.movedim((0, 1), (-2, -1)) if x.dim() == 3 else x.flatten(2, 3).movedim(2, 0)
            assert (per_entry == per_entry[:1]).all()  # the same for all rows and columns
            assert set(x.unique().tolist()) == {0.0, 2.0}
            kept += x.mean().item() / (4 * len(spec))
    assert 0.4 < kept < 0.6


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(
    "spec", [NetworkSpec.mlp(3, 2), NetworkSpec.mlp(2, 3, 4, 1)], ids=["one layer", "siren"]
)
def test_attention_twin(spec, share):
    torch.manual_seed(0)
    heads, width = 2, 3
    layer = layers.NPAttention(spec, 6, num_heads=heads, share_projections=share).double()
    features = random_features(spec, 6, batch=1)
    folded = [x[0].movedim(0, -1) for x in tensors_of(features)]
    projected = [to(x).unflatten(-1, (3, heads, width)) for to, x in zip(layer.to_qkv, folded, strict=True)]
    want = [torch.zeros_like(x) for x in folded]
    for head in range(heads):
        channels = slice(head * width, (head + 1) * width)
        query, key, value = ([x[..., part, head, :] for x in projected] for part in range(3))
        # diagonal term: averages attend to averages
        means = [[x.flatten(0, -2).mean(0) for x in tensors] for tensors in (query, key, value)]
        for i in range(len(folded)):
            want[i][..., channels] += _attend(i, *means)
        # cross term: one token per row of the incoming weight, its bias, and row of the outgoing weight
        for group in range(len(spec) + 1):
            places: list[tuple] = []
            if group > 0:
                incoming = 2 * group - 2
                places += [(incoming, (slice(None), j)) for j in range(folded[incoming].shape[1])]
                places += [(2 * group - 1, (slice(None),))]
            if group < len(spec):
                places += [(2 * group, (j, slice(None))) for j in range(folded[2 * group].shape[0])]
            tokens = [[x[i][place].flatten() for i, place in places] for x in (query, key, value)]
            for t, (i, place) in enumerate(places):
                want[i][(*place, channels)] += _attend(t, *tokens).view(-1, width)
    if not share:
        want = [_projected(layer, i, w) for i, w in enumerate(want)]
    for got, w in zip(tensors_of(layer(features)), want, strict=True):
        torch.testing.assert_close(got[0].movedim(0, -1), w)


def _projected(layer, i: int, terms: Tensor) -> Tensor:
    if i % 2:
        return terms
    linear = layer.from_values[i]
    return (
        terms @ linear.weight.T + 3 * linear.bias
    )  # diagonal term, and one cross term per side of the weight


def _attend(t: int, queries, keys, values) -> Tensor:
    """Token `t` by the definition of attention: softmax over scaled dot products."""
    scores = [torch.exp((queries[t] * key).sum() / math.sqrt(len(key))) for key in keys]
    weighted = torch.stack([s * v for s, v in zip(scores, values, strict=True)]).sum(0)
    return weighted / torch.stack(scores).sum()


def test_attention_terms_can_be_left_out():
    spec = SPECS["siren"]
    features = random_features(spec, 8)

    def run(**kwargs) -> WeightSpaceFeatures:
        torch.manual_seed(0)
        return layers.NPAttention(spec, 8, num_heads=2, **kwargs).double()(features)

    cross, diagonal = run(ablate_diagonalterm=True), run(ablate_crossterm=True)
    assert_close(cross + diagonal, run())
    for x in tensors_of(diagonal):
        assert torch.allclose(x, x.flatten(2)[..., :1].reshape(*x.shape[:2], *(1,) * (x.dim() - 2)))
    nothing = run(ablate_crossterm=True, ablate_diagonalterm=True)
    assert not any(x.any() for x in tensors_of(nothing))


def test_attention_dropout_acts_in_training_only():
    spec = SPECS["siren"]
    layer, features = layers.NPAttention(spec, 8, dropout=0.5).double(), random_features(spec, 8)
    assert_close(layer.eval()(features), layer.eval()(features))
    assert not torch.equal(layer.train()(features).weights[1], layer.train()(features).weights[1])


@every_spec
def test_flatten_and_unflatten_are_inverse(spec):
    features = random_features(spec, 2)
    flat = layers.FlattenWeights(spec)(features)
    assert flat.shape == (3, spec.get_num_params(), 2)
    first = (
        features.weights[0][:, :, 0, 0].flatten(2)
        if features.weights[0].dim() == 6
        else features.weights[0][:, :, 0]
    )
    torch.testing.assert_close(flat[:, : first.shape[2]], first.transpose(1, 2))
    assert_close(layers.UnflattenWeights(spec)(flat), features)


@every_spec
def test_cross_attention_twins(spec):
    features = random_features(spec, 4, batch=2)
    encoder = layers.CrossAttnEncoder(spec, 4, 3).double()
    entries = torch.cat([x.movedim(1, -1).flatten(1, -2) for x in tensors_of(features)], 1)
    latents = torch.softmax(encoder.embeddings @ entries.transpose(1, 2) / 2, -1) @ entries
    torch.testing.assert_close(encoder(features), latents)
    decoder = layers.CrossAttnDecoder(spec, 4, spec.get_num_params()).double()
    flat = torch.softmax(decoder.embeddings @ latents.transpose(1, 2) / 2, -1) @ latents
    assert_close(decoder(latents), layers.UnflattenWeights(spec)(flat))


@every_spec
def test_stat_featurizer_twin(spec):
    features = random_features(spec, 2, dtype=torch.float32)
    got = layers.StatFeaturizer()(features)
    assert got.shape == (3, 2, layers.StatFeaturizer.get_num_outs(spec)) and torch.isfinite(got).all()
    for i, x in enumerate(tensors_of(features)):
        entries = x.flatten(2)
        quantiles = [torch.quantile(entries, q, dim=2) for q in (0.0, 0.25, 0.5, 0.75, 1.0)]
        variance = entries.var(2) if entries.shape[2] > 1 else torch.zeros(3, 2)
        torch.testing.assert_close(
            got[..., 7 * i : 7 * i + 7], torch.stack([entries.mean(2), variance, *quantiles], 2)
        )


@every_spec
def test_learned_scale_twin(spec):
    scale, features = layers.LearnedScale(spec, 0.25).double(), random_features(spec, 2)
    assert_close(scale(features), features * 0.25)
    with torch.no_grad():
        scale.weight_scales[-1] = 3.0
        scale.bias_scales[0] = -2.0
    out = scale(features)
    torch.testing.assert_close(out.weights[-1], 3 * features.weights[-1])
    torch.testing.assert_close(out.biases[0], -2 * features.biases[0])


def test_residual_block_and_tuple_op_twins():
    spec = SPECS["siren"]
    block, features = residual(spec, 2).double().eval(), random_features(spec, 2)
    assert_close(block(features), features + block.base_layer(block.norm(features)).map(torch.relu))
    assert_close(layers.TupleOp(torch.abs)(features), features.map(torch.abs))
    torch.manual_seed(0)
    assert not torch.equal(block.train()(features).weights[1], block.eval()(features).weights[1])


def test_channel_linear_is_a_linear_map_of_dimension_one():
    layer, x = layers.ChannelLinear(2, 3), torch.randn(4, 2, 5, 6)
    want = torch.einsum("ec,bcnm->benm", layer.linear.weight, x) + layer.linear.bias[:, None, None]
    torch.testing.assert_close(layer(x), want)
    assert layers.ChannelLinear(2, 3, bias=False).linear.bias is None


# The interface of the published package

SIGNATURES = {
    "HNPLinear": "network_spec in_channels out_channels",
    "NPLinear": "network_spec in_channels out_channels io_embed=False init_type='pytorch_default'",
    "NPPool": "network_spec",
    "HNPPool": "network_spec",
    "Pointwise": "network_spec in_channels out_channels",
    "NPAttention": "network_spec channels num_heads=8 dropout=0 share_projections=True ablate_crossterm=False "
    "ablate_diagonalterm=False",
    "ChannelLinear": "in_channels out_channels bias=True",
    "FlattenWeights": "network_spec",
    "UnflattenWeights": "network_spec",
    "TupleOp": "op",
    "ResBlock": "base_layer activation dropout norm",
    "StatFeaturizer": "args kwargs",
    "LearnedScale": "network_spec init_scale",
    "CrossAttnDecoder": "network_spec channels num_params",
    "CrossAttnEncoder": "network_spec channels num_latents",
    "SimpleLayerNorm": "network_spec channels",
    "ParamLayerNorm": "network_spec channels",
    "ChannelDropout": "dropout",
    "ChannelLayerNorm": "channels eps=1e-05",
    "GaussianFourierFeatureTransform": "network_spec in_channels mapping_size=256 scale=10",
    "IOSinusoidalEncoding": "network_spec max_freq=10 num_bands=6 enc_layers=True",
    "LearnedPosEmbedding": "network_spec channels",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_constructors_take_the_published_arguments(name):
    parameters = list(inspect.signature(getattr(layers, name)).parameters.values())
    words = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    assert " ".join(words) == SIGNATURES[name]


def test_no_public_layer_is_missing():
    assert set(layers.__all__) == set(SIGNATURES)


OPEN = NetworkSpec((ArraySpec((ANY, ANY)),), (ArraySpec((ANY,)),))
ERRORS = {
    "attention heads": (lambda: layers.NPAttention(SPECS["siren"], 6, num_heads=4), "divisible by num_heads"),
    "attention on a CNN": (lambda: layers.NPAttention(cnn((1, 2), ((2, 2),)), 8), "share_projections=False"),
    "encoding of open ends": (lambda: layers.IOSinusoidalEncoding(OPEN), "number of inputs and outputs"),
    "embedding of open ends": (lambda: layers.LearnedPosEmbedding(OPEN, 2), "number of inputs and outputs"),
    "unflatten to open sizes": (lambda: layers.UnflattenWeights(OPEN), "set_all_dims=True"),
    "unflatten of another length": (
        lambda: layers.UnflattenWeights(NetworkSpec.mlp(2, 3))(torch.zeros(1, 8, 4)),
        r"wanted \(batch, 9, channels\)",
    ),
    "decoder for another network": (lambda: layers.CrossAttnDecoder(NetworkSpec.mlp(2, 3), 4, 8), "the spec has 9"),
    "pool of another network": (
        lambda: layers.HNPPool(SPECS["siren"])(random_features(NetworkSpec.mlp(2, 6, 7, 2), 1)),
        "Layer 2 weight",
    ),
    "norm of other channels": (
        lambda: layers.SimpleLayerNorm(SPECS["siren"], 2)(random_features(SPECS["siren"], 3)),
        r"wanted \(batch, 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, words", ERRORS.values(), ids=ERRORS)
def test_errors_say_what_was_wanted(call, words):
    with pytest.raises(ValueError, match=words):
        call()
