"""Probabilities of a picture classifier, from which a weights-only reader learns (distillation, arXiv:1503.02531)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from nfn.classifier import InrClassifier
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.files import write_whole
from zoo.training import STDERR

BATCH = 500


def teach(teacher: InrClassifier, collection: Collection, cache: Path) -> Tensor:
    """The teacher's probabilities `(n, labels)` of each SIREN's labels, read from the file `cache` if it exists.

    Raises ZooError if the teacher does not know these labels.
    """
    names = list(collection.spec.label_names)
    if teacher.config.labels.get(collection.images) != names:
        raise ZooError(
            f"The teacher does not know the labels of {collection.folder.name}: its image sets are "
            f"{', '.join(teacher.config.labels)}, with other labels or another name than {collection.images}."
        )
    if not cache.exists():
        probabilities = _probabilities(teacher, collection).half()
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache, lambda part: torch.save(probabilities, part))
    return torch.load(cache, weights_only=True).float()


def _probabilities(teacher: InrClassifier, collection: Collection) -> Tensor:
    """For all rows, batch by batch, with progress."""
    features, offset = collection.normalized(), teacher.class_offset(collection.images)
    labels = len(collection.spec.label_names)
    starts = range(0, len(collection), BATCH)
    parts = [
        teacher.probabilities(features.select(slice(i, i + BATCH)))[:, offset : offset + labels]
        for i in track(starts, f"teacher, {collection.folder.name}", console=STDERR)
    ]
    return F.normalize(torch.cat(parts), p=1)
