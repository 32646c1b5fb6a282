"""NPLinear: the linear layer for networks whose inputs and outputs permute as well."""

import torch
from torch import nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.equivariant import EquivariantLinear, InitType
from nfn.layers.folding import check_features, np_folds
from nfn.spec import ANY, NetworkSpec


class NPLinear(EquivariantLinear):
    """Complete NP-equivariant linear layer (arXiv:2302.14040, section 2 and appendix B).

    With W(i) of layer i, v(i) its bias and * for an average over an axis, each output entry is

        W'(i)_jk = a W(i)_jk + b W(i)_*k + c W(i)_j* + d W(i-1)_k* + e W(i+1)_*j
                   + f v(i)_j + g v(i-1)_k + global
        v'(i)_j  = a W(i)_j* + b W(i+1)_*j + c v(i)_j + global

    where `global` is linear in the averages of all weights and biases, letters are matrices over channels
    (and kernel entries, for convolutions), different for every i and for both lines.

    `io_embed` adds a learned embedding of every input and output neuron to the features first, which breaks
    the symmetry at both ends: the layer is then HNP-equivariant only.
    """

    def __init__(
        self,
        network_spec: NetworkSpec,
        in_channels: int,
        out_channels: int,
        io_embed: bool = False,
        init_type: InitType = "pytorch_default",
    ):
        super().__init__(network_spec, in_channels, out_channels, np_folds(network_spec), init_type)
        self.io_embed = IOEmbedding(network_spec, in_channels) if io_embed else None

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to `(B, out_channels, ...)` on the same spec, else ValueError."""
        return super().forward(wsfeat if self.io_embed is None else self.io_embed(wsfeat))


class IOEmbedding(nn.Module):
    """Adds a learned vector per input neuron to the first weight, per output to the last weight and bias."""

    def __init__(self, network_spec: NetworkSpec, channels: int):
        super().__init__()
        n_in, n_out = network_spec.get_io()
        if ANY in (n_in, n_out):
            raise ValueError(
                f"io_embed needs the number of inputs and outputs; the spec says {n_in} and {n_out}."
            )
        self.network_spec, self.channels = network_spec, channels
        first, last = (spec.shape[2:] for spec in (network_spec.weight_spec[0], network_spec.weight_spec[-1]))
        self.inputs = nn.Parameter(torch.randn(1, channels, 1, n_in, *first))
        self.outputs = nn.Parameter(torch.randn(1, channels, n_out, 1, *last))
        self.output_biases = nn.Parameter(torch.randn(1, channels, n_out))

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, channels, ...)` to the same shapes."""
        check_features(self.network_spec, wsfeat, self.channels)
        weights, biases = list(wsfeat.weights), list(wsfeat.biases)
        weights[0] = weights[0] + self.inputs
        weights[-1] = weights[-1] + self.outputs
        biases[-1] = biases[-1] + self.output_biases
        return WeightSpaceFeatures(weights, biases)
