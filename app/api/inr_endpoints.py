"""Endpoints of pictures in SIRENs: classify, edit, fit."""

from dataclasses import asdict
from typing import Any, Literal

import gradio as gr

from app.api.endpoint import ImageSet, endpoint
from app.networks.arguments import Reader
from app.networks.source import Source
from app.page.source_text import from_request, path_of
from app.page.widgets import store_files
from app.tabs.inr import actions as inr_actions
from app.tabs.inr import own_picture, readers
from app.tabs.inr.edit import edit, save_edit
from nfn.classifier import InrClassification
from zoo.picture_sizes import PictureSizes
from zoo.pictures import as_network, read_picture
from zoo.siren_conventions import as_text

Style = Literal["dilate", "erode", "contrast", "sharpen", "neon"]
Coordinates = Literal["auto", "row,col", "x,y"]
Output = Literal["auto", "linear", "sigmoid", "tanh", "sine"]
Size = Literal["small", "medium", "large"]
CONVENTION_ARGUMENTS = ("omega", "coordinates", "coordinate_range", "pixels", "output")
"""The arguments that describe a SIREN's convention, in the order of the endpoints."""


@endpoint
def classify_inr(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    domain: ImageSet = "auto",
    omega: str = "auto",
    coordinates: Coordinates = "auto",
    coordinate_range: str = "auto",
    pixels: str = "auto",
    output: Output = "auto",
    part: str = "auto",
    reader: Reader = "best",
) -> dict[str, Any]:
    """Classify the picture of a SIREN (a neural network that is a picture), from its weights.

    Args:
        file: A checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as mnist-sirens/test/17, instead of a file.
        domain: The image set of the labels: mnist, fashion_mnist, cifar10, or auto to let the predictor find it.
        omega: The factor in the sines, such as 30, or 30,1 for the first and the other layers; auto finds it.
        coordinates: Their order, row,col or x,y; auto finds it.
        coordinate_range: Such as -1,1 or 0,1 or -0.5,0.5 or -pi,pi; auto finds it.
        pixels: The outputs of black and white, such as 0,1, or mnist, cifar10, imagenet (mean and std); auto finds it.
        output: The output activation: linear, sigmoid, tanh or sine; auto finds it.
        part: The name of one network, such as actor, if a file has several; auto takes the usual one.
        reader: best (looks at the picture that the network draws), or weights (reads only weights and biases).

    Returns:
        domain, label, probabilities (label to probability), typical (false: do not trust the label), reason (why it is
        not typical, such as that it shows none of these classes and the label is only the nearest; else ""), agree
        (for the reader weights, whether the best reader gives the same label; else null), convention (in the words of
        the arguments), assumed (sentences on what had to be found), alternatives (label, probability and sentence of
        other conventions that fit), predictor and seconds.
    """
    source = read_as(from_request(file, zoo_id, part), omega, coordinates, coordinate_range, pixels, output)
    answer = readers.answer(source, domain, reader)
    result = answer.best.result
    return {
        "domain": answer.domain,
        "label": answer.label,
        "probabilities": answer.probabilities,
        "typical": answer.typical,
        "reason": answer.reason,
        "agree": answer.agree,
        "convention": as_text(result.convention),
        "assumed": list(result.assumed),
        "alternatives": [
            {"domain": a.domain, "label": a.label, "probability": a.probability, "sentence": a.sentence}
            for a in result.alternatives
        ],
        "predictor": answer.predictor,
    }


def read_as(source: Source, *convention: str) -> Source:
    """The source with the convention of the arguments, in the order of `CONVENTION_ARGUMENTS`."""
    return inr_actions.read_as(source, **dict(zip(CONVENTION_ARGUMENTS, convention, strict=True)))


@endpoint
def edit_inr(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    style: Style = "dilate",
    strength: float = 1.0,
    omega: str = "auto",
    coordinates: Coordinates = "auto",
    coordinate_range: str = "auto",
    pixels: str = "auto",
    output: Output = "auto",
    part: str = "auto",
) -> tuple[dict[str, Any], gr.FileData, gr.FileData]:
    """Edit the picture of a SIREN by changing its weights.

    Args:
        file: A checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as mnist-sirens/test/17, instead of a file.
        style: dilate, erode, contrast, sharpen or neon.
        strength: From 0 (no change) through 1 (the style) to 2 (exaggerated).
        omega: The factor in the sines, such as 30, or 30,1 for the first and the other layers; auto finds it.
        coordinates: Their order, row,col or x,y; auto finds it.
        coordinate_range: Such as -1,1 or 0,1 or -0.5,0.5 or -pi,pi; auto finds it.
        pixels: The outputs of black and white, such as 0,1, or mnist, cifar10, imagenet (mean and std); auto finds it.
        output: The output activation: linear, sigmoid, tanh or sine; auto finds it.
        part: The name of one network, such as actor, if a file has several; auto takes the usual one.

    Returns:
        First style, strength, mse and psnr (against the same edit of the pixels), convention (in the words of the
        arguments), assumed (sentences on what had to be found), before and after (classify_inr of the original and the
        edited network: domain, label, probability, typical), predictor and seconds; then the edited network as
        safetensors, with the tensor names of the input; then a PNG preview of it.
    """
    source = read_as(from_request(file, zoo_id, part), omega, coordinates, coordinate_range, pixels, output)
    done = edit(source, style, strength)
    weights, preview = store_files(lambda folder: save_edit(source, done, folder))
    result = done.result
    facts = {
        "style": result.style,
        "strength": result.strength,
        "mse": result.mse,
        "psnr": result.psnr,
        "convention": as_text(result.network.siren),
        "assumed": list(result.network.assumed),
        "before": summarize(inr_actions.classify(source).result),
        "after": summarize(done.reading),
        "predictor": done.predictor,
    }
    return facts, gr.FileData(path=weights), gr.FileData(path=preview)


def summarize(result: InrClassification) -> dict[str, Any]:
    """The most likely label of a network, without the others."""
    return {
        "domain": result.domain,
        "label": result.label,
        "probability": result.probabilities[result.label],
        "typical": result.typical,
    }


@endpoint
def fit_inr(
    image: gr.FileData, size: Size = "medium", pixels: int = 128, steps: int = 0
) -> tuple[dict[str, Any], gr.FileData, gr.FileData]:
    """Turn a picture into a neural network: a SIREN that maps each pixel's coordinates to its colour.

    Args:
        image: A PNG, JPEG or WebP picture, uploaded to this app, or a data: URI in base64 to 3 MB.
        size: small (1,200 weights), medium (34,000) or large (133,000).
        pixels: Pixels of the longest side that is fitted, from 8 to 256.
        steps: Training steps, up to 5,000; 0 chooses a number that suits the size and the pixels.

    Returns:
        First size, height and width (pixels), steps, psnr (dB), parameters, bytes (of the weights as float32 and
        float16, and of the picture as PNG and, at the network's PSNR, JPEG and WebP; null if their best quality is
        below it), float16_psnr and seconds; then the network as safetensors, which the other endpoints take; then a
        PNG preview of its picture.
    """
    path = path_of(image)
    *_, done = own_picture.fit(read_picture(path, pixels), size, steps or None)
    files = store_files(lambda folder: own_picture.save_with_png(done, folder))
    facts = {
        "size": size,
        "height": done.progress.picture.shape[1],
        "width": done.progress.picture.shape[2],
        "steps": done.progress.steps,
        "psnr": round(done.progress.psnr, 2),
        "parameters": as_network(done.progress).parameters,
        **_bytes(done.sizes),
    }
    return facts, gr.FileData(path=files[0]), gr.FileData(path=files[1])


def _bytes(sizes: PictureSizes) -> dict[str, Any]:
    numbers = asdict(sizes)
    psnr = round(numbers.pop("float16_psnr"), 2)
    return {"bytes": numbers, "float16_psnr": psnr}
