"""Edit the picture of a SIREN by changing its weights: a neural functional of weights and gradients."""

import itertools
import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from nfn.architecture.ops import Linear
from nfn.features import WeightSpaceFeatures
from nfn.interrupt import between_steps
from nfn.layers import LearnedScale, NPLinear, TupleOp
from nfn.network import Graph, Network
from nfn.operators import apply_style
from nfn.permutation import apply_order
from nfn.picture_fit import BATCH, descend_in_batches
from nfn.predictor import Predictor
from nfn.siren import (
    FitRecipe,
    apply_signs,
    canonical_order,
    canonical_signs,
    descend,
    error_gradient,
    native_shape,
    picture_fault,
    render,
    render_network,
)
from nfn.siren_convention.convention import SirenConvention
from nfn.spec import ANY, ArraySpec, NetworkSpec

DECAYS = (0.5, 0.9)
DESCENT = "gradient descent"
"""`InrEdit.predictor` of edits made without the learned editor."""
MAX_EDIT_ERROR = 0.02
"""Mean squared error above which gradient descent is tried as well: twice that of the zoo's worst edit. The learned
editor exceeds it if a SIREN's hidden omega differs from that of its training set."""
LEARNING_RATE = 2e-3
"""For SIRENs 32 neurons wide."""
STEPS = (20, 100)
"""The least and most steps of gradient descent; in between, `MAX_PRODUCTS` limits them."""
MAX_PRODUCTS = 6 * 10**9
"""Multiply-adds of the forward passes of all steps; a step with backward takes three times as many."""
BATCH_STEPS = (20, 200)
MAX_BATCH_PRODUCTS = 6 * 10**10
"""The same for pictures that are edited in batches of pixels: a few seconds of one core."""


@dataclass(frozen=True)
class InrEditorConfig:
    """`layers` of the SIRENs, NFN width and depth, `steps` as in training, and how many `rounds` of these to do."""

    layers: int = 3
    channels: int = 32
    depth: int = 3
    steps: int = 6
    rounds: int = 3


@dataclass(frozen=True)
class InrEdit:
    """An edited SIREN and how close its picture is to the image-space reference.

    `mse` and `psnr` (dB) compare `after` with `reference`; pictures are `(c, H, W)` with pixels in [-1, 1], rendered
    in the network's own convention. `predictor` is the name of the editor, or `DESCENT`.
    """

    style: str
    strength: float
    network: Network
    mse: float
    psnr: float
    before: torch.Tensor
    after: torch.Tensor
    reference: torch.Tensor
    predictor: str = ""


class InrEditor(Predictor[InrEditorConfig, InrEdit]):
    """`U <- U + gamma * NFN(U, gradients)`, a few times (after arXiv:2302.14040, section 3.3).

    The image operator is applied to the SIREN's rendering; an NP-equivariant NFN turns the weights, and the gradient
    of the squared difference by every weight, into an update. The same NFN serves all styles, strengths, numbers of
    outputs and hidden widths. Equivariant to permutations and, through canonical signs, to sign flips of hidden
    neurons.
    """

    name = "inr-editor"
    config_class = InrEditorConfig
    task = "INR editing"
    title = "Edits of image networks"

    def __init__(self, config: InrEditorConfig):
        super().__init__(config)
        spec = _open_spec(config.layers)
        inputs = 5 + len(DECAYS)
        widths = [inputs] + [config.channels] * (config.depth - 1)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [NPLinear(spec, before, after), TupleOp(nn.ReLU())]
        self.nfn = nn.Sequential(*layers, NPLinear(spec, widths[-1], 1))
        self.gamma = LearnedScale(spec, 0.01)
        self.scales: torch.Tensor
        self.register_buffer("scales", torch.full((config.layers, 2), 0.1))

    def forward(self, features: WeightSpaceFeatures, targets: torch.Tensor) -> list[WeightSpaceFeatures]:
        """SIRENs `(B, 1, ...)` and target pictures `(B, c, H, W)` to the SIRENs after each step."""
        signs = canonical_signs(features)
        current, states = apply_signs(features, signs), []
        momenta = [current.map(torch.zeros_like) for _ in DECAYS]
        for step in range(self.config.steps):
            between_steps()
            gradient = error_gradient(current.detach(), targets)
            momenta = [m * d + gradient * (1 - d) for m, d in zip(momenta, DECAYS, strict=True)]
            error = (render(current.detach(), *targets.shape[2:]) - targets).square().flatten(1).mean(1)
            update = self.nfn(self._inputs(current, [gradient, *momenta], error, step))
            current = current + self._per_tensor(self.gamma(update), torch.mul)
            states.append(apply_signs(current, signs))
        return states

    def _inputs(self, current, gradients, error: torch.Tensor, step: int) -> WeightSpaceFeatures:
        """Channels: weights, gradient and its running means, normalized to RMS 1; gradient size, error and step."""
        weights = self._per_tensor(current, torch.div)
        sizes = gradients[0].map(_rms)
        level = error.clamp_min(1e-7).log() / 5
        channels = [
            weights,
            *(g.map(lambda x: x / _rms(x)) for g in gradients),
            weights.combine(sizes, lambda w, s: (s.log() / 5).expand_as(w)),
            weights.map(lambda w: level.view(-1, *[1] * (w.ndim - 1)).expand_as(w)),
            weights.map(lambda w: torch.full_like(w, step / self.config.steps)),
        ]
        return WeightSpaceFeatures.cat(channels, dim=1)

    def _per_tensor(self, features: WeightSpaceFeatures, operation) -> WeightSpaceFeatures:
        """Multiply or divide every tensor by the RMS of its entries in the training networks."""
        rows = zip(features, self.scales, strict=True)
        return WeightSpaceFeatures.from_zipped(
            [(operation(w, s[0]), operation(b, s[1])) for (w, b), s in rows]
        )

    @torch.no_grad()
    def edit(self, network: Network, style: str, strength: float = 1.0) -> InrEdit:
        """Edit one SIREN. Strength 0 changes nothing, 1 applies the operator, more than 1 exaggerates it.

        SIRENs of other depths than in training, those with a sigmoid, tanh or sine output, and those whose learned
        edit exceeds `MAX_EDIT_ERROR` are edited by gradient descent on their weights. Raises ValueError for other
        networks, and for unknown styles.
        """
        fault = self.fault(network)
        if fault is not None:
            raise ValueError(fault)
        if network.chain is None:
            before, reference = _targets(render_network(network, *native_shape(network)), style, strength)
            return _result(
                network, descend_graph(network, reference), style, strength, before, reference, DESCENT
            )
        features, convention = network.normalized.to(self.device), network.siren
        # In canonical order, so that the operator's 8-bit pixels are the same for all permuted copies.
        ordered = apply_order(features, canonical_order(features))
        before, reference = _targets(
            convention.pixels(render(ordered, *native_shape(network))), style, strength
        )

        def result(edited: WeightSpaceFeatures, name: str) -> InrEdit:
            changed = network.with_normalized(edited.to("cpu"))
            return _result(network, changed, style, strength, before.cpu(), reference.cpu(), name)

        results = [result(self.best(features, reference), self.name)] if self.serves(network) else []
        if not results or results[0].mse > MAX_EDIT_ERROR:
            results.append(result(descend_to(features, reference, convention), DESCENT))
        return min(results, key=lambda one: one.mse)

    def predict(self, network: Network, style: str = "dilate", strength: float = 1.0) -> InrEdit:
        """`edit`, under the name that it has in every predictor."""
        return self.edit(network, style, strength)

    def serves(self, network: Network) -> bool:
        """Whether the learned editor can edit this SIREN (otherwise gradient descent does)."""
        layers = None if network.chain is None else len(network.chain)
        return layers == self.config.layers and network.siren.output == "linear"

    def best(self, features: WeightSpaceFeatures, targets: torch.Tensor) -> WeightSpaceFeatures:
        """Apply all rounds, each from the state closest to the target so far; never worse than the start.

        Neurons are put in a canonical order first, so that permuted copies of a network have the same rounding
        errors, which grow over the steps.
        """
        orders = canonical_order(features)
        features = apply_order(features, orders)
        for _ in range(self.config.rounds):
            features = _closest([features, *self(features, targets)], targets)
        return apply_order(features, [order.argsort(1) for order in orders])

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be edited, or None: SIRENs of gray or colour pictures can, of any depth and width."""
        return picture_fault(network)


def _targets(picture: torch.Tensor, style: str, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A network's picture `(1, c, H, W)`, clamped, and the edited reference."""
    before = picture.clamp(-1, 1)
    return before, apply_style(before, style, strength)


def _result(
    network: Network,
    changed: Network,
    style: str,
    strength: float,
    before: torch.Tensor,
    reference: torch.Tensor,
    predictor: str,
) -> InrEdit:
    """Render the changed network and compare it with the reference."""
    after = render_network(changed, *before.shape[2:]).clamp(-1, 1)
    mse = float((after - reference).square().mean())
    psnr = 10 * math.log10(4 / max(mse, 1e-12))
    return InrEdit(style, strength, changed, mse, psnr, before[0], after[0], reference[0], predictor)


def descend_graph(network: Network, target: torch.Tensor) -> Network:
    """Train a picture that is not a chain by Adam towards `target` `(1, c, H, W)`; never worse than the start.

    A bias-free matrix on the coordinates is not trained: it is a fixed Fourier feature map.
    """
    assert network.graph is not None, "a picture without a chain has a graph"
    architecture = network.graph.architecture
    fixed = {
        op.weight for op in architecture.ops if isinstance(op, Linear) and op.inputs == (0,) and not op.bias
    }
    tensors = {
        name: tensor.clone().requires_grad_(name not in fixed)
        for name, tensor in network.graph.tensors.items()
    }
    trained = [tensor for tensor in tensors.values() if tensor.requires_grad]
    steps = _steps(STEPS, MAX_PRODUCTS, target[0, 0].numel() * architecture.multiplications)
    optimizer = torch.optim.Adam(trained, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    least, best = math.inf, network
    for _ in range(steps + 1):
        current = replace(network, graph=Graph(architecture, tensors))
        with torch.enable_grad():
            picture = render_network(current, *target.shape[2:])
            loss = (picture - target).square().mean()
        error = float((picture.detach().clamp(-1, 1) - target).square().mean())
        if error < least:
            copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            least, best = error, replace(network, graph=Graph(architecture, copies))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return best


def descend_to(
    features: WeightSpaceFeatures, targets: torch.Tensor, convention: SirenConvention
) -> WeightSpaceFeatures:
    """Train normalized SIRENs by Adam towards target pictures; larger networks and pictures get fewer steps.

    In canonical order and with canonical signs, so that equivalent copies have the same rounding errors.
    """
    orders = canonical_order(features)
    ordered = apply_order(features, orders)
    signs = canonical_signs(ordered)
    pixels, weights = targets[0, 0].numel(), sum(weight[0, 0].numel() for weight in features.weights)
    if edits_in_batches(pixels, convention):
        steps = _steps(BATCH_STEPS, MAX_BATCH_PRODUCTS, BATCH * weights)
        moved = descend_in_batches(apply_signs(ordered, signs), targets[0], LEARNING_RATE / 2, steps)
        return apply_order(apply_signs(moved, signs), [order.argsort(1) for order in orders])
    rate = LEARNING_RATE * math.sqrt(32 / max(32, *(bias.shape[2] for bias in features.biases)))
    recipe = FitRecipe(rate, _steps(STEPS, MAX_PRODUCTS, pixels * weights))
    moved = descend(apply_signs(ordered, signs), targets, recipe, convention)
    return apply_order(apply_signs(moved, signs), [order.argsort(1) for order in orders])


def edits_in_batches(pixels: int, convention: SirenConvention) -> bool:
    """Whether gradient descent edits a picture of so many pixels in batches of `nfn.picture_fit.BATCH`."""
    return pixels > BATCH and convention.output == "linear"


def _steps(limits: tuple[int, int], max_products: int, products: int) -> int:
    """As many steps of `products` multiply-adds as `max_products` allow, within `limits`."""
    return max(limits[0], min(limits[1], max_products // products))


def _closest(states: list[WeightSpaceFeatures], targets: torch.Tensor) -> WeightSpaceFeatures:
    """For each network of the batch, the state whose picture has the least error."""
    pictures = torch.stack([render(state, *targets.shape[2:]).clamp(-1, 1) for state in states])
    errors = (pictures - targets).square().flatten(2).mean(2).nan_to_num(math.inf)
    best, rows = errors.argmin(0), torch.arange(len(targets), device=targets.device)
    tensors = [torch.stack(x)[best, rows] for x in zip(*(state.tensors for state in states), strict=True)]
    return states[0].with_tensors(tensors)


def _rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square per network and channel, broadcastable to `x`."""
    return x.square().flatten(2).mean(2).add(1e-20).sqrt().view(*x.shape[:2], *[1] * (x.ndim - 2))


def _open_spec(layers: int) -> NetworkSpec:
    """A spec with every dimension left open (`ANY`), as NP layers allow."""
    return NetworkSpec((ArraySpec((ANY, ANY)),) * layers, (ArraySpec((ANY,)),) * layers)
