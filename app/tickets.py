"""What the Tickets tab and the API do: from a network to the scores of its weights, masks and files. No gradio."""

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from app.actions import RequestError, Source, reading, safe_stem, zoo
from app.cost import check_cost, training_cost
from app.routing import elsewhere
from app.zoos import predictor
from nfn.graph_tickets import dead_outputs, layer_scores
from nfn.network import Graph, Network
from nfn.pruning import (
    apply_masks,
    dead_neurons,
    kept_of,
    kept_per_layer,
    magnitude_scores,
    overlap,
    top_masks,
)
from nfn.reader import read_network, write_network
from nfn.tickets import CLEAR, Ticket, TicketConfig, TicketPredictor, spike
from zoo.catalog import CollectionInfo
from zoo.errors import ZooError
from zoo.graph_tickets import RULE, Setup, as_family, assume_images, find_ticket, set_up
from zoo.tickets import predictor_for, write_mask

MAX_WEIGHTS = 1_000_000
"""Weights of a network that a predictor scores: it needs some hundred times their memory."""
MAX_TRAINED = 2_000_000
"""Weights of a network that is scored by the general rule, which needs some ten times their memory."""
KEPT = 12
"""Networks whose scores and masks are remembered, some 20 MB each at most."""

SNIPPET = """from safetensors.torch import load_file
from torch.nn.utils import prune
for name, mask in load_file("mask.safetensors").items():
    module, _, parameter = name.rpartition(".")
    prune.custom_from_mask(net.get_submodule(module), parameter, mask)
"""
"""Applies a downloaded mask to `net`, the module that was uploaded: pruned weights stay zero while it trains."""


@dataclass(frozen=True)
class Opened:
    """An initialization; `images` names the predictor that has such images, `setup` is None where it knows the family.

    `assumed` are sentences on what the file does not say.
    """

    network: Network
    images: str
    setup: Setup | None
    assumed: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The names of the weights that are scored."""
        return [x.weight for x in self.network.names] if self.setup is None else self.setup.names

    @property
    def weights(self) -> list[Tensor]:
        """These weights `(1, 1, out, in[, kh, kw])`."""
        if self.setup is None:
            return list(self.network.features.weights)
        return [self.setup.graph.tensors[name][None, None] for name in self.setup.names]


@dataclass(frozen=True)
class Found:
    """An initialization and the scores of its weights, by the rule that `predictor` names.

    `config` is that of the predictor whose images were used.
    """

    opened: Opened
    ticket: Ticket
    predictor: str
    config: TicketConfig
    seconds: float

    @property
    def network(self) -> Network:
        """The network as it came in."""
        return self.opened.network

    @property
    def assumed(self) -> tuple[str, ...]:
        """Sentences on what the file does not say."""
        return self.opened.assumed


@dataclass(frozen=True)
class LayerKept:
    """How much of a layer is kept, by the ticket and by magnitude; `name` is the weight's, as it came in."""

    name: str
    shape: tuple[int, ...]
    kept: int
    total: int
    magnitude_kept: int


@dataclass(frozen=True)
class Masked:
    """The ticket at one sparsity, beside the mask of the largest initial weights.

    `agreement` is the share of kept weights that both keep, `by_chance` what random masks of the same number in every
    layer would share. `dead` counts per layer the neurons, of so many `hidden`, that hear nothing or are heard by
    none; 0 of 0 for a layer that gives the outputs.
    """

    sparsity: float
    kept: int
    total: int
    layers: tuple[LayerKept, ...]
    masks: list[Tensor]
    magnitude: list[Tensor]
    agreement: float
    by_chance: float
    dead: tuple[int, ...]
    hidden: tuple[int, ...]


def init_collections() -> list[CollectionInfo]:
    """The collections of initializations; in reverse order of name, which puts the digits first."""
    found = [info for info in zoo().collections() if info.kind == "init"]
    return sorted(found, key=lambda info: info.name, reverse=True)


def first_init() -> str:
    """The zoo id that a visitor sees before choosing one."""
    return zoo().rows(init_collections()[0].name, limit=1)[0]["id"]


@lru_cache(maxsize=KEPT)
def find(source: Source) -> Found:
    """Score the weights of the network behind `source`."""
    opened = open_init(source)
    model = ticket_predictor(opened.images)
    start = time.perf_counter()
    try:
        ticket = model.predict(opened.network) if opened.setup is None else find_ticket(opened.setup, model)
    except ValueError as error:
        raise RequestError(str(error)) from error
    if any(score.isnan().any() for score in ticket.scores):
        raise RequestError("The weights of this network are so large that no score of them is a number.")
    rule = opened.images if opened.setup is None else RULE
    return Found(opened, ticket, rule, model.config, time.perf_counter() - start)


def open_init(source: Source) -> Opened:
    """The network behind `source`, as an initialization, checked."""
    opened = _open_init(source)
    weights = sum(weight.numel() for weight in opened.weights)
    most = MAX_WEIGHTS if opened.setup is None else MAX_TRAINED
    if weights > most:
        raise RequestError(f"Networks of up to {most:,} weights are scored here; this one has {weights:,}.")
    if opened.setup is None:
        config = ticket_predictor(opened.images).config
        steps = max(config.moments)
        check_cost(training_cost(opened.network.spec, config.stored_shape, config.batch, steps))
    return opened


def ticket_predictor(name: str) -> TicketPredictor:
    """A predictor of the app's own zoo that scores initializations."""
    return predictor(name, TicketPredictor)


def _open_init(source: Source) -> Opened:
    """By the predictor that knows the family; an upload of any other is scored by the general rule."""
    network = _open(source)
    family = as_family(network) or network
    try:
        images, model = predictor_for(family, ticket_predictor)
    except ZooError as error:
        if source.zoo_id is not None:
            raise ZooError(f"{error}{elsewhere(network)}") from error
        return _open_graph(network)
    assumed = () if source.zoo_id is not None else (assume_images(images, model.config.input_shape),)
    return Opened(family, images, None, assumed)


def _open_graph(network: Network) -> Opened:
    """A network of any wiring; one that looks trained is sent where it is read."""
    try:
        setup = set_up(network)
    except ZooError as error:
        raise ZooError(f"{error}{elsewhere(network)}") from error
    other = elsewhere(network)
    if other and _looks_trained(setup.graph):
        raise RequestError(f"This network looks trained, and tickets are for initializations.{other}")
    return Opened(network, setup.predictor, setup, setup.assumed)


def _looks_trained(graph: Graph) -> bool:
    large = (x for x in graph.tensors.values() if x.dim() > 1)
    return any(spike(x) > CLEAR for x in large)


def _open(source: Source) -> Network:
    if source.zoo_id is not None:
        return zoo(source.zoo).network(source.zoo_id)
    with reading():
        return read_network(Path(source.path or ""), part=source.part or None)


def masked(source: Source, sparsity: float) -> Masked:
    """The mask of the network behind `source`; RequestError unless the sparsity is a number above 0 and below 1."""
    check_sparsity(sparsity)
    return _masked(source, sparsity)


@lru_cache(maxsize=KEPT)
def _masked(source: Source, sparsity: float) -> Masked:
    return mask(find(source), sparsity)


def check_sparsity(sparsity: object) -> None:
    """RequestError unless it is a number above 0 and below 1."""
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not 0 < sparsity < 1:
        raise RequestError(
            f"Got the sparsity {str(sparsity)[:40]}; choose one between 0 and 1, such as 0.95."
        )


def mask(found: Found, sparsity: float) -> Masked:
    """Keep the best-scored weights, at a checked sparsity."""
    weights, ticket = found.opened.weights, top_masks(found.ticket.scores, sparsity)
    magnitude = top_masks(_size_scores(found.opened), sparsity)
    totals = [weight.numel() for weight in weights]
    counts, others = (kept_per_layer(masks)[0].tolist() for masks in (ticket, magnitude))
    kept = kept_of(sum(totals), sparsity)
    rows = zip(found.opened.names, weights, counts, totals, others, strict=True)
    dead, hidden = _dead(found.opened, ticket)
    return Masked(
        sparsity=sparsity,
        kept=kept,
        total=sum(totals),
        layers=tuple(LayerKept(n, tuple(w.shape[2:]), a, t, b) for n, w, a, t, b in rows),
        masks=ticket,
        magnitude=magnitude,
        agreement=float(overlap(ticket, magnitude)),
        by_chance=sum(a * b / t for a, b, t in zip(counts, others, totals, strict=True)) / max(kept, 1),
        dead=dead,
        hidden=hidden,
    )


def _size_scores(opened: Opened) -> list[Tensor]:
    """What ranks the initial weights by their size; between layers as the ticket's own rule does."""
    if opened.setup is None:
        return magnitude_scores(opened.network.features)
    return [layer_scores(weight[0, 0].abs())[None, None] for weight in opened.weights]


def _dead(opened: Opened, masks: list[Tensor]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Per layer its dead and its hidden neurons; none of a layer that gives the network's outputs."""
    if opened.setup is not None:
        named = {name: layer[0, 0] for name, layer in zip(opened.names, masks, strict=True)}
        counts = dead_outputs(opened.setup.graph.architecture, named)
        dead, hidden = zip(*(counts[name] for name in opened.names), strict=True)
        return dead, hidden
    hidden = (*(weight.shape[2] for weight in opened.weights[:-1]), 0)
    return (*dead_neurons(masks)[0].tolist(), 0), hidden


def save_ticket(source: Source, found: Found, shown: Masked, folder: Path) -> tuple[Path, Path]:
    """Write the mask (uint8, under the names that came in) and the masked initialization; give both paths."""
    stem = f"{safe_stem(source.name)}-{shown.sparsity:g}".replace(".", "-")
    mask_path, init_path = folder / f"{stem}-mask.safetensors", folder / f"{stem}-init.safetensors"
    write_mask(found.opened.names, shown.masks, shown.sparsity, mask_path)
    write_network(_masked_network(found.opened, shown.masks), init_path)
    return mask_path, init_path


def _masked_network(opened: Opened, masks: list[Tensor]) -> Network:
    """The initialization with zeros where the masks are False, under the names that came in."""
    network = opened.network
    if opened.setup is None:
        return network.with_features(apply_masks(network.features, masks))
    pairs = zip(opened.names, opened.weights, masks, strict=True)
    kept = {name: (weight * mask)[0, 0].contiguous() for name, weight, mask in pairs}
    tensors = {**opened.setup.graph.tensors, **kept}
    if network.graph is not None:
        return replace(network, graph=replace(network.graph, tensors=tensors))
    return replace(network, chain=None, names=(), stored=tensors)
