"""Predict the winning ticket of an untrained network: a score for every weight, by one of two readers.

After arXiv:2302.14040, section 3.3. The reader "training" trains the network briefly on a few stored images: the weight
changes after one and after several steps are input channels of an NP-equivariant model, or give each weight's
magnitude. The reader "weights" looks at nothing but the weights (`nfn.reference_ticket`).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn.coarse import CoarseImages, average_blocks
from nfn.features import WeightSpaceFeatures
from nfn.flat import flat_rows, unflat_rows
from nfn.layers import NPLinear, Pointwise, TupleOp
from nfn.mosaic import pack, unpack
from nfn.network import NO_CHAIN, Network
from nfn.permutation import apply_order
from nfn.predictor import Predictor
from nfn.reference_ticket import reference_scores
from nfn.sparse_training import SparseTraining, TrainingRecipe, accuracies, batches
from nfn.spec import ANY, ArraySpec, NetworkSpec

TRAINED_FACTOR = 2.5
"""A network whose accuracy is at least this many times chance level counts as trained."""
CHECK_IMAGES = 1024
"""Stored images on which that accuracy is measured."""
STEP = 0.25
SHIFTS = torch.arange(-20, 20 + STEP, STEP)
CALIBRATION_BATCH = 5
TRAINED_SPIKE = 1.35
"""A weight whose `spike_ratio` is above this counts as trained."""
TicketReader = Literal["weights", "training"]
"""What a ticket is read from: the weights alone, matched with a stored reference, or a short training."""


@dataclass(frozen=True)
class TicketConfig:
    """Inputs and size of a ticket predictor.

    - `shapes`: the weights of the zoo's networks; hidden widths may differ.
    - `moments`: the steps of the short training on stored images whose weight changes are inputs. The recipe is that
      of the zoo's networks, over as many steps as the last moment.
    - `shrink`: stored images are averaged over blocks of that many pixels a side; `packed` is their compressed size
      in bytes. The short training averages them over blocks of `coarse` pixels again (MLPs trained by SGD only).
    - `pointwise`: no exchange between weights (NFN_PT of the paper).
    - `balanced`: the loss weighs every layer the same, rather than every weight.
    - `rule`: "magnitude" scores weights by their magnitude after the short training, divided by one learned unit per
      layer (`calibrate`).
    - `readers`: the better one first, as measured on held-out networks. "weights" needs a stored reference.
    """

    task: str = "mnist"
    shapes: tuple[tuple[int, ...], ...] = ((128, 784), (128, 128), (10, 128))
    pixel_mean: float = 0.1307
    pixel_std: float = 0.3081
    image_shape: tuple[int, ...] = (1, 28, 28)
    images: int = 16384
    packed: int = 0
    batch: int = 128
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.05
    moments: tuple[int, ...] = (1, 32, 256)
    channels: int = 32
    depth: int = 3
    pointwise: bool = False
    balanced: bool = False
    rule: Literal["model", "magnitude"] = "model"
    shrink: int = 1
    coarse: int = 1
    readers: tuple[TicketReader, ...] = ("training",)

    def __post_init__(self):  # JSON gives lists
        object.__setattr__(self, "shapes", tuple(tuple(shape) for shape in self.shapes))
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        object.__setattr__(self, "moments", tuple(self.moments))
        object.__setattr__(self, "readers", tuple(self.readers))
        if self.coarse > 1 and (len(self.shapes[0]) > 2 or self.optimizer != "sgd"):
            raise ValueError("Only MLPs trained by SGD can use coarse images: set coarse=1.")
        if sorted(self.readers) not in (["training"], ["training", "weights"]):
            raise ValueError(
                f"Got the readers {self.readers}: choose training, or weights and training in any order."
            )

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape `(c, H, W)` of a stored image."""
        channels, *sides = self.image_shape
        return (channels, *(side // self.shrink for side in sides))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one network input: `(pixels,)` for MLPs, `(c, H, W)` for CNNs."""
        return self.image_shape if len(self.shapes[0]) > 2 else (math.prod(self.image_shape),)

    @property
    def coarse_images(self) -> CoarseImages:
        """The downsampling of stored images for the short training."""
        return CoarseImages(self.stored_shape, self.coarse)

    @property
    def inputs(self) -> int:
        """The number of input channels of the first NF-layer."""
        return 4 + 4 * len(self.moments)


@dataclass(frozen=True)
class Ticket:
    """A score `(1, 1, out, in[, kh, kw])` for every weight; a ticket keeps the weights with the highest scores.

    `sentence` says why the network looks trained; "" if it looks like an initialization. `reader` is what it was read
    from.
    """

    scores: list[Tensor]
    sentence: str
    reader: TicketReader = "training"

    @property
    def trained(self) -> bool:
        """Whether the network looks trained (tickets are for initializations)."""
        return bool(self.sentence)


TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
"""Image sets by `TicketConfig.task`."""


class TicketPredictor(Predictor[TicketConfig, Ticket]):
    """Scores the weights of an initialization; equivariant to permutations of hidden neurons."""

    name = "winning-tickets"
    config_class = TicketConfig
    task = "sparsity masks"
    packed: Tensor
    labels: Tensor
    units: Tensor
    reference: Tensor

    def __init__(self, config: TicketConfig):
        super().__init__(config)
        self.register_buffer("packed", torch.zeros(config.packed, dtype=torch.uint8))
        self.register_buffer("labels", torch.zeros(config.images, dtype=torch.uint8))
        self._pixels = self._coarse_pixels = None
        spec, layer = open_spec(config.shapes), Pointwise if config.pointwise else NPLinear
        widths = [config.inputs] + [config.channels] * (config.depth - 1)
        parts: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            parts += [layer(spec, before, after), TupleOp(nn.ReLU())]
        self.nfn = nn.Sequential(*parts, layer(spec, widths[-1], 1))
        if config.rule == "magnitude":
            self.nfn = nn.Sequential()
            self.register_buffer("units", torch.ones(len(config.shapes)))
        if "weights" in config.readers:
            self.register_buffer("reference", torch.zeros(sum(map(math.prod, config.shapes))))
        self.offset = nn.Parameter(torch.zeros(()))

    @property
    def title(self) -> str:
        """Which networks it scores, for the list of a zoo."""
        networks = "MLPs" if len(self.config.shapes[0]) == 2 else "CNNs"
        return f"Winning tickets of {networks} on {TITLES.get(self.config.task, self.config.task)}"

    def store(self, pixels: Tensor, labels: Tensor) -> None:
        """Store training images `(images, c, H, W)` uint8, downsampled and losslessly compressed, and their labels."""
        packed = pack(self.downsample(pixels))
        self.config = replace(self.config, packed=len(packed))
        self.packed, self._pixels, self._coarse_pixels = packed, None, None
        self.labels.copy_(labels)

    def store_reference(self, weights: Sequence[Tensor]) -> None:
        """Store the weights `(out, in[, kh, kw])` of the network whose ticket others get, 0 where it was pruned."""
        self.config = replace(self.config, readers=("weights", "training"))
        self.register_buffer("reference", flat_rows([weight[None] for weight in weights])[0])

    @property
    def reference_weights(self) -> list[Tensor]:
        """What `store_reference` stored, on the CPU."""
        return [weight[0] for weight in unflat_rows(self.reference[None].cpu(), self.config.shapes)]

    @property
    def pixels(self) -> Tensor:
        """The stored images `(images, c, H, W)` uint8, on the CPU."""
        if self._pixels is None:
            self._pixels = unpack(self.packed, (self.config.images, *self.config.stored_shape))
        return self._pixels

    def stored_batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Stored images as network inputs `(n, c, H, W)`, and their labels `(n,)`."""
        return self.normalize(self.pixels.index_select(0, rows)), self.labels[rows].long()

    def downsample(self, pixels: Tensor) -> Tensor:
        """Images `(n, c, H, W)` uint8 to the size of the stored ones."""
        return average_blocks(pixels, self.config.shrink)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Images uint8 to float network inputs: `(pixels / 255 - pixel_mean) / pixel_std`."""
        scaled = pixels.to(self.device).float().div_(255)
        return scaled.sub_(self.config.pixel_mean).div_(self.config.pixel_std)

    def forward(self, inputs: WeightSpaceFeatures) -> list[Tensor]:
        """The channels of `input_channels` to one logit per weight, a list of `(N, 1, out, in[, kh, kw])`."""
        return [score + self.offset for score in self.nfn(inputs).weights]

    def loss(self, inputs: WeightSpaceFeatures, masks: list[Tensor], generator: torch.Generator) -> Tensor:
        """Binary cross entropy between logits and masks, both lists of `(N, 1, out, in[, kh, kw])`."""
        return self.mask_error(self(inputs), masks)

    def mask_error(self, logits: list[Tensor], masks: list[Tensor]) -> Tensor:
        """Binary cross entropy, averaged over weights or, if `balanced`, over layers."""
        if self.config.balanced:
            pairs = zip(logits, masks, strict=True)
            return torch.stack([F.binary_cross_entropy_with_logits(x, m.to(x)) for x, m in pairs]).mean()
        flat = flat_rows(logits)
        return F.binary_cross_entropy_with_logits(flat, flat_rows(masks).to(flat))

    def input_channels(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Networks `(N, 1, ...)` to channels `(N, inputs, ...)`: weights, and their changes in a short training."""
        deltas = self.training_deltas(features)
        parts = zip(features.tensors, *(delta.tensors for delta in deltas), strict=True)
        return features.with_tensors(_channels(*part) for part in parts)

    def training_deltas(self, features: WeightSpaceFeatures) -> list[WeightSpaceFeatures]:
        """The change of every weight after each of the `moments` of a short training on the stored images."""
        coarse, deltas = self.config.coarse_images, []
        start = coarse.fold(features)
        training = SparseTraining(start, None, self.short_recipe)
        for rows in batches(self.config.images, training.recipe, torch.Generator().manual_seed(0)):
            training.step(*self._coarse_batch(rows))
            if training.step_number in self.config.moments:
                deltas.append(coarse.unfold(training.features - start))
        return deltas

    def _coarse_batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        coarse = self.config.coarse_images
        if self._coarse_pixels is None:
            self._coarse_pixels = coarse.average(self.pixels)
        images = coarse.scale(self.normalize(self._coarse_pixels.index_select(0, rows)))
        return images, self.labels[rows].long()

    @property
    def short_recipe(self) -> TrainingRecipe:
        """The recipe of the short training on the stored images."""
        config = self.config
        return TrainingRecipe(max(config.moments), config.batch, config.optimizer, config.learning_rate)

    @torch.no_grad()
    def scores(self, features: WeightSpaceFeatures, reader: TicketReader = "training") -> list[Tensor]:
        """Networks `(N, 1, ...)` to a score per weight, a list of `(N, 1, out, in[, kh, kw])`.

        Hidden neurons are put in a canonical order first, so that permuted copies of a network have the same rounding
        errors, which grow in the short training.
        """
        orders = canonical_order(features)
        ordered = apply_order(features.to(self.device), orders)
        if reader == "weights":
            scores = reference_scores(self.reference_weights, ordered.to("cpu"))
        else:
            scores = self._scores_after_training(ordered)
        inverse = [order.argsort(1) for order in orders]
        return list(apply_order(WeightSpaceFeatures(scores, features.biases), inverse).weights)

    def _scores_after_training(self, features: WeightSpaceFeatures) -> list[Tensor]:
        if self.config.rule == "magnitude":
            return [size / unit for size, unit in zip(self._magnitudes(features), self.units, strict=True)]
        return [comparable_scores(x) for x in self(self.input_channels(features))]

    def _magnitudes(self, features: WeightSpaceFeatures) -> list[Tensor]:
        """`|w|` after the short training, over the root mean square of its layer."""
        trained = features + self.training_deltas(features)[-1]
        return [weight.abs() / _rms(weight) for weight in trained.weights]

    @torch.no_grad()
    def calibrate(self, features: WeightSpaceFeatures, masks: Sequence[Tensor]) -> None:
        """Learn the units of the rule "magnitude" from networks `(N, 1, ...)` and their masks.

        A layer's unit is the geometric mean, over the networks, of the threshold at which as many weights of the
        layer are kept as by the network's mask. A threshold of 1 in these units then keeps as many weights of each
        layer as such masks do.
        """
        thresholds = []
        for start in range(0, len(masks[0]), CALIBRATION_BATCH):
            part = slice(start, start + CALIBRATION_BATCH)
            sizes = self._magnitudes(features.select(part).to(self.device))
            thresholds.append(
                torch.stack([_threshold(x, m[part]) for x, m in zip(sizes, masks, strict=True)], 1)
            )
        self.units.copy_(torch.cat(thresholds).log().mean(0).exp())

    def predict(self, network: Network, reader: TicketReader | None = None) -> Ticket:
        """Score the weights of one network by a reader, or by the best one that takes it.

        Raises ValueError, a sentence for the visitor, if it cannot be read.
        """
        reason = self.fault(network)
        if reason is not None:
            raise ValueError(reason)
        readers = self.readers_of(network)
        chosen = reader or readers[0]
        if chosen not in readers:
            raise ValueError(self.weights_need)
        scores = [score.cpu() for score in self.scores(network.features, chosen)]
        return Ticket(scores, self.signs_of_training(network.features), chosen)

    def readers_of(self, network: Network) -> tuple[TicketReader, ...]:
        """The readers that take a network without a `fault`, the better one first."""
        same = [array.shape for array in network.spec.weight_spec] == list(self.config.shapes)
        return self.config.readers if same else ("training",)

    @property
    def weights_need(self) -> str:
        """Which networks the reader "weights" takes, as a sentence; "" if there is no such reader."""
        if "weights" not in self.config.readers:
            return f"{self.title}: no reference is stored, so no ticket is read from weights alone."
        shapes = ", ".join("×".join(map(str, shape)) for shape in self.config.shapes)
        return f"Only networks with weights of {shapes}, as the stored reference has, are read from weights alone."

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: its shapes may differ from the zoo's in hidden widths only."""
        if network.chain is None:
            return NO_CHAIN
        shapes = [array.shape for array in network.spec.weight_spec]
        if _fixed_sizes(shapes) == _fixed_sizes(self.config.shapes):
            return None
        return (
            f"This network has weights of shapes {' '.join(map(str, shapes))}; this predictor reads "
            f"{' '.join(map(str, self.config.shapes))}, with hidden layers of any width."
        )

    @torch.no_grad()
    def signs_of_training(self, features: WeightSpaceFeatures) -> str:
        """A sentence that says why the network `(1, 1, ...)` looks trained; "" if it does not."""
        rows = torch.arange(min(CHECK_IMAGES, self.config.images))
        accuracy = float(accuracies(features.to(self.device), *self.stored_batch(rows)))
        ratio = max(spike_ratio(weight[0, 0]) for weight in features.weights)
        return trained_sentence(accuracy, self.config.shapes[-1][0], ratio)


def trained_sentence(accuracy: float, classes: int, ratio: float) -> str:
    """Why a network of this accuracy and this largest `spike_ratio` looks trained; "" if it does not."""
    if accuracy >= TRAINED_FACTOR / classes:
        return f"It already classifies {accuracy:.0%} of the stored images correctly."
    return (
        "Its weights have structure that random initial weights do not have." if ratio > TRAINED_SPIKE else ""
    )


def _threshold(sizes: Tensor, mask: Tensor) -> Tensor:
    """The threshold `(N,)` that keeps as many weights as the mask does, at least one."""
    kept = mask.flatten(1).sum(1, keepdim=True).clamp_min(1).to(sizes.device)
    return sizes.flatten(1).sort(1, descending=True).values.gather(1, kept - 1)[:, 0]


def comparable_scores(logits: Tensor) -> Tensor:
    """Logits `(N, 1, ...)` of one layer to scores that can be compared between layers.

    A global threshold on logits would keep too many weights of the layer whose logits are the most confident. So the
    score of a weight is minus the shift of the layer's logits at which the expected number of kept weights equals the
    weight's rank: any global threshold then keeps the expected number in each layer.
    """
    flat = logits.flatten(1)
    expected = torch.stack([(flat + shift).sigmoid().sum(1) for shift in SHIFTS], 1)
    ranks = torch.arange(flat.shape[1], device=flat.device).add(0.5).expand_as(flat).contiguous()
    after = torch.searchsorted(expected, ranks).clamp(1, len(SHIFTS) - 1)
    below, above = expected.gather(1, after - 1), expected.gather(1, after)
    shifts = SHIFTS.to(flat)[after - 1] + STEP * ((ranks - below) / (above - below).clamp_min(1e-12)).clamp(
        0, 1
    )
    order = flat.argsort(dim=1, descending=True, stable=True)
    return torch.empty_like(flat).scatter_(1, order, -shifts).view_as(logits)


def canonical_order(features: WeightSpaceFeatures) -> list[Tensor]:
    """For each hidden layer the order `(N, n)` of its neurons by their largest absolute incoming weight.

    Applying it makes all permuted copies of a network identical, bit for bit.
    """
    return [
        weight[:, 0].abs().flatten(2).amax(2).argsort(dim=1, stable=True) for weight in features.weights[:-1]
    ]


def spike_ratio(weight: Tensor) -> float:
    """The largest singular value of `(out, in * kh * kw)`, relative to that of independent random entries.

    The latter is `std * (sqrt(rows) + sqrt(columns))` for large random matrices (Marchenko and Pastur); orthogonal
    matrices are below 1.
    """
    matrix = weight.flatten(1)
    centred = matrix - matrix.mean()
    random_norm = centred.std() * sum(math.sqrt(n) for n in matrix.shape)
    return float(torch.linalg.matrix_norm(centred, 2) / random_norm.clamp_min(1e-12))


def open_spec(shapes: Sequence[tuple[int, ...]]) -> NetworkSpec:
    """The spec of weights of these shapes with every hidden width left open (`ANY`)."""
    last = len(shapes) - 1
    weights = [
        ArraySpec((rows if i == last else ANY, columns if i == 0 else ANY, *kernel))
        for i, (rows, columns, *kernel) in enumerate(shapes)
    ]
    return NetworkSpec(tuple(weights), tuple(ArraySpec(w.shape[:1]) for w in weights))


def _fixed_sizes(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What must be as in the zoo: layers, inputs of the first, outputs of the last, and kernel sizes."""
    last = len(shapes) - 1
    return [
        (shape[0] if i == last else 0, shape[1] if i == 0 else 0, *shape[2:])
        for i, shape in enumerate(shapes)
    ]


def _channels(weight: Tensor, *deltas: Tensor) -> Tensor:
    """One tensor `(N, 1, ...)` and its changes, in units of its layer's RMS: `(N, 4 + 4 * len(deltas), ...)`.

    The RMS of the layer, and that of each change relative to it, are further channels, as logarithms.
    """
    size = _rms(weight)
    unit = weight / size
    channels = [
        unit,
        unit.abs(),
        size.log().expand_as(unit) / 3,
        torch.log(1e-3 + _sensitivity(unit, deltas[0])),
    ]
    for delta in deltas:
        length = _rms(delta)
        step = delta / length
        channels += [
            step,
            step.abs(),
            (weight + delta).abs() / size - unit.abs(),
            (length / size).log().expand_as(unit) / 3,
        ]
    return torch.cat(channels, 1)


def _sensitivity(unit: Tensor, first_delta: Tensor) -> Tensor:
    """`|w * dL/dw|` over its mean (SNIP, arXiv:1810.02340); the first step is proportional to the gradient."""
    product = (unit * first_delta).abs()
    mean = product.flatten(1).mean(1).clamp_min(1e-20)
    return product / mean.view(-1, *[1] * (product.dim() - 1))


def _rms(x: Tensor) -> Tensor:
    """Root mean square per network, broadcastable to `x`."""
    return x.square().flatten(1).mean(1).add(1e-16).sqrt().view(-1, *[1] * (x.dim() - 1))
