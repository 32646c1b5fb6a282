"""Measure a classifier on the stored test images, or on a visitor's own. No gradio."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from app.networks.source import Source, reader_errors
from app.runtime.cost import MAX_ACTIVATIONS
from app.runtime.device import gpu_call_device, on_gpu
from app.runtime.errors import RequestError
from app.tabs.generalization.actions import AUTO, classifier_of, require_graph
from nfn.architecture.graph import Architecture
from nfn.reader.errors import GRAPH_ADVICE
from zoo import measure as zoo_measure
from zoo.bundled import bundled_images, test_images
from zoo.images import IMAGE_SETS
from zoo.measure import Measured, Trial, normalization_sentence, own_trial

MAX_WORK, WORK_PER_SECOND = 4 * 10**12, 4 * 10**10
"""Multiplications for all test images, and how many a core does per second."""
BATCH = 100
"""Images per batch, after which the progress is updated."""


def stored_images(source: Source, images: str = AUTO) -> Trial:
    """The stored test images of a set ("auto": those that the network was trained on) for a network.

    Raises RequestError unless the file declares, the visitor chose or the search clearly found how to read the
    network: otherwise the number would be that of another function.
    """
    classifier = classifier_of(source)
    if classifier.fault is not None or classifier.setting is None:
        raise RequestError(f"{classifier.fault} So it cannot be measured. {GRAPH_ADVICE}")
    name = classifier.setting.images if images == AUTO else images
    setting = replace(classifier.setting, images=name)
    pixels, labels = _stored(name, setting.shape[0])
    sentences = (
        f"They are the first {len(pixels):,} of the published test split",
        normalization_sentence(classifier),
    )
    return Trial(
        IMAGE_SETS[name],
        replace(classifier, setting=setting),
        pixels,
        labels,
        IMAGE_SETS[name].labels,
        sentences,
    )


def own_images(source: Source, path: str) -> Trial:
    """A visitor's test images for a network; RequestError if either does not allow it."""
    with reader_errors():
        return own_trial(classifier_of(source), path)


@on_gpu(seconds=15)
def measure(trial: Trial) -> Iterator[Measured]:
    """Run the network on the images; yield the result so far after each batch. RequestError if it takes too long."""
    batch = _batch_of(require_graph(trial.classifier).architecture, len(trial.images))
    yield from zoo_measure.measure(trial, batch, gpu_call_device())


def _batch_of(architecture: Architecture, images: int) -> int:
    """The batch size; RequestError if all images together would take too long."""
    if architecture.multiplications * images > MAX_WORK:
        seconds = architecture.multiplications * images / WORK_PER_SECOND
        raise RequestError(
            f"This network needs {architecture.multiplications:,} multiplications per image, so {images:,} images "
            f"would take about {seconds:,.0f} s here, which is too long."
        )
    return max(1, min(BATCH, MAX_ACTIVATIONS // max(1, architecture.peak)))


def _stored(name: str, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        return bundled_images(name) if channels == 1 else test_images(name)
    except ValueError as error:
        raise RequestError(str(error)) from error
