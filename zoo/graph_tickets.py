"""Which graph of a network gets a general ticket, and the stored images that it is trained on for a moment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import (
    Activation,
    AdaptivePool,
    ArchitectureError,
    Conv,
    Flatten,
    Linear,
    Op,
    Shape,
    Softmax,
)
from nfn.features import WeightSpaceFeatures
from nfn.graph_tickets import fit_recipe, graph_ticket, on_device, signs_of_training, weight_names
from nfn.network import ClassifierConvention, Graph, LayerNames, Network
from nfn.tickets import LOOKED_AT, Ticket, TicketPredictor
from nfn.wiring.identify import candidates_of
from nfn.wiring.search import Candidates
from zoo.errors import ZooError

RULE = "size after a short training"
"""The rule by its name, beside those of the predictors."""
CLASSES = 10
CHANNELS = {"tickets-mnist": (1, 28), "tickets-cifar10": (3, 32)}
"""Predictor to the channels and the side of the pictures that are stored in it."""
TITLES = {"tickets-mnist": "MNIST", "tickets-cifar10": "CIFAR-10"}
SIDES = (28, 32)
SUPPORTED = (
    "Supported: classifiers into 10 classes of MNIST digits (784 inputs, or 1×28×28) or of CIFAR-10 pictures "
    "(3,072 inputs, or 3×32×32), whatever lies between."
)


@dataclass(frozen=True, eq=False)
class Setup:
    """What is scored, and the predictor whose stored images it is trained on; `assumed` says what was not told."""

    graph: Graph
    predictor: str
    shape: Shape
    convention: ClassifierConvention
    assumed: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The weights that are scored, in order of use."""
        return weight_names(self.graph.architecture)

    def images(self, model: TicketPredictor, pixels: Tensor) -> Tensor:
        """Stored or equally small images `(n, c, H, W)` uint8 as the network sees them `(n, *input_shape)`."""
        told = self.convention.pixels_known
        mean = self.convention.pixel_mean if told else model.config.pixel_mean
        std = self.convention.pixel_std if told else model.config.pixel_std
        shades = _as_large(pixels, self.shape[1]).to(model.device).float().div_(255)
        numbers = (shades.new_tensor(x).view(-1, 1, 1) for x in (mean, std))
        shades = shades.sub_(next(numbers)).div_(next(numbers))
        return shades.view(len(shades), *self.graph.architecture.input_shape)

    def stored(self, model: TicketPredictor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Stored images as the network sees them, and their labels."""
        return self.images(model, model.pixels.index_select(0, rows)), model.labels[rows].long()


def _as_large(pixels: Tensor, side: int) -> Tensor:
    """Images as they are, their pixels doubled, or with a margin of black, to be `side` pixels a side."""
    factor = side // pixels.shape[-1]
    larger = pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    margin = (side - larger.shape[-1]) // 2
    return torch.nn.functional.pad(larger, (margin, margin, margin, margin))


def set_up(network: Network) -> Setup:
    """What a network computes, and on which images; ZooError, a sentence for the visitor, where either is not known."""
    candidates = _candidates(network)
    if candidates.classes != CLASSES:
        raise ZooError(f"This network has {candidates.classes} outputs. {SUPPORTED}")
    for name, (channels, side) in CHANNELS.items():
        for size in candidates.sizes(side):
            if size in SIDES and size >= side and _takes(candidates, channels, size):
                found = _first(candidates, (channels, size, size))
                if found is not None:
                    architecture, wiring = found
                    return _setup(network, name, architecture, (channels, size, size), wiring)
    takes = f"{candidates.channels} channels" if candidates.channels else f"{candidates.inputs:,} inputs"
    raise ZooError(f"This network takes {takes}, and no stored images fit. {SUPPORTED}")


def _candidates(network: Network) -> Candidates:
    candidates = candidates_of(network)
    if candidates is None or network.kind == "siren" or network.outputs is None:
        raise ZooError(f"This network is not known to classify images. {SUPPORTED}")
    return candidates


def _takes(candidates: Candidates, channels: int, size: int) -> bool:
    if candidates.channels:
        return candidates.channels == channels
    return candidates.inputs == channels * size * size


def _first(candidates: Candidates, shape: tuple[int, int, int]) -> tuple[Architecture, list[str]] | None:
    """The most usual wiring that can be built."""
    for choice in candidates.starts(shape[1]):
        try:
            return candidates.build(choice, shape), choice.sentences()
        except ArchitectureError:
            continue
    return None


def assume_images(predictor: str, shape: Shape) -> str:
    """The sentence that says which images are taken for granted; `shape` is one input's."""
    inputs = f"{shape[0]:,} inputs" if len(shape) == 1 else f"inputs of {'×'.join(map(str, shape))}"
    return f"{TITLES[predictor]} is assumed: {inputs} and {CLASSES} classes."


def _setup(
    network: Network, name: str, architecture: Architecture, shape: tuple[int, int, int], wiring: list[str]
) -> Setup:
    tensors = network.stored if network.graph is None else network.graph.tensors
    flat = len(architecture.input_shape) == 1 or isinstance(architecture.ops[0], Flatten)
    assumed = [assume_images(name, (math.prod(shape),) if flat else shape), *network.assumed]
    if wiring:
        assumed.append(f"The file does not say how its layers are connected; assumed: {', '.join(wiring)}.")
    if not network.classifier.pixels_known:
        assumed.append(
            "The file does not say which pixels it takes: a mean of 0 and a deviation of 1 are assumed."
        )
    return Setup(Graph(architecture, tensors), name, shape, network.classifier, tuple(assumed))


MLP = (Linear, Activation) * 2 + (Linear,)
CNN = (Conv, Activation) * 3 + (AdaptivePool, Flatten, Linear, Activation, Linear)
"""The ops of the families that the predictors know."""


def as_family(network: Network) -> Network | None:
    """A declared network of a family that a predictor knows, as the chain that it reads; None for any other."""
    if network.graph is None:
        return None
    ops, tensors = list(network.graph.architecture.ops), network.graph.tensors
    straight = all(op.inputs == (number,) for number, op in enumerate(ops))
    if isinstance(ops[0], Flatten):
        ops.pop(0)
    if ops and isinstance(ops[-1], Softmax):
        ops.pop()
    if not straight or tuple(map(type, ops)) not in (MLP, CNN) or not all(map(_is_usual, ops)):
        return None
    layers = [op for op in ops if isinstance(op, Conv | Linear)]
    pairs = [(tensors[op.weight], _bias(op, tensors)) for op in layers]
    features = WeightSpaceFeatures.from_zipped([(w[None, None], b[None, None]) for w, b in pairs])
    names = tuple(LayerNames(op.weight, op.bias) for op in layers)
    return replace(network, chain=features, names=names, graph=None)


def _is_usual(op: Op) -> bool:
    match op:
        case Conv():
            plain = op.padding == (0, 0, 0, 0) and op.dilation == (1, 1) and op.groups == 1
            return op.stride == (2, 2) and plain
        case Linear():
            return not op.transposed
        case Activation():
            return op.function == "relu"
        case AdaptivePool():
            return (op.mode, op.size) == ("average", (1, 1))
        case _:
            return True


def _bias(op: Conv | Linear, tensors: Mapping[str, Tensor]) -> Tensor:
    """The bias of a layer, zeros where it has none."""
    weight = tensors[op.weight]
    return weight.new_zeros(len(weight)) if op.bias is None else tensors[op.bias]


def find_ticket(setup: Setup, model: TicketPredictor) -> Ticket:
    """The scores `(1, 1, ...)` of the weights of `setup.names`, by a short training on the stored images.

    Raises ValueError, a sentence for the visitor, where that would take too long or ends in no numbers.
    """
    recipe = fit_recipe(setup.graph.architecture)
    graph = on_device(setup.graph, model.device)
    looked_at = min(LOOKED_AT, model.config.images, 4 * recipe.batch)
    sentence = signs_of_training(graph, *setup.stored(model, torch.arange(looked_at)))
    scores = graph_ticket(graph, lambda rows: setup.stored(model, rows), model.config.images, recipe)
    return Ticket([scores[name][None, None].cpu() for name in setup.names], sentence)
