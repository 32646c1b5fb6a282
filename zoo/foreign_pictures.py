"""Pictures that show none of the zoo's classes, by kind: what a reader of SIRENs should call none of them.

Kinds are for training or held out: of those the readers learn nothing, they are measured on them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nfn.siren import NATIVE_SIZES
from zoo import foreign_drawings as draw
from zoo import foreign_textures as textures
from zoo.foreign_strokes import DIGITS, LETTERS, SYMBOLS, THINGS

PRINTED = "".join(LETTERS)


@dataclass(frozen=True)
class PictureKind:
    """A kind of pictures and how its masks are drawn: `held_out` from training, of `any_shade` or white on black."""

    name: str
    draw: textures.Draw
    held_out: bool = False
    any_shade: bool = True


KINDS = {
    kind.name: kind
    for kind in (
        PictureKind("letters", draw.strokes(LETTERS)),
        PictureKind("symbols", draw.strokes(SYMBOLS)),
        PictureKind("words", draw.strokes(LETTERS, 4, least=2)),
        PictureKind("numbers of several digits", draw.strokes(DIGITS, 3, least=2)),
        PictureKind("scribbles", draw.scribble),
        PictureKind("shapes", draw.shapes),
        PictureKind("line drawings", draw.line_drawing),
        PictureKind("curves", draw.curve),
        PictureKind("dots", draw.dots),
        PictureKind("mosaics", draw.mosaic),
        PictureKind("scenes", draw.scene),
        PictureKind("patchwork", draw.patchwork),
        PictureKind("stripes", textures.stripes),
        PictureKind("gradients", textures.gradient),
        PictureKind("clouds and noise", textures.clouds),
        PictureKind("blobs", textures.blobs),
        PictureKind("printed letters", draw.printed(PRINTED), held_out=True),
        PictureKind("letters with serifs", draw.with_serifs(PRINTED), held_out=True),
        PictureKind("faces", draw.face, held_out=True),
        PictureKind("doodles of things", draw.strokes(THINGS), held_out=True),
        PictureKind("checkerboards", textures.checkers, held_out=True),
        PictureKind("rings and rays", textures.rings, held_out=True),
        PictureKind("marble", textures.marble, held_out=True),
        PictureKind("cells", textures.cells, held_out=True),
        PictureKind("icons", draw.icon, held_out=True),
    )
}
"""By name; to add one, add a line."""
DRAWN_DIGITS = PictureKind("drawn digits", draw.strokes(DIGITS), any_shade=False)
PRINTED_DIGITS = PictureKind("printed digits", draw.printed("0123456789"), held_out=True, any_shade=False)


def foreign_pictures(kind: PictureKind, count: int, channels: int, seed: int) -> Tensor:
    """Pictures `(count, channels, H, W)` of a kind in [-1, 1], of the zoo's sizes: 28 pixels in gray, 32 in colour."""
    rng = np.random.default_rng([seed, channels, *kind.name.encode()])
    masks = (kind.draw(rng) for _ in range(count))
    pictures = [paint(mask, channels, rng) if kind.any_shade else shrunk(mask, channels) for mask in masks]
    return torch.from_numpy(np.stack(pictures)) * 2 - 1


def shrunk(mask: np.ndarray, channels: int) -> np.ndarray:
    """A mask as a picture `(channels, side, side)` in [0, 1], white on black."""
    small = draw.shrink(mask, NATIVE_SIZES[channels])
    return np.broadcast_to(small, (channels, *small.shape)).clip(0, 1).astype(np.float32)


def paint(mask: np.ndarray, channels: int, rng: np.random.Generator) -> np.ndarray:
    """A mask as a picture `(channels, side, side)` in [0, 1].

    In gray three in five are white on black, as digits are, and one in five black on white. In colour ink and ground
    have any two colours, and half of the time a shading over the picture, as light gives.
    """
    small = shrunk(mask, channels)
    if channels == 1:
        choice = rng.random()
        ground, ink = (0.0, 1.0) if choice < 0.6 else (1.0, 0.0) if choice < 0.8 else rng.random(2)
        return (ground + (ink - ground) * small).astype(np.float32)
    ground, ink = rng.random((2, channels, 1, 1))
    picture = ground + (ink - ground) * small
    if rng.random() < 0.3:  # a third colour
        picture = picture + (rng.random((channels, 1, 1)) - picture) * 4 * small * (1 - small)
    if rng.random() < 0.5:
        light = draw.shrink(textures.noise(rng, 2.0), NATIVE_SIZES[channels])
        picture = picture + 0.15 * light * rng.uniform(0, 1, (channels, 1, 1))
    return picture.clip(0, 1).astype(np.float32)
