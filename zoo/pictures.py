"""Picture files of anybody as tensors, and the SIRENs that were fitted to them as networks."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from nfn.network import LayerNames, Network
from nfn.picture_fit import FitProgress
from nfn.siren import SIDE_KEY
from nfn.siren_convention.convention import SirenConvention
from zoo.errors import ZooError

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 50_000_000
"""Of a picture that is decoded: it takes four bytes for each."""
MOST_BYTES = 20 * 2**20
SIDES = (8, 256)
"""The fewest and the most pixels a side that are learned."""


def read_picture(path: str | Path, side: int) -> torch.Tensor:
    """The middle square of a picture file, `(c, side, side)` in [-1, 1]: c is 1 if it is gray, else 3.

    EXIF rotation is applied, and what is transparent is white. ZooError where it is no PNG, JPEG or WebP picture,
    or too large to be decoded.
    """
    if not SIDES[0] <= side <= SIDES[1]:
        raise ZooError(f"Got {side} pixels a side; choose from {SIDES[0]} to {SIDES[1]}.")
    if Path(path).stat().st_size > MOST_BYTES:
        raise ZooError(f"This picture file is larger than {MOST_BYTES >> 20} MB. Make it smaller first.")
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ZooError(
                    f"This picture has {image.width:,} × {image.height:,} pixels; at most {MOST_PIXELS:,} are decoded. "
                    "Make it smaller first."
                )
            return to_square(image, side)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ZooError(
            "This is no picture that can be read. Choose a PNG, JPEG or WebP file, and check that it is whole."
        ) from error


def to_square(image: Image.Image, side: int) -> torch.Tensor:
    """The middle square of a picture, `(c, side, side)` in [-1, 1], on white, upright."""
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    square = ImageOps.fit(on_white, (side, side), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(square)).float().permute(2, 0, 1) / 127.5 - 1
    is_gray = bool((pixels - pixels.mean(0)).abs().max() < 0.02)
    return pixels.mean(0, keepdim=True) if is_gray else pixels


def as_network(progress: FitProgress) -> Network:
    """The SIREN of a fit as a network, which knows how many pixels it was fitted to."""
    features = progress.features
    names = tuple(LayerNames(f"{2 * i}.weight", f"{2 * i}.bias") for i in range(len(features)))
    metadata = {SIDE_KEY: str(progress.picture.shape[1]), "psnr": f"{progress.psnr:.2f}"}
    return Network(features, SirenConvention(), names, metadata)
