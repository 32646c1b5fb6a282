"""Augment SIRENs in weight space: the first layer transforms coordinates, the last one pixel values.

`picture'(x) = picture(M x + t)` is exactly `W' = W M, b' = b + W t` in the first layer; nothing is rendered.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures


def move_coordinates(features: WeightSpaceFeatures, matrix: Tensor, shift: Tensor) -> WeightSpaceFeatures:
    """SIRENs `(B, 1, ...)` of the pictures `x -> picture(matrix x + shift)`; `matrix` is `(B, 2, 2)`, `shift` `(B, 2)`.

    Coordinates are (row, col) on [-1, 1]. Raises ValueError for networks with another number of inputs.
    """
    (weight, bias), *rest = features
    if weight.shape[3] != matrix.shape[-1]:
        raise ValueError(f"The first layer takes {weight.shape[3]} inputs, the matrix {matrix.shape[-1]}.")
    moved = bias + (weight @ shift[:, None, :, None]).squeeze(3)
    return WeightSpaceFeatures.from_zipped([(weight @ matrix[:, None], moved), *rest])


def mirror_columns(features: WeightSpaceFeatures) -> WeightSpaceFeatures:
    """SIRENs `(B, 1, ...)` of the pictures with left and right exchanged."""
    like = features.weights[0]
    matrix = torch.diag(like.new_tensor([1.0, -1.0])).expand(len(like), 2, 2)
    return move_coordinates(features, matrix, like.new_zeros(len(like), 2))


def change_values(features: WeightSpaceFeatures, factor: Tensor, shift: Tensor) -> WeightSpaceFeatures:
    """SIRENs of the pictures `factor * picture + shift`; both are `(B, outputs)` or `(B, 1)`."""
    *rest, (weight, bias) = features
    last = (weight * factor[:, None, :, None], bias * factor[:, None] + shift[:, None])
    return WeightSpaceFeatures.from_zipped([*rest, last])


def jitter(features: WeightSpaceFeatures, size: float, generator: torch.Generator) -> WeightSpaceFeatures:
    """Add normal noise to every weight and bias, `size` times the root mean square of its tensor."""

    def add_noise(x: Tensor) -> Tensor:
        rms = x.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (x.dim() - 1))
        return x + size * rms * torch.randn(x.shape, generator=generator).to(x)

    return features.map(add_noise)


@dataclass(frozen=True)
class Moves:
    """The ranges of `random_moves`, each uniform on +-value.

    `rotation` is in radians, `scale` relative, `shift` in half pictures; `mirror` flips every second picture.
    `contrast` is relative and `brightness` absolute, of pixels from -1 to 1.
    """

    rotation: float = 0.2
    scale: float = 0.1
    shear: float = 0.1
    shift: float = 0.12
    mirror: bool = False
    contrast: float = 0.0
    brightness: float = 0.0


def random_moves(
    features: WeightSpaceFeatures, moves: Moves, generator: torch.Generator, alike: bool = False
) -> WeightSpaceFeatures:
    """Apply random transforms to SIRENs: rotation, scale along both axes, shear, shift, mirroring.

    One transform per SIREN or, if `alike`, the same for the whole batch.
    """
    like = features.weights[0]
    count = 1 if alike else len(like)

    def draw(limit: float, *shape: int) -> Tensor:
        return ((torch.rand(count, *shape, generator=generator) * 2 - 1) * limit).to(like)

    matrix = moving_matrix(draw(moves.rotation), 1 + draw(moves.scale, 2), draw(moves.shear))
    if moves.mirror:
        sides = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0).to(like)
        matrix = matrix * torch.stack([torch.ones_like(sides), sides], 1)[:, None]
    features = move_coordinates(features, matrix, draw(moves.shift, 2))
    if not (moves.contrast or moves.brightness):
        return features
    return change_values(features, 1 + draw(moves.contrast, 1), draw(moves.brightness, 1))


def moving_matrix(angle: Tensor, scale: Tensor, shear: Tensor) -> Tensor:
    """`(B, 2, 2)`: rotation by `angle` `(B,)`, axes scaled by `scale` `(B, 2)`, columns sheared by `shear` `(B,)`."""
    sine, cosine = angle.sin(), angle.cos()
    rows = torch.stack([scale[:, 0] * cosine, shear - sine, sine, scale[:, 1] * cosine], 1)
    return rows.unflatten(1, (2, 2))
