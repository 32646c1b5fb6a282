"""Predict the winning ticket of an untrained network: an NP-equivariant model scores every weight, the best are kept.

After arXiv:2302.14040, section 3.3. Beside the weights the model reads gradients, as further channels: of the loss on a
few stored training images at the initialization, and summed up over some steps of descent on these images.
"""

import itertools
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn.coarse import CoarseImages, averaged
from nfn.features import WeightSpaceFeatures
from nfn.layers import NPLinear, Pointwise, TupleOp
from nfn.network import NO_CHAIN, Network
from nfn.permutation import apply_order
from nfn.predictor import Predictor
from nfn.pruning import flat_rows
from nfn.sparse_training import SparseTraining, TrainingRecipe, accuracies, batches
from nfn.spec import ANY, ArraySpec, NetworkSpec

TRAINED = 2.5
"""How many times as many images as by chance a network names rightly that was trained."""
LOOKED_AT = 1024
"""Stored images on which a network is measured to tell whether it was trained."""
STEP = 0.25
SHIFTS = torch.arange(-20, 20 + STEP, STEP)
CALIBRATED_AT_ONCE = 5
CLEAR = 1.35
"""A largest singular value this far above what independent random entries give is the mark of training."""


@dataclass(frozen=True)
class TicketConfig:
    """What it reads, and its size. `shapes` are the weights of the zoo's networks; hidden widths may differ.

    `moments`: after how many steps of training on the stored images the way from the initialization is read. The
    recipe is that of the zoo's networks, over as many steps as the last moment. The stored images are averaged over
    squares of `shrink` pixels a side; `packed` is their size in bytes, compressed. That training sees them averaged
    over squares of `coarse` pixels once more (MLPs that learn by SGD only). `pointwise` leaves out all exchange between
    weights (NFN_PT of the paper).
    `balanced`: in training every layer counts the same, and not every weight. The `rule` "magnitude" scores weights by
    their size after the short training, in a unit for each layer that is all there is to learn (`calibrate`).
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

    def __post_init__(self):  # JSON gives lists
        object.__setattr__(self, "shapes", tuple(tuple(shape) for shape in self.shapes))
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        object.__setattr__(self, "moments", tuple(self.moments))
        if self.coarse > 1 and (len(self.shapes[0]) > 2 or self.optimizer != "sgd"):
            raise ValueError("Only MLPs that learn by SGD are trained on coarse images.")

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape `(c, H, W)` of a stored image."""
        channels, *sides = self.image_shape
        return (channels, *(side // self.shrink for side in sides))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input of the networks: MLPs take a picture's pixels in one row."""
        return self.image_shape if len(self.shapes[0]) > 2 else (math.prod(self.image_shape),)

    @property
    def glimpses(self) -> CoarseImages:
        """What the short training sees of the stored images."""
        return CoarseImages(self.stored_shape, self.coarse)

    @property
    def inputs(self) -> int:
        """Channels that the first layer reads."""
        return 4 + 4 * len(self.moments)


@dataclass(frozen=True)
class Ticket:
    """A score `(1, 1, out, in[, kh, kw])` for every weight: of n weights the ticket keeps the k of the highest scores.

    `sentence` says what makes the network look trained; "" where it looks like an initialization.
    """

    scores: list[Tensor]
    sentence: str

    @property
    def trained(self) -> bool:
        """Whether the network looks trained: tickets are for initializations."""
        return bool(self.sentence)


class TicketPredictor(Predictor):
    """Scores for the weights of an initialization; permuting hidden neurons permutes the scores."""

    name = "winning-tickets"
    config_class = TicketConfig
    packed: Tensor
    labels: Tensor
    units: Tensor

    def __init__(self, config: TicketConfig):
        super().__init__(config)
        self.register_buffer("packed", torch.zeros(config.packed, dtype=torch.uint8))
        self.register_buffer("labels", torch.zeros(config.images, dtype=torch.uint8))
        self._pixels = self._glimpses = None
        spec, layer = open_spec(config.shapes), Pointwise if config.pointwise else NPLinear
        widths = [config.inputs] + [config.channels] * (config.depth - 1)
        parts: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            parts += [layer(spec, before, after), TupleOp(nn.ReLU())]
        self.nfn = nn.Sequential(*parts, layer(spec, widths[-1], 1))
        if config.rule == "magnitude":
            self.nfn = nn.Sequential()
            self.register_buffer("units", torch.ones(len(config.shapes)))
        self.offset = nn.Parameter(torch.zeros(()))

    def store(self, pixels: Tensor, labels: Tensor) -> None:
        """Keep training images `(images, c, H, W)` uint8 and their labels, shrunk, and compressed without loss."""
        pixels = self.shrunk(pixels)
        packed = torch.frombuffer(bytearray(zlib.compress(pixels.numpy().tobytes(), 9)), dtype=torch.uint8)
        self.config = replace(self.config, packed=len(packed))
        self.packed, self._pixels, self._glimpses = packed, None, None
        self.labels.copy_(labels)

    @property
    def pixels(self) -> Tensor:
        """The stored images `(images, c, H, W)` uint8, on the CPU."""
        if self._pixels is None:
            shape = (self.config.images, *self.config.stored_shape)
            data = zlib.decompressobj().decompress(self.packed.cpu().numpy().tobytes(), math.prod(shape))
            self._pixels = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(shape)
        return self._pixels

    def stored(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Stored images as the networks see them `(n, c, H, W)`, and their labels `(n,)`."""
        return self.seen(self.pixels.index_select(0, rows)), self.labels[rows].long()

    def shrunk(self, pixels: Tensor) -> Tensor:
        """Images `(n, c, H, W)` uint8 in the size of the stored ones."""
        return averaged(pixels, self.config.shrink)

    def seen(self, pixels: Tensor) -> Tensor:
        """Images uint8 as the networks see them."""
        shades = pixels.to(self.device).float().div_(255)
        return shades.sub_(self.config.pixel_mean).div_(self.config.pixel_std)

    def forward(self, inputs: WeightSpaceFeatures) -> list[Tensor]:
        """The channels of `read` to one logit per weight, a list of `(N, 1, out, in[, kh, kw])`."""
        return [score + self.offset for score in self.nfn(inputs).weights]

    def loss(self, inputs: WeightSpaceFeatures, masks: list[Tensor], generator: torch.Generator) -> Tensor:
        """Binary cross entropy between logits and masks, both lists of `(N, 1, out, in[, kh, kw])`."""
        return self.mask_error(self(inputs), masks)

    def mask_error(self, logits: list[Tensor], masks: list[Tensor]) -> Tensor:
        """Binary cross entropy; every weight of a network counts the same, or every layer."""
        if self.config.balanced:
            pairs = zip(logits, masks, strict=True)
            return torch.stack([F.binary_cross_entropy_with_logits(x, m.to(x)) for x, m in pairs]).mean()
        flat = flat_rows(logits)
        return F.binary_cross_entropy_with_logits(flat, flat_rows(masks).to(flat))

    def read(self, features: WeightSpaceFeatures) -> WeightSpaceFeatures:
        """Networks `(N, 1, ...)` to channels `(N, inputs, ...)`: weights, and where gradients lead."""
        ways = self.descend(features)
        tensors = [
            (_channels(*parts) for parts in zip(kind, *(getattr(way, which) for way in ways), strict=True))
            for which, kind in (("weights", features.weights), ("biases", features.biases))
        ]
        return WeightSpaceFeatures(*tensors)

    def descend(self, features: WeightSpaceFeatures) -> list[WeightSpaceFeatures]:
        """The way from the initialization after each of the `moments` of a short training on the stored images."""
        glimpses, ways = self.config.glimpses, []
        start = glimpses.fold(features)
        training = SparseTraining(start, None, self.short_recipe)
        for rows in batches(self.config.images, training.recipe, torch.Generator().manual_seed(0)):
            training.step(*self._glimpsed(rows))
            if training.step_number in self.config.moments:
                ways.append(glimpses.unfold(training.features - start))
        return ways

    def _glimpsed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        if self._glimpses is None:
            self._glimpses = self.config.glimpses.average(self.pixels)
        images = self.config.glimpses.scale(self.seen(self._glimpses.index_select(0, rows)))
        return images, self.labels[rows].long()

    @property
    def short_recipe(self) -> TrainingRecipe:
        """How the network is trained on the stored images before its way is read."""
        config = self.config
        return TrainingRecipe(max(config.moments), config.batch, config.optimizer, config.learning_rate)

    @torch.no_grad()
    def scores(self, features: WeightSpaceFeatures) -> list[Tensor]:
        """Networks `(N, 1, ...)` to a score per weight, a list of `(N, 1, out, in[, kh, kw])`.

        Hidden neurons are put in a canonical order first: rounding errors grow along the short training, and so
        permuted copies of a network have the same ones.
        """
        orders = canonical_order(features)
        ordered = apply_order(features.to(self.device), orders)
        if self.config.rule == "magnitude":
            found = [size / unit for size, unit in zip(self._sizes(ordered), self.units, strict=True)]
        else:
            found = [comparable(x) for x in self(self.read(ordered))]
        back = [order.argsort(1) for order in orders]
        return list(apply_order(WeightSpaceFeatures(found, features.biases), back).weights)

    def _sizes(self, features: WeightSpaceFeatures) -> list[Tensor]:
        """How large each weight is at the end of the short training, in root mean squares of its layer."""
        trained = features + self.descend(features)[-1]
        return [weight.abs() / _rms(weight) for weight in trained.weights]

    @torch.no_grad()
    def calibrate(self, features: WeightSpaceFeatures, masks: Sequence[Tensor]) -> None:
        """Learn the units of the rule "magnitude" from networks `(N, 1, ...)` and their masks.

        A layer's unit is the geometric mean, over the networks, of the size at which a cut keeps as many weights of
        the layer as the network's mask does: cut at 1, each layer keeps what such masks keep of it.
        """
        cuts = []
        for start in range(0, len(masks[0]), CALIBRATED_AT_ONCE):
            part = slice(start, start + CALIBRATED_AT_ONCE)
            sizes = self._sizes(features.select(part).to(self.device))
            cuts.append(torch.stack([_cut(x, m[part]) for x, m in zip(sizes, masks, strict=True)], 1))
        self.units.copy_(torch.cat(cuts).log().mean(0).exp())

    def predict(self, network: Network) -> Ticket:
        """The scores of one network; ValueError, a sentence for the visitor, where it cannot be read."""
        reason = self.fault(network)
        if reason is not None:
            raise ValueError(reason)
        scores = [score.cpu() for score in self.scores(network.features)]
        return Ticket(scores, self.signs_of_training(network.features))

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be read, or None: only hidden widths may differ from the zoo's."""
        if network.chain is None:
            return NO_CHAIN
        wanted = [_frame(shape, i, len(self.config.shapes)) for i, shape in enumerate(self.config.shapes)]
        shapes = [array.shape for array in network.spec.weight_spec]
        if [_frame(shape, i, len(shapes)) for i, shape in enumerate(shapes)] == wanted:
            return None
        return (
            f"This network has weights of shapes {' '.join(map(str, shapes))}; this predictor reads "
            f"{' '.join(map(str, self.config.shapes))}, with hidden layers of any width."
        )

    @torch.no_grad()
    def signs_of_training(self, features: WeightSpaceFeatures) -> str:
        """A sentence on why the network `(1, 1, ...)` looks trained, "" where it does not."""
        rows = torch.arange(min(LOOKED_AT, self.config.images))
        accuracy = float(accuracies(features.to(self.device), *self.stored(rows)))
        if accuracy >= TRAINED / self.config.shapes[-1][0]:
            return f"It already names {accuracy:.0%} of the stored images rightly."
        ratio = max(spike(weight[0, 0]) for weight in features.weights)
        return "Its weights have structure that no random draw has." if ratio > CLEAR else ""


def _cut(sizes: Tensor, mask: Tensor) -> Tensor:
    """The size `(N,)` from which on there are as many weights as the mask keeps, at least one."""
    kept = mask.flatten(1).sum(1, keepdim=True).clamp_min(1).to(sizes.device)
    return sizes.flatten(1).sort(1, descending=True).values.gather(1, kept - 1)[:, 0]


def comparable(logits: Tensor) -> Tensor:
    """Logits `(N, 1, ...)` of one layer as scores that may be compared between layers.

    A threshold over the logits of all layers would give the layer whose logits are the surest more weights than the
    model expects there. So the score of a weight is minus the shift of all logits at which the expected number of
    kept weights of its layer reaches the weight's rank: any threshold then keeps the expected number in each layer.
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
    """For each hidden layer the order `(N, n)` of its neurons by their largest incoming weight.

    Applying it takes all permuted copies of a network to one and the same, bit for bit.
    """
    return [
        weight[:, 0].abs().flatten(2).amax(2).argsort(dim=1, stable=True) for weight in features.weights[:-1]
    ]


def spike(weight: Tensor) -> float:
    """The largest singular value of `(out, in * kh * kw)`, over what independent entries of its size would give.

    That is `std * (sqrt(rows) + sqrt(columns))` for large random matrices (Marchenko and Pastur), less for orthogonal.
    """
    matrix = weight.flatten(1)
    centred = matrix - matrix.mean()
    edge = centred.std() * sum(math.sqrt(n) for n in matrix.shape)
    return float(torch.linalg.matrix_norm(centred, 2) / edge.clamp_min(1e-12))


def open_spec(shapes: Sequence[tuple[int, ...]]) -> NetworkSpec:
    """The spec of weights of these shapes with every hidden width open."""
    last = len(shapes) - 1
    weights = [
        ArraySpec((rows if i == last else ANY, columns if i == 0 else ANY, *kernel))
        for i, (rows, columns, *kernel) in enumerate(shapes)
    ]
    return NetworkSpec(tuple(weights), tuple(ArraySpec(w.shape[:1]) for w in weights))


def _frame(shape: tuple[int, ...], i: int, layers: int) -> tuple:
    """What may not differ from the zoo's: number of inputs and outputs, and kernels."""
    return (shape[0] if i == layers - 1 else 0, shape[1] if i == 0 else 0, *shape[2:])


def _channels(weight: Tensor, *ways: Tensor) -> Tensor:
    """One tensor `(N, 1, ...)` and the ways it goes, in units of its own layer: `(N, 4 + 4 * len(ways), ...)`.

    The size of the layer itself, and how far each way leads in these units, come as logarithms.
    """
    size = _rms(weight)
    unit = weight / size
    channels = [
        unit,
        unit.abs(),
        size.log().expand_as(unit) / 3,
        torch.log(1e-3 + _sensitivity(unit, ways[0])),
    ]
    for way in ways:
        length = _rms(way)
        step = way / length
        channels += [
            step,
            step.abs(),
            (weight + way).abs() / size - unit.abs(),
            (length / size).log().expand_as(unit) / 3,
        ]
    return torch.cat(channels, 1)


def _sensitivity(unit: Tensor, way: Tensor) -> Tensor:
    """`|w * dL/dw|` over its mean: the first step is the gradient (SNIP, arXiv:1810.02340)."""
    product = (unit * way).abs()
    mean = product.flatten(1).mean(1).clamp_min(1e-20)
    return product / mean.view(-1, *[1] * (product.dim() - 1))


def _rms(x: Tensor) -> Tensor:
    """Root mean square per network, broadcastable to `x`."""
    return x.square().flatten(1).mean(1).add(1e-16).sqrt().view(-1, *[1] * (x.dim() - 1))
