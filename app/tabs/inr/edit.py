"""Edit the picture of a SIREN: the result is a network of the same architecture. No gradio."""

import math
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image

from app.networks.source import Source, safe_stem
from app.networks.zoos import predictor
from app.page.figures import to_pixels
from app.runtime.cost import TRAINING_FACTOR, Cost, check_cost
from app.runtime.errors import RequestError
from app.tabs.inr.actions import MAX_EDITED, check_finite, classify_network, draw, largest_zoom, open_network
from nfn.classifier import InrClassification
from nfn.editor import MAX_BATCH_PRODUCTS, InrEdit, InrEditor, edits_in_batches
from nfn.network import Network
from nfn.operators import STYLES
from nfn.picture_fit import BATCH
from nfn.reader import write_network
from nfn.siren import native_shape

MAX_STRENGTH = 2.0


@dataclass(frozen=True)
class Edited:
    """An edit, the seconds that the predictor took, and the classification of the edited network."""

    result: InrEdit
    predictor: str
    seconds: float
    reading: InrClassification


@lru_cache(maxsize=32)
@torch.no_grad()
def edit(source: Source, style: str, strength: float) -> Edited:
    """Edit a SIREN, so that its picture is the original in another style."""
    if style not in STYLES:
        raise RequestError(f"Unknown style {style!r}: choose one of {', '.join(STYLES)}.")
    if not (math.isfinite(strength) and 0 <= strength <= MAX_STRENGTH):
        raise RequestError(f"Got a strength of {strength:g}; choose one from 0 to {MAX_STRENGTH:g}.")
    model, network = predictor("inr-editor", InrEditor), open_network(source)
    weights = network.parameters
    if weights > MAX_EDITED:
        raise RequestError(
            f"Networks of up to {MAX_EDITED:,} weights can be edited here; this one has {weights:,}. "
            "It can still be drawn and classified."
        )
    check_cost(_cost_of_edit(network, model))
    start = time.perf_counter()
    try:
        result = model.edit(network, style, strength)
    except ValueError as error:
        raise RequestError(str(error)) from error
    seconds = time.perf_counter() - start
    check_finite(torch.tensor(result.mse))
    reading = classify_network(replace(result.network, undeclared=())).result
    return Edited(result, result.predictor, seconds, reading)


def _cost_of_edit(network: Network, model: InrEditor) -> Cost:
    """Every step takes a gradient through all pixels of the picture at once, or through a batch of them."""
    pixels = math.prod(native_shape(network))
    if edits_in_batches(pixels, network.siren) and network.chain is not None and not model.serves(network):
        return Cost(MAX_BATCH_PRODUCTS * TRAINING_FACTOR, network.activations * BATCH)
    steps = model.config.steps * model.config.rounds * (1 + TRAINING_FACTOR)
    return Cost(network.multiplications * pixels * steps, network.activations * pixels)


def save_edit(source: Source, edited: Edited, folder: Path, zoom: int = 8) -> tuple[Path, Path]:
    """Write the edited SIREN (with its original tensor names) and a PNG of it into `folder`; return both paths."""
    stem = f"{safe_stem(source.name)}-{edited.result.style}"
    weights, png = folder / f"{stem}.safetensors", folder / f"{stem}.png"
    write_network(edited.result.network, weights)
    Image.fromarray(to_pixels(draw(edited.result.network, largest_zoom(edited.result.network, zoom)))).save(
        png
    )
    return weights, png
