"""Labelled images for trying candidate settings, and common input normalizations."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch.nn.functional as F
from torch import Tensor

IMAGE_TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
"""The image sets by name, as they are written for people."""
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Labelled training images of one image set: `images` `(n, c, H, W)` uint8, `labels` `(n,)`."""

    name: str
    images: Tensor
    labels: Tensor

    def shaped(self, shape: tuple[int, int, int]) -> Tensor:
        """The images as `(n, *shape)` in [0, 1]: colour to ITU-R BT.601 luma, gray repeated, resized bilinearly."""
        x = self.images.float() / 255
        channels, height, width = shape
        if channels == 1 and x.shape[1] == 3:
            x = (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
        x = x.expand(-1, channels, -1, -1)
        if x.shape[2:] != (height, width):
            x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=False)
        return x.contiguous()

    def first(self, count: int) -> "PictureSet":
        """The first `count` images."""
        return PictureSet(self.name, self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Pixels:
    """An input normalization: `(x - mean) / std` of pixels x from 0 to 1, with one number or one per channel."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, x: Tensor) -> Tensor:
        mean, std = (x.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std

    def fits(self, channels: int) -> bool:
        """Whether it can be applied to images with `channels` channels."""
        return {len(self.mean), len(self.std)} <= {1, channels}


ZERO_ONE = Pixels("0 to 1", (0.0,), (1.0,))
MINUS_ONE_ONE = Pixels("-1 to 1", (0.5,), (0.5,))
IMAGENET = Pixels("ImageNet's mean and std", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INVERTED = (Pixels("1 to 0 (inverted)", (1.0,), (-1.0,)), Pixels("1 to -1 (inverted)", (0.5,), (-0.5,)))
COMMON = (
    MINUS_ONE_ONE,
    ZERO_ONE,
    Pixels("MNIST's mean and std", (0.1307,), (0.3081,)),
    Pixels("Fashion-MNIST's mean and std", (0.2860,), (0.3530,)),
    Pixels("CIFAR-10's mean and std", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    Pixels("CIFAR-10's mean and std (other figures)", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    Pixels("CIFAR-10's mean and std in gray", (0.4809,), (0.2392,)),
    IMAGENET,
    Pixels("ImageNet's mean and std in gray", (0.449,), (0.226,)),
    Pixels("ImageNet's first mean and std", (0.485,), (0.229,)),
    Pixels("-0.5 to 0.5", (0.5,), (1.0,)),
    Pixels("0 to 255", (0.0,), (1 / 255,)),
    Pixels("-2 to 2", (0.5,), (0.25,)),
    *INVERTED,
)
"""Common normalizations, the most common first."""


@lru_cache(maxsize=64)
def own_statistics(pictures: PictureSet, channels: int) -> Pixels:
    """Mean and standard deviation of the set's own pixels, per channel."""
    height, width = pictures.images.shape[2:]
    x = pictures.shaped((channels, height, width))
    mean, std = x.mean((0, 2, 3)).tolist(), x.std((0, 2, 3)).tolist()
    return Pixels(
        "the set's own mean and std", tuple(round(v, 4) for v in mean), tuple(round(v, 4) for v in std)
    )


def normalisations(pictures: PictureSet, channels: int) -> Sequence[Pixels]:
    """All normalizations to try for images with `channels` channels, the most common first."""
    own = own_statistics(pictures, channels)
    return [own, *(pixels for pixels in COMMON if pixels.fits(channels))]
