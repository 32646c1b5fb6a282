"""The API of the app, also its MCP tools: plain functions with types and docstrings."""

from dataclasses import asdict
from typing import Any

import gradio as gr
from gradio.events import api

from app.api import describe
from app.api.checkpoint_endpoints import compare_networks, measure_network, weight_spectra
from app.api.endpoint import ImageSet, endpoint
from app.api.inr_endpoints import classify_inr, edit_inr, fit_inr
from app.networks import zoos
from app.networks.arguments import Reader, TicketReader
from app.page.source_text import files_from_request, from_request, hub_id_from_request
from app.page.widgets import store_files
from app.tabs.generalization import actions as generalization_actions
from app.tabs.generalization import batch, readers
from app.tabs.tickets import actions as tickets_actions
from zoo.executor import usable_cores


def add_endpoints() -> None:
    """Publish every endpoint in the current `gr.Blocks`; fast endpoints have a queue of their own.

    The limit is half of the cores: more threads would spend their time waiting for the GIL.
    """
    limit = max(1, usable_cores() // 2)
    for function in ENDPOINTS:
        quick = None if function in SLOW else "quick"
        api(function, api_name=function.__name__, concurrency_limit=limit, concurrency_id=quick)


@endpoint
def list_collections() -> list[dict[str, Any]]:
    """List the collections of the zoo.

    Returns:
        One row per collection: its name, title, kind (siren, classifier, wild or init; wild are classifiers of many
        architectures), number of networks, image set, and the zoo id of its first network.
    """
    return describe.list_collections()


@endpoint
def describe_network(
    file: gr.FileData | None = None, zoo_id: str | None = None, part: str = "auto", hub_id: str | None = None
) -> dict[str, Any]:
    """Describe a checkpoint of any architecture: format, name, tensors, and which endpoints take it.

    Args:
        file: Any checkpoint (safetensors, torch.save, ONNX, GGUF, npz, HDF5, .keras, .pt2), uploaded to this app, or a
            data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as cifar10-cnns/test/17, instead of a file.
        part: The name of one network, such as actor, if a file has several; auto takes the usual one.
        hub_id: A model on the Hugging Face Hub, such as openai-community/gpt2; only its headers are read.

    Returns:
        format, family, layers (name and shape of each weight), parameters, dtypes, inputs (shape of one input),
        classes, health (what is wrong), can (endpoints that take it), assumed (what the file does not say), notes,
        architecture (its name if all names and shapes match, else null), tree (modules and tensors, identical ones
        folded into one), refusal (why no predictor here reads it, or "") and seconds.
    """
    repo = hub_id_from_request(hub_id, file, zoo_id)
    return asdict(
        describe.describe_hub(repo) if repo else describe.describe(from_request(file, zoo_id, part))
    )


@endpoint
def list_networks(collection: str, limit: int = 20) -> list[dict[str, Any]]:
    """List networks of the zoo, with their facts.

    Args:
        collection: A name from list_collections, such as cifar10-cnns (image classifiers) or mnist-sirens (pictures).
        limit: How many networks to list, starting with the first.

    Returns:
        One row per network: its zoo id, split, known facts (a SIREN's label and PSNR in dB, a classifier's measured
        accuracies from 0 to 1) and training recipe.
    """
    return zoos.list_networks(collection, limit)


@endpoint
def predict_generalization(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    activation: str = "auto",
    pixels: str = "auto",
    images: ImageSet = "auto",
    part: str = "auto",
    reading: str = "auto",
    reader: Reader = "best",
) -> dict[str, Any]:
    """Predict the test accuracy of an image classifier from its file alone, without any test data.

    Args:
        file: A checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as cifar10-cnns/test/17, instead of a file.
        activation: Such as relu, tanh, gelu, silu or leaky_relu; auto takes it from the file, else finds it.
        pixels: The inputs for black and white, such as 0,1, or mnist, cifar10, imagenet (mean and std); auto finds it.
        images: The image set that it was trained on: mnist, fashion_mnist or cifar10; auto finds it.
        part: The name of one network, such as actor, if a file has several; auto takes the usual one.
        reading: One of the readings in an earlier answer, if you know which is right; auto takes the best fit.
        reader: best (also runs the network on stored training pictures), or weights (reads only weights and biases).

    Returns:
        test_accuracy, low and high (0 to 1, null without a prediction; the interval contains the true accuracy of a
        fraction `coverage` of networks like the zoo's; the reader weights has no interval: low, high and coverage are
        null), percentile (0 to 100: how many of the zoo's networks measure below this prediction), typical (false: do
        not trust the number; reason says why), note (what else there is to know, such as that it looks untrained; else
        ""), agree (for the reader weights, whether its number lies in the interval of the best reader; else null),
        images and activation, assumed (what the file does not say, in words), readings (other ways to read the file),
        predictor, weights_alone (the accuracy read from weights and biases alone; null for networks that no reader
        takes, and for those that are not typical) and seconds.
    """
    source = generalization_actions.read_as(
        from_request(file, zoo_id, part), images, activation, pixels, reading
    )
    answer = readers.answer(source, reader)
    result = answer.best.result
    return {
        "test_accuracy": answer.accuracy,
        "low": answer.low,
        "high": answer.high,
        "coverage": answer.coverage,
        "percentile": answer.percentile,
        "typical": result.typical,
        "reason": result.reason,
        "note": result.note,
        "agree": answer.agree,
        "images": result.images,
        "activation": result.activation,
        "assumed": list(answer.best.assumed),
        "readings": list(answer.best.readings),
        "predictor": answer.predictor,
        "weights_alone": answer.best.weights,
    }


@endpoint
def predict_generalization_batch(files: list[gr.FileData]) -> list[dict[str, Any]]:
    """Predict the test accuracy of many image classifiers, such as CNNs, from their files alone, without test data.

    Args:
        files: Up to 200 checkpoints, as for predict_generalization; or one file of up to 1,000 stacked networks,
            with the networks along the first axis of every tensor.

    Returns:
        One row per network: its name (of the file, with the index in a stack), predicted accuracy, low and high (0 to
        1), typical, the images and activation that it looks trained with, and error: why there is no prediction, or "".
    """
    return [asdict(row) for row in batch.predict_files(files_from_request(files))]


@endpoint
def winning_ticket(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    sparsity: float = 0.95,
    part: str = "auto",
    reader: TicketReader = "best",
) -> tuple[dict[str, Any], gr.FileData]:
    """Find the winning ticket of an untrained network: the few weights that are worth training.

    Args:
        file: The initialization of a classifier of MNIST (784 inputs or 1x28x28) or CIFAR-10 (3072 or 3x32x32) into
            10 classes: a checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in
            base64 to 3 MB. ONNX and `nfn.save` files contain the wiring; otherwise the most usual wiring is assumed.
        zoo_id: An initialization of the zoo, such as mnist-inits/test/0, instead of a file.
        sparsity: The fraction of the weights that is pruned, above 0 and below 1.
        part: The name of one network, such as actor, if a file has several; auto takes the usual one.
        reader: best, weights (reads weights alone), or training (also trains briefly on stored images).

    Returns:
        First sparsity, kept and total (weights), layers (name, shape and kept of each), note (why the network looks
        trained, since tickets are for untrained networks; else ""), assumed (sentences on what the file does not say),
        reader (weights or training), reason (why it is not weights alone, although that is best here; else ""), shared
        (for a reader that you name, the fraction of these weights that the other reader keeps too; else null),
        predictor (the rule) and seconds; then the mask as safetensors: 0 or 1 in uint8, under the names of the input's
        weights.
    """
    source = from_request(file, zoo_id, part)
    masked, scored = (
        tickets_actions.masked(source, sparsity, reader),
        tickets_actions.score(source, reader),
    )
    other = None if reader == "best" else tickets_actions.other_ticket(source, sparsity, reader)
    mask, _ = store_files(lambda folder: tickets_actions.save_ticket(source, scored, masked, folder))
    facts = {
        "sparsity": masked.sparsity,
        "kept": masked.kept,
        "total": masked.total,
        "layers": [{"name": x.name, "shape": list(x.shape), "kept": x.kept} for x in masked.layers],
        "note": scored.ticket.sentence,
        "assumed": list(scored.assumed),
        "reader": scored.ticket.reader,
        "reason": scored.reason,
        "shared": None if other is None else other.shared,
        "predictor": scored.predictor,
    }
    return facts, gr.FileData(path=mask)


@gr.mcp.resource("weightscope://cards", mime_type="text/markdown")
@endpoint
def read_cards() -> str:
    """Read the cards of the zoo's predictors: training, measurements and limitations of each.

    Returns:
        Markdown, one card after another.
    """
    return describe.cards()


ENDPOINTS = {
    list_collections: "List the zoo's collections",
    list_networks: "List networks of the zoo",
    describe_network: "Describe a network",
    compare_networks: "Compare two checkpoints",
    weight_spectra: "Describe the spectra of weights",
    measure_network: "Measure a classifier's accuracy",
    predict_generalization: "Predict a classifier's test accuracy",
    predict_generalization_batch: "Predict the test accuracy of many classifiers",
    classify_inr: "Classify the picture of a SIREN",
    edit_inr: "Edit the picture in a SIREN",
    fit_inr: "Turn a picture into a SIREN",
    winning_ticket: "Find a winning ticket",
    read_cards: "Read the predictors' cards",
}
"""Every endpoint, with its title."""
SLOW = (fit_inr, winning_ticket, predict_generalization_batch, measure_network)
"""Endpoints that may take seconds, and wait in a queue of their own."""
