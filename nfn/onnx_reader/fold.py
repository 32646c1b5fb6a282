"""Constant folding, within limits: shapes of values, and rearranged weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nfn.onnx_reader.builder import Builder
from nfn.onnx_reader.errors import OnnxError
from nfn.onnx_reader.nodes.shapes import slices
from nfn.onnx_reader.parse import RawTensor
from nfn.onnx_reader.tensors import FLOATS, to_array, type_name
from nfn.onnx_reader.values import Call, Constant

Array = np.ndarray
Fold = Callable[[Builder, Call, list[Any]], Array]


def fold(builder: Builder, call: Call) -> Constant:
    """The result of a node without inputs that depend on the network's.

    Raises:
        OnnxError: the operator is not known for constants, or its inputs do not fit.
    """
    operands = [c for c in call.inputs if isinstance(c, Constant)]
    arrays = [None if c is None else c.array for c in call.inputs if c is None or isinstance(c, Constant)]
    handler = FOLDS.get(call.node.op)
    if handler is None or (not operands and call.node.op != "Constant"):
        raise builder.refuse("it is computed from constants, in a way that is not known")
    try:
        array = handler(builder, call, arrays)
    except OnnxError:
        raise
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        shapes = [a.shape for a in arrays if a is not None]
        raise builder.refuse(f"its constants, of the shapes {shapes[:4]}, do not fit together") from error
    if array.ndim > 8:
        raise builder.refuse(f"it makes a constant of {array.ndim} dimensions")
    name = operands[0].name if call.node.op in _KEEP_NAME else call.node.outputs[0]
    return Constant(array, name, operands[0] if call.node.op == "Transpose" and array.ndim == 2 else None)


_KEEP_NAME = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast"}
"""Operators that do not change the values of a tensor, so that it keeps its name."""


def _constant(builder: Builder, call: Call, _: list[Array]) -> Array:
    """One of `value`, `value_float`, `value_ints` and so on."""
    given = [value for name, value in call.node.attributes.items() if name.startswith("value")]
    if len(given) != 1 or given[0] is None or isinstance(given[0], str):
        raise builder.refuse("it is a constant without one value of numbers")
    if isinstance(given[0], RawTensor):
        builder.spend(0 if given[0].dtype == "FLOAT" else given[0].numel)  # float32 stays where it is
        return to_array(given[0])
    numbers = given[0] if isinstance(given[0], tuple) else (given[0],)
    whole = all(isinstance(n, int) for n in numbers) and "value_floats" not in call.node.attributes
    array = np.array(numbers, np.int64 if whole else np.float32)
    return array if isinstance(given[0], tuple) else array[0]


def _constant_of_shape(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    value = call.node.attributes.get("value")
    filled = to_array(value).reshape(-1)[:1] if isinstance(value, RawTensor) else np.zeros(1, np.float32)
    return np.full(_room(builder, arrays[0].tolist()), filled[0] if filled.size else 0, filled.dtype)


def _room(builder: Builder, shape: Any) -> tuple[int, ...]:
    """A shape to be allocated; its size is checked first."""
    sizes = tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes) or len(sizes) > 8:
        raise builder.refuse(f"it makes a constant of shape {list(sizes)[:8]}")
    builder.spend(math.prod(sizes))
    return sizes


def _elementwise(function: Callable[..., Array]) -> Fold:
    def handle(builder: Builder, call: Call, arrays: list[Array]) -> Array:
        _room(builder, np.broadcast_shapes(*(a.shape for a in arrays)))
        out = np.asarray(function(*arrays))
        if out.dtype != np.float64:
            return out
        dtype = arrays[-1].dtype  # that of ONNX: NumPy may promote integers and booleans to float64
        return out.astype(dtype if dtype != np.bool_ else np.float32)

    return handle


def _many(function: Callable[[Array, Array], Array]) -> Fold:
    def handle(builder: Builder, call: Call, arrays: list[Array]) -> Array:
        total = arrays[0]
        for array in arrays[1:]:
            _room(builder, np.broadcast_shapes(total.shape, array.shape))
            total = function(total, array)
        return np.asarray(total)

    return handle


def _divide(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    """Integer division, rounding towards zero."""
    a, b = arrays
    _room(builder, np.broadcast_shapes(a.shape, b.shape))
    if a.dtype != np.int64 or b.dtype != np.int64:
        return np.asarray(a / b)
    if not b.all():
        raise builder.refuse("it divides whole numbers by zero")
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient)


def _cast(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    kinds = {"DOUBLE": np.float64, "INT32": np.int64, "INT64": np.int64, "BOOL": np.bool_}
    name = type_name(builder.whole(call, "to", 0))
    if name not in kinds and name not in FLOATS:
        raise builder.refuse(f"it makes {name} of constants, which is not known")
    return arrays[0].astype(kinds.get(name, np.float32))


def _reshape(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    shape = arrays[1].tolist()
    if not call.attribute("allowzero"):
        shape = [arrays[0].shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return arrays[0].reshape(shape)


def _flatten(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    axis = range(arrays[0].ndim + 1)[builder.whole(call, "axis", -8)]
    return arrays[0].reshape(math.prod(arrays[0].shape[:axis]), -1)


def _squeeze(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    axes = builder.axes(call, 1)
    return np.squeeze(arrays[0], None if axes is None else tuple(axes))


def _unsqueeze(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    axes = builder.axes(call, 1) or []
    if arrays[0].ndim + len(axes) > 8:
        raise builder.refuse("it makes a constant of too many dimensions")
    return np.expand_dims(arrays[0], tuple(axes))


def _transpose(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    return np.transpose(arrays[0], call.attribute("perm"))  # type: ignore[arg-type]


def _concat(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    builder.spend(sum(a.size for a in arrays))
    return np.concatenate(arrays, builder.whole(call, "axis", -8))


def _slice(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    out = arrays[0]
    for axis, (start, step, size) in slices(builder, call, out.shape).items():
        out = np.take(out, start + step * np.arange(size), axis)
    builder.spend(out.size)
    return out


def _gather(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    axis = builder.whole(call, "axis", -8)
    rest = [n for i, n in enumerate(arrays[0].shape) if i != axis % arrays[0].ndim]
    _room(builder, [*rest, arrays[1].size])
    return np.asarray(np.take(arrays[0], arrays[1], axis))


def _expand(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    shape = np.broadcast_shapes(arrays[0].shape, _sizes(arrays[1]))
    return np.broadcast_to(arrays[0], _room(builder, shape))


def _sizes(array: Array) -> tuple[int, ...]:
    sizes = tuple(array.tolist())
    if any(not 0 <= n < 2**31 for n in sizes):
        raise ValueError("a size below 0")
    return sizes


def _tile(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    _room(builder, [n * r for n, r in zip(arrays[0].shape, _sizes(arrays[1]), strict=True)])
    return np.tile(arrays[0], arrays[1].tolist())


def _range(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    start, limit, delta = (float(a) for a in arrays)
    _room(builder, [max(math.ceil((limit - start) / delta) if delta else 0, 0)])
    return np.arange(start, limit, delta or 1.0).astype(arrays[0].dtype)


def _where(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    _room(builder, np.broadcast_shapes(*(a.shape for a in arrays)))
    return np.where(arrays[0].astype(bool), arrays[1], arrays[2])


def _reduce(function: Callable[..., Array]) -> Fold:
    def handle(builder: Builder, call: Call, arrays: list[Array]) -> Array:
        axes = builder.axes(call, 1)
        if not axes and call.attribute("noop_with_empty_axes"):
            return arrays[0]
        builder.spend(arrays[0].size)
        out = function(
            arrays[0], axis=tuple(axes) if axes else None, keepdims=bool(call.attribute("keepdims"))
        )
        return np.asarray(out).astype(arrays[0].dtype)

    return handle


def _matmul(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    a, b = arrays
    if a.ndim != 2 or b.ndim != 2 or a.dtype == np.int64:
        raise builder.refuse("it multiplies constants that are no matrices of floats")
    builder.spend(a.size * b.shape[1])
    return a @ b


@dataclass(frozen=True)
class _Norm:
    order: int

    def __call__(self, array: Array, axis: Any, keepdims: bool) -> Array:
        return (np.abs(array) ** self.order).sum(axis=axis, keepdims=keepdims) ** (1 / self.order)


def _same(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    return arrays[0]


def _shape(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    start, end = call.attribute("start"), call.attribute("end")
    part = slice(start if isinstance(start, int) else None, end if isinstance(end, int) else None)
    return np.array(arrays[0].shape[part], np.int64)


def _size(builder: Builder, call: Call, arrays: list[Array]) -> Array:
    return np.array(arrays[0].size, np.int64)


FOLDS: dict[str, Fold] = {
    "Constant": _constant, "ConstantOfShape": _constant_of_shape, "Identity": _same, "Dropout": _same, "Cast": _cast,
    "Shape": _shape, "Size": _size, "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Transpose": _transpose, "Concat": _concat, "Slice": _slice, "Gather": _gather,
    "Expand": _expand, "Tile": _tile, "Range": _range, "Where": _where, "MatMul": _matmul,
    "Add": _elementwise(np.add), "Sub": _elementwise(np.subtract), "Mul": _elementwise(np.multiply),
    "Div": _divide, "Pow": _elementwise(np.power), "Mod": _elementwise(np.mod),
    "Neg": _elementwise(np.negative), "Abs": _elementwise(np.abs), "Sqrt": _elementwise(np.sqrt),
    "Exp": _elementwise(np.exp), "Log": _elementwise(np.log), "Floor": _elementwise(np.floor),
    "Ceil": _elementwise(np.ceil), "Tanh": _elementwise(np.tanh), "Reciprocal": _elementwise(np.reciprocal),
    "Sigmoid": _elementwise(lambda x: 1 / (1 + np.exp(-x))), "Relu": _elementwise(lambda x: np.maximum(x, 0)),
    "Softplus": _elementwise(lambda x: np.logaddexp(x, 0)), "Not": _elementwise(np.logical_not),
    "Equal": _elementwise(np.equal), "Greater": _elementwise(np.greater), "Less": _elementwise(np.less),
    "And": _elementwise(np.logical_and), "Or": _elementwise(np.logical_or),
    "Max": _many(np.maximum), "Min": _many(np.minimum), "Sum": _many(np.add),
    "ReduceSum": _reduce(np.sum), "ReduceMean": _reduce(np.mean), "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min), "ReduceProd": _reduce(np.prod), "ReduceL1": _reduce(_Norm(1)),
    "ReduceL2": _reduce(_Norm(2)),
}  # fmt: skip
