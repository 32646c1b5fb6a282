"""Image data sets that our networks are fitted to or trained on, in the file layout of the Hub."""

import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from zoo.errors import HubError

log = logging.getLogger(__name__)
IMAGES_FOLDER_VARIABLE = "WEIGHTSCOPE_IMAGES"
VALIDATION_ROWS = 5_000


@dataclass(frozen=True)
class ImageSet:
    """A data set of small images; `column` is its image column in the parquet files of its Hub repository."""

    name: str
    title: str
    repo: str
    config: str
    column: str
    channels: int
    size: int
    licence: str
    labels: tuple[str, ...]

    def file(self, split: str) -> str:
        """The path of a split's parquet file, in the Hub repository or in a folder of the same layout."""
        return f"{self.config}/{split}-00000-of-00001.parquet"

    def facts(self) -> dict[str, str | int]:
        """The entry about the images in a collection's `spec.json`."""
        return {"name": self.name, "repo": self.repo, "size": self.size, "licence": self.licence}


IMAGE_SETS = {
    s.name: s
    for s in (
        ImageSet("mnist", "MNIST digits", "ylecun/mnist", "mnist", "image", 1, 28, "MIT",
                 tuple("0123456789")),
        ImageSet("fashion_mnist", "Fashion-MNIST articles", "zalando-datasets/fashion_mnist", "fashion_mnist",
                 "image", 1, 28, "MIT", ("T-shirt or top", "trouser", "pullover", "dress", "coat",
                                "sandal", "shirt", "sneaker", "bag", "ankle boot")),
        ImageSet("cifar10", "CIFAR-10 objects", "uoft-cs/cifar10", "plain_text", "img", 3, 32, "unknown",
                 ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")),
    )
}  # fmt: skip


def load_images(name: str, split: str, rows: Sequence[int] | slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Images `(n, c, size, size)` uint8 and labels `(n,)` of a split: `train`, `validation` or `test`.

    Validation is the last 5,000 rows of the published training split, or the last quarter of a small one; `train` is
    the rest. Files are read from the folder in `WEIGHTSCOPE_IMAGES`, laid out as on the Hub
    (`owner/name/config/split-...parquet`), or else from the Hub.
    """
    image_set = find_image_set(name)
    path = _parquet_path(image_set, "test" if split == "test" else "train")
    log.debug("images from %s", path)
    table = pq.read_table(path, columns=[image_set.column, "label"])
    table = table.take(_split_rows(split, len(table))[rows if isinstance(rows, slice) else list(rows)])
    return decode_images(table, image_set.column)


def decode_images(table: pa.Table, column: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images `(n, c, H, W)` uint8 and labels `(n,)` of a table with a column of encoded images, as on the Hub."""
    pixels = [np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in table[column].to_pylist()]
    stacked = torch.from_numpy(np.stack(pixels))
    images = stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()
    return images, torch.from_numpy(table["label"].to_numpy().copy())


def split_size(name: str, split: str) -> int:
    """The number of images in a split."""
    path = _parquet_path(find_image_set(name), "test" if split == "test" else "train")
    return len(_split_rows(split, pq.read_metadata(path).num_rows))


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 0..255 to float in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_gray(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 `(n, c, H, W)` to grayscale `(n, 1, H, W)`: the luma of ITU-R BT.601, as in PIL and TensorFlow."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return (images.float() * weights).sum(1, keepdim=True).round().to(torch.uint8)


def find_image_set(name: str) -> ImageSet:
    """The image set of that name; raises ValueError, listing all names, if there is none."""
    if name not in IMAGE_SETS:
        raise ValueError(f"Unknown images {name!r}: choose one of {', '.join(IMAGE_SETS)}.")
    return IMAGE_SETS[name]


def _split_rows(split: str, total: int) -> np.ndarray:
    if split not in ("train", "validation", "test"):
        raise ValueError(f"Unknown split {split!r}: choose train, validation or test.")
    if split == "test":
        return np.arange(total)
    first_of_validation = total - min(VALIDATION_ROWS, total // 4)
    return np.arange(first_of_validation, total) if split == "validation" else np.arange(first_of_validation)


def _parquet_path(image_set: ImageSet, split: str) -> Path:
    folder = os.environ.get(IMAGES_FOLDER_VARIABLE)
    if not folder:
        return _from_hub(image_set, split)
    path = Path(folder) / image_set.repo / image_set.file(split)
    if not path.is_file():
        raise FileNotFoundError(
            f"No {path}: {IMAGES_FOLDER_VARIABLE} must name a folder that contains {image_set.repo}."
        )
    return path


def _from_hub(image_set: ImageSet, split: str) -> Path:
    from zoo import hub  # here: its client takes 0.1 s to import, and most of a zoo works without it

    try:
        return hub.download_dataset_file(image_set.repo, image_set.file(split))
    except HubError as error:
        raise HubError(
            f"{error} Or set {IMAGES_FOLDER_VARIABLE} to a folder that contains {image_set.repo}."
        ) from error
