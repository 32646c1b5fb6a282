"""The actions of the Pictures tab and the API: open, draw and classify SIRENs. No gradio."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F

from app.networks.source import Source, reader_errors, with_part
from app.networks.zoos import predictor, zoo_at
from app.runtime.cache import lru_cache_if
from app.runtime.cost import MAX_ACTIVATIONS, Cost, check_cost
from app.runtime.errors import RequestError, UnsuitableNetwork
from nfn.classifier import InrClassification, InrClassifier
from nfn.features import WeightSpaceFeatures
from nfn.network import Network
from nfn.reader import read_network
from nfn.siren import evaluate_network, is_picture, native_shape, render_network
from nfn.siren_convention.judges import SIDE
from nfn.siren_convention.search import Reading
from zoo import siren_conventions
from zoo.catalog import CollectionInfo
from zoo.collection_spec import CollectionSpec

MAX_EDITED = 250_000
"""Weights of a network that can be edited: the editor needs about a hundred times their memory."""
FIRST_NETWORK = "cifar10-sirens/test/95"
"""The first network on screen, if the zoo has it: a horse in colour."""
MAX_DRAWING = 2 * 10**10
"""Weights times pixels of a picture: about a second of CPU."""
SEARCH_POINTS = 8 * SIDE**2
"""The minimum number of points at which a network is evaluated while its convention is searched."""


def siren_collections() -> list[CollectionInfo]:
    """The collections whose networks are pictures; in reverse order of name, so that the digits come first."""
    infos = [info for info in zoo_at().collections() if info.kind == "siren"]
    return sorted(infos, key=lambda info: info.name, reverse=True)


def first_network() -> str:
    """The zoo id of the network that is shown at first."""
    infos = siren_collections()
    exists = any(info.name == FIRST_NETWORK.partition("/")[0] for info in infos)
    return FIRST_NETWORK if exists else first_of(infos[0].name)


def first_of(collection: str) -> str:
    """The zoo id of the first network of a collection."""
    return zoo_at().rows(collection, limit=1)[0]["id"]


def lists(spec: CollectionSpec) -> bool:
    """Whether the networks of a collection are pictures."""
    return spec.kind == "siren" and is_picture(*spec.network.get_io())


def reads(network: Network) -> bool:
    """Whether a network is a picture."""
    return predictor("inr-classifier", InrClassifier).fault(network) is None


def _is_small(network: Network) -> bool:
    return network.parameters <= MAX_EDITED


@lru_cache_if(32, _is_small)
@torch.no_grad()
def read_siren(source: Source) -> Network:
    """The SIREN of `source`, as its file declares it; UnsuitableNetwork if it is not a picture.

    Gradio names the folder of an upload by its content, so cached paths do not become stale.
    """
    if source.zoo_id is not None:
        network = zoo_at(source.zoo).network(source.zoo_id)
    else:
        path, part = Path(source.path or ""), source.part or None
        with reader_errors():
            network = read_network(path, convention=source.convention, part=part)
        if source.convention is not None:
            network = replace(network, undeclared=source.undeclared)
    fault = predictor("inr-classifier", InrClassifier).fault(network)
    if fault is not None:
        raise UnsuitableNetwork(fault, network)
    check_finite(render_network(network, 5, 5))
    return network


@lru_cache(maxsize=32)
@torch.no_grad()
def readings_of(source: Source) -> tuple[Reading, ...] | None:
    """The likely conventions of the SIREN of `source`, most likely first; None if its convention is known.

    Empty for a network that is too large for a search.
    """
    network = read_siren(source)
    if network.undeclared and SEARCH_POINTS * network.parameters > MAX_DRAWING:
        return ()
    return predictor("inr-classifier", InrClassifier).readings(network)


@lru_cache_if(32, _is_small)
def open_network(source: Source) -> Network:
    """The SIREN of `source` in its declared convention, or else in the one that was found (`assumed` says which)."""
    return predictor("inr-classifier", InrClassifier).settle(read_siren(source), readings_of(source))


def read_as(source: Source, **convention: str) -> Source:
    """The source with the parts of its convention that a visitor gives (see `override_convention`)."""
    for name, value in convention.items():
        if not isinstance(value, str):
            raise RequestError(f"{name} must be text such as 'auto'; got {type(value).__name__}.")
    if set(convention.values()) <= {siren_conventions.AUTO}:
        return source
    if source.path is None:
        raise RequestError(
            f"The conventions of the zoo's networks are known: leave {', '.join(convention)} at auto."
        )
    try:
        network = siren_conventions.override_convention(read_siren(source), **convention)
    except ValueError as error:
        raise RequestError(str(error)) from error
    return replace(source, convention=network.convention, undeclared=network.undeclared)


def check_finite(values: torch.Tensor) -> None:
    if not values.isfinite().all():
        raise RequestError("The weights of this network are so large that its picture is not finite.")


@torch.no_grad()
def draw(network: Network, zoom: int = 1) -> torch.Tensor:
    """Draw the picture of a SIREN, `(c, H, W)` in [-1, 1], at `zoom` times its native resolution."""
    height, width = shape = tuple(zoom * side for side in native_shape(network))
    if network.multiplications * height * width > MAX_DRAWING:
        raise RequestError(
            f"This network has {network.parameters:,} weights, too many to draw {width} × {height} pixels here."
        )
    return _draw_middle(network, shape, shape)


@torch.no_grad()
def draw_zoomed(network: Network, zoom: int) -> torch.Tensor:
    """Draw the picture `(c, H, W)` at `zoom` times its native resolution, or only its middle if that takes too long."""
    native, pixels = native_shape(network), MAX_DRAWING // network.multiplications
    if pixels < math.prod(native):
        return draw(network, zoom)  # raises
    shape = [zoom * side for side in native]
    fraction = min(1.0, math.sqrt(pixels / math.prod(shape)))
    return _draw_middle(network, shape, [int(side * fraction) for side in shape])


def enlarge(picture: torch.Tensor, zoom: int, crop: tuple[int, int]) -> torch.Tensor:
    """The middle `crop` (height, width) of a picture `(c, H, W)`, enlarged by bicubic interpolation."""
    shape = [zoom * side for side in picture.shape[1:]]
    large = F.interpolate(picture[None], shape, mode="bicubic", align_corners=True)[0]
    top, left = ((side - part) // 2 for side, part in zip(shape, crop, strict=True))
    return large[:, top : top + crop[0], left : left + crop[1]].clamp(-1, 1)


def _draw_middle(network: Network, shape: Sequence[int], crop: Sequence[int]) -> torch.Tensor:
    """The middle `crop` (height, width) of a picture of `shape` (height, width)."""
    rows, columns = (
        torch.linspace(-1, 1, side).narrow(0, (side - part) // 2, part)
        for side, part in zip(shape, crop, strict=True)
    )
    parts = torch.cartesian_prod(rows, columns).split(max(1, MAX_ACTIVATIONS // network.widest))
    values = torch.cat([evaluate_network(network, part) for part in parts], 2)
    check_finite(values)
    return values[0].unflatten(1, tuple(crop)).clamp(-1, 1)


@dataclass(frozen=True)
class Classified:
    """A classification, and the seconds that the predictor took."""

    result: InrClassification
    predictor: str
    seconds: float


def classify(source: Source, domain: str = "auto") -> Classified:
    """Classify the picture of a SIREN."""
    start = time.perf_counter()
    classified = classify_network(read_siren(source), domain, readings_of(source))
    return replace(classified, seconds=time.perf_counter() - start)


@torch.no_grad()
def classify_network(
    network: Network, domain: str = "auto", readings: tuple[Reading, ...] | None = None
) -> Classified:
    """Classify the picture of an open SIREN; `readings` are its likely conventions, if they are known."""
    model = predictor("inr-classifier", InrClassifier)
    check_cost(Cost(network.multiplications * model.config.size**2))
    start = time.perf_counter()
    try:
        result = model.predict(network, domain=domain, readings=readings)
    except ValueError as error:
        raise RequestError(str(error)) from error
    check_finite(torch.tensor(list(result.probabilities.values())))
    return Classified(result, model.name, time.perf_counter() - start)


def classify_negative(network: Network, result: InrClassification) -> InrClassification | None:
    """Classify a gray SIREN that shows none of the classes with black and white exchanged; None if that is none either.

    The classifier was trained on light digits and clothes on a dark ground; a drawing is often dark on light.
    """
    if not result.none_of_these or network.chain is None or network.outputs != 1:
        return None
    weights, biases = network.normalized.weights, network.normalized.biases
    negative = WeightSpaceFeatures([*weights[:-1], -weights[-1]], [*biases[:-1], -biases[-1]])
    classified = classify_network(replace(network.with_normalized(negative), undeclared=())).result
    return classified if classified.typical else None


def largest_zoom(network: Network, limit: int) -> int:
    """The largest zoom up to `limit` at which the whole picture can be drawn."""
    pixels = MAX_DRAWING // network.multiplications
    return max(1, min(limit, math.isqrt(pixels // math.prod(native_shape(network)))))


def open_upload(path: str | None, part: str = "", **convention: str) -> Source:
    """An upload as a source; opened once, so that a bad file is refused before anything changes on screen."""
    if path is None:
        raise RequestError("Upload a file first.")
    source = read_as(with_part(Source(path=path), part), **convention)
    open_network(source)
    return source
