"""A small picture of each network: what a SIREN shows, or the first layer of a classifier."""

import io
from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor

from zoo.collection import Collection

BATCH = 500


def thumbnails(collection: Collection) -> Iterator[bytes]:
    """A PNG of each network, in table order."""
    for start in range(0, len(collection), BATCH):
        rows = range(start, min(start + BATCH, len(collection)))
        yield from map(_png, collection.spec.family.draw(collection, rows))


def _png(picture: Tensor) -> bytes:
    values = ((picture + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).save(file, "png")
    return file.getvalue()
