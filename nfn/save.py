"""`save`: write a PyTorch module as one safetensors file with its architecture."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from nfn.architecture.declared import KEY
from nfn.architecture.ops import Shape
from nfn.architecture.trace import trace_with_tensors
from nfn.reader.write import safetensors_bytes, write_atomically

Pixel = float | Sequence[float]
"""One number, or one for each channel."""


def save(
    module: nn.Module,
    path: str | Path,
    input_shape: Sequence[int],
    *,
    pixel_mean: Pixel | None = None,
    pixel_std: Pixel | None = None,
    classes: Sequence[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the tensors that a module uses, under its names, and its architecture, as one safetensors file.

    `input_shape` is that of one input, `(channels, height, width)` or `(features,)`. The inputs of an image classifier
    are `(pixel / 255 - pixel_mean) / pixel_std`. `classes` names its outputs; `metadata` is written unchanged.

        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        >>> save(model, "net.safetensors", (1, 28, 28), pixel_mean=0.1307, pixel_std=0.3081)

    Raises:
        ArchitectureError: the module uses an operation that an architecture cannot express; the message names it.
        ValueError: the pixels or the classes do not fit the module.
    """
    traced = trace_with_tensors(module, input_shape)
    architecture = traced.architecture
    entries = {
        **(metadata or {}),
        **_pixels(architecture.input_shape, pixel_mean, pixel_std),
        **_classes(architecture.output_shape, classes),
        KEY: architecture.to_json(),
    }
    tensors = {name: tensor.cpu().clone().contiguous() for name, tensor in traced.tensors.items()}
    write_atomically(safetensors_bytes(tensors, entries), Path(path))


def _pixels(shape: Shape, mean: Pixel | None, std: Pixel | None) -> dict[str, str]:
    """The normalisation of the input as metadata: numbers, or lists of one for each channel."""
    if mean is None and std is None:
        return {}
    if mean is None or std is None:
        raise ValueError("Got one of pixel_mean and pixel_std; expected both, or neither.")
    named = {"pixel_mean": _numbers(mean), "pixel_std": _numbers(std)}
    for name, numbers in named.items():
        if len(numbers) not in (1, shape[0]) or not all(map(math.isfinite, numbers)):
            raise ValueError(
                f"Got {name} {numbers}; expected one number, or {shape[0]}, one for each channel."
            )
    if min(named["pixel_std"]) <= 0:
        raise ValueError(f"Got pixel_std {named['pixel_std']}; expected numbers above 0.")
    return {name: repr(n[0]) if len(n) == 1 else json.dumps(n) for name, n in named.items()}


def _numbers(pixel: Pixel) -> list[float]:
    return [float(number) for number in pixel] if isinstance(pixel, Sequence) else [float(pixel)]


def _classes(shape: Shape, classes: Sequence[str] | None) -> dict[str, str]:
    if classes is None:
        return {}
    names = [str(name) for name in classes]
    if len(shape) != 1 or len(names) != shape[0] or len(set(names)) < len(names):
        raise ValueError(
            f"Got {len(names)} classes for outputs of shape {shape}; expected one distinct name per output."
        )
    return {"classes": json.dumps(names, ensure_ascii=False)}
