"""The API of the app, also its MCP tools: plain functions with types and docstrings."""

from typing import Any

import gradio as gr
from gradio.events import api

from app import actions
from app.alerts import alerting
from app.sources import from_request
from app.widgets import keep_files


def add_endpoints() -> None:
    """Publish every endpoint in the `gr.Blocks` at hand."""
    for endpoint in (list_networks, classify_inr, edit_inr):
        api(endpoint, api_name=endpoint.__name__, concurrency_id="predict")


@alerting
def list_networks(collection: str, limit: int = 20) -> list[dict[str, Any]]:
    """List networks of the zoo, with their facts.

    Args:
        collection: A collection of the zoo: mnist-sirens, fashion-mnist-sirens or cifar10-sirens.
        limit: How many networks to list, from the first on.

    Returns:
        One row per network: its zoo id, split, label, PSNR in dB and the recipe it was fitted with.
    """
    return actions.list_networks(collection, limit)


@alerting
def classify_inr(file: gr.FileData | None, zoo_id: str | None, domain: str = "auto") -> dict[str, Any]:
    """Say what a SIREN (a neural network that is a picture) shows, from its weights.

    Args:
        file: A checkpoint of the network, safetensors or torch zip, at most 20 MB, uploaded to this app or as a
            data: URI in base64 (no other URL); null when zoo_id is given.
        zoo_id: A network of the zoo, such as mnist-sirens/test/17; null when a file is given.
        domain: Where to look for the label: mnist, fashion_mnist, cifar10, or auto to let the predictor find it.

    Returns:
        domain, label, probabilities (label to probability), typical (false: unlike the zoo, do not believe the label),
        predictor and seconds.
    """
    done = actions.classify(from_request(file, zoo_id), domain)
    result = done.result
    return {
        "domain": result.domain,
        "label": result.label,
        "probabilities": result.probabilities,
        "typical": result.typical,
        "predictor": done.predictor,
        "seconds": round(done.seconds, 4),
    }


@alerting
def edit_inr(
    file: gr.FileData | None, zoo_id: str | None, style: str, strength: float = 1.0
) -> tuple[dict[str, Any], gr.FileData, gr.FileData]:
    """Edit the picture that a SIREN is, by changing its weights.

    Args:
        file: A checkpoint of the network, safetensors or torch zip, at most 20 MB, uploaded to this app or as a
            data: URI in base64 (no other URL); null when zoo_id is given.
        zoo_id: A network of the zoo, such as mnist-sirens/test/17; null when a file is given.
        style: dilate, erode, contrast, sharpen or neon.
        strength: From 0 (no change) through 1 (the style) to 2 (exaggerated).

    Returns:
        First style, strength, mse and psnr (against the same edit of the pixels), predictor and seconds; then the
        edited network as safetensors, its tensors named as they came in; then a PNG preview of it.
    """
    source = from_request(file, zoo_id)
    done = actions.edit(source, style, float(strength))
    weights, preview = keep_files(lambda folder: actions.save_edit(source, done, folder))
    result = done.result
    facts = {
        "style": result.style,
        "strength": result.strength,
        "mse": result.mse,
        "psnr": result.psnr,
        "predictor": done.predictor,
        "seconds": round(done.seconds, 4),
    }
    return facts, gr.FileData(path=weights), gr.FileData(path=preview)
