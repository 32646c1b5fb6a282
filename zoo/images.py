"""Real images: the data sets that our networks are fitted to or trained on, read from their Hub layout."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from zoo import hub

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
        """The path of a split's parquet file, in the Hub repository and in a folder of the same layout."""
        return f"{self.config}/{split}-00000-of-00001.parquet"

    def facts(self) -> dict[str, str | int]:
        """What the `spec.json` of a collection says of its images."""
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

    Validation is the last 5,000 rows of the published training split; `train` is the rest. Files come from
    the folder that `WEIGHTSCOPE_IMAGES` names, laid out as on the Hub (`owner/name/config/split-...parquet`),
    else from the Hub itself.
    """
    image_set = find_image_set(name)
    path = _parquet_path(image_set, "test" if split == "test" else "train")
    table = pq.read_table(path, columns=[image_set.column, "label"])
    table = table.take(_split_rows(split, len(table))[rows if isinstance(rows, slice) else list(rows)])
    return decode_images(table, image_set.column)


def decode_images(table: pa.Table, column: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images `(n, c, H, W)` uint8 and labels `(n,)` of a table with a column of encoded images, as the Hub has it."""
    pixels = [np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in table[column].to_pylist()]
    stacked = torch.from_numpy(np.stack(pixels))
    images = stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()
    return images, torch.from_numpy(table["label"].to_numpy().copy())


def split_size(name: str, split: str) -> int:
    """How many images a split has."""
    path = _parquet_path(find_image_set(name), "test" if split == "test" else "train")
    return len(_split_rows(split, pq.read_metadata(path).num_rows))


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """uint8 0..255 to float in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_gray(images: torch.Tensor) -> torch.Tensor:
    """uint8 `(n, c, H, W)` to `(n, 1, H, W)`: the luma of ITU-R BT.601, as PIL and TensorFlow have it."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return (images.float() * weights).sum(1, keepdim=True).round().to(torch.uint8)


def find_image_set(name: str) -> ImageSet:
    """The image set of that name; a ValueError lists the known ones."""
    if name not in IMAGE_SETS:
        raise ValueError(f"Unknown images {name!r}: choose one of {', '.join(IMAGE_SETS)}.")
    return IMAGE_SETS[name]


def _split_rows(split: str, total: int) -> np.ndarray:
    if split not in ("train", "validation", "test"):
        raise ValueError(f"Unknown split {split!r}: choose train, validation or test.")
    if split == "test":
        return np.arange(total)
    if total <= VALIDATION_ROWS:
        raise ValueError(
            f"{total} training images are too few: the last {VALIDATION_ROWS} are the validation split."
        )
    if split == "validation":
        return np.arange(total - VALIDATION_ROWS, total)
    return np.arange(total - VALIDATION_ROWS)


def _parquet_path(image_set: ImageSet, split: str) -> Path:
    folder = os.environ.get(IMAGES_FOLDER_VARIABLE)
    if not folder:
        return hub.download_dataset_file(image_set.repo, image_set.file(split))
    path = Path(folder) / image_set.repo / image_set.file(split)
    if not path.is_file():
        raise FileNotFoundError(
            f"No {path}: {IMAGES_FOLDER_VARIABLE} must name a folder with {image_set.repo} in it."
        )
    return path
