"""Values and constants of an ONNX graph during conversion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Union

import numpy as np

from nfn.architecture.ops import Shape
from nfn.onnx_reader.parse import Attribute, Node

if TYPE_CHECKING:
    from nfn.onnx_reader.builder import Builder

Order = Literal["chw", "hwc"]


@dataclass(frozen=True, eq=False)
class Constant:
    """An array that does not depend on the input, and its name; `flipped` is the matrix that it is the transpose of."""

    array: np.ndarray
    name: str
    flipped: Union["Constant", None] = None


@dataclass(frozen=True)
class Value:
    """A value of the architecture as ONNX sees it: `view` is its shape without the batch.

    Reshaping changes the view alone; an op that needs the entries in this shape has them brought there first. In
    the order `"hwc"` ONNX has the channels last, and the architecture has them first. `term` is a function of every
    entry that was not made an op yet (see `Terms`); 0 is the value itself.
    """

    number: int
    view: Shape
    order: Order = "chw"
    term: int = 0


Operand = Value | Constant


@dataclass(frozen=True, eq=False)
class Call:
    """A node with its inputs; None is one that was left out."""

    node: Node
    inputs: tuple[Operand | None, ...]
    opset: int

    def operand(self, index: int) -> Operand | None:
        """An input; None if it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else None

    def attribute(self, name: str) -> Attribute:
        """An attribute, or ONNX's default for it."""
        if name in self.node.attributes:
            return self.node.attributes[name]
        return _default(self.node.op, self.opset, name)


def _default(op: str, opset: int, name: str) -> Attribute:
    import onnx

    attribute = onnx.defs.get_schema(op, opset, "").attributes.get(name)
    if attribute is None or not attribute.default_value.name:
        return None
    value = onnx.helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else tuple(value) if isinstance(value, list) else value


Handler = Callable[["Builder", Call], Operand]
