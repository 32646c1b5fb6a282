"""Limits on the size of architectures from files; at these sizes finding the permutation groups takes seconds."""

from nfn.architecture.graph import Architecture
from nfn.architecture.ops import ArchitectureError, Conv, Linear

UNITS = 250_000
"""Total inputs, and outputs of all convolutions and linear layers (ResNet-152: about 77,000)."""
CHANNELS = 2_000_000
"""Total channels of all values (ResNet-152: about 280,000)."""
BLOCKS = 20_000
"""Total blocks of all grouped convolutions, except depthwise ones (ResNeXt-101: 1,056)."""


def check_caps(architecture: Architecture) -> None:
    """Raise ArchitectureError, a sentence for the visitor, if an architecture is too large to analyse."""
    values, shapes = architecture.values, architecture.shapes
    made = [
        shape[0]
        for op, shape in zip(architecture.ops, values[1:], strict=True)
        if isinstance(op, Conv | Linear)
    ]
    grouped = [op.groups for op in architecture.ops if isinstance(op, Conv) and shapes[op.weight][1] > 1]
    for what, count, most in (
        ("inputs and neurons", values[0][0] + sum(made), UNITS),
        ("channels in all its values", sum(shape[0] for shape in values), CHANNELS),
        ("blocks of grouped convolutions", sum(grouped), BLOCKS),
    ):
        if count > most:
            raise ArchitectureError(f"The network has {count:,} {what}; at most {most:,} are read.")
