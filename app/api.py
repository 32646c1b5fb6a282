"""The API of the app, also its MCP tools: plain functions with types and docstrings."""

import math
from dataclasses import asdict
from typing import Any

import gradio as gr
from gradio.events import api

from app import actions, batch, describe, generalization, own_picture, readers, tickets
from app.actions import RequestError
from app.alerts import alerting
from app.arguments import checked
from app.sources import files_from_request, from_request, path_of
from app.widgets import keep_files
from zoo.build import usable_cores
from zoo.pictures import as_network, read_picture
from zoo.siren_conventions import as_text

TOLD = ("omega", "coordinates", "coordinate_range", "pixels", "output")
"""Arguments that say how a SIREN is written down."""


def add_endpoints() -> None:
    """Publish every endpoint in the `gr.Blocks` at hand; what takes milliseconds waits for nothing slower.

    More threads than cores would wait for one another's lock more than they compute.
    """
    limit = max(1, usable_cores() // 2)
    for endpoint in ENDPOINTS:
        quick = None if endpoint in (fit_inr, winning_ticket, predict_generalization_batch) else "quick"
        api(endpoint, api_name=endpoint.__name__, concurrency_limit=limit, concurrency_id=quick)


@alerting
@checked
def list_collections() -> list[dict[str, Any]]:
    """List the collections of the zoo.

    Returns:
        One row per collection: its name, title, kind (siren, classifier or init), number of networks, the image set,
        and the zoo id of its first network.
    """
    return describe.list_collections()


@alerting
@checked
def describe_network(
    file: gr.FileData | None = None, zoo_id: str | None = None, part: str = "auto", hub_id: str | None = None
) -> dict[str, Any]:
    """Say what a checkpoint is, of any architecture: format, name, tensors, and what can be done with it here.

    Args:
        file: Any checkpoint (safetensors, torch.save, ONNX, GGUF, npz, .pt2), uploaded to this app, or a data: URI in
            base64 to 3 MB.
        zoo_id: A network of the zoo, such as cifar10-cnns/test/17, instead of a file.
        part: The network that is meant, such as actor, where a file holds several; auto takes the usual one.
        hub_id: A model on the Hugging Face Hub, such as openai-community/gpt2, of which only headers are read.

    Returns:
        format, family, layers (name and shape of each weight), parameters, dtypes, inputs (one input's shape), classes,
        health (what is wrong), can (endpoints that take it), assumed (what was taken for granted), notes, architecture
        (its name, where all names and shapes are that architecture's, else null), tree (modules and tensors, alike ones
        folded into one), refusal (why no predictor here reads it, or "").
    """
    if hub_id is not None and (file is not None or zoo_id is not None or not isinstance(hub_id, str)):
        raise RequestError("hub_id must be text such as openai-community/gpt2, and the only network.")
    return asdict(
        describe.describe_hub(hub_id) if hub_id else describe.describe(from_request(file, zoo_id, part))
    )


@alerting
@checked
def list_networks(collection: str, limit: int = 20) -> list[dict[str, Any]]:
    """List networks of the zoo, with their facts.

    Args:
        collection: A collection of the zoo: cifar10-cnns (image classifiers), mnist-sirens, fashion-mnist-sirens or
            cifar10-sirens (pictures).
        limit: How many networks to list, from the first on.

    Returns:
        One row per network: its zoo id, split, what is known of it (a SIREN's label and PSNR in dB, a classifier's
        measured accuracies from 0 to 1) and the recipe it was trained with.
    """
    return actions.list_networks(collection, limit)


@alerting
@checked
def predict_generalization(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    activation: str = "auto",
    pixels: str = "auto",
    images: str = "auto",
    part: str = "auto",
    reading: str = "auto",
) -> dict[str, Any]:
    """Predict the test accuracy of an image classifier from its file alone, without any test data.

    Args:
        file: A checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as cifar10-cnns/test/17, instead of a file.
        activation: Such as relu, tanh, gelu, silu or leaky_relu; auto takes the file's word for it, else finds it.
        pixels: What black and white become, such as 0,1, or mnist, cifar10, imagenet (mean and std); auto finds it.
        images: The image set that it learned from: mnist, fashion_mnist or cifar10; auto finds it.
        part: The network that is meant, such as actor, where a file holds several; auto takes the usual one.
        reading: One of the readings in an earlier answer, where you know which is right; auto takes what fits best.

    Returns:
        test_accuracy, low and high (0 to 1, null without a prediction; the interval holds the truth in a share of
        `coverage` of networks like the zoo's), percentile (0 to 100: the share of the zoo's networks that measure below
        this prediction), typical (false: do not believe the number; reason says why), images and activation as found,
        assumed (what was taken for granted, in words), readings (other ways in which it was tried), predictor, seconds.
    """
    source = generalization.read_as(from_request(file, zoo_id, part), images, activation, pixels, reading)
    done = generalization.predict(source)
    result = done.result
    known = math.isfinite(result.test_accuracy)
    return {
        "test_accuracy": result.test_accuracy if known else None,
        "low": result.low if known else None,
        "high": result.high if known else None,
        "coverage": result.coverage,
        "percentile": done.percentile,
        "typical": result.typical,
        "reason": result.reason,
        "images": result.images,
        "activation": result.activation,
        "assumed": list(done.assumed),
        "readings": list(done.readings),
        "predictor": result.predictor,
        "seconds": round(done.seconds, 4),
    }


@alerting
@checked
def predict_generalization_batch(files: list[gr.FileData]) -> list[dict[str, Any]]:
    """Predict the test accuracy of many small image classifiers (CNNs) from their weights alone.

    Args:
        files: Up to 200 checkpoints, as for predict_generalization; or one file of up to 1,000 stacked networks,
            whose tensors all have the networks as their first axis.

    Returns:
        One row per network: its name (the file's, and the place in a stack), predicted accuracy, low and high (0 to
        1), typical, images and activation that it looks trained with, and error: why there is no prediction, or "".
    """
    return [asdict(row) for row in batch.predict_files(files_from_request(files))]


@alerting
@checked
def classify_inr(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    domain: str = "auto",
    omega: str = "auto",
    coordinates: str = "auto",
    coordinate_range: str = "auto",
    pixels: str = "auto",
    output: str = "auto",
    part: str = "auto",
    reader: str = "best",
) -> dict[str, Any]:
    """Say what a SIREN (a neural network that is a picture) shows, from its weights.

    Args:
        file: A checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as mnist-sirens/test/17, instead of a file.
        domain: Where to look for the label: mnist, fashion_mnist, cifar10, or auto to let the predictor find it.
        omega: The factor in the sines, such as 30, or 30,1 for the first and the other layers; auto finds it.
        coordinates: Their order, row,col or x,y; auto finds it.
        coordinate_range: Such as -1,1 or 0,1 or -0.5,0.5 or -pi,pi; auto finds it.
        pixels: The outputs of black and white, such as 0,1, or mnist, cifar10, imagenet (mean and std); auto finds it.
        output: What is at the end: linear, sigmoid, tanh or sine; auto finds it.
        part: The network that is meant, such as actor, where a file holds several; auto takes the usual one.
        reader: best (looks at the picture that the network draws), or weights (at weights and biases alone).

    Returns:
        domain, label, probabilities (label to probability), typical (false: unlike the zoo, or other conventions fit
        as well: do not believe the label), convention (in the words of the arguments), assumed (sentences on what had
        to be found), alternatives (label, probability and sentence of conventions that fit too), predictor and seconds.
        With reader weights, typical is false as well where both readers name different things.
    """
    source = read_as(from_request(file, zoo_id, part), omega, coordinates, coordinate_range, pixels, output)
    answer = readers.answer(source, domain, reader)
    done, result = answer.best, answer.best.result
    return {
        "domain": answer.domain,
        "label": answer.label,
        "probabilities": answer.probabilities,
        "typical": answer.typical,
        "convention": as_text(result.convention),
        "assumed": list(result.assumed),
        "alternatives": [
            {"domain": a.domain, "label": a.label, "probability": a.probability, "sentence": a.sentence}
            for a in result.alternatives
        ],
        "predictor": answer.predictor,
        "seconds": round(done.seconds, 4),
    }


def read_as(source: actions.Source, *told: str) -> actions.Source:
    """The source, read as the arguments say; `told` in the order of `TOLD`."""
    return actions.read_as(source, **dict(zip(TOLD, told, strict=True)))


@alerting
@checked
def edit_inr(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    style: str = "dilate",
    strength: float = 1.0,
    omega: str = "auto",
    coordinates: str = "auto",
    coordinate_range: str = "auto",
    pixels: str = "auto",
    output: str = "auto",
    part: str = "auto",
) -> tuple[dict[str, Any], gr.FileData, gr.FileData]:
    """Edit the picture that a SIREN is, by changing its weights.

    Args:
        file: A checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as mnist-sirens/test/17, instead of a file.
        style: dilate, erode, contrast, sharpen or neon.
        strength: From 0 (no change) through 1 (the style) to 2 (exaggerated).
        omega: The factor in the sines, such as 30, or 30,1 for the first and the other layers; auto finds it.
        coordinates: Their order, row,col or x,y; auto finds it.
        coordinate_range: Such as -1,1 or 0,1 or -0.5,0.5 or -pi,pi; auto finds it.
        pixels: The outputs of black and white, such as 0,1, or mnist, cifar10, imagenet (mean and std); auto finds it.
        output: What is at the end: linear, sigmoid, tanh or sine; auto finds it.
        part: The network that is meant, such as actor, where a file holds several; auto takes the usual one.

    Returns:
        First style, strength, mse and psnr (against the same edit of the pixels), convention (in the words of the
        arguments), assumed (sentences on what had to be found), predictor and seconds; then the edited network as
        safetensors, its tensors named as they came in; then a PNG preview of it.
    """
    source = read_as(from_request(file, zoo_id, part), omega, coordinates, coordinate_range, pixels, output)
    done = actions.edit(source, style, strength)
    weights, preview = keep_files(lambda folder: actions.save_edit(source, done, folder))
    result = done.result
    facts = {
        "style": result.style,
        "strength": result.strength,
        "mse": result.mse,
        "psnr": result.psnr,
        "convention": as_text(result.network.siren),
        "assumed": list(result.network.assumed),
        "predictor": done.predictor,
        "seconds": round(done.seconds, 4),
    }
    return facts, gr.FileData(path=weights), gr.FileData(path=preview)


@alerting
@checked
def fit_inr(
    image: gr.FileData, size: str = "medium", pixels: int = 128, steps: int = 0
) -> tuple[dict[str, Any], gr.FileData, gr.FileData]:
    """Turn a picture into a neural network: a SIREN that answers each pixel's coordinates with its colour.

    Args:
        image: A PNG, JPEG or WebP picture, uploaded to this app, or a data: URI in base64 to 3 MB; its middle square
            is learned.
        size: small (1,200 weights), medium (34,000) or large (133,000).
        pixels: Pixels a side that are learned, from 8 to 256.
        steps: Steps of training, up to 5,000; 0 for as many as suit the size and the pixels.

    Returns:
        First size, pixels, steps, psnr (dB), parameters and seconds; then the network as safetensors, which every
        other endpoint takes; then a PNG preview of what it shows.
    """
    path = path_of(image)
    *_, done = own_picture.fit(read_picture(path, pixels), size, steps or None)
    files = keep_files(lambda folder: own_picture.save_both(done, folder))
    facts = {
        "size": size,
        "pixels": pixels,
        "steps": done.progress.steps,
        "psnr": round(done.progress.psnr, 2),
        "parameters": as_network(done.progress).parameters,
        "seconds": round(done.seconds, 3),
    }
    return facts, gr.FileData(path=files[0]), gr.FileData(path=files[1])


@alerting
@checked
def winning_ticket(
    file: gr.FileData | None = None, zoo_id: str | None = None, sparsity: float = 0.95, part: str = "auto"
) -> tuple[dict[str, Any], gr.FileData]:
    """Find the winning ticket of an untrained network: which few of its weights are worth training.

    Args:
        file: A checkpoint of the initialization, safetensors or torch zip, at most 100 MB, uploaded to this app or, up
            to 3 MB, as a data: URI in base64 (no other URL); null when zoo_id is given. Any classifier of MNIST
            (784 inputs or 1x28x28) or CIFAR-10 (3072 or 3x32x32) into 10 classes; ONNX and `nfn.save` say how it is
            wired, else the most usual wiring is assumed.
        zoo_id: An initialization of the zoo, such as mnist-inits/test/0; null when a file is given.
        sparsity: The share of the weights that is pruned, above 0 and below 1.
        part: The network that is meant, such as actor, where a file holds several; auto takes the usual one.

    Returns:
        First sparsity, kept and total (weights), layers (name, shape and kept of each), note (what makes the network
        look trained, which tickets are not for, else ""), assumed (sentences on what the file does not say), predictor
        (by which rule) and seconds; then the mask as safetensors, 0 or 1 in uint8 under the names of the weights as
        they came in.
    """
    source = from_request(file, zoo_id, part)
    shown, found = tickets.masked(source, sparsity), tickets.find(source)
    mask, _ = keep_files(lambda folder: tickets.save_ticket(source, found, shown, folder))
    facts = {
        "sparsity": shown.sparsity,
        "kept": shown.kept,
        "total": shown.total,
        "layers": [{"name": x.name, "shape": list(x.shape), "kept": x.kept} for x in shown.layers],
        "note": found.ticket.sentence,
        "assumed": list(found.assumed),
        "predictor": found.predictor,
        "seconds": round(found.seconds, 4),
    }
    return facts, gr.FileData(path=mask)


ENDPOINTS = (
    list_collections, list_networks, describe_network, predict_generalization, classify_inr, edit_inr, fit_inr,
    winning_ticket, predict_generalization_batch,
)  # fmt: skip
