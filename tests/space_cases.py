"""Weight spaces with any labelling of axes, features on them, and the obvious linear map that the fast one equals."""

import itertools
from collections.abc import Collection

import torch
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.space import TensorSpec, WeightSpace


def space(sizes: tuple[int, ...], permuting: set[int], *tensors: tuple[str, tuple]) -> WeightSpace:
    """Axes are group numbers; a string of a number is the size of an axis that stays in place."""
    specs = []
    for name, axes in tensors:
        shape = tuple(int(axis) if isinstance(axis, str) else sizes[axis] for axis in axes)
        specs.append(TensorSpec(name, shape, tuple(None if isinstance(axis, str) else axis for axis in axes)))
    return WeightSpace(tuple(specs), sizes, frozenset(permuting))


def layer(name: str, *axes) -> tuple[tuple[str, tuple], tuple[str, tuple]]:
    return (f"{name}.weight", axes), (f"{name}.bias", axes[:1])


SPACES = {
    # inputs, stream, inner units of the block, outputs: the block meets the stream in both orders
    "resnet": space(
        (2, 3, 2, 2), {1, 2}, *layer("stem", 1, 0), *layer("conv1", 2, 1), *layer("conv2", 1, 2), *layer("fc", 3, 1)
    ),
    "bottleneck resnet": space(
        (1, 3, 2, 2, 1), {1, 2, 3}, ("stem.weight", (1, 0)), ("conv1.weight", (2, 1)), ("conv2.weight", (3, 2, "2")),
        ("conv3.weight", (1, 3)), ("norm.weight", (1,)), ("fc.weight", (4, 1)),
    ),
    "lenet with flattening": space(
        (1, 2, 3, 2), {1, 2}, *layer("conv", 1, 0, "2", "1"), *layer("fc1", 2, 1, "3"), *layer("fc2", 3, 2)
    ),
    # dense blocks: what reads a concatenation is cut into a tensor per group
    "concat": space(
        (1, 2, 2, 2), {1, 2}, *layer("conv1", 1, 0), *layer("conv2", 2, 1),
        ("fc.weight[:, 0:2]", (3, 1)), ("fc.weight[:, 2:4]", (3, 2)), ("fc.bias", (3,)),
    ),
    "depthwise": space(
        (1, 3, 2), {1}, *layer("conv", 1, 0), ("depthwise.weight", (1, "1", "1", "2")), ("depthwise.bias", (1,)),
        ("scale", ("1",)), ("fc.weight", (2, 1)),
    ),
    "two tensors over one pair": space((2, 3, 2), {1, 2}, ("a", (1, 2)), ("b", (1, 2)), ("c", (0, 1))),
    "pair in the other order": space((3, 2), {0, 1}, ("a.weight", (0, 1)), ("a.bias", (0,))),
    "three axes": space((2, 3, 2), {0, 1, 2}, ("cube", (0, 2, 1)), ("pair", (1, 0)), ("line", (2,))),
    "two cubes": space((2, 2, 2, 2), {0, 1, 2, 3}, ("a", (0, 1, 2)), ("b", (3, 1, 2)), ("c", (2, 0))),
}  # fmt: skip
"""No group twice in one tensor."""

REPEATED = {
    "recurrent": space(
        (2, 4, 1),
        {1},
        ("in.weight", (1, 0)),
        ("hidden.weight", (1, 1)),
        ("hidden.bias", (1,)),
        ("out.weight", (2, 1)),
    ),
    "one convolution in a skip": space((4,), {0}, *layer("conv", 0, 0, "2")),
    "repeated and shared": space((2, 4), {0, 1}, ("a", (1, 1)), ("b", (1, 1)), ("c", (1, 0))),
    "cube with a group twice": space((2, 4), {0, 1}, ("a", (1, 0, 1)), ("b", (1,)), ("c", (0, 1))),
    "one group three times": space((6,), {0}, ("a", (0, 0, 0))),
}


def random_on(space: WeightSpace, channels: int, batch: int = 3, dtype=torch.float64, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return WeightSpaceFeatures.of_tensors(
        torch.randn(batch, channels, *tensor.shape, dtype=dtype, generator=generator)
        for tensor in space.tensors
    )


def slow_fold(x: Tensor, spec: TensorSpec, permuting: Collection[int]) -> tuple[tuple[int, ...], Tensor]:
    """The groups that permute this tensor, and its entries as (B, *groups, everything else)."""
    moving = [d for d, group in enumerate(spec.axes) if group in permuting]
    staying = [d for d, group in enumerate(spec.axes) if group not in permuting]
    x = x.permute(0, *(2 + d for d in (*moving, *staying)), 1)
    return tuple(group for group in spec.axes if group is not None and group in permuting), x.flatten(
        1 + len(moving)
    )


def slow_linear(layer, kind: str, features: WeightSpaceFeatures) -> list[Tensor]:
    """Per pair of tensors and per set of axes kept: average the rest, map channels, repeat; nothing shared.

    Results are folded as `slow_fold` does. No group may come twice in a tensor.
    """
    permuting = range(len(layer.space.groups)) if kind == "np" else layer.space.permuting
    folded = [slow_fold(x, t, permuting) for t, x in zip(layer.space.tensors, features.tensors, strict=True)]
    widths = [x.shape[-1] // layer.in_channels for _, x in folded]
    point = layer.levels.outputs[-1].faces
    outs = []
    for s, (out_groups, like) in enumerate(folded):
        start = sum(widths[i] for i in point[: point.index(s)]) * layer.out_channels
        out = layer.bias[start : start + widths[s] * layer.out_channels].expand(*like.shape[:-1], -1)
        for a, (in_groups, x) in enumerate(folded):
            shared = [group for group in out_groups if group in in_groups]
            for kept in itertools.chain(*(itertools.combinations(shared, n) for n in range(len(shared) + 1))):
                matrix = _block(layer, widths, set(kept), s, a)
                out = out + _average_and_repeat(x, in_groups, kept, out_groups) @ matrix.T
        outs.append(out)
    return outs


def _block(layer, widths: list[int], kept: set[int], s: int, a: int) -> Tensor:
    """What the level of these groups maps from tensor a to tensor s."""
    (number,) = (i for i, level in enumerate(layer.levels.outputs) if set(level.groups) == kept)
    faces = layer.levels.outputs[number].faces
    row = sum(widths[i] for i in faces[: faces.index(s)]) * layer.out_channels
    column = sum(widths[i] for i in faces[: faces.index(a)]) * layer.in_channels
    rows, columns = widths[s] * layer.out_channels, widths[a] * layer.in_channels
    return layer.maps[number][row : row + rows, column : column + columns]


def _average_and_repeat(x: Tensor, in_groups, kept, out_groups) -> Tensor:
    for position in reversed(range(len(in_groups))):
        if in_groups[position] not in kept:
            x = x.mean(1 + position)
    left = [group for group in in_groups if group in kept]
    wanted = [group for group in out_groups if group in kept]
    x = x.permute(0, *(1 + left.index(group) for group in wanted), -1)
    for position, group in enumerate(out_groups):
        if group not in kept:
            x = x.unsqueeze(1 + position)
    return x
