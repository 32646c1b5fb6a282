"""Compress many small images as one mosaic: lossless WebP, or JPEG."""

from collections.abc import Sequence

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

COLUMNS = 40
MAX_SIDE = 16_383
"""The largest side of a WebP image, in pixels."""
WEBP, JPEG = (
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),  # above 100: lossless
    (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_OPTIMIZE, 1,
              cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
)  # fmt: skip


def pack(images: Tensor, lossless: bool = True) -> Tensor:
    """Images `(n, c, h, w)` uint8, c 1 or 3, to the bytes `(b,)` uint8 of a mosaic with 40 columns.

    JPEG, if not `lossless`, has a PSNR of about 42 dB. Raises ValueError for other channels, and for too many images.
    """
    n, channels, height, width = images.shape
    rows = -(-n // COLUMNS)
    if channels not in (1, 3):
        raise ValueError(f"Pictures of {channels} channels: expected 1 or 3.")
    if max(rows * height, COLUMNS * width) > MAX_SIDE:
        raise ValueError(
            f"{n:,} pictures of {height} x {width} pixels are too many: at most {MAX_SIDE:,} pixels high."
        )
    filled = F.pad(images, (0, 0, 0, 0, 0, 0, 0, rows * COLUMNS - n))
    tiles = filled.view(rows, COLUMNS, channels, height, width).permute(0, 3, 1, 4, 2)
    mosaic = tiles.reshape(rows * height, COLUMNS * width, channels).flip(2).contiguous().numpy()
    extension, how = WEBP if lossless else JPEG
    return torch.from_numpy(cv2.imencode(extension, mosaic, how)[1].reshape(-1).copy())


def unpack(data: Tensor, images: Sequence[int]) -> Tensor:
    """Images of shape `(n, c, h, w)`, uint8, from a mosaic of them; ValueError if it is damaged."""
    count, channels, height, width = images
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    decoded = cv2.imdecode(data.cpu().numpy(), flag)
    if decoded is None or decoded.shape[:2] != (-(-count // COLUMNS) * height, COLUMNS * width):
        raise ValueError(
            f"The stored pictures are damaged: expected a mosaic of {count} of {height} x {width} pixels."
        )
    colours = decoded.reshape(*decoded.shape[:2], channels)[..., ::-1].copy()
    tiles = torch.from_numpy(colours).view(-1, height, COLUMNS, width, channels).permute(0, 2, 4, 1, 3)
    return tiles.reshape(-1, channels, height, width)[:count].contiguous()
