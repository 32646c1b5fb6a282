"""Recognise residual networks by tensor names as in torchvision.

`layer<stage>.<block>.conv<k>`, `bn<k>`, `downsample.0`/`.1` or `shortcut.0`/`.1`, with a stem `conv1`/`bn1` and one
linear layer at the end (arXiv:1512.03385). Strides, the stem's pooling and the activation are not in the names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import (
    AdaptivePool,
    Add,
    Conv,
    Flatten,
    Linear,
    Pad,
    Pool,
    Shape,
    Subsample,
)
from nfn.wiring.batch_norms import WiringError
from nfn.wiring.chain import OpList
from nfn.wiring.modules import Layer

_BLOCK = re.compile(r"(.*?layers?[._]?)(\d+)[._](\d+)[._](.+)")
_SHORTCUT = re.compile(r"(downsample|shortcut|skip|residual|identity|proj)")


@dataclass(frozen=True)
class ResidualWiring:
    """What the names do not say: the activation, the stem's stride and pooling, and the stages' stride."""

    activation: tuple[str, float] = ("relu", 1.0)
    stem_stride: int = 1
    stem_pool: bool = False
    stage_stride: int = 2

    def sentences(self) -> list[str]:
        """The wiring in words."""
        stem = f"stem of stride {self.stem_stride}" + (", then max pooling" if self.stem_pool else "")
        stages = f"stride {self.stage_stride} at the start of each later stage"
        return [
            f"activation {self.activation[0]}",
            stem,
            stages,
            "global average pooling",
            "skips by the tensors' names",
        ]


@dataclass(frozen=True)
class Block:
    """The convolutions of one block in order, and its shortcut, if that has weights."""

    stage: int
    convolutions: tuple[Layer, ...]
    shortcut: Layer | None


@dataclass(frozen=True)
class ResidualNet:
    """The stem, blocks and head of a residual network."""

    stem: Layer
    blocks: tuple[Block, ...]
    head: Layer


def find_residual(layers: Sequence[Layer]) -> ResidualNet | None:
    """The parts of a residual network; None if the names are not those of one.

    Raises WiringError if a block is not of convolutions and at most one shortcut.
    """
    groups: dict[tuple[str, int, int], list[Layer]] = {}
    rest: list[Layer] = []
    for layer in layers:
        match = _BLOCK.fullmatch(layer.path)
        if match:
            groups.setdefault((match[1], int(match[2][:9]), int(match[3][:9])), []).append(layer)
        else:
            rest.append(layer)
    if not groups or not any(len(group) > 1 for group in groups.values()):
        return None
    stems, heads = [x for x in rest if x.is_convolution], [x for x in rest if not x.is_convolution]
    if len({prefix for prefix, _, _ in groups}) > 1 or len(stems) != 1 or len(heads) != 1:
        return None
    blocks = tuple(_block(stage, groups[prefix, stage, number]) for prefix, stage, number in sorted(groups))
    return ResidualNet(stems[0], blocks, heads[0])


def _block(stage: int, group: list[Layer]) -> Block:
    shortcuts = [layer for layer in group if _SHORTCUT.search(layer.path.rpartition("layer")[2])]
    convolutions = tuple(layer for layer in group if layer not in shortcuts)
    if len(shortcuts) > 1 or not convolutions or not all(layer.is_convolution for layer in group):
        raise WiringError(
            f"the block of {group[0].weight[:60]!r} is not one of convolutions and one shortcut"
        )
    return Block(stage, convolutions, shortcuts[0] if shortcuts else None)


def build_residual(
    net: ResidualNet, wiring: ResidualWiring, input_shape: Shape, shapes: Mapping[str, Shape]
) -> Architecture:
    """The architecture of a residual network; ArchitectureError if the wiring does not fit."""
    ops = OpList()
    _conv(ops, net.stem, wiring.stem_stride)
    ops.activation(wiring.activation, net.stem.slopes)
    if wiring.stem_pool:
        ops.add(Pool(inputs=(ops.last,), mode="max", kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)))
    channels, stage = net.stem.shape[0], net.blocks[0].stage
    for block in net.blocks:
        stride = wiring.stage_stride if block.stage != stage else 1
        stage = block.stage
        channels = _add_block(ops, block, wiring, stride, channels)
    ops.add(AdaptivePool(inputs=(ops.last,), mode="average"))
    ops.add(Flatten(inputs=(ops.last,)))
    ops.add(Linear(inputs=(ops.last,), weight=net.head.weight, bias=net.head.bias))
    return Architecture(input_shape, tuple(ops.ops), shapes)


def _conv(ops: OpList, layer: Layer, stride: int, at: int | None = None) -> int:
    """Add a convolution with "same" padding, and its batch norm."""
    height, width = layer.shape[2] // 2, layer.shape[3] // 2
    ops.add(Conv(inputs=(ops.last if at is None else at,), weight=layer.weight, bias=layer.bias,
                 stride=(stride, stride), padding=(width, width, height, height)))  # fmt: skip
    ops.norm(layer)
    return ops.last


def _add_block(ops: OpList, block: Block, wiring: ResidualWiring, stride: int, channels: int) -> int:
    """Add convolutions, shortcut, sum and activation; the stride is that of the first 3x3 convolution."""
    start, out = ops.last, block.convolutions[-1].shape[0]
    strided = next((i for i, x in enumerate(block.convolutions) if x.shape[2] > 1), 0)
    for number, layer in enumerate(block.convolutions):
        if number:
            ops.activation(wiring.activation, block.convolutions[number - 1].slopes)
        _conv(ops, layer, stride if number == strided else 1)
    branch = ops.last
    if block.shortcut is not None:
        skip = _conv(ops, block.shortcut, stride, at=start)
    else:
        skip = _plain_shortcut(ops, start, stride, out - channels)
    ops.add(Add(inputs=(branch, skip)))
    ops.activation(wiring.activation)
    return out


def _plain_shortcut(ops: OpList, start: int, stride: int, missing: int) -> int:
    """Add a shortcut without weights: subsampling, and zeros for new channels (option A)."""
    skip = start
    if stride > 1:
        skip = ops.add(Subsample(inputs=(skip,), stride=(stride, stride)))
    if missing > 0:
        skip = ops.add(Pad(inputs=(skip,), channels=(missing // 2, missing - missing // 2)))
    return skip
