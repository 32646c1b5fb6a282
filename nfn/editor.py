"""Edit what a SIREN shows by changing its weights: a neural functional that reads weights and gradients."""

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
    native_size,
    picture_fault,
    render,
    render_network,
)
from nfn.siren_convention.convention import SirenConvention
from nfn.spec import ANY, ArraySpec, NetworkSpec

DECAYS = (0.5, 0.9)
DESCENT = "gradient descent"
"""What the result names as its predictor where no learned editor reads the network."""
POOR = 0.02
"""Mean squared error from which on plain descent is tried as well: twice that of the worst of the zoo's edits. The
learned editor is so far off where a SIREN's hidden omega is not the one that it learned from."""
RATE = 2e-3
"""For SIRENs 32 neurons wide."""
STEPS = (20, 100)
"""The fewest and the most steps of an edit by descent, and `BUDGET` the products of weights that a pass through the
network may take in all of them; a step takes three times as many."""
LARGE_STEPS = 200
"""Steps of an edit by descent of a picture of more pixels than `nfn.picture_fit` takes at a step."""
BUDGET = 6 * 10**9


@dataclass(frozen=True)
class InrEditorConfig:
    """`layers` of the SIRENs that it edits, NFN width and depth; `steps` it is trained for, done over in `rounds`."""

    layers: int = 3
    channels: int = 32
    depth: int = 3
    steps: int = 6
    rounds: int = 3


@dataclass(frozen=True)
class InrEdit:
    """An edited SIREN and how close its picture is to the image-space reference.

    `mse` and `psnr` (dB) compare `after` with `reference`, pixels in [-1, 1]; the pictures are `(c, H, W)`, and all of
    this is of the network as its convention says it is read. `predictor` says what changed the weights.
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


class InrEditor(Predictor):
    """`U <- U + gamma * NFN(U, gradients)`, a few times (after arXiv:2302.14040, section 3.3).

    The image operator is applied to the SIREN's own rendering; the gradient of the squared difference by every
    weight says what the edit asks of the network, and the NP-equivariant NFN turns weights and gradients into an
    update. Nothing in it knows the style, the strength, the number of outputs or the hidden width. Permuting the
    hidden neurons permutes the result, and so do sign flips (signs are made canonical first).
    """

    name = "inr-editor"
    config_class = InrEditorConfig

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
        """SIRENs `(B, 1, ...)` and the pictures `(B, c, H, W)` they shall show, to the SIRENs after each step."""
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
        """Channels: weights, and gradient and its running means, at unit size; then the sizes that this hides."""
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
        """Multiply or divide every tensor by the typical size of its entries in the training networks."""
        rows = zip(features, self.scales, strict=True)
        return WeightSpaceFeatures.from_zipped(
            [(operation(w, s[0]), operation(b, s[1])) for (w, b), s in rows]
        )

    @torch.no_grad()
    def edit(self, network: Network, style: str, strength: float = 1.0) -> InrEdit:
        """Edit one SIREN. Strength 0 gives it back, 1 is the operator, more exaggerates it.

        SIRENs of another depth than it was trained on, those with a sigmoid, tanh or sine at the end, and those of
        which the learned edit is `POOR`, are edited by plain gradient descent on their weights. Raises ValueError for
        other networks, and for unknown styles.
        """
        fault = self.fault(network)
        if fault is not None:
            raise ValueError(fault)
        if network.chain is None:
            before, reference = _aim(render_network(network, *[native_size(network)] * 2), style, strength)
            return _result(
                network, descend_graph(network, reference), style, strength, before, reference, DESCENT
            )
        features, convention = network.normalized.to(self.device), network.siren
        size = native_size(network)
        # In canonical order, so that the operator's 8-bit pixels are the same for all permuted copies.
        ordered = apply_order(features, canonical_order(features))
        before, reference = _aim(convention.pixels(render(ordered, size, size)), style, strength)

        def result(edited: WeightSpaceFeatures, name: str) -> InrEdit:
            changed = network.with_normalized(edited.to("cpu"))
            return _result(network, changed, style, strength, before.cpu(), reference.cpu(), name)

        results = [result(self.best(features, reference), self.name)] if self.serves(network) else []
        if not results or results[0].mse > POOR:
            results.append(result(descend_to(features, reference, convention), DESCENT))
        return min(results, key=lambda one: one.mse)

    def serves(self, network: Network) -> bool:
        """Whether the learned editor edits this SIREN, rather than plain gradient descent."""
        layers = None if network.chain is None else len(network.chain)
        return layers == self.config.layers and network.siren.output == "linear"

    def best(self, features: WeightSpaceFeatures, targets: torch.Tensor) -> WeightSpaceFeatures:
        """After each round of steps go on from the state closest to the target, so never worse than before.

        Neurons are put in a canonical order first: rounding errors grow over the steps, and so permuted copies of a
        network have the same ones.
        """
        orders = canonical_order(features)
        features = apply_order(features, orders)
        for _ in range(self.config.rounds):
            features = _closest([features, *self(features, targets)], targets)
        return apply_order(features, [order.argsort(1) for order in orders])

    def fault(self, network: Network) -> str | None:
        """Why a network cannot be edited, or None: SIRENs of gray or colour pictures can, of any depth and width."""
        return picture_fault(network)


def _aim(picture: torch.Tensor, style: str, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A network's picture `(1, c, H, W)`, and what it is meant to become."""
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
    """The edit, measured on what the changed network shows."""
    after = render_network(changed, *before.shape[2:]).clamp(-1, 1)
    mse = float((after - reference).square().mean())
    psnr = 10 * math.log10(4 / max(mse, 1e-12))
    return InrEdit(style, strength, changed, mse, psnr, before[0], after[0], reference[0], predictor)


def descend_graph(network: Network, target: torch.Tensor) -> Network:
    """A picture that is no chain, its tensors moved by Adam towards `target` `(1, c, H, W)`; it never gets worse.

    A matrix that reads the coordinates without a bias stays: those are fixed Fourier features.
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
    steps = max(STEPS[0], min(STEPS[1], BUDGET // (target[0, 0].numel() * architecture.multiplications)))
    optimizer = torch.optim.Adam(trained, RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    states = [(math.inf, network)]
    for _ in range(steps + 1):
        current = replace(network, graph=Graph(architecture, tensors))
        with torch.enable_grad():
            picture = render_network(current, *target.shape[2:])
            loss = (picture - target).square().mean()
        error = float((picture.detach().clamp(-1, 1) - target).square().mean())
        if error < states[-1][0]:
            kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            states = [(error, replace(network, graph=Graph(architecture, kept)))]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return states[-1][1]


def descend_to(
    features: WeightSpaceFeatures, targets: torch.Tensor, convention: SirenConvention
) -> WeightSpaceFeatures:
    """Normalized SIRENs moved by Adam towards the pictures that they shall show; the larger, the fewer steps.

    In canonical order and with canonical signs, so that copies of a network have the same rounding errors.
    """
    orders = canonical_order(features)
    ordered = apply_order(features, orders)
    signs = canonical_signs(ordered)
    if targets[0, 0].numel() > BATCH and convention.output == "linear":
        moved = descend_in_batches(apply_signs(ordered, signs), targets[0], RATE / 2, LARGE_STEPS)
        return apply_order(apply_signs(moved, signs), [order.argsort(1) for order in orders])
    products = targets[0, 0].numel() * sum(weight[0, 0].numel() for weight in features.weights)
    rate = RATE * math.sqrt(32 / max(32, *(bias.shape[2] for bias in features.biases)))
    recipe = FitRecipe(rate, max(STEPS[0], min(STEPS[1], BUDGET // products)))
    moved = descend(apply_signs(ordered, signs), targets, recipe, convention)
    return apply_order(apply_signs(moved, signs), [order.argsort(1) for order in orders])


def _closest(states: list[WeightSpaceFeatures], targets: torch.Tensor) -> WeightSpaceFeatures:
    """For each network of the batch, its weights in the state whose picture has the least error."""
    pictures = torch.stack([render(state, *targets.shape[2:]).clamp(-1, 1) for state in states])
    errors = (pictures - targets).square().flatten(2).mean(2).nan_to_num(math.inf)
    chosen, rows = errors.argmin(0), torch.arange(len(targets), device=targets.device)
    tensors = [torch.stack(x)[chosen, rows] for x in zip(*(state.tensors for state in states), strict=True)]
    return states[0].with_tensors(tensors)


def _rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square per network and channel, broadcastable to `x`."""
    return x.square().flatten(2).mean(2).add(1e-20).sqrt().view(*x.shape[:2], *[1] * (x.ndim - 2))


def _open_spec(layers: int) -> NetworkSpec:
    """A spec with every dimension open: NP layers need to know none."""
    return NetworkSpec((ArraySpec((ANY, ANY)),) * layers, (ArraySpec((ANY,)),) * layers)
