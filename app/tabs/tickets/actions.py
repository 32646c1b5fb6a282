"""The actions of the Lucky weights tab and the API: score a network's weights, mask them, write files. No gradio."""

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from app.networks.arguments import TicketReader as ReaderName
from app.networks.arguments import check_reader
from app.networks.source import Source, reader_errors, safe_stem
from app.networks.zoos import predictor, zoo_at
from app.runtime.cost import check_cost, training_cost
from app.runtime.errors import RequestError, UnsuitableNetwork
from nfn.graph_tickets import dead_outputs, layer_scores
from nfn.network import Network
from nfn.pruning import (
    apply_masks,
    dead_neurons,
    kept_count,
    kept_per_layer,
    magnitude_scores,
    overlap,
    top_masks,
)
from nfn.reader import read_network, write_network
from nfn.reader.read import notes_but_pixels
from nfn.tickets import TRAINED_SPIKE, Ticket, TicketConfig, TicketPredictor, TicketReader, spike_ratio
from zoo.catalog import CollectionInfo
from zoo.errors import ZooError
from zoo.graph_tickets import RULE, Setup, as_family, assume_images, find_ticket, set_up
from zoo.tickets import PREDICTORS, predictor_for, write_mask

MAX_WEIGHTS = 1_000_000
"""Weights of a network that a predictor scores: it needs about a hundred times their memory."""
MAX_TRAINED = 2_000_000
"""Weights of a network that is scored by the general rule, which needs about ten times their memory."""
MAX_CACHED = 12
"""Networks whose scores and masks are cached, at most about 20 MB each."""

SNIPPET = """from safetensors.torch import load_file
from torch.nn.utils import prune
for name, mask in load_file("mask.safetensors").items():
    module, _, parameter = name.rpartition(".")
    prune.custom_from_mask(net.get_submodule(module), parameter, mask)
"""
"""Code that applies a downloaded mask to the module `net`: pruned weights stay zero during training."""


@dataclass(frozen=True)
class Initialization:
    """An initialization. `images` names the predictor with its image set; `setup` is None if it knows the family.

    `assumed` are sentences on what the file does not say, `readers` what its ticket is read from, the better one first.
    """

    network: Network
    images: str
    setup: Setup | None
    assumed: tuple[str, ...]
    readers: tuple[TicketReader, ...] = ("training",)

    @property
    def names(self) -> list[str]:
        """The names of the scored weights."""
        return [x.weight for x in self.network.names] if self.setup is None else self.setup.names

    @property
    def weights(self) -> list[Tensor]:
        """The scored weights, `(1, 1, out, in[, kh, kw])`."""
        if self.setup is None:
            return list(self.network.features.weights)
        return [self.setup.graph.tensors[name][None, None] for name in self.setup.names]


@dataclass(frozen=True)
class ScoredNetwork:
    """An initialization and the scores of its weights, by the rule `predictor`.

    `config` belongs to the predictor whose images were used.
    """

    opened: Initialization
    ticket: Ticket
    predictor: str
    config: TicketConfig
    seconds: float

    @property
    def network(self) -> Network:
        """The original network."""
        return self.opened.network

    @property
    def assumed(self) -> tuple[str, ...]:
        """Sentences on what the file does not say."""
        return self.opened.assumed

    @property
    def reason(self) -> str:
        """Why the ticket is not read from weights alone, although its predictor does that best; else ""."""
        best = self.config.readers[0]
        return "" if best in self.opened.readers else ticket_predictor(self.opened.images).weights_need


@dataclass(frozen=True)
class LayerKept:
    """How many weights of a layer are kept, by the ticket and by magnitude; `name` is the weight's name in the file."""

    name: str
    shape: tuple[int, ...]
    kept: int
    total: int
    magnitude_kept: int


@dataclass(frozen=True)
class Masked:
    """The ticket at one sparsity, and the mask of the largest initial weights for comparison.

    `agreement` is the fraction of kept weights that both masks keep, `by_chance` the same for random masks with equal
    counts in every layer. `dead` counts the neurons of each layer, out of `hidden`, that have no input or no output
    left; 0 of 0 for an output layer.
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
    """The collections of initializations; in reverse order of name, so that the digits come first."""
    infos = [info for info in zoo_at().collections() if info.kind == "init"]
    return sorted(infos, key=lambda info: info.name, reverse=True)


def first_init() -> str:
    """The zoo id of the network that is shown at first."""
    return zoo_at().rows(init_collections()[0].name, limit=1)[0]["id"]


def score(source: Source, reader: str = "best") -> ScoredNetwork:
    """Score the weights of the network of `source`; RequestError if the reader does not exist or does not take it."""
    return _score(source, reader_of(source, reader))


def reader_of(source: Source, reader: str) -> TicketReader:
    """The reader "best", "weights" or "training" for the network of `source`; RequestError as of `score`."""
    check_reader(reader, ReaderName)
    opened = open_initialization(source)
    for name in opened.readers:
        if reader in ("best", name):
            return name
    raise RequestError(f"{ticket_predictor(opened.images).weights_need} Leave reader at best.")


@lru_cache(maxsize=MAX_CACHED)
def _score(source: Source, reader: TicketReader) -> ScoredNetwork:
    opened = open_initialization(source)
    model = ticket_predictor(opened.images)
    start = time.perf_counter()
    try:
        ticket = (
            model.predict(opened.network, reader)
            if opened.setup is None
            else find_ticket(opened.setup, model)
        )
    except ValueError as error:
        raise RequestError(str(error)) from error
    if any(score.isnan().any() for score in ticket.scores):
        raise RequestError("The weights of this network are so large that their scores are not finite.")
    rule = opened.images if opened.setup is None else RULE
    return ScoredNetwork(opened, ticket, rule, model.config, time.perf_counter() - start)


@lru_cache(maxsize=MAX_CACHED)
def open_initialization(source: Source) -> Initialization:
    """The network of `source` as an initialization, checked for its size and cost."""
    opened = _open_initialization(source)
    weights = sum(weight.numel() for weight in opened.weights)
    limit = MAX_WEIGHTS if opened.setup is None else MAX_TRAINED
    if weights > limit:
        raise RequestError(
            f"Networks of up to {limit:,} weights can be scored here; this one has {weights:,}."
        )
    if opened.setup is None:
        config = ticket_predictor(opened.images).config
        steps = max(config.moments)
        check_cost(training_cost(opened.network.spec, config.stored_shape, config.batch, steps))
    return opened


def reads(network: Network) -> bool:
    """Whether a ticket predictor takes networks of this kind."""
    return any(ticket_predictor(name).fault(network) is None for name in PREDICTORS)


def ticket_predictor(name: str) -> TicketPredictor:
    """A predictor of the app's own zoo that scores initializations."""
    return predictor(name, TicketPredictor)


def _open_initialization(source: Source) -> Initialization:
    """Use the predictor that knows the family; an upload of any other family is scored by the general rule."""
    network = _open(source)
    family = as_family(network) or network
    try:
        images, model = predictor_for(family, ticket_predictor)
    except ZooError as error:
        if source.zoo_id is not None:
            raise UnsuitableNetwork(str(error), network) from error
        return _open_graph(network)
    assumed = () if source.zoo_id is not None else (assume_images(images, model.config.input_shape),)
    return Initialization(family, images, None, assumed, model.readers_of(family))


def _open_graph(network: Network) -> Initialization:
    """A network of any wiring; UnsuitableNetwork if it looks trained, or cannot be trained here."""
    try:
        setup = set_up(network)
    except ZooError as error:
        raise UnsuitableNetwork(str(error), network) from error
    if any(spike_ratio(x) > TRAINED_SPIKE for x in setup.graph.tensors.values() if x.dim() > 1):
        raise UnsuitableNetwork("This network looks trained; tickets are for untrained networks.", network)
    network = replace(network, notes=notes_but_pixels(network))
    return Initialization(network, setup.predictor, setup, setup.assumed)


def _open(source: Source) -> Network:
    if source.zoo_id is not None:
        return zoo_at(source.zoo).network(source.zoo_id)
    with reader_errors():
        return read_network(Path(source.path or ""), part=source.part or None)


def masked(source: Source, sparsity: float, reader: str = "best") -> Masked:
    """The ticket of the network of `source`; RequestError unless the sparsity is a number above 0 and below 1."""
    check_sparsity(sparsity)
    return _masked(source, sparsity, reader_of(source, reader))


@lru_cache(maxsize=MAX_CACHED)
def _masked(source: Source, sparsity: float, reader: TicketReader) -> Masked:
    return mask(_score(source, reader), sparsity)


@dataclass(frozen=True)
class OtherTicket:
    """The ticket by the other `reader`: `shared` is the fraction of a ticket's weights that it keeps too, `by_chance`
    the same for random masks with equal counts in every layer."""

    reader: TicketReader
    shared: float
    by_chance: float


def other_ticket(source: Source, sparsity: float, reader: str) -> OtherTicket | None:
    """The ticket of the network by the other reader than `reader`; None if one takes it only."""
    here = reader_of(source, reader)
    for name in open_initialization(source).readers:
        if name != here:
            one, other = masked(source, sparsity, here), masked(source, sparsity, name)
            return OtherTicket(
                name, float(overlap(one.masks, other.masks)), _by_chance(one.masks, other.masks)
            )
    return None


def _by_chance(one: list[Tensor], other: list[Tensor]) -> float:
    """The overlap of random masks with as many weights of each layer."""
    counts, others = (kept_per_layer(masks)[0].tolist() for masks in (one, other))
    rows = zip(counts, others, (mask.numel() for mask in one), strict=True)
    return sum(a * b / total for a, b, total in rows) / max(sum(counts), 1)


def check_sparsity(sparsity: object) -> None:
    """Raise RequestError unless the sparsity is a number above 0 and below 1."""
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not 0 < sparsity < 1:
        raise RequestError(
            f"Got the sparsity {str(sparsity)[:40]}; choose one between 0 and 1, such as 0.95."
        )


def mask(scored: ScoredNetwork, sparsity: float) -> Masked:
    """Keep the weights with the highest scores; the sparsity must be checked already."""
    weights, ticket = scored.opened.weights, top_masks(scored.ticket.scores, sparsity)
    magnitude = top_masks(_size_scores(scored.opened), sparsity)
    totals = [weight.numel() for weight in weights]
    counts, others = (kept_per_layer(masks)[0].tolist() for masks in (ticket, magnitude))
    kept = kept_count(sum(totals), sparsity)
    rows = zip(scored.opened.names, weights, counts, totals, others, strict=True)
    dead, hidden = _dead(scored.opened, ticket)
    return Masked(
        sparsity=sparsity,
        kept=kept,
        total=sum(totals),
        layers=tuple(LayerKept(n, tuple(w.shape[2:]), a, t, b) for n, w, a, t, b in rows),
        masks=ticket,
        magnitude=magnitude,
        agreement=float(overlap(ticket, magnitude)),
        by_chance=_by_chance(ticket, magnitude),
        dead=dead,
        hidden=hidden,
    )


def _size_scores(opened: Initialization) -> list[Tensor]:
    """Scores of the initial weights by magnitude, comparable between layers like the ticket's own scores."""
    if opened.setup is None:
        return magnitude_scores(opened.network.features)
    return [layer_scores(weight[0, 0].abs())[None, None] for weight in opened.weights]


def _dead(opened: Initialization, masks: list[Tensor]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The dead and the hidden neurons of each layer; 0 for an output layer."""
    if opened.setup is not None:
        named = {name: layer[0, 0] for name, layer in zip(opened.names, masks, strict=True)}
        counts = dead_outputs(opened.setup.graph.architecture, named)
        dead, hidden = zip(*(counts[name] for name in opened.names), strict=True)
        return dead, hidden
    hidden = (*(weight.shape[2] for weight in opened.weights[:-1]), 0)
    return (*dead_neurons(masks)[0].tolist(), 0), hidden


def save_ticket(source: Source, scored: ScoredNetwork, masked: Masked, folder: Path) -> tuple[Path, Path]:
    """Write the mask (uint8, under the file's tensor names) and the masked initialization; return both paths."""
    stem = f"{safe_stem(source.name)}-{masked.sparsity:g}".replace(".", "-")
    mask_path, init_path = folder / f"{stem}-mask.safetensors", folder / f"{stem}-init.safetensors"
    write_mask(scored.opened.names, masked.masks, masked.sparsity, mask_path)
    write_network(_masked_network(scored.opened, masked.masks), init_path)
    return mask_path, init_path


def _masked_network(opened: Initialization, masks: list[Tensor]) -> Network:
    """The initialization with zeros where the masks are False, under the file's tensor names."""
    network = opened.network
    if opened.setup is None:
        return network.with_features(apply_masks(network.features, masks))
    pairs = zip(opened.names, opened.weights, masks, strict=True)
    kept = {name: (weight * mask)[0, 0].contiguous() for name, weight, mask in pairs}
    tensors = {**opened.setup.graph.tensors, **kept}
    if network.graph is not None:
        return replace(network, graph=replace(network.graph, tensors=tensors))
    return replace(network, chain=None, names=(), stored=tensors)
