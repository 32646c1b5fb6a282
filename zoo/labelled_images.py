"""A visitor's labelled test images as the inputs of a network: decoded, converted to its channels, and resized."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from zoo.errors import ZooError, shorten
from zoo.labelled_files import MAX_PICTURE, Label, Labelled, read_labelled
from zoo.pictures import DECODE_ERRORS

MAX_PIXELS, MAX_VALUES = 100_000_000, 1 << 28
"""Pixels of all pictures that are decoded (seconds of one core), and values (bytes) of all inputs of the network."""
GRAY, COLOUR = ("1", "L", "LA"), ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
"""Modes of PIL with eight bits per channel or fewer."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """`images` `(n, c, H, W)` uint8 and `labels` `(n,)`, the names of all classes, and how the images were converted.

    `name` is that of the file, `converted` are sentences.
    """

    name: str
    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    converted: tuple[str, ...]


def read_labelled_images(
    path: str | Path, shape: tuple[int, int, int], classes: int, names: tuple[str, ...] = ()
) -> LabelledImages:
    """Read test images for a network of inputs `(c, H, W)`, c = 1 or 3, and a number of classes.

    `names` are those of its classes, if known. Each picture is resized as a whole (bilinear, averaging when it
    shrinks); colour becomes gray by ITU-R BT.601 luma, gray is repeated. Labels are numbers from 0, or names: those of
    the network's classes, or else sorted, which is the order of torchvision's ImageFolder.

    Raises ZooError if the file is not one of test images, too large, or its labels are not those of the network.
    """
    pictures, remark = read_labelled(Path(path))
    inputs = _Inputs(shape)
    labels = [inputs.add(one) for one in pictures]
    numbers, labelled, sentence = number_labels(labels, classes, names)
    sentences = (*inputs.sentences(), sentence, *([remark] if remark else []))
    images = torch.from_numpy(np.stack(inputs.images))
    return LabelledImages(Path(path).name, images, torch.tensor(numbers), labelled, sentences)


def number_labels(
    labels: Sequence[Label], classes: int, names: tuple[str, ...] = ()
) -> tuple[list[int], tuple[str, ...], str]:
    """The class numbers of labels, the names of all classes, and a sentence on how the labels were understood.

    `names` are those of the network's outputs, () if unknown. ZooError if the labels do not fit the network.
    """
    distinct = sorted(set(labels), key=lambda label: (isinstance(label, str), label))
    numbers = tuple(str(i) for i in range(classes))
    if all(str(label) in numbers for label in distinct):
        sentence = f"Labels are the numbers of the classes, from 0 to {classes - 1:,}"
        return [int(label) for label in labels], names or numbers, sentence
    if not all(isinstance(label, str) for label in distinct):
        raise ZooError(
            f"The labels are numbers from {distinct[0]} to {distinct[-1]}; this network has {classes:,} classes, so "
            f"they must be from 0 to {classes - 1:,}, in the order of its outputs."
        )
    key = _plain if len({_plain(name) for name in names}) == len(names) else str
    place = {key(name): number for number, name in enumerate(names)}
    strange = [str(label) for label in distinct if key(label) not in place]
    if not strange:
        return (
            [place[key(label)] for label in labels],
            names,
            "Classes were matched with the network's by name",
        )
    if len(strange) < len(distinct):
        raise ZooError(
            f"{len(strange):,} of the {len(distinct):,} classes in the file are none of the network's: "
            f"{_some(strange)}. Its classes are {_some(names)}. Name the folders so, or by their numbers from 0."
        )
    if len(distinct) != classes:
        raise ZooError(
            f"The file has {len(distinct):,} classes ({_some(distinct)}); this network has {classes:,}"
            f"{f' ({_some(names)})' if names else ''}. Give one folder or name per class, or name them 0 to "
            f"{classes - 1:,} if some are missing."
        )
    place = {label: number for number, label in enumerate(distinct)}
    sentence = "The names of the classes, sorted, are the network's outputs in order (as in torchvision's ImageFolder)"
    return [place[label] for label in labels], tuple(map(str, distinct)), sentence


def _plain(name: Label) -> str:
    """A class name without its case and punctuation: `T-shirt/top` is `t shirt top`."""
    return " ".join("".join(c if c.isalnum() else " " for c in str(name).casefold()).split())


def _some(names: Sequence[Label]) -> str:
    return ", ".join(shorten(str(name), 30) for name in names[:5]) + (", …" if len(names) > 5 else "")


@dataclass
class _Inputs:
    """Collects the pictures as inputs of one shape, and what was done to them."""

    shape: tuple[int, int, int]
    images: list[np.ndarray] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    modes: set[str] = field(default_factory=set)
    pixels: int = 0

    def add(self, one: Labelled) -> Label:
        """Decode and convert one picture; returns its label."""
        image = one.image
        self.pixels += image.width * image.height
        if image.width * image.height > MAX_PICTURE or self.pixels > MAX_PIXELS:
            raise ZooError(
                f"{one.where} brings the pictures to {self.pixels:,} pixels; at most {MAX_PIXELS:,} are decoded, and "
                f"{MAX_PICTURE:,} in one picture. Use fewer or smaller ones."
            )
        if (len(self.images) + 1) * int(np.prod(self.shape)) > MAX_VALUES:
            raise ZooError(
                f"Inputs of {_size(self.shape[1:])} pixels: at most {len(self.images):,} images. Use fewer of them."
            )
        self.images.append(self._convert(image, one.where))
        return one.label

    def _convert(self, image: Image.Image, where: str) -> np.ndarray:
        """A picture as `(c, H, W)` uint8."""
        if image.mode not in GRAY + COLOUR:
            raise ZooError(
                f"{where} has pixels of PIL's mode {shorten(image.mode)}; expected eight bits a channel."
            )
        channels, height, width = self.shape
        try:
            upright = ImageOps.exif_transpose(image)
            self.sizes.add(upright.size)
            self.modes.add("gray" if image.mode in GRAY else "colour")
            plain = self._on_white(upright).convert("L" if channels == 1 else "RGB")
        except DECODE_ERRORS as error:
            raise ZooError(f"{where} cannot be decoded: the picture is damaged or incomplete.") from error
        sized = (
            plain
            if plain.size == (width, height)
            else plain.resize((width, height), Image.Resampling.BILINEAR)
        )
        pixels = np.array(sized)
        return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)

    def _on_white(self, image: Image.Image) -> Image.Image:
        if not image.has_transparency_data:
            return image
        self.modes.add("transparent")
        opaque = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque)

    def sentences(self) -> Iterator[str]:
        """What was done to the pictures."""
        channels, size = self.shape[0], _size(self.shape[1:])
        others = self.sizes - {(self.shape[2], self.shape[1])}
        if others:
            came = _size(min(others)) if len(others) == 1 else f"{_size(min(others))} to {_size(max(others))}"
            yield f"Pictures of {came} pixels were resized as a whole to {size} (bilinear, antialiased)"
        else:
            yield f"The pictures have the network's size, {size} pixels"
        if channels == 1 and "colour" in self.modes:
            yield "Colour was made gray (ITU-R BT.601 luma)"
        if channels == 3 and "gray" in self.modes:
            yield "Gray was repeated in three channels"
        if "transparent" in self.modes:
            yield "Transparent pixels became white"


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} × {size[1]}"
