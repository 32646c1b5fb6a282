"""Convert an elementwise function to ops: one activation if possible, else scales, sums and products of activations."""

import math
from typing import TYPE_CHECKING

from nfn.architecture.ops import FUNCTIONS, Activation, Add, Multiply, Scale
from nfn.onnx_reader.terms import TRIES, X, decimal

if TYPE_CHECKING:
    from nfn.onnx_reader.builder import Builder


def lower(builder: "Builder", number: int, term: int) -> int:
    """The index of the value of `term` applied to value `number`; adds ops, once per term."""
    if term == X:
        return number
    key = number, term
    if key not in builder.lowered:
        builder.lowered[key] = _make(builder, number, term)
    return builder.lowered[key]


def _make(builder: "Builder", number: int, term: int) -> int:
    kind, arguments, parameter = builder.terms.terms[term]
    if kind in FUNCTIONS:
        inside, factor = arguments[0], parameter
        if kind in ("sine", "cosine"):
            factor, offset, inner = _affine(builder, inside)
            inside, factor = (inner, factor) if offset == 0 and factor != 0 else (inside, 1.0)
        return _activate(builder, lower(builder, number, inside), kind, factor)
    factor, offset, inside = _affine(builder, term)
    match = None if inside == X else _recognise(builder, term)
    if match is not None:
        name, fitted, variable = match
        before = lower(builder, number, variable)
        return before if name == "identity" else _activate(builder, before, name, fitted)
    if inside != term:
        return _scale(builder, lower(builder, number, inside), factor, offset)
    return _combine(builder, number, term)


def _activate(builder: "Builder", number: int, function: str, parameter: float) -> int:
    return builder.emit(Activation(inputs=(number,), function=function, parameter=parameter)).number


def _scale(builder: "Builder", number: int, factor: float, offset: float) -> int:
    before = builder.maker(number)
    if isinstance(before, Scale) and len(before.factor) == len(before.offset) == 1:
        number, factor, offset = (
            before.inputs[0],
            factor * before.factor[0],
            factor * before.offset[0] + offset,
        )
    if (factor, offset) == (1.0, 0.0):
        return number
    if not max(abs(factor), abs(offset)) < 1e30:
        raise builder.refuse(f"it multiplies by {factor:g} and adds {offset:g}")
    return builder.emit(Scale(inputs=(number,), factor=(factor,), offset=(offset,))).number


def _recognise(builder: "Builder", term: int) -> tuple[str, float, int] | None:
    """The activation that a term is equal to, and its argument (x or another term)."""
    for variable in reversed(builder.terms.cone(term)):
        builder.terms.tries += 1
        if builder.terms.tries > TRIES:
            raise builder.refuse("up to here it has more unusual functions than are looked at", term=term)
        match = None if variable == term else builder.terms.recognise(term, variable)
        if match is not None:
            return (*match, variable)
    return None


def _affine(builder: "Builder", term: int) -> tuple[float, float, int]:
    """`factor * t + offset`, for nested sums and products with constants."""
    factor, offset = 1.0, 0.0
    while True:
        kind, arguments, _ = builder.terms.terms[term]
        left, right = (builder.terms.constant(a) for a in arguments) if len(arguments) == 2 else (None, None)
        number = left if right is None else right
        if kind not in ("add", "sub", "mul", "div") or number is None or (kind == "div" and not right):
            return factor, offset, term
        term = arguments[0] if right is not None else arguments[1]
        if kind == "mul":
            factor *= number
        elif kind == "div":
            factor /= number
        elif kind == "add" or right is None:  # t + a, or a - t
            offset += factor * number
            factor = factor if kind == "add" else -factor
        else:
            offset -= factor * number


def _combine(builder: "Builder", number: int, term: int) -> int:
    """Convert a sum, product, bound or power."""
    kind, arguments, _ = builder.terms.terms[term]
    if kind in ("max", "min"):
        return _bound(builder, number, term)
    if kind == "pow":
        exponent = builder.terms.constant(arguments[1])
        if exponent is not None and exponent in range(2, 9):
            before = lower(builder, number, arguments[0])
            return builder.emit(Multiply(inputs=(before,) * int(exponent))).number
        raise builder.refuse("it takes a power that is no whole number from 2 to 8", term=term)
    if kind not in ("add", "sub", "mul") or any(builder.terms.constant(a) is not None for a in arguments):
        raise builder.refuse(
            f"{kind} is not known as an activation, alone or with what is around it", term=term
        )
    left, right = (lower(builder, number, a) for a in arguments)
    if kind == "sub":
        right = _scale(builder, right, -1.0, 0.0)
    return builder.emit((Multiply if kind == "mul" else Add)(inputs=(left, right))).number


def _bound(builder: "Builder", number: int, term: int) -> int:
    """Convert `max(t, low)` to a shifted ReLU, `min` to a flipped one, and both together to a shifted hard tanh."""
    kind = builder.terms.terms[term][0]
    inside, bound = _without_bound(builder, term, kind)
    if bound is None:
        raise builder.refuse(
            "it takes the larger or smaller of two values; only of a value and a number it is known",
            term=term,
        )
    innermost, other = _without_bound(builder, inside, "min" if kind == "max" else "max")
    if other is None:
        sign = 1.0 if kind == "max" else -1.0
        moved = _scale(builder, lower(builder, number, inside), sign, -sign * bound)
        return _scale(builder, _activate(builder, moved, "relu", 1.0), sign, bound)
    low, high = (bound, other) if kind == "max" else (other, bound)
    if not low < high:
        raise builder.refuse(
            f"it keeps values between {low:g} and {high:g}; expected a lower and an upper bound", term=term
        )
    half, middle = (high - low) / 2, (high + low) / 2
    moved = _scale(builder, lower(builder, number, innermost), 1 / half, -middle / half)
    return _scale(builder, _activate(builder, moved, "hardtanh", 1.0), half, middle)


def _without_bound(builder: "Builder", term: int, kind: str) -> tuple[int, float | None]:
    """The argument and the bound of `max(t, number)`."""
    actual, arguments, _ = builder.terms.terms[term]
    if actual == kind:
        for inside, bound in (arguments, arguments[::-1]):
            number = builder.terms.constant(bound)
            if number is not None and math.isfinite(number):
                return inside, decimal(number)
    return term, None
