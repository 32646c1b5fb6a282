"""Set up the short training behind a general ticket: the graph of a network, and the stored images to train it on."""

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
from nfn.tickets import CHECK_IMAGES, TITLES, Ticket, TicketPredictor
from nfn.wiring.identify import candidates_of
from nfn.wiring.search import Candidates
from zoo.errors import ZooError
from zoo.images import IMAGE_SETS
from zoo.tickets import PREDICTORS

RULE = "magnitude after a short training"
"""The name of the general rule, listed next to those of the predictors."""
CLASSES = 10
SIDES = (28, 32)
SUPPORTED = (
    "Supported: classifiers into 10 classes of MNIST digits (784 inputs, or 1×28×28) or of CIFAR-10 pictures "
    "(3,072 inputs, or 3×32×32), with any layers in between."
)


@dataclass(frozen=True, eq=False)
class Setup:
    """The network to score, and the predictor that stores its training images; `assumed` lists what was assumed."""

    graph: Graph
    predictor: str
    shape: Shape
    convention: ClassifierConvention
    assumed: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The names of the weights to score, in order of use."""
        return weight_names(self.graph.architecture)

    def images(self, model: TicketPredictor, pixels: Tensor) -> Tensor:
        """Turn stored images `(n, c, H, W)` uint8 into inputs of the network `(n, *input_shape)`."""
        known = self.convention.pixels_known
        mean = self.convention.pixel_mean if known else model.config.pixel_mean
        std = self.convention.pixel_std if known else model.config.pixel_std
        inputs = _enlarge(pixels, self.shape[1]).to(model.device).float().div_(255)
        numbers = (inputs.new_tensor(x).view(-1, 1, 1) for x in (mean, std))
        inputs = inputs.sub_(next(numbers)).div_(next(numbers))
        return inputs.view(len(inputs), *self.graph.architecture.input_shape)

    def stored(self, model: TicketPredictor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Stored images as inputs of the network, and their labels."""
        return self.images(model, model.pixels.index_select(0, rows)), model.labels[rows].long()


def _enlarge(pixels: Tensor, side: int) -> Tensor:
    """Enlarge images to `side` pixels a side, by repeating pixels and then padding with black."""
    factor = side // pixels.shape[-1]
    larger = pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    margin = (side - larger.shape[-1]) // 2
    return torch.nn.functional.pad(larger, (margin, margin, margin, margin))


def set_up(network: Network) -> Setup:
    """Find what a network computes and on which images. Raises ZooError, with a message for the user, if it cannot."""
    candidates = _candidates(network)
    if candidates.classes != CLASSES:
        raise ZooError(f"This network has {candidates.classes} outputs. {SUPPORTED}")
    for name, images in PREDICTORS.items():
        channels, side = IMAGE_SETS[images].channels, IMAGE_SETS[images].size
        for size in candidates.sizes(side):
            if size in SIDES and size >= side and _accepts(candidates, channels, size):
                wiring_ = _first_wiring(candidates, (channels, size, size))
                if wiring_ is not None:
                    architecture, wiring = wiring_
                    return _setup(network, name, architecture, (channels, size, size), wiring)
    takes = f"{candidates.channels} channels" if candidates.channels else f"{candidates.inputs:,} inputs"
    raise ZooError(f"This network takes {takes}, and no stored images fit. {SUPPORTED}")


def _candidates(network: Network) -> Candidates:
    candidates = candidates_of(network)
    if candidates is None or network.kind == "siren" or network.outputs is None:
        raise ZooError(f"This network is not recognised as an image classifier. {SUPPORTED}")
    return candidates


def _accepts(candidates: Candidates, channels: int, size: int) -> bool:
    if candidates.channels:
        return candidates.channels == channels
    return candidates.inputs == channels * size * size


def _first_wiring(
    candidates: Candidates, shape: tuple[int, int, int]
) -> tuple[Architecture, list[str]] | None:
    """The most common wiring that can be built."""
    for choice in candidates.starts(shape[1]):
        try:
            return candidates.build(choice, shape), choice.sentences()
        except ArchitectureError:
            continue
    return None


def assume_images(predictor: str, shape: Shape) -> str:
    """A sentence that states which images are assumed; `shape` is that of one input."""
    inputs = f"{shape[0]:,} inputs" if len(shape) == 1 else f"inputs of {'×'.join(map(str, shape))}"
    return f"{TITLES[PREDICTORS[predictor]]} is assumed: {inputs} and {CLASSES} classes."


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
            "The file does not say how pixels were normalized in training: a mean of 0 and a standard deviation of 1 "
            "are assumed."
        )
    return Setup(Graph(architecture, tensors), name, shape, network.classifier, tuple(assumed))


MLP = (Linear, Activation) * 2 + (Linear,)
CNN = (Conv, Activation) * 3 + (AdaptivePool, Flatten, Linear, Activation, Linear)
"""The ops of the architectures that the predictors support."""


def as_family(network: Network) -> Network | None:
    """Convert a declared network of a supported architecture into a chain; None for any other."""
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
    """Score the weights of `setup.names`, shapes `(1, 1, ...)`, by a short training on the stored images.

    Raises ValueError, with a message for the user, if that would take too long or does not give finite numbers.
    """
    recipe = fit_recipe(setup.graph.architecture)
    graph = on_device(setup.graph, model.device)
    image_count = min(CHECK_IMAGES, model.config.images, 4 * recipe.batch)
    sentence = signs_of_training(graph, *setup.stored(model, torch.arange(image_count)))
    scores = graph_ticket(graph, lambda rows: setup.stored(model, rows), model.config.images, recipe)
    return Ticket([scores[name][None, None].cpu() for name in setup.names], sentence)
