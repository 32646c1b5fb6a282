"""Read networks by their weights alone: nothing is put into them, no picture is drawn, no image is classified.

Messages along the weights of a canonical copy, then a small head. The same for every order of hidden units, and for
every copy with other signs, phases (sine) or scales (ReLU).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn.augment import Moves, mirror_columns, random_moves
from nfn.canonical import canonical_by_activation, canonical_sine
from nfn.features import WeightSpaceFeatures
from nfn.layers.messages import UnitEncoder, UnitPool, WidePool, alternating_sweeps
from nfn.network import Network
from nfn.predictor import Predictor
from nfn.spec import ArraySpec, NetworkSpec
from nfn.wiring.pictures import IMAGE_TITLES

Canonical = Literal["sine", "activation", "none"]
ACTIVATIONS = ("relu", "tanh")
"""Of the classifiers that are read in a canonical form."""
AUTO = "auto"
WAVE_SCALES = (2.7, 0.5)
"""Of frequencies of weights and biases, in units of their deviation: the span of a picture's coordinates."""


@dataclass(frozen=True)
class WeightReaderConfig:
    """What is read, of which networks, and how large the reader is.

    `shapes` are those of the weights of a chain; `canonical` says which equivalent copies are read alike: those of
    sine units, those of each network's own activation (ReLU or tanh), or none. `labels` per image set for the task
    `label`, empty where `task` names a column of numbers, which have this `mean` and `deviation` in networks of the
    image set `images` ("" if of several). `rounds` counts sweeps of messages forward; one backward lies between two of
    them. `wide` is the number of features per unit that are pooled besides its own. Labels are averages over `views`
    copies of a SIREN whose pictures are moved a little (`moves`: rotation, scale, shear and shift of
    `nfn.augment.Moves`), and for the image sets in `mirror` over as many mirrored ones.
    """

    shapes: tuple[tuple[int, ...], ...]
    task: str = "label"
    labels: dict[str, list[str]] = field(default_factory=dict)
    canonical: Canonical = "sine"
    channels: int = 64
    rounds: int = 2
    waves: int = 64
    wide: int = 0
    head: int = 128
    dropout: float = 0.1
    views: int = 1
    moves: tuple[float, float, float, float] = (0.2, 0.15, 0.15, 0.1)
    mirror: tuple[str, ...] = ()
    images: str = ""
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "shapes", tuple(tuple(shape) for shape in self.shapes))  # JSON gives lists
        object.__setattr__(self, "mirror", tuple(self.mirror))
        object.__setattr__(self, "moves", tuple(self.moves))
        if self.canonical not in get_args(Canonical):
            raise ValueError(
                f"canonical {self.canonical!r}: expected one of {', '.join(get_args(Canonical))}."
            )

    @property
    def spec(self) -> NetworkSpec:
        """The networks that are read."""
        biases = tuple(ArraySpec(shape[:1]) for shape in self.shapes)
        return NetworkSpec(tuple(ArraySpec(shape) for shape in self.shapes), biases)

    @property
    def outputs(self) -> int:
        """One per label of every image set, or one number."""
        return sum(len(names) for names in self.labels.values()) or 1


@dataclass(frozen=True)
class WeightReading:
    """What weights alone say: the likeliest label of an image set, and a probability for each of its labels.

    `domain_probabilities` are over the image sets that the reader knows; `number` is what a column of numbers says,
    and then there is no label.
    """

    domain: str = ""
    label: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    domain_probabilities: dict[str, float] = field(default_factory=dict)
    number: float | None = None


class WeightReader(Predictor[WeightReaderConfig, WeightReading]):
    """Bilinear messages between hidden units of a canonical copy (`nfn.layers.messages`), pooled, and a head."""

    name = "weight-reader"
    config_class = WeightReaderConfig
    task = "reading weights alone"
    scales: Tensor

    def __init__(self, config: WeightReaderConfig):
        super().__init__(config)
        spec, channels = config.spec, config.channels
        own = (len(ACTIVATIONS),) if config.canonical == "activation" else ()
        self.register_buffer("scales", torch.ones(*own, 2 * len(spec)))
        self.encoder = UnitEncoder(spec, 1, channels, config.waves, WAVE_SCALES)
        self.activation = (
            nn.Embedding(len(ACTIVATIONS), channels) if config.canonical == "activation" else None
        )
        if self.activation is not None:
            nn.init.normal_(self.activation.weight, std=0.3)
        self.sweeps = alternating_sweeps(spec, channels, 2 * config.rounds - 1)
        self.pool = UnitPool(spec, 1, channels)
        self.wide = WidePool(spec, 1, channels, config.wide) if config.wide else None
        pooled = self.pool.num_outs + (self.wide.num_outs if self.wide else 0)
        self.head = nn.Sequential(
            nn.Linear(pooled, config.head), nn.LayerNorm(config.head), nn.SiLU(),
            nn.Linear(config.head, config.outputs),
        )  # fmt: skip

    @property
    def title(self) -> str:
        """What it reads in networks, for the list of a zoo."""
        if not self.config.labels:
            images = IMAGE_TITLES.get(self.config.images, self.config.images)
            of = f"{images} networks" if images else "a network"
            return f"The {self.config.task} of {of}, from weights alone"
        return f"What weights alone say of {'gray' if self.config.shapes[-1][0] == 1 else 'colour'} pictures"

    def canonical(
        self, features: WeightSpaceFeatures, activations: Sequence[str | None] = ()
    ) -> WeightSpaceFeatures:
        """The canonical copy of networks in our convention; classifiers are given with their activations."""
        if self.config.canonical == "none":
            return features
        if self.config.canonical == "sine":
            return canonical_sine(features)
        return canonical_by_activation(features, activations)

    def measure(self, features: WeightSpaceFeatures, activations: Sequence[str | None] = ()) -> None:
        """Set the typical size of each tensor to what it is in these networks, for each activation by itself."""
        canonical = self.canonical(features, activations)
        if self.activation is None:
            self.scales.copy_(typical_sizes(canonical))
            return
        places = self._places(activations)
        for place in places.unique():
            self.scales[place] = typical_sizes(canonical.select(places == place))

    def forward(self, features: WeightSpaceFeatures, activations: Sequence[str | None] = ()) -> Tensor:
        """Networks `(B, 1, ...)` in our convention to logits `(B, labels)`, or numbers `(B, 1)`."""
        canonical = self.canonical(features, activations)
        places = None if self.activation is None else self._places(activations)
        scales = self.scales[places]  # with None `(1, tensors)`
        features = canonical.with_tensors(
            x / scale.view(-1, *[1] * (x.dim() - 1))
            for x, scale in zip(canonical.tensors, scales.unbind(1), strict=True)
        )
        units = self.encoder(features)
        if self.activation is not None:
            units = [unit + self.activation(places)[:, None] for unit in units]
        for sweep in self.sweeps:
            units = sweep(features, units)
        pooled = self.pool(features, units)
        if self.wide is not None:
            pooled = torch.cat([pooled, self.wide(features, units)], 1)
        return self.head(F.dropout(pooled, self.config.dropout, self.training))

    def _places(self, activations: Sequence[str | None]) -> Tensor:
        """The numbers of activations; ValueError for an unknown one."""
        return torch.tensor([ACTIVATIONS.index(str(name)) for name in activations], device=self.device)

    @torch.no_grad()
    def read(self, features: WeightSpaceFeatures, activations: Sequence[str | None] = ()) -> Tensor:
        """Networks `(B, 1, ...)` in our convention to log probabilities `(B, labels)`, or numbers `(B, 1)`."""
        features = features.to(self.device)
        if not self.config.labels:
            return self(features, activations)
        moves, generator = Moves(*self.config.moves), torch.Generator().manual_seed(0)
        views = [random_moves(features, moves, generator, alike=True) for _ in range(1, self.config.views)]
        views = [features, *views]
        probabilities = self._mean_of(views)
        if self.config.mirror:
            mirrored = self._mean_of([mirror_columns(view) for view in views])
            probabilities = self._with_mirrored(probabilities, mirrored)
        return probabilities.log()

    def _mean_of(self, views: Sequence[WeightSpaceFeatures]) -> Tensor:
        """The mean probabilities `(B, labels)`."""
        return torch.stack([self(view).softmax(1) for view in views]).mean(0)

    def _with_mirrored(self, probabilities: Tensor, mirrored: Tensor) -> Tensor:
        """Probabilities `(B, labels)` in which the labels of the sets in `mirror` are averaged with those of mirrored
        pictures; each image set keeps its own probability."""
        sizes, parts = [len(names) for names in self.config.labels.values()], []
        for name, own, other in zip(
            self.config.labels, probabilities.split(sizes, 1), mirrored.split(sizes, 1), strict=True
        ):
            both = F.normalize(own, p=1) + F.normalize(other, p=1)
            parts.append(own.sum(1, keepdim=True) * both / 2 if name in self.config.mirror else own)
        return torch.cat(parts, 1)

    @torch.no_grad()
    def predict(self, network: Network, domain: str = AUTO) -> WeightReading:
        """Read one network, within `domain` or, with `auto`, within the most probable one.

        Raises ValueError, a sentence for the visitor, for networks of another shape and for an unknown domain.
        """
        self._check(network)
        if domain not in (AUTO, *self.config.labels):
            choices = ", ".join((AUTO, *self.config.labels))
            raise ValueError(f"This reader knows no domain {domain!r}: choose one of {choices}.")
        return self.explain(self.read(network.normalized, _activations(network))[0].cpu(), domain)

    def attribute(self, network: Network, domain: str = AUTO, label: str = "") -> WeightSpaceFeatures:
        """How much each weight and bias of one network moved the answer `label`, or the number; see `attribution`.

        For a column of numbers, `domain` and `label` are not looked at. Raises ValueError as `predict` does.
        """
        self._check(network)
        place = (
            self.class_offset(domain) + self.config.labels[domain].index(label) if self.config.labels else 0
        )
        return self.attribution(network.normalized, _activations(network), place)

    def attribution(
        self, features: WeightSpaceFeatures, activations: Sequence[str | None] = (), place: int = 0
    ) -> WeightSpaceFeatures:
        """Each weight and bias times the gradient of the output at `place` (arXiv:1605.01713), of a number in its unit.

        Networks `(B, 1, ...)` in our convention to features of the same shape, in each network's own order of units.
        """
        features = features.to(self.device).map(lambda x: x.detach().requires_grad_())
        output = self(features, activations)[:, place].sum() * self.config.deviation
        gradients = torch.autograd.grad(output, features.tensors)
        return features.with_tensors(
            (x * g).detach().cpu() for x, g in zip(features.tensors, gradients, strict=True)
        )

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: those of the shape and kind that it learned from can."""
        expected = ", ".join(" x ".join(map(str, shape)) for shape in self.config.shapes)
        if network.chain is None:
            return f"Its layers do not stand in one row; this reader knows networks of layers of {expected}."
        if not self.has_shapes_of(network.chain):
            return f"This network is of another shape than those that this reader knows, with layers of {expected}."
        if (network.kind == "siren") != (self.config.canonical == "sine"):
            return f"This network is a {network.kind}, and of another kind than those that this reader knows."
        if self.config.canonical == "activation" and network.classifier.activation not in ACTIVATIONS:
            activation = network.classifier.activation or "not known"
            return f"Its activation is {activation}; this reader knows networks of {' and of '.join(ACTIVATIONS)}."
        if network.kind == "siren" and network.siren.output != "linear":
            return f"There is a {network.siren.output} at the end of this SIREN; this reader knows those with none."
        return None

    def has_shapes_of(self, features: WeightSpaceFeatures) -> bool:
        """Whether the weights of these chains have the shapes that it learned from."""
        return tuple(tuple(weight.shape[2:]) for weight in features.weights) == self.config.shapes

    def _check(self, network: Network) -> None:
        fault = self.fault(network)
        if fault is not None:
            raise ValueError(fault)

    def explain(self, output: Tensor, domain: str = AUTO) -> WeightReading:
        """The result for one row `(outputs,)` of what `read` or `forward` gives."""
        config = self.config
        if not config.labels:
            return WeightReading(number=float(output[0]) * config.deviation + config.mean)
        rows = torch.softmax(output, 0).split([len(names) for names in config.labels.values()])
        shares = {name: float(row.sum()) for name, row in zip(config.labels, rows, strict=True)}
        chosen = max(shares, key=lambda name: shares[name]) if domain == AUTO else domain
        row = torch.softmax(rows[list(config.labels).index(chosen)].log(), 0)
        named = dict(zip(config.labels[chosen], row.tolist(), strict=True))
        return WeightReading(chosen, max(named, key=lambda name: named[name]), named, shares)

    def class_offset(self, domain: str) -> int:
        """The index of an image set's first label among the outputs."""
        names = list(self.config.labels)
        return sum(len(self.config.labels[name]) for name in names[: names.index(domain)])


def typical_sizes(features: WeightSpaceFeatures) -> Tensor:
    """The root mean square of each tensor, over all networks."""
    return torch.stack([x.square().mean().sqrt() for x in features.tensors])


def _activations(network: Network) -> list[str | None]:
    """What `read` takes for one network."""
    return [network.classifier.activation] if network.kind == "classifier" else []
