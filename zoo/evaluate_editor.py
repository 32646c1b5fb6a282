"""Measure `InrEditor`: against the image-space operators, against doing nothing, and against plain Adam."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nfn.editor import InrEditor
from nfn.features import WeightSpaceFeatures
from nfn.operators import STYLES, apply_style
from nfn.siren import error_gradient, render
from zoo.collection import Collection
from zoo.evaluate_classifier import equivalent_copies, median_milliseconds
from zoo.images import load_images, to_float

ADAM_RATES = (1e-3, 2e-3, 4e-3, 8e-3)


def evaluate_editor(
    model: InrEditor, collections: Sequence[Path], count: int = 200, seed: int = 0
) -> dict[str, Any]:
    """All figures of the model card, on the first `count` networks of each collection."""
    generator = torch.Generator().manual_seed(seed)
    opened = [Collection(path) for path in collections]
    return {
        "styles": [style_row(model, c, style, count) for c in opened for style in STYLES],
        "strengths": [strength_row(model, c, s, count) for c in opened for s in (0.0, 0.5, 1.0, 1.5, 2.0)],
        "symmetry": [symmetry_row(model, c, generator, min(count, 50)) for c in opened],
        "milliseconds": latency(model, opened[0]),
    }


def style_row(model: InrEditor, collection: Collection, style: str, count: int) -> dict[str, Any]:
    """One style: mean squared errors, pixels in [-1, 1].

    `mse` is against the operator applied to the SIREN's own picture, `mse_true_image` against the operator
    applied to the image that it was fitted to (the paper's protocol). `unedited` does nothing; `adam` is plain
    gradient descent with as many gradients as the editor takes, at the best of four learning rates.
    """
    features, size = collection.normalized(slice(0, count)), collection.spec.images["size"]
    pictures = render(features, size, size).clamp(-1, 1)
    target, truth = apply_style(pictures, style), apply_style(true_images(collection, count), style)
    edited, gradients = edit_all(model, features, target), model.config.steps * model.config.rounds
    return {
        **collection.describe(), "networks": len(pictures), "style": style,
        "unedited": error(pictures, target),
        "mse": error(edited, target),
        "mse_true_image": error(edited, truth),
        "adam_same_steps": min(error(adam(features, target, rate, gradients), target) for rate in ADAM_RATES),
        "adam_50_steps": min(error(adam(features, target, rate, 50), target) for rate in ADAM_RATES[1:3]),
    }  # fmt: skip


def strength_row(model: InrEditor, collection: Collection, strength: float, count: int) -> dict[str, Any]:
    """The error of dilation at one strength, and how far the picture has moved."""
    features, size = collection.normalized(slice(0, count)), collection.spec.images["size"]
    pictures = render(features, size, size).clamp(-1, 1)
    target = apply_style(pictures, "dilate", strength)
    edited = edit_all(model, features, target)
    return {"collection": collection.folder.name, "strength": strength, "mse": error(edited, target),
            "moved": error(edited, pictures), "target_moved": error(target, pictures)}  # fmt: skip


@torch.no_grad()
def edit_all(model: InrEditor, features: WeightSpaceFeatures, target: torch.Tensor) -> torch.Tensor:
    """The pictures `(n, c, H, W)` of the edited SIRENs."""
    parts = []
    for i in range(0, len(target), 50):
        part = slice(i, i + 50)
        parts.append(render(model.best(features.select(part).to(model.device), target[part].to(model.device)),
                            *target.shape[2:]).cpu())  # fmt: skip
    return torch.cat(parts).clamp(-1, 1)


def true_images(collection: Collection, count: int) -> torch.Tensor:
    """The images that the first `count` networks were fitted to, in [-1, 1]."""
    rows = collection.rows["image_row"].to_pylist()[:count]
    return to_float(load_images(collection.spec.images["name"], collection.spec.build["split"], rows)[0])


@torch.no_grad()
def adam(features: WeightSpaceFeatures, target: torch.Tensor, rate: float, steps: int) -> torch.Tensor:
    """The pictures after plain Adam on the squared error, without any learned part."""
    tensors = [x.clone() for pair in features for x in pair]
    optimizer = torch.optim.Adam(tensors, rate)
    for _ in range(steps):
        gradient = error_gradient(WeightSpaceFeatures(tensors[0::2], tensors[1::2]), target)
        for x, g in zip(tensors, (g for pair in gradient for g in pair), strict=True):
            x.grad = g
        optimizer.step()
    return render(WeightSpaceFeatures(tensors[0::2], tensors[1::2]), *target.shape[2:]).clamp(-1, 1)


def error(pictures: torch.Tensor, target: torch.Tensor) -> float:
    """Mean squared error, rounded for a table."""
    return round(float((pictures - target).square().mean()), 5)


def symmetry_row(
    model: InrEditor, collection: Collection, generator: torch.Generator, count: int
) -> dict[str, Any]:
    """The largest pixel difference between edits of a network and of its permuted, and sign-flipped, copy."""
    features, size = collection.normalized(slice(0, count)), collection.spec.images["size"]
    target = apply_style(render(features, size, size), "dilate")
    edited = edit_all(model, features, target)
    differences = {
        name: float((edit_all(model, copy, target) - edited).abs().max())
        for name, copy in equivalent_copies(features, generator).items()
    }
    return {"collection": collection.folder.name, "networks": len(edited), **differences}


def latency(model: InrEditor, collection: Collection) -> float:
    """The median time of `edit` on one network, in milliseconds."""
    network = collection.network(collection.rows["id"][0].as_py())
    return median_milliseconds(lambda: model.edit(network, "dilate"), times=15)
