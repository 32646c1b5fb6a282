"""Endpoints that compare checkpoints, describe their spectra, and measure a classifier on test images."""

from dataclasses import asdict
from typing import Any

import gradio as gr

from app.api.endpoint import ImageSet, endpoint
from app.page.source_text import from_request, hub_id_from_request, path_of
from app.tabs.checkpoint import actions as checkpoint_actions
from app.tabs.generalization import actions as generalization_actions
from app.tabs.generalization import measuring
from zoo.card_row import eval_results, model_index
from zoo.measure import as_dict
from zoo.spectra import as_dict as spectrum_as_dict

MAX_ROWS = 2_000
"""Tensors that an answer lists."""


@endpoint
def compare_networks(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    other_file: gr.FileData | None = None,
    other_zoo_id: str | None = None,
    hub_id: str | None = None,
    other_hub_id: str | None = None,
) -> dict[str, Any]:
    """Compare two checkpoints: the same, cast, pruned, quantised, permuted, rescaled, fine-tuned, or a merged LoRA.

    Args:
        file: Any checkpoint with values (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in
            base64 to 3 MB.
        zoo_id: A network of the zoo, such as cifar10-cnns/test/17, instead of a file.
        other_file: The checkpoint that may derive from the first one.
        other_zoo_id: A network of the zoo instead of the other file.
        hub_id: A model on the Hugging Face Hub instead of a file, of at most 100 MiB, such as owner/name.
        other_hub_id: A model on the Hub instead of the other file.

    Returns:
        verdict and means (in words), rows (name, shape and kind of each tensor, the distance relative to the first, the
        cosine, the fraction of values changed, and for weights the rank of the difference where it was computed),
        tensors that are only_in_first, only_in_second or reshaped, and seconds.
    """
    first = hub_id_from_request(hub_id, file, zoo_id) or from_request(file, zoo_id)
    other = hub_id_from_request(other_hub_id, other_file, other_zoo_id) or from_request(
        other_file, other_zoo_id
    )
    found = checkpoint_actions.compare_sources(first, other)
    return {
        "verdict": found.verdict,
        "means": found.means,
        "rows": [asdict(row) for row in found.rows[:MAX_ROWS]],
        "only_in_first": found.only_a[:MAX_ROWS],
        "only_in_second": found.only_b[:MAX_ROWS],
        "reshaped": found.reshaped[:MAX_ROWS],
    }


@endpoint
def weight_spectra(file: gr.FileData | None = None, zoo_id: str | None = None) -> dict[str, Any]:
    """Describe the singular values of each weight of a checkpoint: stable rank and tail exponent, without a grade.

    Args:
        file: Any checkpoint with values (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in
            base64 to 3 MB.
        zoo_id: A network of the zoo, such as cifar10-cnns/test/17, instead of a file.

    Returns:
        spectra: of the first 40 weights whose smaller side is 10 to 512, name, shape (as a matrix), axes (of the weight
        itself), stable_rank, relative_rank (over that of a random matrix), largest (singular value), alpha (exponent of
        the tail, or null), tail (its length), distance (of the fit), rank_percentile and alpha_percentile (0 to 100, or
        null: the share of the zoo's trained layers of this kind that are lower; for alpha, of a similar size); seconds.
    """
    checkpoint = checkpoint_actions.open_checkpoint(from_request(file, zoo_id))
    return {"spectra": [spectrum_as_dict(one) for one in checkpoint_actions.spectra_of(checkpoint)]}


@endpoint
def measure_network(
    file: gr.FileData | None = None,
    zoo_id: str | None = None,
    test_images: gr.FileData | None = None,
    images: ImageSet = "auto",
    pixels: str = "auto",
    part: str = "auto",
) -> dict[str, Any]:
    """Measure the accuracy of an image classifier on your own labelled images, or on 1,000 stored test images.

    Args:
        file: A checkpoint (safetensors, torch.save, ONNX, npz), uploaded to this app, or a data: URI in base64 to 3 MB.
        zoo_id: A network of the zoo, such as cifar10-cnns/test/17, instead of a file.
        test_images: Your images: a .zip with a folder per class, .npz (images and labels), or .parquet as on the Hub.
        images: The stored test images: mnist, fashion_mnist or cifar10; auto takes those it was trained on.
        pixels: The inputs for black and white, such as 0,1, or mnist, cifar10, imagenet (mean and std); auto finds it.
        part: The name of one network, such as actor, if a file has several; auto takes the usual one.

    Returns:
        accuracy with low and high (0 to 1, 95% interval of Wilson), images and correct (their numbers), classes (the
        same for each class), converted (sentences on how images became inputs), model_index and eval_results (YAML
        for a model card) and seconds.
    """
    source = generalization_actions.read_as(from_request(file, zoo_id, part), pixels=pixels)
    own = None if test_images is None else path_of(test_images)
    trial = measuring.stored_images(source, images) if own is None else measuring.own_images(source, own)
    *_, measured = measuring.measure(trial)
    return {
        **as_dict(measured, trial),
        "model_index": model_index(source.name, trial.dataset, measured),
        "eval_results": eval_results(trial.dataset, measured),
    }
