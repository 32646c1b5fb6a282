"""Read labelled pictures from an untrusted file: NumPy arrays, parquet as on the Hub, or a zip of a folder per class.

Everything stays in memory: no name in a file is ever used as a path. Pictures are opened lazily, so that the caller can
check their size before they are decoded.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from nfn.reader import NetworkFileError
from nfn.reader.npz_file import is_npz, read_npz
from nfn.reader.tensors import NUMBERS, StoredTensor, read_numbers
from nfn.reader.zip_file import Archive, ArchiveError
from zoo.errors import ZooError, shorten
from zoo.pictures import DECODE_ERRORS, FORMATS, MOST_BYTES
from zoo.table import CODECS, MAGIC, check_footer

MAX_FILE, MAX_IMAGES = 64 << 20, 10_000
"""Bytes of a file of test images, and their number."""
MAX_ENCODED = 100 << 20
"""Bytes of all encoded pictures of a parquet file, in which a value may be repeated at no cost."""
ROWS_AT_ONCE = 2
MAX_PICTURE = 20_000_000
"""Pixels of one picture, which takes about twenty bytes each while it is decoded and converted."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
ARRAYS = (("x_test", "y_test"), ("test_images", "test_labels"), ("x", "y"), ("X", "y"), ("images", "labels"),
          ("image", "label"), ("data", "target"), ("data", "labels"))  # fmt: skip
"""Names of the images and the labels in `.npz` files, the first that are there."""
IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "labels", "fine_label")
WANTED = (
    "Use .npz with arrays named images and labels, .parquet as on the Hub (columns image and label), or a .zip with a "
    "folder of PNG, JPEG or WebP pictures for each class."
)

Label = int | str


@dataclass(frozen=True)
class Labelled:
    """A picture, not decoded yet; its label, a number or the name of a class; and where it is in the file."""

    image: Image.Image
    label: Label
    where: str


def read_labelled(path: Path) -> tuple[Iterator[Labelled], str]:
    """The pictures of a file, in its order, and a remark on what was not read ("": nothing).

    Raises ZooError, also while the pictures are iterated over, if the file has none, or too much of anything.
    """
    size = path.stat().st_size
    if size > MAX_FILE:
        raise ZooError(
            f"The file has {size >> 20:,} MB; at most {MAX_FILE >> 20} MB of test images are read. "
            f"A few hundred images are enough for an interval of a few percent."
        )
    data = path.read_bytes()
    if data.startswith(MAGIC):
        return _from_parquet(path), ""
    if not data.startswith(b"PK"):
        raise ZooError(f"This is not a file of test images. {WANTED}")
    try:
        archive = Archive(data, max_members=2 * MAX_IMAGES)
        return (_from_arrays(read_npz(archive)), "") if is_npz(archive.names) else _from_folders(archive)
    except ArchiveError as error:
        advice = "Pack it again, such as with zip -r images.zip images"
        raise ZooError(f"The archive was refused: {error.fault}. {advice}.") from error
    except NetworkFileError as error:
        raise ZooError(str(error)) from error


def _check_count(count: int) -> None:
    if not count:
        raise ZooError(f"There is no picture in the file. {WANTED}")
    if count > MAX_IMAGES:
        raise ZooError(
            f"The file has {count:,} images; at most {MAX_IMAGES:,} are read. Use the first of them."
        )


def _open(data: bytes | memoryview, where: str) -> Image.Image:
    """Read the header of a picture."""
    if len(data) > MOST_BYTES:
        raise ZooError(f"{where} is larger than {MOST_BYTES >> 20} MB. Make it smaller first.")
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ZooError(f"{where} has more than {MAX_PICTURE:,} pixels. Make it smaller first.") from error
    except DECODE_ERRORS as error:
        raise ZooError(f"{where} cannot be read as a PNG, JPEG or WebP picture.") from error


def _from_folders(archive: Archive) -> tuple[Iterator[Labelled], str]:
    """Pictures whose folder is the name of their class; all class folders are in the same folder."""
    members = archive.members(unpack=True)
    hidden = (".", "__MACOSX")
    visible = [
        name
        for name in members
        if not name.endswith("/") and not any(part.startswith(hidden) for part in name.split("/"))
    ]
    names = [name for name in visible if name.lower().endswith(SUFFIXES)]
    _check_count(len(names))
    parents = {tuple(name.split("/")[:-1])[:-1] if "/" in name else None for name in names}
    if None in parents or len(parents) > 1:
        of_each_parent = {name.rpartition("/")[0].rpartition("/")[0]: name for name in names}
        raise ZooError(
            "The pictures of this zip are not in one folder for each class, all beside each other: found "
            f"{', '.join(shorten(name) for name in list(of_each_parent.values())[:3])}. Expected, for example, "
            "'cats/1.png' and 'dogs/1.png'."
        )
    left = len(visible) - len(names)
    pictures = (Labelled(_open(members[n], shorten(n)), n.split("/")[-2], shorten(n)) for n in names)
    return pictures, f"{left:,} other files in the zip were not read" if left else ""


def _from_arrays(arrays: dict[str, StoredTensor]) -> Iterator[Labelled]:
    pair = next((pair for pair in ARRAYS if set(pair) <= set(arrays)), None)
    if pair is None:
        found = ", ".join(f"{shorten(name, 30)} {one.shape}" for name, one in list(arrays.items())[:6])
        raise ZooError(f"The .npz has {found or 'no arrays'}. {WANTED}")
    images, labels = (_array(name, arrays[name]) for name in pair)
    _check_count(len(images))
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ZooError(
            f"{shorten(pair[1])} has the shape {labels.shape} and type {labels.dtype}; expected a whole number for "
            f"each of the {len(images):,} images (for one-hot labels, labels.argmax(1))."
        )
    pictures = _as_bytes(pair[0], images)
    for row, (pixels, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
        yield Labelled(Image.fromarray(pixels), label, f"image {row}")


def _array(name: str, tensor: StoredTensor) -> np.ndarray:
    if tensor.problem or tensor.dtype not in NUMBERS:
        raise ZooError(
            f"The array {shorten(name)} has values of type {shorten(tensor.dtype)}; expected numbers."
        )
    if not tensor.shape or 0 in tensor.shape:
        raise ZooError(
            f"The array {shorten(name)} has the shape {tensor.shape}, which has no images. {WANTED}"
        )
    return read_numbers(name, tensor)


def _as_bytes(name: str, images: np.ndarray) -> np.ndarray:
    """Images `(n, H, W)` or `(n, H, W, c)` of uint8, from pixels of 0 to 255, or floats of 0 to 1."""
    images = _channels_last(name, images)
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 255):
        raise ZooError(
            f"{shorten(name)} has values from {low:.3g} to {high:.3g}; expected pixels from 0 to 255, or from 0 to 1, "
            "before any normalization."
        )
    is_unit = images.dtype.kind in "fb" and high <= 1
    return np.ascontiguousarray(np.round(images * 255 if is_unit else images), dtype=np.uint8)


def _channels_last(name: str, images: np.ndarray) -> np.ndarray:
    shape = images.shape
    if len(shape) == 3:
        return images
    last, first = (len(shape) == 4 and shape[axis] in (1, 3) for axis in (3, 1))
    if last == first:
        raise ZooError(
            f"{shorten(name)} has the shape {shape}; expected (n, height, width), (n, height, width, c) or (n, c, "
            "height, width) with c = 1 or 3 channels."
        )
    images = images if last else images.transpose(0, 2, 3, 1)
    return images[..., 0] if images.shape[3] == 1 else images


def _from_parquet(path: Path) -> Iterator[Labelled]:
    check_footer(path)
    try:
        with pq.ParquetFile(path) as file:
            image, label = _columns(file)
            _check_count(file.metadata.num_rows)
            _check_codecs(file.metadata)
            yield from _rows(file, image, label)
    except (pa.ArrowException, OSError) as error:
        raise ZooError("This parquet file is damaged. Write it again, or download it again.") from error


def _columns(file: pq.ParquetFile) -> tuple[str, str]:
    """The columns of the images, encoded as the Hub does, and of the labels."""
    types = {field.name: field.type for field in file.schema_arrow}
    image = next((name for name in IMAGE_COLUMNS if name in types and _is_encoded(types[name])), None)
    label = next((name for name in LABEL_COLUMNS if name in types and _is_label(types[name])), None)
    if image is None or label is None:
        found = ", ".join(
            f"{shorten(name, 30)} ({shorten(str(kind), 40)})" for name, kind in list(types.items())[:6]
        )
        raise ZooError(
            f"The parquet file has the columns {found}; expected image or img (a struct with encoded bytes, as "
            "datasets writes it) and label (whole numbers, or text)."
        )
    return image, label


def _is_encoded(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(f.name == "bytes" and pa.types.is_binary(f.type) for f in kind)


def _is_label(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_string(kind)


def _check_codecs(metadata: pq.FileMetaData) -> None:
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    codecs = {group.column(i).compression for group in groups for i in range(metadata.num_columns)}
    if not codecs <= CODECS:
        raise ZooError(
            f"The parquet file is compressed with {', '.join(sorted(codecs - CODECS))}: write it with snappy."
        )


def _rows(file: pq.ParquetFile, image: str, label: str) -> Iterator[Labelled]:
    """The rows, a few at a time, because a small file may repeat a large value many times."""
    row, total = 0, 0
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=[f"{image}.bytes", label]):
        total += batch.nbytes
        if total > MAX_ENCODED:
            raise ZooError(
                f"The pictures of this file take more than {MAX_ENCODED >> 20} MB. Use fewer of them."
            )
        for cell, value in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
            where = f"row {row}"
            if cell is None or cell["bytes"] is None or value is None:
                raise ZooError(
                    f"{where} of the parquet file has no {'label' if value is None else 'picture'} in it."
                )
            yield Labelled(_open(cell["bytes"], where), value, where)
            row += 1
