"""The real images that the foreign networks are trained on, read with pyarrow and PIL and nothing else."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

FOLDERS = {
    "mnist": "ylecun/mnist/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist/fashion_mnist",
    "cifar10": "uoft-cs/cifar10/plain_text",
}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def read_images(name, split, rows, data=DATA):
    """Rows of a split in their order: uint8 images (n, height, width[, 3]) and int64 labels (n,).

    rows: how many rows from the start, or the numbers of the rows.
    """
    table = pq.read_table(Path(data) / FOLDERS[name] / f"{split}-00000-of-00001.parquet")
    rows = range(rows) if isinstance(rows, int) else [int(row) for row in rows]
    column = table["img" if name == "cifar10" else "image"]
    images = [np.asarray(Image.open(io.BytesIO(column[row]["bytes"].as_py()))) for row in rows]
    labels = np.array([table["label"][row].as_py() for row in rows], dtype=np.int64)
    return np.stack(images), labels
