"""Read picture files as tensors, and turn the SIRENs that were fitted to them into networks."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from nfn.network import LayerNames, Network
from nfn.picture_fit import FitProgress
from nfn.siren import HEIGHT_KEY, WIDTH_KEY
from nfn.siren_convention.convention import SirenConvention
from zoo.errors import ZooError

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 50_000_000
"""The largest number of pixels to decode, at four bytes each."""
MOST_BYTES = 20 * 2**20
DECODE_ERRORS = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What PIL raises for files that it cannot read."""
SIDES = (8, 256)
"""The least and most pixels of the longest side of a picture to fit; the other side has at least the least too."""


def read_picture(path: str | Path, side: int) -> torch.Tensor:
    """Read a picture file as `(c, H, W)` in [-1, 1], its longest side `side` pixels: c is 1 for grayscale, else 3.

    EXIF rotation is applied, transparent pixels become white, and what is longer than the shorter side's minimum allows
    is cropped. Raises ZooError if it is not a PNG, JPEG or WebP
    picture, or too large to decode.
    """
    if not SIDES[0] <= side <= SIDES[1]:
        raise ZooError(f"Got {side} pixels for the longest side; choose from {SIDES[0]} to {SIDES[1]}.")
    if Path(path).stat().st_size > MOST_BYTES:
        raise ZooError(f"This picture file is larger than {MOST_BYTES >> 20} MB. Make it smaller first.")
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ZooError(
                    f"This picture has {image.width:,} × {image.height:,} pixels; at most {MOST_PIXELS:,} are decoded. "
                    "Make it smaller first."
                )
            return shrink(image, side)
    except DECODE_ERRORS as error:
        raise ZooError(
            "This file cannot be read as a picture. Choose a PNG, JPEG or WebP file, and check that it is complete."
        ) from error


def shrink(image: Image.Image, side: int) -> torch.Tensor:
    """A picture as `(c, H, W)` in [-1, 1], its longest side `side` pixels, on white, upright."""
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    width, height = (max(SIDES[0], round(side * x / max(on_white.size))) for x in on_white.size)
    small = ImageOps.fit(on_white, (width, height), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(small)).float().permute(2, 0, 1) / 127.5 - 1
    is_gray = bool((pixels - pixels.mean(0)).abs().max() < 0.02)
    return pixels.mean(0, keepdim=True) if is_gray else pixels


def as_network(progress: FitProgress) -> Network:
    """Turn the SIREN of a fit into a network, with the number of pixels it was fitted to."""
    features = progress.features
    names = tuple(LayerNames(f"{2 * i}.weight", f"{2 * i}.bias") for i in range(len(features)))
    height, width = progress.picture.shape[1:]
    metadata = {HEIGHT_KEY: str(height), WIDTH_KEY: str(width), "psnr": f"{progress.psnr:.2f}"}
    return Network(features, SirenConvention(), names, metadata)
