"""The architecture while it is made: ops so far, the tensors that they name, and how values meet."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nfn.architecture.graph import MAX_OPS
from nfn.architecture.ops import Flatten, Op, Reshape, Scale, Shape
from nfn.onnx_reader.errors import WEIGHTS, OnnxError, invalid
from nfn.onnx_reader.lowering import lower
from nfn.onnx_reader.parse import Node
from nfn.onnx_reader.terms import LARGEST, Terms, X, decimal
from nfn.onnx_reader.values import Call, Constant, Operand, Order, Value
from nfn.reader import limits
from nfn.reader.errors import quote
from nfn.reader.tensors import show_count


class Builder:
    """Ops are added by `emit`; `batch` are the sizes of the first axes of everything, which belong to no input.

    `computed` counts the values that were computed from constants; `notes` has what the visitor is told.
    """

    def __init__(self, input_shape: Shape, batch: Shape):
        self.input_shape, self.batch = input_shape, batch
        self.ops: list[Op] = []
        self.values: list[Shape] = [input_shape]
        self.tensors: dict[str, np.ndarray] = {}
        self.terms = Terms()
        self.lowered: dict[tuple[int, int], int] = {}
        self.notes: dict[str, None] = {}
        self.call: Call | None = None
        self.origins: dict[int, Node] = {}
        self.computed = 0

    def emit(self, op: Op, view: Shape | None = None, order: Order = "chw") -> Value:
        """Add an op; `view` is the result's shape in ONNX, if it differs from the op's."""
        shapes = {name: self.tensors[name].shape for name in op.tensors}
        shape = op.shape([self.values[i] for i in op.inputs], shapes)
        if len(self.ops) >= 2 * MAX_OPS:  # some may turn out not to be needed
            raise self.refuse(f"up to here it has {len(self.ops):,} operations; at most {MAX_OPS:,} are read")
        self.ops.append(op)
        self.values.append(shape)
        return self.value(len(self.ops), shape if view is None else view, order)

    def value(self, number: int, view: Shape, order: Order = "chw", term: int = X) -> Value:
        """A value; if both orders are equal, it has that of the architecture."""
        shape = self.values[number]
        one = shape[0] == 1 or math.prod(shape[1:]) == 1
        return Value(number, view, "chw" if one else order, term)

    def number(self, operand: Value) -> int:
        """The index of the value after its pending elementwise steps."""
        return lower(self, operand.number, operand.term)

    def plain(self, value: Value) -> Value:
        """The value after its pending elementwise steps."""
        return value if value.term == X else replace(value, number=self.number(value), term=X)

    def step(self, kind: str, value: Value, number: float = 1.0) -> Value:
        """Apply an elementwise function."""
        return self.steps(kind, [value], number)

    def steps(self, kind: str, operands: Sequence[Value | float], number: float = 0.0) -> Value:
        """Apply an elementwise function of numbers and of values that derive from one value (see `fit`)."""
        values = [o for o in operands if isinstance(o, Value)]
        if not self.fit(values):
            assert len(values) == 1, "values of several terms fit"
            return self.steps(kind, [self.plain(o) if isinstance(o, Value) else o for o in operands], number)
        compared = [
            i for i, o in enumerate(operands) if isinstance(o, Value) and self.terms.is_comparison(o.term)
        ]
        if compared not in ([], [0]) or (compared and kind != "where"):
            raise self.refuse("it computes with the result of a comparison; only a Where may")
        terms = [o.term if isinstance(o, Value) else self.terms.number(o) for o in operands]
        term = self.terms.make(kind, *terms, number=number)
        if self.call is not None:
            self.origins.setdefault(term, self.call.node)
        return replace(values[0], term=term)

    def fit(self, values: Sequence[Value]) -> bool:
        """Whether values derive from one value, in one shape, in few steps."""
        one = len({(v.number, v.view, v.order) for v in values}) == 1
        return one and sum(self.terms.sizes[v.term] for v in values) <= LARGEST

    def maker(self, number: int) -> Op | None:
        """The op that made a value; None for the input."""
        return self.ops[number - 1] if number else None

    def is_near_input(self, number: int) -> bool:
        """Whether only scales and reshapes are between the input and this value."""
        while isinstance(op := self.maker(number), Scale | Flatten | Reshape):
            number = op.inputs[0]
        return number == 0

    def shaped(self, value: Value) -> int:
        """The index of the value in the shape of its view: a vector, or an image with channels first."""
        number = self.number(value)
        have, view = self.values[number], value.view
        self.check_not_expanded(value)
        if len(view) == 1 and len(have) == 3:
            return self.emit(Flatten(inputs=(number,), order=value.order)).number
        if value.order == "hwc":
            raise self.refuse("it takes a picture with the channels last; expected a Transpose before it")
        if have == view:
            return number
        if len(view) == 3 or len(have) == len(view) == 1:
            return self.emit(Reshape(inputs=(number,), to=view)).number
        raise self.refuse(
            f"it takes {self.show(view)}; expected a vector or a picture (batch, channels, height, width)"
        )

    def picture(self, value: Value) -> tuple[int, tuple[int, ...]]:
        """The index of an image, and for each axis of its view the axis of the architecture's value."""
        if len(value.view) != 3:
            raise self.refuse(
                f"it takes {self.show(value.view)}; expected a picture (batch, channels, height, width)"
            )
        if value.order == "chw":
            return self.shaped(value), (0, 1, 2)
        number = self.number(value)
        if (*value.view[2:], *value.view[:2]) != self.values[number]:
            raise self.refuse("its picture was reshaped with the channels last")
        return number, (1, 2, 0)

    def channel_axis(self, value: Value) -> int:
        """The axis of the view with the channels."""
        if value.order == "hwc":
            if value.view[-1] != self.values[value.number][0]:
                raise self.refuse("its picture was reshaped with the channels last")
            return len(value.view) - 1
        if not value.view:
            raise self.refuse("it takes one number for each input; expected a vector or a picture")
        return 0

    def with_channels(self, value: Value) -> int:
        """The index of the value with the channels of its view on the first axis."""
        self.check_not_expanded(value)
        number, channels = self.number(value), value.view[self.channel_axis(value)]
        return number if self.values[number][0] == channels else self.shaped(value)

    def check_not_expanded(self, value: Value) -> None:
        """Raise OnnxError for a value that ONNX broadcast over the image."""
        if math.prod(value.view) != math.prod(self.values[value.number]):
            raise self.refuse("it takes what was expanded; only sums and products can")

    def axis(self, given: int, value: Value) -> int:
        """An axis of a value as an axis of its view; OnnxError for batch axes."""
        rank = len(self.batch) + len(value.view)
        if not -rank <= given < rank:
            raise self.refuse(f"it names axis {given} of {rank}")
        axis = given % rank - len(self.batch)
        if axis < 0:
            raise self.refuse("it works across the inputs of a batch")
        return axis

    def name(self, constant: Constant, array: np.ndarray | None = None, role: str = "") -> str:
        """The name of a tensor, that in the file if the values are equal; `array` is the tensor in another layout."""
        array = constant.array if array is None else array
        if array.dtype not in (np.float32, np.float64):
            raise self.refuse(f"{quote(constant.name)} has values of type {array.dtype}; expected floats")
        stem, number = f"{constant.name}{role}"[: limits.NAME_CHARACTERS - 10], 1
        name = stem
        while name in self.tensors and not same_values(self.tensors[name], array):
            number += 1
            name = f"{stem}_{number}"
        self.tensors[name] = array
        return name

    def spend(self, size: int) -> None:
        """Count the values of a result of constant folding against the limit."""
        self.computed += size
        if self.computed > limits.ONNX_COMPUTED:
            raise self.refuse(
                f"{show_count(self.computed)} values are computed from constants up to here; at most "
                f"{limits.ONNX_COMPUTED:,} are",
                "Let the exporter compute them (constant folding), or onnxsim.",
            )

    def note(self, text: str) -> None:
        self.notes[text] = None

    def show(self, view: Shape) -> str:
        """A shape for a message."""
        return "(" + ", ".join([*["batch"] * len(self.batch), *map(str, view)]) + ")"

    def refuse(self, why: str, advice: str = WEIGHTS, term: int = X) -> OnnxError:
        """An OnnxError that names the node, or the one that made a term."""
        node = self.origins.get(term, None if self.call is None else self.call.node)
        if node is None:
            return invalid(why, advice)
        return OnnxError(f"This ONNX file cannot be read at {node.where}: {why}. {advice}")

    def constant(self, call: Call, index: int, what: str) -> Constant:
        """An input that must be constant."""
        operand = call.operand(index)
        if not isinstance(operand, Constant):
            fault = "is missing" if operand is None else "depends on the input; expected stored numbers"
            raise self.refuse(f"{what} {fault}")
        return operand

    def optional(self, call: Call, index: int, what: str) -> Constant | None:
        return None if call.operand(index) is None else self.constant(call, index, what)

    def first(self, call: Call) -> Value:
        """The first input, which must not be constant."""
        operand = call.operand(0)
        if not isinstance(operand, Value):
            raise self.refuse("its first input does not depend on the network's input")
        return operand

    def integers(self, constant: Constant) -> list[int]:
        """A constant as a list of integers."""
        if constant.array.dtype != np.int64 or constant.array.ndim > 1:
            raise self.refuse(
                f"{constant.array.dtype} of shape {constant.array.shape} were given; expected a list of integers"
            )
        return constant.array.reshape(-1).tolist()

    def axes(self, call: Call, index: int) -> list[int] | None:
        """The `axes` of a node, an attribute in old opsets and an input in new ones; None if absent."""
        given: Any = call.attribute("axes")
        if given is None and call.operand(index) is not None:
            given = self.integers(self.constant(call, index, "the list of axes"))
        return None if given is None else list(given)

    def numbers(self, call: Call, name: str, count: int, default: int, low: int = 1) -> tuple[int, ...]:
        """An attribute with `count` integers, each at least `low`."""
        given: Any = call.attribute(name)
        values = (default,) * count if given is None or given == () else tuple(given)
        if len(values) != count or not all(low <= v < 2**31 for v in values):
            raise self.refuse(
                f"its {name} are {list(values[:8])}; expected {count} whole numbers from {low} on"
            )
        return values

    def whole(self, call: Call, name: str, low: int = 1) -> int:
        """An attribute with one integer of at least `low`."""
        given = call.attribute(name)
        if not isinstance(given, int) or not low <= given < 2**31:
            raise self.refuse(f"its {name} is {given!r:.40}; expected a whole number from {low} on")
        return given

    def real(self, call: Call, name: str) -> float:
        """An attribute with one finite number."""
        given = call.attribute(name)
        if not isinstance(given, int | float) or not abs(given) < 1e30:
            raise self.refuse(f"its {name} is {given!r:.40}; expected a finite number")
        return decimal(given)

    def scalar(self, operand: Operand | None) -> float | None:
        """The single number of a constant; None for all others."""
        if not isinstance(operand, Constant) or operand.array.size != 1:
            return None
        value = operand.array.reshape(-1)[0]
        return decimal(float(value)) if operand.array.dtype == np.float32 else float(value)


def same_values(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have equal values, including NaN."""
    return a is b or (a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True))
