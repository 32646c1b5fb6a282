"""What the Tickets tab and the API do: from a network to the scores of its weights, masks and files. No gradio."""

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from app.actions import RequestError, Source, predictor, reading, safe_stem, zoo
from app.elsewhere import elsewhere
from nfn.network import Kind, Network
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
from nfn.tickets import Ticket, TicketConfig
from zoo.catalog import CollectionInfo
from zoo.errors import ZooError
from zoo.tickets import predictor_for, write_mask

MAX_WEIGHTS = 1_000_000
"""Weights of a network that is scored: the predictor needs some hundred times their memory."""

SNIPPET = """from safetensors.torch import load_file
from torch.nn.utils import prune
for name, mask in load_file("mask.safetensors").items():
    module, _, parameter = name.rpartition(".")
    prune.custom_from_mask(net.get_submodule(module), parameter, mask)
"""
"""Applies a downloaded mask to `net`, the module that was uploaded: pruned weights stay zero while it trains."""


@dataclass(frozen=True)
class Found:
    """A network and what the predictor of this name and `config` makes of it."""

    network: Network
    ticket: Ticket
    predictor: str
    config: TicketConfig
    seconds: float


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
    layer would share. `dead` counts per hidden layer the neurons that hear nothing or are heard by none.
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


@lru_cache(maxsize=32)
def find(source: Source) -> Found:
    """Score the weights of the network behind `source`."""
    network = open_init(source)
    model = predictor(predictor_for(network))
    start = time.perf_counter()
    try:
        ticket = model.predict(network)
    except ValueError as error:
        raise RequestError(str(error)) from error
    if any(score.isnan().any() for score in ticket.scores):
        raise RequestError("The weights of this network are so large that no score of them is a number.")
    seconds = time.perf_counter() - start
    return Found(network, ticket, predictor_for(network), model.config, seconds)


def open_init(source: Source) -> Network:
    """The network behind `source`, as an initialization, checked."""
    network = _open(source, "init")
    try:
        predictor_for(network)
    except ZooError as error:
        raise ZooError(f"{error}{_elsewhere(source)}") from error
    weights = sum(weight.numel() for weight in network.features.weights)
    if weights > MAX_WEIGHTS:
        raise RequestError(
            f"Networks of up to {MAX_WEIGHTS:,} weights are scored here; this one has {weights:,}."
        )
    return network


def _elsewhere(source: Source) -> str:
    """Which tab reads it for what it says it is."""
    with suppress(RequestError):
        return elsewhere(_open(source))
    return ""


def _open(source: Source, kind: Kind | None = None) -> Network:
    if source.zoo_id is not None:
        return zoo(source.zoo).network(source.zoo_id)
    with reading():
        return read_network(Path(source.path or ""), kind=kind)


def masked(source: Source, sparsity: float) -> Masked:
    """The mask of the network behind `source`; RequestError unless the sparsity is a number above 0 and below 1."""
    check_sparsity(sparsity)
    return _masked(source, sparsity)


@lru_cache(maxsize=32)
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
    features, ticket = found.network.features, top_masks(found.ticket.scores, sparsity)
    magnitude = top_masks(magnitude_scores(features), sparsity)
    totals = [weight.numel() for weight in features.weights]
    counts, others = (kept_per_layer(masks)[0].tolist() for masks in (ticket, magnitude))
    kept = kept_of(sum(totals), sparsity)
    rows = zip(found.network.names, features.weights, counts, totals, others, strict=True)
    return Masked(
        sparsity=sparsity,
        kept=kept,
        total=sum(totals),
        layers=tuple(LayerKept(n.weight, tuple(w.shape[2:]), a, t, b) for n, w, a, t, b in rows),
        masks=ticket,
        magnitude=magnitude,
        agreement=float(overlap(ticket, magnitude)),
        by_chance=sum(a * b / t for a, b, t in zip(counts, others, totals, strict=True)) / max(kept, 1),
        dead=tuple(dead_neurons(ticket)[0].tolist()),
        hidden=tuple(weight.shape[2] for weight in features.weights[:-1]),
    )


def save_ticket(source: Source, found: Found, shown: Masked, folder: Path) -> tuple[Path, Path]:
    """Write the mask (uint8, under the names that came in) and the masked initialization; give both paths."""
    stem = f"{safe_stem(source.name)}-{shown.sparsity:g}".replace(".", "-")
    mask_path, init_path = folder / f"{stem}-mask.safetensors", folder / f"{stem}-init.safetensors"
    write_mask(found.network, shown.masks, shown.sparsity, mask_path)
    features = apply_masks(found.network.features, shown.masks)
    write_network(found.network.with_features(features), init_path)
    return mask_path, init_path
