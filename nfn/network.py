"""`Network`: one checked network, which `read_network` returns and every predictor takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import Linear
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.siren_convention.convention import SirenConvention
from nfn.spec import NetworkSpec
from nfn.wiring.propose import Proposal
from nfn.wiring.sequence import Sequence

Kind = Literal["classifier", "siren"]
"""What a network computes: class scores of an image, or (a SIREN) a pixel's value from its coordinates."""


NO_CHAIN = (
    "The layers of this network are not one chain, each feeding only the next, so it cannot be read here."
)
NO_SIREN = (
    "This network is an image classifier, not a picture (a SIREN, from a pixel's coordinates to its value)."
)
NO_CLASSIFIER = (
    "This network is a picture (a SIREN, from a pixel's coordinates to its value), not an image classifier."
)

PixelNumber = float | tuple[float, ...]
"""One number for all channels, or one per channel."""


@dataclass(frozen=True)
class ClassifierConvention:
    """A classifier's activation and input normalization, None where unknown.

    The network's inputs are `(pixel / 255 - pixel_mean) / pixel_std`; if these are unknown, pixels from -1 to 1 are
    assumed.
    """

    activation: str | None = None
    pixel_mean: PixelNumber | None = None
    pixel_std: PixelNumber | None = None

    @property
    def pixels_known(self) -> bool:
        """Whether the input normalization is known."""
        return self.pixel_mean is not None and self.pixel_std is not None

    def normalize(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Weights for inputs in [-1, 1] with the same function of the image, exact if no convolution has padding."""
        mean, std = self._pixels(features)
        return _rescale_input(features, 0.5 / std, (0.5 - mean) / std)

    def denormalize(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """The inverse of `normalize`: weights for inputs in [-1, 1] to weights for the network's own inputs."""
        mean, std = self._pixels(features)
        return _rescale_input(features, 2 * std, 2 * mean - 1)

    def _pixels(self, features: WeightSpaceFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation per input of the first layer."""
        inputs = features.weights[0].shape[3]
        numbers = (0.5 if value is None else value for value in (self.pixel_mean, self.pixel_std))
        mean, std = (features.weights[0].new_tensor(value).expand(inputs) for value in numbers)
        return mean, std


Convention = SirenConvention | ClassifierConvention


def kind_of(convention: Convention) -> Kind:
    """The kind of networks with this convention."""
    return "siren" if isinstance(convention, SirenConvention) else "classifier"


def _rescale_input(
    features: WeightSpaceFeatures, scale: torch.Tensor, shift: torch.Tensor
) -> WeightSpaceFeatures:
    """Change the first layer so that it takes `x` in place of `scale * x + shift`, per input."""
    (weight, bias), *rest = features
    moved = bias + weight.flatten(4).sum(4) @ shift if weight.dim() > 4 else bias + weight @ shift
    columns = scale.view(-1, *[1] * (weight.dim() - 4))
    return WeightSpaceFeatures.from_zipped([(weight * columns, moved), *rest])


@dataclass(frozen=True)
class LayerNames:
    """The tensor names of one layer in the file; `bias` is None if the file has none (zeros are used)."""

    weight: str
    bias: str | None


@dataclass(frozen=True, eq=False)
class Graph:
    """An architecture and its float32 tensors, by the names that the architecture uses."""

    architecture: Architecture
    tensors: Mapping[str, torch.Tensor]

    def linear(self, op: Linear) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight `(out, in)` and bias `(out,)`, or None, of a linear layer."""
        weight = self.tensors[op.weight]
        return weight.t() if op.transposed else weight, None if op.bias is None else self.tensors[op.bias]

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs `(N, ...)` for inputs `(N, *architecture.input_shape)`."""
        return self.architecture.run(self.tensors, x)


@dataclass(frozen=True)
class Network:
    """One network, as read from a file.

    - `chain`: the float32 features `(1, 1, ...)` of a chain of layers, batch norm folded in; None for other networks.
    - `graph`: what the network computes, if the file declares it; `proposal`: what it may compute, otherwise
      (`nfn.wiring` finds out).
    - `convention`: how its inputs and outputs are scaled, and whether it is a SIREN or a classifier.
    - `notes`: sentences for the visitor on what the reader did ("half precision was read as float32"); `assumed`: on
      what it assumed.
    - `undeclared`: the parts of a SIREN's convention that are not declared (`nfn.siren_convention.search` finds them).
    """

    chain: WeightSpaceFeatures | None
    convention: Convention
    names: tuple[LayerNames, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    graph: Graph | None = None
    proposal: Proposal | Sequence | None = None
    stored: Mapping[str, torch.Tensor] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What the network computes."""
        return kind_of(self.convention)

    @property
    def siren(self) -> SirenConvention:
        """The convention of a SIREN; ValueError for a classifier."""
        if not isinstance(self.convention, SirenConvention):
            raise ValueError(NO_SIREN)
        return self.convention

    @property
    def classifier(self) -> ClassifierConvention:
        """The convention of a classifier; ValueError for a SIREN."""
        if not isinstance(self.convention, ClassifierConvention):
            raise ValueError(NO_CLASSIFIER)
        return self.convention

    @property
    def inputs(self) -> int | None:
        """The number of inputs, or of channels of an input image; None if unknown."""
        if self.chain is not None:
            return self.chain.weights[0].shape[3]
        if self.graph is not None:
            return self.graph.architecture.input_shape[0]
        return None if self.proposal is None else self.proposal.channels or self.proposal.inputs

    @property
    def outputs(self) -> int | None:
        """The number of classes, or of a picture's channels; None if unknown, or if the output is not a vector."""
        if self.chain is not None:
            return self.chain.weights[-1].shape[2]
        if self.graph is None:
            return None if self.proposal is None else self.proposal.classes
        shape = self.graph.architecture.output_shape
        return shape[0] if len(shape) == 1 else None

    @property
    def features(self) -> WeightSpaceFeatures:
        """The features of a chain; ValueError, a sentence for the visitor, for any other network."""
        if self.chain is None:
            raise ValueError(NO_CHAIN)
        return self.chain

    @property
    def spec(self) -> NetworkSpec:
        """The spec of a chain, with every dimension; ValueError as for `features`."""
        return network_spec_from_wsfeat(self.features, set_all_dims=True)

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        if self.chain is not None:
            return self.spec.get_num_params()
        tensors = self.stored if self.graph is None else self.graph.tensors
        return sum(tensor.numel() for tensor in tensors.values())

    @property
    def matrices(self) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        """Weight `(out, in)` and bias `(out,)`, or None, of the linear layers of a picture, in order of use."""
        if self.chain is not None:
            return [(weight[0, 0], bias[0, 0]) for weight, bias in self.chain]
        if self.graph is None:
            return []
        return [self.graph.linear(op) for op in self.graph.architecture.ops if isinstance(op, Linear)]

    @property
    def multiplications(self) -> int:
        """Multiply-adds to evaluate a picture at one point."""
        return self.parameters if self.graph is None else self.graph.architecture.multiplications

    @property
    def widest(self) -> int:
        """The size of the largest layer output, for one point of a picture."""
        return max(self._layer_sizes)

    @property
    def activations(self) -> int:
        """The total size of the hidden layers' outputs, for one point of a picture."""
        return sum(self._layer_sizes[:-1])

    @property
    def _layer_sizes(self) -> list[int]:
        if self.graph is not None:
            return [math.prod(shape) for shape in self.graph.architecture.values[1:]]
        return [bias.shape[2] for bias in self.features.biases]

    def with_features(self, features: WeightSpaceFeatures) -> "Network":
        """This chain with other weights, without graph, proposal and other stored tensors."""
        return replace(self, chain=features, graph=None, proposal=None, stored={})

    def to(self, device: str | torch.device) -> "Network":
        """Move the tensors of chain and graph to a device."""
        chain = None if self.chain is None else self.chain.to(device)
        if self.graph is None:
            return replace(self, chain=chain)
        tensors = {name: tensor.to(device) for name, tensor in self.graph.tensors.items()}
        return replace(self, chain=chain, graph=replace(self.graph, tensors=tensors))

    @property
    def normalized(self) -> WeightSpaceFeatures:
        """The features in the default convention: see `normalize` of `SirenConvention` and `ClassifierConvention`."""
        return self.convention.normalize(self.features)

    def with_normalized(self, features: WeightSpaceFeatures) -> "Network":
        """This network, in its own convention, with new weights in the default convention."""
        return self.with_features(self.convention.denormalize(features))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Tensors by their names in the file; in a chain batch norm is folded in, and a new bias is `<layer>.bias`."""
        if self.chain is None:
            return dict(self.stored if self.graph is None else self.graph.tensors)
        out: dict[str, torch.Tensor] = {}
        for names, (weight, bias) in zip(self.names, self.features, strict=True):
            out[names.weight] = weight[0, 0].contiguous()
            stem = names.weight.removesuffix("weight").rstrip(".")
            bias_name = names.bias or (f"{stem}.bias" if stem else "bias")
            if names.bias is not None or bool(bias.any()):
                out[bias_name] = bias[0, 0].contiguous()
        return out
