"""SIRENs (arXiv:2006.09661), networks from a pixel's coordinates to its value: render them, fit batches of them.

Features here are in the default `SirenConvention()`: inputs (row, col) on [-1, 1] with the ends included,
`sin(30 (W x + b))` in the hidden layers, a linear output, black at -1 and white at 1. `render_network` renders
a `Network` in any convention.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nfn.features import WeightSpaceFeatures
from nfn.flat import flat_rows, unflat_rows
from nfn.interrupt import between_steps
from nfn.network import Network
from nfn.siren_convention.convention import OMEGA, SirenConvention
from nfn.siren_convention.words import name_field
from nfn.spec import NetworkSpec

OURS = SirenConvention()
MAX_ACTIVATIONS = 2**23
"""Activations of one layer of a batch that are computed at once when no gradient is needed (points are split)."""

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Weights `(B, out, in)` and biases `(B, out, 1)`."""


def coordinate_grid(height: int, width: int, device=None, dtype=torch.float32) -> torch.Tensor:
    """The coordinates `(height * width, 2)` of an image's pixels, row by row."""
    rows = torch.linspace(-1, 1, height, device=device, dtype=dtype)
    cols = torch.linspace(-1, 1, width, device=device, dtype=dtype)
    return torch.cartesian_prod(rows, cols)


def evaluate(features: WeightSpaceFeatures, points: torch.Tensor) -> torch.Tensor:
    """The outputs `(B, c, P)` of each SIREN at `points` `(P, 2)`, or `(B, P, 2)` if each network has its own."""
    if torch.is_grad_enabled():
        return _evaluate(features, points)
    widest = len(features.weights[0]) * max(bias.shape[2] for bias in features.biases)
    parts = points.split(max(1, MAX_ACTIVATIONS // widest), dim=-2)
    return torch.cat([_evaluate(features, part) for part in parts], 2)


def _evaluate(features: WeightSpaceFeatures, points: torch.Tensor) -> torch.Tensor:
    x = points.transpose(-1, -2)
    x = x.expand(features.weights[0].shape[0], *x.shape[-2:])
    for i, (weight, bias) in enumerate(features):
        x = torch.baddbmm(bias[:, 0, :, None], weight[:, 0], x)
        if i < len(features) - 1:
            x = torch.sin(OMEGA * x)
    return x


def render(features: WeightSpaceFeatures, height: int, width: int) -> torch.Tensor:
    """Render SIRENs as images `(B, c, height, width)`, at any resolution; differentiable."""
    first = features.weights[0]
    points = coordinate_grid(height, width, first.device, first.dtype)
    return evaluate(features, points).unflatten(2, (height, width))


NATIVE_SIZES = {1: 28, 3: 32}
"""The default render size, in pixels a side, by number of channels: that of MNIST and of CIFAR-10."""


HEIGHT_KEY, WIDTH_KEY = "picture_height", "picture_width"
"""The metadata keys for the height and width in pixels of the picture that a network was fitted to."""
MIN_SIDE, MAX_SIDE = 8, 512


def native_shape(network: Network) -> tuple[int, int]:
    """Height and width of a network's picture in pixels: the file's if both are valid, else from `NATIVE_SIZES`.

    `picture_fault(network)` must be None.
    """
    height, width = (network.metadata.get(key, "") for key in (HEIGHT_KEY, WIDTH_KEY))
    if _is_side(height) and _is_side(width):
        return int(height), int(width)
    side = NATIVE_SIZES[network.outputs or 1]
    return side, side


def _is_side(text: str) -> bool:
    return text.isascii() and text.isdigit() and MIN_SIDE <= int(text[:9]) <= MAX_SIDE


def is_picture(inputs: int, outputs: int) -> bool:
    """Whether SIRENs with these numbers of inputs and outputs are gray or colour pictures."""
    return inputs == 2 and outputs in NATIVE_SIZES


def picture_fault(network: Network) -> str | None:
    """Why a network is not a gray or colour picture, as a sentence that says what it is; None if it is one."""
    inputs, outputs = network.inputs or 0, network.outputs or 0
    if network.kind == "siren" and is_picture(inputs, outputs):
        return None
    field = name_field(inputs, outputs)
    if field is not None:
        what = f"a SIREN of {field}, or another network of that shape"
    else:
        kind = "a SIREN" if network.kind == "siren" else "a classifier"
        what = f"{kind} of {inputs} input{'s' * (inputs != 1)} and {outputs} output{'s' * (outputs != 1)}"
    return (
        f"This is {what}, not a picture. Expected a SIREN with 2 inputs (a pixel's coordinates) and 1 (gray) or 3 "
        "(colour) outputs."
    )


def evaluate_network(network: Network, points: torch.Tensor) -> torch.Tensor:
    """The pixel values `(1, c, P)` of a picture in any convention at `points` `(P, 2)`, (row, col) on [-1, 1].

    Network and points must be on the same device.
    """
    if network.chain is None and network.graph is not None:
        return network.siren.finished(network.graph.run(network.siren.inputs(points)).T[None])
    return network.siren.pixels(evaluate(network.normalized, points))


def render_network(network: Network, height: int, width: int, device=None) -> torch.Tensor:
    """Render a SIREN in any convention as `(1, c, height, width)`, black at -1 and white at 1."""
    return evaluate_network(network, coordinate_grid(height, width, device)).unflatten(2, (height, width))


@torch.no_grad()
def error_gradient(
    features: WeightSpaceFeatures, images: torch.Tensor, convention: SirenConvention = OURS
) -> WeightSpaceFeatures:
    """The gradient of each SIREN's mean squared error against `images` `(B, c, H, W)`, by every weight and bias.

    SIRENs are normalized; only the output transform of `convention` (its `pixels`) is used.
    """
    _, layers = _flat_views(features)
    _, grads = _flat_views(features)
    _gradient(layers, _grid_for(images), images.flatten(2), grads, convention)
    return _from_layers(grads)


def random_sirens(count: int, spec: NetworkSpec, generator: torch.Generator) -> WeightSpaceFeatures:
    """Freshly initialized SIRENs `(count, 1, ...)` (arXiv:2006.09661, section 3.2)."""
    pairs = []
    for i, weight in enumerate(spec.weight_spec):
        out, fan_in = weight.shape
        bound = 1 / fan_in if i == 0 else math.sqrt(6 / fan_in) / OMEGA
        pairs.append((_uniform((count, 1, out, fan_in), bound, generator),
                      _uniform((count, 1, out), 1 / math.sqrt(fan_in), generator)))  # fmt: skip
    return WeightSpaceFeatures.from_zipped(pairs)


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(shape, generator=generator) * 2 - 1) * bound


def canonical_signs(features: WeightSpaceFeatures) -> list[torch.Tensor]:
    """For each hidden layer the signs `(B, 1, n)` that make the sum of each neuron's bias and weights positive.

    Sine is odd: flipping a neuron's incoming weights, bias and outgoing weights does not change the function.
    `apply_signs` with these signs makes all flipped copies of a network identical.
    """
    signs: list[torch.Tensor] = []
    for weight, bias in list(features)[:-1]:
        weight = weight * signs[-1][:, :, None] if signs else weight
        signs.append(torch.where(bias + weight.sum(3) < 0, -1.0, 1.0).to(bias))
    return signs


def apply_signs(features: WeightSpaceFeatures, signs: list[torch.Tensor]) -> WeightSpaceFeatures:
    """Flip the hidden neurons whose sign `(B, 1, n)` is negative; its own inverse."""
    one = signs[0].new_ones(1, 1, 1) if signs else features.biases[0].new_ones(1, 1, 1)
    pairs = []
    for (weight, bias), before, after in zip(features, [one, *signs], [*signs, one], strict=True):
        pairs.append((weight * after[..., None] * before[:, :, None], bias * after))
    return WeightSpaceFeatures.from_zipped(pairs)


def canonical_order(features: WeightSpaceFeatures) -> list[torch.Tensor]:
    """For each hidden layer the order `(B, n)` of its neurons by the absolute value of their biases.

    `apply_order` with these makes all permuted copies of a network identical, bit for bit.
    """
    return [bias[:, 0].abs().argsort(dim=1, stable=True) for bias in features.biases[:-1]]


@dataclass(frozen=True)
class FitRecipe:
    """Full-batch Adam with a cosine decay to zero."""

    learning_rate: float = 4e-3
    steps: int = 100
    hidden: int = 32


@torch.no_grad()
def descend(
    features: WeightSpaceFeatures, images: torch.Tensor, recipe: FitRecipe, convention: SirenConvention = OURS
) -> WeightSpaceFeatures:
    """Train normalized SIRENs towards `images` `(B, c, H, W)`; `recipe.hidden` is ignored.

    Returns the state with the least error of pixels clamped to [-1, 1], out of all steps and the start.
    """
    best, least = features, _clamped_error(features, images, convention)

    def keep_best(layers: Layers) -> None:
        nonlocal best, least
        between_steps()
        state = _from_layers(layers)
        error = _clamped_error(state, images, convention)
        better = error < least
        best = best.combine(
            state, lambda old, new: torch.where(better.view(-1, *[1] * (old.ndim - 1)), new, old)
        )
        least = torch.where(better, error, least)

    _adam(features, images, recipe, convention, keep_best)
    return best


def _clamped_error(features, images: torch.Tensor, convention: SirenConvention) -> torch.Tensor:
    picture = convention.pixels(render(features, *images.shape[2:])).clamp(-1, 1)
    return (picture - images).square().flatten(1).mean(1)


@torch.no_grad()
def fit_sirens(
    images: torch.Tensor,
    recipe: FitRecipe,
    generator: torch.Generator,
    device: str | torch.device = "cpu",
    chunk: int = 16,
    on_chunk: Callable[[int], None] = lambda done: None,
) -> tuple[WeightSpaceFeatures, torch.Tensor]:
    """Fit one SIREN to each image `(B, c, H, W)` in [-1, 1]; return the networks and their PSNR `(B,)` in dB.

    `chunk` networks are fitted at once: a few on a CPU, so that they fit in the cache, thousands on a GPU.
    `on_chunk` is called with the number of networks done. The result does not depend on `chunk`.
    """
    spec = NetworkSpec.mlp(2, recipe.hidden, recipe.hidden, images.shape[1])
    start = random_sirens(len(images), spec, generator)
    parts, psnrs = [], []
    for first in range(0, len(images), chunk):
        part = slice(first, first + chunk)
        fitted, error = _fit_chunk(start.select(part).to(device), images[part].to(device), recipe)
        parts.append(fitted.to("cpu"))
        psnrs.append(10 * torch.log10(4 / error).cpu())
        on_chunk(min(first + chunk, len(images)))
    return WeightSpaceFeatures.cat(parts), torch.cat(psnrs)


def _fit_chunk(start: WeightSpaceFeatures, images: torch.Tensor, recipe: FitRecipe):
    fitted = _from_layers(_adam(start, images, recipe, OURS))
    error = (render(fitted, *images.shape[2:]).flatten(1) - images.flatten(1)).square().mean(1)
    return fitted, error


def _adam(
    start: WeightSpaceFeatures,
    images: torch.Tensor,
    recipe: FitRecipe,
    convention: SirenConvention,
    on_step: Callable[[Layers], None] = lambda layers: None,
) -> Layers:
    """Adam with hand-written gradients on one flat parameter tensor, which takes half the time of autograd."""
    target = images.flatten(2)
    flat, layers = _flat_views(start)
    grad, grad_layers = _flat_views(start)
    mean, square = torch.zeros_like(flat), torch.zeros_like(flat)
    inputs = _grid_for(images)
    for step in range(1, recipe.steps + 1):
        _gradient(layers, inputs, target, grad_layers, convention)
        mean.lerp_(grad, 0.1)
        square.mul_(0.999).addcmul_(grad, grad, value=0.001)
        rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / recipe.steps))
        denominator = square.sqrt().div_(math.sqrt(1 - 0.999**step)).add_(1e-8)
        flat.addcdiv_(mean, denominator, value=-rate / (1 - 0.9**step))
        on_step(layers)
    return layers


def _flat_views(features: WeightSpaceFeatures) -> tuple[torch.Tensor, Layers]:
    """One tensor `(B, parameters)`, and its layers as views of it."""
    flat = flat_rows(features.tensors)
    views = unflat_rows(flat, [x.shape[1:] for x in features.tensors])
    return flat, [(w[:, 0], b[:, 0, :, None]) for w, b in zip(views[::2], views[1::2], strict=True)]


def _from_layers(layers: Layers) -> WeightSpaceFeatures:
    return WeightSpaceFeatures.from_zipped(
        [(w[:, None].clone(), b[:, None, :, 0].clone()) for w, b in layers]
    )


def _grid_for(images: torch.Tensor) -> torch.Tensor:
    grid = coordinate_grid(images.shape[2], images.shape[3], images.device, images.dtype)
    return grid.T.expand(len(images), 2, -1)


def _gradient(
    layers: Layers, inputs: torch.Tensor, target: torch.Tensor, grads: Layers, convention: SirenConvention
) -> None:
    """Write the gradient of each network's mean squared error into `grads`."""
    activations, slopes = [inputs], []
    for weight, bias in layers[:-1]:
        phase = torch.baddbmm(bias, weight, activations[-1]).mul_(OMEGA)
        slopes.append(torch.cos(phase))
        activations.append(phase.sin_())
    output = torch.baddbmm(layers[-1][1], layers[-1][0], activations[-1])
    if convention.output == "linear":
        delta = output.sub_(target)
    else:
        delta = convention.pixels(output).sub_(target).mul_(convention.pixel_slope(output))
    delta.mul_(2 / target[0].numel())
    for i in reversed(range(len(layers))):
        torch.bmm(delta, activations[i].transpose(1, 2), out=grads[i][0])
        torch.sum(delta, 2, keepdim=True, out=grads[i][1])
        if i:
            delta = torch.bmm(layers[i][0].transpose(1, 2), delta).mul_(slopes[i - 1]).mul_(OMEGA)
