"""Bytes of a fitted network beside those of PNG, JPEG and WebP files of the same picture."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nfn.picture_fit import FitProgress
from nfn.siren import render


@dataclass(frozen=True)
class PictureSizes:
    """Bytes by format: of the weights, of a lossless PNG, and of the smallest JPEG and WebP of the network's PSNR.

    `jpeg` and `webp` are None if no quality reaches that PSNR; `float16_psnr` (dB) is the PSNR of rounded weights.
    """

    float32: int
    float16: int
    float16_psnr: float
    png: int
    jpeg: int | None
    webp: int | None

    @property
    def sentence(self) -> str:
        """The sizes, and how the network's compares with the smallest of the picture files."""
        files = {"PNG": self.png, "JPEG": self.jpeg, "WebP": self.webp}
        known = {name: size for name, size in files.items() if size is not None}
        sizes = ", ".join(
            f"{name} {kilobytes(size)}" if size is not None else f"no {name} reaches it"
            for name, size in files.items()
        )
        name, least = min(known.items(), key=lambda pair: pair[1])
        return (
            f"As float16 {kilobytes(self.float16)} at {self.float16_psnr:.1f} dB. Picture files (PNG without loss, "
            f"JPEG and WebP of the network's PSNR): {sizes}. {_comparison(self.float16 / least, name)}"
        )


def _comparison(ratio: float, name: str) -> str:
    if ratio > 1:
        return f"The network is {ratio:.1f} times as large as the {name}, even as float16."
    return f"The network as float16 is the smallest: the {name} is {1 / ratio:.1f} times as large."


def kilobytes(size: int) -> str:
    """A number of bytes in KB of 1,024 bytes."""
    return f"{size / 1024:,.1f} KB" if size < 10 * 1024 else f"{size / 1024:,.0f} KB"


@torch.no_grad()
def compare_sizes(image: Tensor, fit: FitProgress) -> PictureSizes:
    """Compare a finished fit with files of its picture `(c, H, W)` in [-1, 1]."""
    weights = sum(x.numel() for pair in fit.features for x in pair)
    rounded = render(fit.features.map(lambda x: x.half().float()), *image.shape[1:])[0]
    pixels = ((image + 1) * 127.5).round().to(torch.uint8).movedim(0, 2).numpy()
    picture = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    return PictureSizes(
        float32=4 * weights,
        float16=2 * weights,
        float16_psnr=_psnr(rounded, image),
        png=len(_encode(picture, "PNG", optimize=True)),
        jpeg=min(_sizes(picture, image, fit.psnr, "JPEG", ({"subsampling": 0}, {"subsampling": 2})), default=None),
        webp=min(_sizes(picture, image, fit.psnr, "WEBP", ({},)), default=None),
    )  # fmt: skip


def _sizes(
    picture: Image.Image, image: Tensor, psnr: float, form: str, ways: tuple[dict, ...]
) -> Iterator[int]:
    """For each way to encode that can reach `psnr`: the bytes at the lowest quality that does, found by bisection."""
    for way in ways:
        low, high, size = 1, 101, None
        while low < high:
            quality = (low + high) // 2
            data = _encode(picture, form, quality=quality, **way)
            if _psnr(_decode(data, picture.mode), image) >= psnr:
                high, size = quality, len(data)
            else:
                low = quality + 1
        if size is not None:
            yield size


def _encode(picture: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _decode(data: bytes, mode: str) -> Tensor:
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert(mode))).float() / 127.5 - 1
    return pixels[None] if mode == "L" else pixels.movedim(2, 0)


def _psnr(picture: Tensor, image: Tensor) -> float:
    error = float((picture.clamp(-1, 1) - image).square().mean())
    return 10 * math.log10(4 / max(error, 1e-10))
