"""One checked network: what the reader returns and every predictor takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from nfn.architecture.graph import Architecture
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.siren_convention.convention import SirenConvention
from nfn.spec import NetworkSpec
from nfn.wiring.propose import Proposal
from nfn.wiring.sequence import Sequence

Kind = Literal["classifier", "siren", "init"]


PixelNumber = float | tuple[float, ...]
"""One number, or one per channel."""


@dataclass(frozen=True)
class ClassifierConvention:
    """What is known of a classifier: its activation, and the pixels that its images have (None: not known).

    The network sees `(pixel / 255 - pixel_mean) / pixel_std`; ours see pixels from -1 to 1, which is what is taken for
    granted where nothing is known.
    """

    activation: str | None = None
    pixel_mean: PixelNumber | None = None
    pixel_std: PixelNumber | None = None

    @property
    def pixels_known(self) -> bool:
        """Whether anything is known of the pixels."""
        return self.pixel_mean is not None and self.pixel_std is not None

    def normalize(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """The same function of the image with pixels in [-1, 1], exactly (if no convolution pads its image)."""
        mean, std = self._pixels(features)
        return _rescale_input(features, 0.5 / std, (0.5 - mean) / std)

    def denormalize(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """The inverse of `normalize`: from pixels in [-1, 1] back to the file's."""
        mean, std = self._pixels(features)
        return _rescale_input(features, 2 * std, 2 * mean - 1)

    def _pixels(self, features: WeightSpaceFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation per input of the first layer."""
        inputs = features.weights[0].shape[3]
        numbers = (0.5 if value is None else value for value in (self.pixel_mean, self.pixel_std))
        mean, std = (features.weights[0].new_tensor(value).expand(inputs) for value in numbers)
        return mean, std


def _rescale_input(
    features: WeightSpaceFeatures, scale: torch.Tensor, shift: torch.Tensor
) -> WeightSpaceFeatures:
    """A first layer that takes `x` where the given one takes `scale * x + shift`, per input."""
    (weight, bias), *rest = features
    moved = bias + weight.flatten(4).sum(4) @ shift if weight.dim() > 4 else bias + weight @ shift
    columns = scale.view(-1, *[1] * (weight.dim() - 4))
    return WeightSpaceFeatures.from_zipped([(weight * columns, moved), *rest])


@dataclass(frozen=True)
class LayerNames:
    """The tensor names of one layer as they arrived; `bias` is None where the file had none (zeros are used)."""

    weight: str
    bias: str | None


@dataclass(frozen=True, eq=False)
class Graph:
    """What a network computes, and its float32 tensors under the names that the architecture uses."""

    architecture: Architecture
    tensors: Mapping[str, torch.Tensor]

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs `(N, ...)` for inputs `(N, *architecture.input_shape)`."""
        return self.architecture.run(self.tensors, x)


@dataclass(frozen=True)
class Network:
    """A network as it came in.

    `chain` has the float32 features `(1, 1, ...)` of a network whose layers stand in one row, batch norm folded in;
    None for others. `graph` says what the network computes, where the file declares it; `proposal` what it may
    compute, where that has to be found (`nfn.wiring`). `notes` are sentences for the visitor on what the reader did
    ("half precision was read as float32"), `assumed` on what it took for granted. `undeclared` names the parts of
    `siren` that nobody declared: `nfn.siren_convention.search` finds them.
    """

    chain: WeightSpaceFeatures | None
    kind: Kind
    names: tuple[LayerNames, ...] = ()
    siren: SirenConvention = field(default_factory=SirenConvention)
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    classifier: ClassifierConvention = field(default_factory=ClassifierConvention)
    graph: Graph | None = None
    proposal: Proposal | Sequence | None = None
    stored: Mapping[str, torch.Tensor] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()

    @property
    def features(self) -> WeightSpaceFeatures:
        """The features of a chain; ValueError, a sentence for the visitor, for any other network."""
        if self.chain is None:
            raise ValueError("The layers of this network do not stand in one row, so it cannot be read here.")
        return self.chain

    @property
    def spec(self) -> NetworkSpec:
        """The weight space of a chain, with every dimension; ValueError as for `features`."""
        return network_spec_from_wsfeat(self.features, set_all_dims=True)

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        if self.chain is not None:
            return self.spec.get_num_params()
        tensors = self.stored if self.graph is None else self.graph.tensors
        return sum(tensor.numel() for tensor in tensors.values())

    def with_features(self, features: WeightSpaceFeatures) -> "Network":
        """This chain with other weights; what was stored beside them is left behind."""
        return replace(self, chain=features, graph=None, proposal=None, stored={})

    def to(self, device: str | torch.device) -> "Network":
        """The same network with the tensors of its chain and of its graph on a device."""
        chain = None if self.chain is None else self.chain.to(device)
        if self.graph is None:
            return replace(self, chain=chain)
        tensors = {name: tensor.to(device) for name, tensor in self.graph.tensors.items()}
        return replace(self, chain=chain, graph=replace(self.graph, tensors=tensors))

    @property
    def normalized(self) -> WeightSpaceFeatures:
        """The features in our one convention: see `normalize` of `SirenConvention` and `ClassifierConvention`."""
        return self._convention.normalize(self.features) if self._convention else self.features

    def with_normalized(self, features: WeightSpaceFeatures) -> "Network":
        """This network with new weights, given in our convention, under its own names and convention."""
        return self.with_features(self._convention.denormalize(features) if self._convention else features)

    @property
    def _convention(self) -> SirenConvention | ClassifierConvention | None:
        return {"siren": self.siren, "classifier": self.classifier}.get(self.kind)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name to tensor, as the file had them; a bias that the file lacked appears as `<weight name>.bias`.

        Of a chain, with its batch norm folded in.
        """
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
