"""Canonical forms of equivalent networks: signs and phases of sine units, signs of tanh units, scales of ReLU units.

Every function here changes the weights of a chain of layers, but not its function.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.siren_convention.convention import OMEGA


def scale_units(features: WeightSpaceFeatures, factors: list[Tensor]) -> WeightSpaceFeatures:
    """Multiply each hidden unit's incoming weights and bias by its factor `(B, 1, n)`, divide outgoing weights by it.

    The function stays the same for positive factors and ReLU, and for factors of 1 and -1 and sine or tanh.
    """
    if len(factors) != len(features) - 1:
        raise ValueError(f"Got factors for {len(factors)} hidden layers, expected {len(features) - 1}.")
    one = features.biases[0].new_ones(1, 1, 1)
    pairs = []
    for (weight, bias), before, after in zip(features, [one, *factors], [*factors, one], strict=True):
        kernel = (1,) * (weight.dim() - 4)
        rows, columns = after.view(*after.shape, 1, *kernel), before.view(*before.shape[:2], 1, -1, *kernel)
        pairs.append((weight * rows / columns, bias * after))
    return WeightSpaceFeatures.from_zipped(pairs)


def canonical_sine(features: WeightSpaceFeatures, omega: float = OMEGA) -> WeightSpaceFeatures:
    """Bring the biases of sine units `sin(omega (W x + b))` between 0 and `pi / (2 omega)`.

    `sin(z + k pi) = (-1)^k sin z` removes multiples of pi from a phase, `sin(-z) = -sin z` makes it positive; the
    signs go into the outgoing weights. All copies of a network that differ in these (arXiv:2406.10685, appendix on
    phase canonicalization) become the same, up to rounding.
    """
    half_turn = math.pi / omega
    pairs, sign = [], features.biases[0].new_ones(1, 1, 1)
    for weight, bias in list(features)[:-1]:
        weight = weight * sign[:, :, None]
        turns = torch.round(bias / half_turn)
        bias = bias - turns * half_turn
        flip = torch.where(bias < 0, -1.0, 1.0).to(bias)
        pairs.append((weight * flip[..., None], bias * flip))
        sign = flip * (1 - 2 * (turns.abs() % 2))
    weight, bias = features[-1]
    return WeightSpaceFeatures.from_zipped([*pairs, (weight * sign[:, :, None], bias)])


def canonical_odd(features: WeightSpaceFeatures) -> WeightSpaceFeatures:
    """Make the biases of units with an odd activation (tanh) positive; signs go into the outgoing weights.

    The sum of the incoming weights decides for a unit whose bias is 0.
    """
    signs: list[Tensor] = []
    before = features.biases[0].new_ones(1, 1, 1)
    for weight, bias in list(features)[:-1]:
        incoming = weight.sum(tuple(range(4, weight.dim()))) if weight.dim() > 4 else weight
        decisive = torch.where(bias == 0, (incoming * before[:, :, None]).sum(3), bias)
        before = torch.where(decisive < 0, -1.0, 1.0).to(bias)
        signs.append(before)
    return scale_units(features, signs)


def canonical_by_activation(
    features: WeightSpaceFeatures, activations: Sequence[str | None]
) -> WeightSpaceFeatures:
    """Networks `(B, 1, ...)`, each made canonical by its own activation: scales of ReLU units, signs of tanh units.

    Networks with any other activation stay as they are.
    """
    for name, canonical in (("relu", canonical_relu), ("tanh", canonical_odd)):
        chosen = torch.tensor([activation == name for activation in activations])
        features = features.with_tensors(
            torch.where(chosen.to(x.device).view(-1, *[1] * (x.dim() - 1)), form, x)
            for x, form in zip(features.tensors, canonical(features).tensors, strict=True)
        )
    return features


def canonical_relu(features: WeightSpaceFeatures) -> WeightSpaceFeatures:
    """Scale each ReLU unit's incoming weights and bias to a norm of 1; scales go into the outgoing weights.

    `relu(q z) = q relu(z)` for q > 0. A unit whose incoming weights and bias are all 0 outputs 0: its outgoing weights
    become 0.
    """
    pairs, length = [], features.biases[0].new_ones(1, 1, 1)
    for i, (weight, bias) in enumerate(features):
        weight = weight * length.view(*length.shape[:2], 1, -1, *(1,) * (weight.dim() - 4))
        if i < len(features) - 1:
            squared = weight.flatten(3).square().sum(3) + bias.square()
            divisor = torch.where(squared > 0, squared, 1.0).sqrt()  # whose gradient is finite at 0 too
            length = torch.where(squared > 0, divisor, 0.0)
            weight = weight / divisor.view(*divisor.shape, 1, *(1,) * (weight.dim() - 4))
            bias = bias / divisor
        pairs.append((weight, bias))
    return WeightSpaceFeatures.from_zipped(pairs)
