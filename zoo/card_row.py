"""A measured accuracy as rows for a model card on the Hub."""

from pathlib import PurePosixPath

from zoo import hub
from zoo.images import ImageSet
from zoo.measure import Measured

PLACEHOLDER = "owner/dataset"
"""Stands for the id of a data set that only its owner knows."""


def model_index(network: str, images: ImageSet | str, measured: Measured) -> str:
    """The `model-index` of a card (YAML), for the name of a file or zoo network, on a set or a file of images."""
    dataset = {
        "name": images if isinstance(images, str) else images.title,
        "type": _repo(images),
        "split": "test",
        "args": {"images": measured.total},
    }
    low, high = round(measured.low, 4), round(measured.high, 4)
    metric = {
        "type": "accuracy",
        "name": "Accuracy",
        "value": round(measured.accuracy, 4),
        "args": {"interval": "Wilson, 95%", "low": low, "high": high},
    }
    result = {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": [metric]}
    name = network if "/" in network else PurePosixPath(network).stem
    return hub.yaml_text({"model-index": [{"name": name, "results": [result]}]})


def eval_results(images: ImageSet | str, measured: Measured) -> str:
    """The content of `.eval_results/accuracy.yaml`, which the Hub shows for its benchmark data sets."""
    notes = f"{measured.total:,} images, 95% interval {measured.low:.4f} to {measured.high:.4f} (Wilson)"
    return hub.yaml_text(hub.eval_result(_repo(images), round(measured.accuracy, 4), notes))


def _repo(images: ImageSet | str) -> str:
    return PLACEHOLDER if isinstance(images, str) else images.repo
