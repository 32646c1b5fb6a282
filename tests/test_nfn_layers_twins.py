"""The other NF-layers equal slow, obvious twins."""

import math

import pytest
import torch
from nfn_cases import SPECS, assert_close, every_spec, random_features, residual
from torch import Tensor, nn

from nfn import layers
from nfn.features import WeightSpaceFeatures
from nfn.spec import NetworkSpec


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
                outputs = embedding.end_embs[1][row, c] if i == last else 0
                torch.testing.assert_close(
                    bias[:, c, row], b[:, c, row] + embedding.bias_emb.weight[i, c] + outputs
                )
                for column in range(weight.shape[3]):
                    inputs = embedding.end_embs[0][column, c] if i == 0 else 0
                    want = w[:, c, row, column] + embedding.weight_emb.weight[i, c] + outputs + inputs
                    torch.testing.assert_close(weight[:, c, row, column], want)


@every_spec
def test_gaussian_fourier_features_twin(spec):
    transform = layers.GaussianFourierFeatureTransform(spec, 2, mapping_size=3, scale=2.0).double()
    features = random_features(spec, 2)
    assert transform.out_channels == 6
    for got, x in zip(transform(features).tensors, features.tensors, strict=True):
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
    folded = [x[0].movedim(0, -1) for x in features.tensors]
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
    for got, w in zip(layer(features).tensors, want, strict=True):
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
    for x in diagonal.tensors:
        assert torch.allclose(x, x.flatten(2)[..., :1].reshape(*x.shape[:2], *(1,) * (x.dim() - 2)))
    nothing = run(ablate_crossterm=True, ablate_diagonalterm=True)
    assert not any(x.any() for x in nothing.tensors)


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
    entries = torch.cat([x.movedim(1, -1).flatten(1, -2) for x in features.tensors], 1)
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
    for i, x in enumerate(features.tensors):
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
