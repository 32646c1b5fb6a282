"""Many small pictures in the bytes of one: a mosaic as PNG (gray) or JPEG (colour)."""

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

COLUMNS = 40
GRAY, COLOUR = (
    (".png", [cv2.IMWRITE_PNG_COMPRESSION, 9]),
    (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_OPTIMIZE, 1,
              cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
)  # fmt: skip


def pack(images: Tensor) -> Tensor:
    """Pictures `(n, c, h, w)` uint8, c 1 or 3, as the bytes `(b,)` uint8 of a mosaic of 40 columns.

    Gray ones come back as they were, colours to about 42 dB.
    """
    n, channels, height, width = images.shape
    if channels not in (1, 3):
        raise ValueError(f"Pictures of {channels} channels: wanted 1 or 3.")
    rows = -(-n // COLUMNS)
    filled = F.pad(images, (0, 0, 0, 0, 0, 0, 0, rows * COLUMNS - n))
    tiles = filled.view(rows, COLUMNS, channels, height, width).permute(0, 3, 1, 4, 2)
    mosaic = tiles.reshape(rows * height, COLUMNS * width, channels).flip(2).contiguous().numpy()
    extension, how = GRAY if channels == 1 else COLOUR
    return torch.from_numpy(cv2.imencode(extension, mosaic, how)[1].reshape(-1).copy())


def unpack(data: Tensor, count: int, channels: int, size: int) -> Tensor:
    """The first `count` pictures `(count, channels, size, size)` uint8 of a mosaic's bytes."""
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    decoded = cv2.imdecode(data.cpu().numpy(), flag)
    if decoded is None or decoded.shape[:2] != (-(-count // COLUMNS) * size, COLUMNS * size):
        raise ValueError(
            f"The stored pictures are damaged: wanted a mosaic of {count} of {size} x {size} pixels."
        )
    colours = decoded.reshape(*decoded.shape[:2], channels)[..., ::-1].copy()
    tiles = torch.from_numpy(colours).view(-1, size, COLUMNS, size, channels).permute(0, 2, 4, 1, 3)
    return tiles.reshape(-1, channels, size, size)[:count].contiguous()
