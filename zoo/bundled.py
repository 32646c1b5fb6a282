"""Real test images that ship with the zoo, so that a classifier can be measured without downloading a data set."""

import io
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from zoo.catalog import EMBEDDED
from zoo.errors import ZooError
from zoo.files import short_name, write_whole
from zoo.images import IMAGE_SETS, ImageSet, decode_images, find_image_set, load_images, to_gray

FOLDER = EMBEDDED / "images"
COUNT = 1_000
"""How many images of each set are included: the first rows of its published test split."""
COLOUR, COLOUR_COUNT, QUALITY = "cifar10", 1_000, 90
"""The set whose test images are also included in colour, as JPEG of this quality."""


@cache
def bundled_images(name: str, folder: Path = FOLDER) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first test images of a set in grayscale, `(1000, 1, size, size)` uint8, and their labels `(1000,)`.

    Raises ValueError for an unknown set, and ZooError if its file is missing.
    """
    path = _path(find_image_set(name), folder)
    if not path.is_file():
        raise ZooError(
            f"{short_name(path)} is missing: `python -m zoo bundle --out {path.parent}` writes it."
        )
    return decode_images(pq.read_table(path), "image")


@cache
def test_images(name: str, folder: Path = FOLDER) -> tuple[torch.Tensor, torch.Tensor]:
    """Return test images of a set in its own colours, `(n, c, size, size)` uint8, and their labels `(n,)`.

    Raises ValueError for an unknown set, and ZooError if its file is missing.
    """
    if name != COLOUR:
        return bundled_images(name, folder)
    path = _colour_path(folder)
    if not path.is_file():
        raise ZooError(
            f"{short_name(path)} is missing: `python -m zoo bundle --out {path.parent}` writes it."
        )
    return decode_images(pq.read_table(path), "image")


def write_colour_bundle(folder: Path = FOLDER) -> Path:
    """Write the first test images of `COLOUR` as parquet of JPEGs."""
    images, labels = load_images(COLOUR, "test", slice(COLOUR_COUNT))
    cells = [{"bytes": _jpeg(image), "path": None} for image in images]
    return _write(find_image_set(COLOUR), cells, labels, _colour_path(folder))


def write_bundle(name: str, folder: Path = FOLDER, count: int = COUNT) -> Path:
    """Write the first `count` test images of a set in grayscale, as parquet of PNGs like those of the Hub."""
    image_set = find_image_set(name)
    images, labels = load_images(name, "test", slice(count))
    cells = [{"bytes": _png(image), "path": None} for image in to_gray(images)[:, 0]]
    return _write(image_set, cells, labels, _path(image_set, folder))


def _write(image_set: ImageSet, cells: list[dict], labels: torch.Tensor, path: Path) -> Path:
    source = {
        "repo": image_set.repo,
        "split": "test",
        "rows": f"0 to {len(cells) - 1}",
        "licence": image_set.licence,
    }
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())], source
    )
    table = pa.table({"image": cells, "label": labels.tolist()}, schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: pq.write_table(table, part, compression="zstd"))
    return path


def write_notice(folder: Path = FOLDER) -> None:
    """Write `README.md`: what the images are, where they come from, and under which licence."""
    lines = "\n".join(
        f"| {s.name}.parquet | {s.title} | [{s.repo}](https://huggingface.co/datasets/{s.repo}) | {s.licence} |"
        for s in IMAGE_SETS.values()
    )
    text = f"""# Test images

The first {COUNT:,} rows of published test splits, colour made gray (ITU-R BT.601 luma), as parquet of PNGs.
Written by `python -m zoo bundle`; the app measures classifiers on them. `{_colour_path(folder).name}` has the first
{COLOUR_COUNT:,} of CIFAR-10 in colour, as JPEG of quality {QUALITY}: races between masks are measured on them.

| file | images | source | licence |
| --- | --- | --- | --- |
{lines}
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _path(image_set: ImageSet, folder: Path) -> Path:
    return folder / f"{image_set.name}.parquet"


def _png(image: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.numpy()).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _colour_path(folder: Path) -> Path:
    return folder / f"{COLOUR}-colour.parquet"


def _jpeg(image: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "jpeg", quality=QUALITY, optimize=True)
    return buffer.getvalue()
