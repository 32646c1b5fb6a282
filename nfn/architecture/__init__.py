"""Network architectures as data: ops, the forward pass, and which axes permute together."""

from nfn.architecture.axes import Axes, axes_of
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import OPS, ArchitectureError, Op

__all__ = ["OPS", "Architecture", "ArchitectureError", "Axes", "Op", "axes_of"]
