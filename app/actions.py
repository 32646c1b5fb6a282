"""What the buttons and the API do: typed in, typed out, no gradio."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image

from app.cost import BACKWARD, MAX_ACTIVATIONS, Cost, check_cost
from app.errors import RequestError
from app.figures import to_pixels
from app.memory import give_back_large_tensors
from app.remembering import remember
from app.routing import elsewhere
from app.zoos import predictor, zoo_at
from nfn.architecture.axes import axes_of
from nfn.classifier import InrClassification, InrClassifier
from nfn.editor import InrEdit, InrEditor, InrEditorConfig
from nfn.network import Convention, Network
from nfn.operators import STYLES
from nfn.permutation import flip_signs, permute, random_permutations, random_signs
from nfn.reader import read_network, write_network
from nfn.siren import NATIVE_SIZES, coordinate_grid, evaluate_network, native_size, render
from nfn.siren_convention.judges import SIDE
from nfn.siren_convention.search import Reading
from zoo import siren_conventions
from zoo.catalog import CollectionInfo, Zoo

GONE = "This upload is no longer kept here. Please upload the file again."
MAX_STRENGTH = 2.0
MAX_EDITED = 250_000
"""Weights of a network that is edited: the editor needs some hundred times their memory."""
MAX_DRAWING = 2 * 10**10
"""Weights times pixels of a picture: a second or so of CPU."""
SEARCHED = 8 * SIDE**2
"""Points at which a network is evaluated at least where its convention is looked for."""


@dataclass(frozen=True)
class Source:
    """The network a visitor chose: a zoo id, or an uploaded file and the convention that it is said to have.

    `zoo` is the zoo that the id is of: "" for the app's own, else as `app.zoos.zoo_at` takes it. `images` is the image
    set that a visitor says a classifier learned from. `part` names the one that is meant of several networks in a file,
    "" the usual one; `reading` one of the ways in which a classifier was tried, "" the one that fits best. `undeclared`
    are the parts of `convention` that stay to be found.
    """

    zoo_id: str | None = None
    path: str | None = None
    convention: Convention | None = None
    zoo: str = ""
    images: str | None = None
    part: str = ""
    reading: str = ""
    undeclared: tuple[str, ...] = ()

    def __post_init__(self):
        if (self.zoo_id is None) == (self.path is None):
            raise RequestError("Give exactly one network: a file, or a zoo id such as mnist-sirens/test/17.")

    @property
    def name(self) -> str:
        """What to call it on screen and in file names."""
        return self.zoo_id or Path(self.path or "").name


def prepare() -> None:
    """Settle process-wide matters before the first request: visitors share the cores and the memory."""
    give_back_large_tensors()
    torch.set_num_threads(max(1, min(4, (os.cpu_count() or 2) // 2)))


def zoo(where: str = "") -> Zoo:
    """The app's own zoo, or the one that a source names."""
    return zoo_at(where)


def siren_collections() -> list[CollectionInfo]:
    """The collections whose networks are pictures; in reverse order of name, which puts the plain digits first."""
    found = [info for info in zoo().collections() if info.kind == "siren"]
    return sorted(found, key=lambda info: info.name, reverse=True)


def first_network() -> str:
    """The zoo id that a visitor sees before choosing one."""
    return zoo().rows(siren_collections()[0].name, limit=1)[0]["id"]


def label_in_zoo(source: Source) -> str | None:
    """The label of the image that a zoo network was fitted to; None for an upload."""
    return None if source.zoo_id is None else zoo(source.zoo).row(source.zoo_id)["label"]


def list_networks(collection: str, limit: int) -> list[dict[str, Any]]:
    """The first `limit` rows of facts of a collection."""
    if limit < 1:
        raise RequestError(f"Got a limit of {limit}; ask for at least 1 network.")
    return zoo().rows(collection, limit)


def _is_small(network: Network) -> bool:
    return network.parameters <= MAX_EDITED


@remember(32, _is_small)
@torch.no_grad()
def read_siren(source: Source) -> Network:
    """The SIREN behind `source` as its file has it.

    Gradio names an upload's folder by its content, so that paths do not go stale.
    """
    if source.zoo_id is not None:
        return _only_pictures(zoo(source.zoo).network(source.zoo_id))
    with reading():
        network = read_network(
            Path(source.path or ""), convention=source.convention, part=source.part or None
        )
    if source.convention is not None:
        network = replace(network, undeclared=source.undeclared)
    return _only_pictures(network)


@lru_cache(maxsize=32)
@torch.no_grad()
def readings_of(source: Source) -> tuple[Reading, ...] | None:
    """The likely conventions of the SIREN behind `source`, likeliest first; None where nothing is to be found.

    None are looked for in a network that is too large to be evaluated in many of them.
    """
    network = read_siren(source)
    if network.undeclared and SEARCHED * network.parameters > MAX_DRAWING:
        return ()
    return predictor("inr-classifier", InrClassifier).readings(network)


@remember(32, _is_small)
def open_network(source: Source) -> Network:
    """The SIREN behind `source` in its own convention, or else the one that was found (`assumed` says which)."""
    return predictor("inr-classifier", InrClassifier).settle(read_siren(source), readings_of(source))


def part_of(source: Source, part: str) -> Source:
    """The source with the network of its file that a visitor names; "auto" leaves it to the reader."""
    if part in ("", siren_conventions.AUTO):
        return source
    if source.path is None:
        raise RequestError("A network of the zoo is one network: leave part at auto.")
    return replace(source, part=part)


def read_as(source: Source, **told: str) -> Source:
    """The source with what the visitor knows of its convention, as `zoo.siren_conventions.tell` takes it."""
    for name, value in told.items():
        if not isinstance(value, str):
            raise RequestError(f"{name} must be text such as 'auto'; got {type(value).__name__}.")
    if set(told.values()) <= {siren_conventions.AUTO}:
        return source
    if source.path is None:
        raise RequestError(f"All is known of the zoo's networks: leave {', '.join(told)} at auto.")
    try:
        network = siren_conventions.tell(read_siren(source), **told)
    except ValueError as error:
        raise RequestError(str(error)) from error
    return replace(source, convention=network.convention, undeclared=network.undeclared)


@contextmanager
def reading() -> Iterator[None]:
    """What the reader raises within, as a `RequestError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise RequestError(GONE) from error
    except ValueError as error:  # a bad file, or a convention that cannot be
        raise RequestError(str(error)) from error


def _only_pictures(network: Network) -> Network:
    fault = predictor("inr-classifier", InrClassifier).fault(network)
    if fault is not None:
        raise RequestError(f"{fault}{elsewhere(network)}")
    _check_finite(evaluate_network(network, coordinate_grid(5, 5)))
    return network


def _check_finite(values: torch.Tensor) -> None:
    if not values.isfinite().all():
        raise RequestError("The weights of this network are so large that its picture holds no numbers.")


@torch.no_grad()
def draw(network: Network, zoom: int = 1) -> torch.Tensor:
    """The picture `(c, H, W)` in [-1, 1] that a SIREN holds, at `zoom` times its native resolution."""
    size = native_size(network) * zoom
    if network.multiplications * size**2 > MAX_DRAWING:
        raise RequestError(
            f"A network of {network.parameters:,} weights is too large to be drawn at {size} × {size} pixels here."
        )
    return _drawn(network, size, size)


@torch.no_grad()
def draw_closely(network: Network, zoom: int) -> torch.Tensor:
    """The picture at `zoom` times its native resolution, or where that takes too long its middle `(c, H, W)`."""
    size = native_size(network) * zoom
    most = math.isqrt(MAX_DRAWING // network.multiplications)
    if most < native_size(network):
        return draw(network, zoom)  # which refuses it
    return _drawn(network, size, min(size, most))


def _drawn(network: Network, size: int, shown: int) -> torch.Tensor:
    """The middle `shown` pixels a side of a picture of `size` pixels a side."""
    start = (size - shown) // 2
    places = torch.linspace(-1, 1, size)[start : start + shown]
    parts = torch.cartesian_prod(places, places).split(max(1, MAX_ACTIVATIONS // network.widest))
    values = torch.cat([evaluate_network(network, part) for part in parts], 2)
    _check_finite(values)
    return values[0].unflatten(1, (shown, shown)).clamp(-1, 1)


@torch.no_grad()
def thumbnails(collection: str) -> list[tuple[str, str, torch.Tensor]]:
    """Each network of a collection as (zoo id, label, picture at twice the native resolution), rendered together."""
    rows, opened = zoo().rows(collection), zoo().collection(collection)
    size = 2 * NATIVE_SIZES[opened.spec.network.get_io()[1]]
    siren = opened.spec.siren
    pictures = siren.pixels(render(siren.normalize(opened.features()), size, size)).clamp(-1, 1)
    return [(row["id"], row["label"], picture) for row, picture in zip(rows, pictures, strict=True)]


@dataclass(frozen=True)
class Classified:
    """A classification and how long the predictor took."""

    result: InrClassification
    predictor: str
    seconds: float


def classify(source: Source, domain: str = "auto") -> Classified:
    """Say what the SIREN shows."""
    start = time.perf_counter()
    done = classify_network(read_siren(source), domain, readings_of(source))
    return replace(done, seconds=time.perf_counter() - start)


@torch.no_grad()
def classify_network(
    network: Network, domain: str = "auto", readings: tuple[Reading, ...] | None = None
) -> Classified:
    """Say what a SIREN at hand shows; `readings` are its likely conventions, where they are known."""
    model = predictor("inr-classifier", InrClassifier)
    check_cost(Cost(network.multiplications * model.config.size**2))
    start = time.perf_counter()
    try:
        result = model.predict(network, domain=domain, readings=readings)
    except ValueError as error:
        raise RequestError(str(error)) from error
    _check_finite(torch.tensor(list(result.probabilities.values())))
    return Classified(result, model.name, time.perf_counter() - start)


@dataclass(frozen=True)
class Edited:
    """An edit and how long the predictor took."""

    result: InrEdit
    predictor: str
    seconds: float


@lru_cache(maxsize=32)
@torch.no_grad()
def edit(source: Source, style: str, strength: float) -> Edited:
    """A new SIREN whose picture is the old one in another style."""
    if style not in STYLES:
        raise RequestError(f"Unknown style {style!r}: choose one of {', '.join(STYLES)}.")
    if not (math.isfinite(strength) and 0 <= strength <= MAX_STRENGTH):
        raise RequestError(f"Got a strength of {strength:g}; choose one from 0 to {MAX_STRENGTH:g}.")
    model, network = predictor("inr-editor", InrEditor), open_network(source)
    weights = network.parameters
    if weights > MAX_EDITED:
        raise RequestError(
            f"Networks of up to {MAX_EDITED:,} weights are edited here; this one has {weights:,}. "
            "It can still be drawn and classified."
        )
    check_cost(_cost_of_edit(network, model.config))
    start = time.perf_counter()
    try:
        result = model.edit(network, style, strength)
    except ValueError as error:
        raise RequestError(str(error)) from error
    _check_finite(torch.tensor(result.mse))
    return Edited(result, result.predictor, time.perf_counter() - start)


def _cost_of_edit(network: Network, config: InrEditorConfig) -> Cost:
    """Every step takes a gradient by the pixels of the picture, which all hidden layers see at once."""
    pixels = native_size(network) ** 2
    steps = config.steps * config.rounds * (1 + BACKWARD)
    return Cost(network.multiplications * pixels * steps, network.activations * pixels)


def save_edit(source: Source, edited: Edited, folder: Path, zoom: int = 8) -> tuple[Path, Path]:
    """Write the edited SIREN (its tensors named as they came in) and a PNG of it into `folder`; give both paths."""
    stem = f"{safe_stem(source.name)}-{edited.result.style}"
    weights, png = folder / f"{stem}.safetensors", folder / f"{stem}.png"
    write_network(edited.result.network, weights)
    Image.fromarray(to_pixels(draw(edited.result.network, largest_zoom(edited.result.network, zoom)))).save(
        png
    )
    return weights, png


def safe_stem(name: str) -> str:
    """The name of a network as part of a file name."""
    stem = name if "/" in name else Path(name).stem
    return (
        "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in stem).strip("-")[:60]
        or "network"
    )


def largest_zoom(network: Network, most: int) -> int:
    """The zoom, `most` or less, at which the whole picture can be drawn."""
    return max(1, min(most, math.isqrt(MAX_DRAWING // network.multiplications) // native_size(network)))


Symmetry = Literal["permute", "flip"]


@dataclass(frozen=True)
class SymmetryCheck:
    """One network written down in two ways, and how far its picture and its verdict are apart."""

    how: Symmetry
    before: Network
    after: Network
    moved: int
    total: int
    pixel_difference: float
    probability_difference: float
    verdict_before: InrClassification
    verdict_after: InrClassification


def check_symmetry(source: Source, how: Symmetry, seed: int, domain: str = "auto") -> SymmetryCheck:
    """Reorder the hidden neurons, or flip their signs (sine is odd), and look at what changes."""
    before = replace(open_network(source), undeclared=())  # in the convention that was found, both
    after = _disguise(before, how, torch.Generator().manual_seed(seed))
    return compare_copies(how, before, after, domain)


def compare_copies(how: Symmetry, before: Network, after: Network, domain: str = "auto") -> SymmetryCheck:
    """Two ways to write one network down: how far their pictures and verdicts are apart."""
    first, second = classify_network(before, domain).result, classify_network(after, domain).result
    return SymmetryCheck(
        how=how,
        before=before,
        after=after,
        moved=count_moved(before, after),
        total=before.parameters,
        pixel_difference=float((draw(before) - draw(after)).abs().max()),
        probability_difference=max(
            abs(p - second.probabilities.get(k, 0.0)) for k, p in first.probabilities.items()
        ),
        verdict_before=first,
        verdict_after=second,
    )


def count_moved(before: Network, after: Network) -> int:
    """How many weights and biases differ between two networks of one architecture."""
    if before.chain is not None:
        pairs = zip(before.chain.tensors, after.features.tensors, strict=True)
    else:
        after_by_name = after.tensors()
        pairs = ((tensor, after_by_name[name]) for name, tensor in before.tensors().items())
    return sum(int((x != y).sum()) for x, y in pairs)


def _disguise(network: Network, how: Symmetry, generator: torch.Generator) -> Network:
    if network.chain is None:
        return _disguise_graph(network, how, generator)
    if how == "permute":
        return network.with_features(permute(network.chain, random_permutations(network.spec, generator)))
    return network.with_features(flip_signs(network.chain, random_signs(network.spec, generator)))


def _disguise_graph(network: Network, how: Symmetry, generator: torch.Generator) -> Network:
    graph = network.graph
    if how == "flip" or graph is None:
        raise RequestError(
            "Signs are flipped here in SIRENs alone, whose hidden layers are all sines; this picture has other layers "
            "too. Its neurons can be permuted."
        )
    axes = axes_of(graph.architecture)
    tensors = axes.permute(graph.tensors, axes.random_permutations(generator))
    return replace(network, graph=replace(graph, tensors=tensors))


def open_upload(path: str | None, part: str = "", **told: str) -> Source:
    """An upload as a source, opened once so that a bad file is refused before anything changes on screen."""
    if path is None:
        raise RequestError("Upload a file first.")
    source = read_as(part_of(Source(path=path), part), **told)
    open_network(source)
    return source
