"""Weight spaces and random features that the layer tests share."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from nfn import layers
from nfn.features import WeightSpaceFeatures
from nfn.space import SpaceLike
from nfn.spec import ArraySpec, NetworkSpec


def cnn(widths: tuple[int, ...], kernels: tuple[tuple[int, ...], ...]) -> NetworkSpec:
    """A spec whose layer `i` has the kernel `kernels[i]`; `()` makes it linear."""
    pairs = zip(widths[:-1], widths[1:], kernels, strict=True)
    return NetworkSpec(
        tuple(ArraySpec((n, m, *kernel)) for m, n, kernel in pairs),
        tuple(ArraySpec((n,)) for n in widths[1:]),
    )


SPECS = {
    "one linear layer": NetworkSpec.mlp(3, 2),
    "one convolution": cnn((2, 3), ((2, 3),)),
    "two layers": NetworkSpec.mlp(2, 5, 3),
    "siren": NetworkSpec.mlp(2, 6, 7, 1),
    "four layers, odd widths": NetworkSpec.mlp(3, 5, 2, 7, 4),
    "one hidden neuron": NetworkSpec.mlp(2, 1, 4, 2),
    "convolutions, linear last": cnn((1, 4, 3, 2), ((3, 3), (2, 1), ())),
    "convolutions only": cnn((2, 3, 4, 2), ((2, 2), (3, 1), (1, 2))),
}


every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def random_features(
    spec: NetworkSpec, channels: int, batch: int = 3, dtype: torch.dtype = torch.float64, seed: int = 0
) -> WeightSpaceFeatures:
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(batch, channels, *shape, dtype=dtype, generator=generator)

    return WeightSpaceFeatures(
        [draw(s.shape) for s in spec.weight_spec], [draw(s.shape) for s in spec.bias_spec]
    )


def chain(tensors: Sequence[torch.Tensor]) -> WeightSpaceFeatures:
    """Features of a chain of layers from weight 0, bias 0, weight 1, ..."""
    return WeightSpaceFeatures(tensors[::2], tensors[1::2])


def residual(spec: SpaceLike, channels: int) -> layers.ResBlock:
    base = layers.HNPLinear(spec, channels, channels)
    return layers.ResBlock(base, layers.TupleOp(nn.ReLU()), 0.3, layers.SimpleLayerNorm(spec, channels))


def assert_close(got: WeightSpaceFeatures, want: WeightSpaceFeatures) -> None:
    """Every tensor of both has the same shape, dtype and values."""
    for got_pair, want_pair in zip(got, want, strict=True):
        for a, b in zip(got_pair, want_pair, strict=True):
            torch.testing.assert_close(a, b)


@st.composite
def specs(draw: st.DrawFn, min_layers: int = 1) -> NetworkSpec:
    """MLPs and CNNs of up to four layers, widths from one neuron up."""
    layers = draw(st.integers(min_layers, 4))
    widths = tuple(draw(st.lists(st.integers(1, 5), min_size=layers + 1, max_size=layers + 1)))
    kernel = st.sampled_from([(), (), (2, 2), (1, 3)])
    return cnn(widths, tuple(draw(st.lists(kernel, min_size=layers, max_size=layers))))


channel_counts = st.integers(1, 4)
dtypes = st.sampled_from([torch.float32, torch.float64])
seeds = st.integers(0, 2**16)
