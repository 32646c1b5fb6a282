"""NPLinear: the linear layer for networks whose inputs and outputs permute too."""

import torch
from torch import nn

from nfn.features import WeightSpaceFeatures
from nfn.layers.equivariant import EquivariantLinear, InitType
from nfn.layers.folding import check_features, np_folds
from nfn.space import SpaceLike, WeightSpace, as_space
from nfn.spec import ANY


class NPLinear(EquivariantLinear):
    """Complete NP-equivariant linear layer (arXiv:2302.14040, section 2 and appendix B).

    With W(i) of layer i, v(i) its bias and * for an average over an axis, each output entry is

        W'(i)_jk = a W(i)_jk + b W(i)_*k + c W(i)_j* + d W(i-1)_k* + e W(i+1)_*j
                   + f v(i)_j + g v(i-1)_k + global
        v'(i)_j  = a W(i)_j* + b W(i+1)_*j + c v(i)_j + global

    where `global` is linear in the averages of all weights and biases, and letters are matrices over channels
    (and kernel entries, for convolutions), different for every i and for both lines. On any other `WeightSpace`
    the terms are those of `levels.py`.

    `io_embed` first adds a learned embedding of every input and output unit to the features; the layer is then only
    HNP-equivariant.
    """

    def __init__(
        self,
        network_spec: SpaceLike,
        in_channels: int,
        out_channels: int,
        io_embed: bool = False,
        init_type: InitType = "pytorch_default",
    ):
        space = as_space(network_spec)
        super().__init__(space, in_channels, out_channels, np_folds(space), init_type)
        self.io_embed = IOEmbedding(space, in_channels) if io_embed else None

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, in_channels, ...)` to `(B, out_channels, ...)` on the same space, else ValueError."""
        return super().forward(wsfeat if self.io_embed is None else self.io_embed(wsfeat))


class IOEmbedding(nn.Module):
    """Adds a learned vector per input unit and per output unit, separate for each axis over them."""

    def __init__(self, space: WeightSpace, channels: int):
        super().__init__()
        self.space, self.channels = space, channels
        self.places = tuple((i, axis) for group in space.ends for i, axis in space.places(group))
        self.codes = nn.ParameterList(self._new(i, axis) for i, axis in self.places)

    def _new(self, tensor: int, axis: int) -> nn.Parameter:
        spec = self.space.tensors[tensor]
        sizes = [
            size if dim == axis or group is None else 1
            for dim, (size, group) in enumerate(zip(spec.shape, spec.axes, strict=True))
        ]
        if ANY in sizes:
            raise ValueError(
                f"io_embed needs the number of inputs and outputs; {spec.label} has shape {spec.shape}."
            )
        return nn.Parameter(torch.randn(1, self.channels, *sizes))

    def forward(self, wsfeat: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Features `(B, channels, ...)` to the same shapes."""
        check_features(self.space, wsfeat, self.channels)
        tensors = list(wsfeat.tensors)
        for (i, _), code in zip(self.places, self.codes, strict=True):
            tensors[i] = tensors[i] + code
        return wsfeat.with_tensors(tensors)
