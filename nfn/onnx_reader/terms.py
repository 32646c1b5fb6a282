"""Functions of one number, as ONNX writes them in steps: GELU is `x * (1 + erf(x / 1.41)) / 2`, and so on.

`Terms` holds each step once. `recognise` finds which activation a function is by its values: every way to write GELU
gives GELU's.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from nfn.architecture.ops import FUNCTIONS

X = 0
"""The term of the variable itself."""
LARGEST = 32
"""The most terms in one function; longer ones are split there."""
TRIES = 2_000
"""The most functions of a graph that are compared with all activations."""
INFINITE = 3e38
"""Bounds of at least this size have no effect (exporters write the largest float32 for no bound)."""

_COMPARISONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "greater": torch.gt,
    "greater_or_equal": torch.ge,
    "less": torch.lt,
    "less_or_equal": torch.le,
}
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "max": torch.maximum,
    "min": torch.minimum,
    "pow": torch.pow,
    **_COMPARISONS,
}
_UNARY: dict[str, Callable[[Tensor], Tensor]] = {"erf": torch.erf, "log": torch.log, "sqrt": torch.sqrt}

Term = tuple[str, tuple[int, ...], float]
"""The kind of a step, its argument terms, and its number (a slope, or the value of a "number")."""


def decimal(number: float) -> float:
    """The shortest decimal that rounds to the same float32: 0.1 rather than 0.10000000149."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(number)))


class Terms:
    """All steps of all functions in a graph, without duplicates."""

    def __init__(self):
        self.terms: list[Term] = [("x", (), 0.0)]
        self.sizes: list[int] = [1]
        self.tries = 0
        self._numbers: dict[Term, int] = {self.terms[0]: X}

    def make(self, kind: str, *arguments: int, number: float = 0.0) -> int:
        """The index of a step; steps without effect (`x * 1`, `max(x, -inf)`) are skipped."""
        term = (kind, arguments, number)
        same = self._simplified(term)
        if same is not None:
            return same
        if term not in self._numbers:
            self._numbers[term] = len(self.terms)
            self.terms.append(term)
            self.sizes.append(1 + sum(self.sizes[a] for a in arguments))
        return self._numbers[term]

    def number(self, value: float) -> int:
        """Add a constant."""
        return self.make("number", number=value)

    def constant(self, term: int) -> float | None:
        """The value of a constant; None for terms that depend on x."""
        kind, _, number = self.terms[term]
        return number if kind == "number" else None

    def is_comparison(self, term: int) -> bool:
        """Whether a step is boolean."""
        return self.terms[term][0] in _COMPARISONS

    def _simplified(self, term: Term) -> int | None:
        kind, arguments, _ = term
        if kind not in _BINARY:
            return None
        left, right = (self.constant(a) for a in arguments)
        if left is not None and right is not None:
            return self.number(
                float(self._apply(term, [torch.tensor(v, dtype=torch.float64) for v in (left, right)]))
            )
        neutral = {("add", 0.0), ("mul", 1.0)}
        bound = {"max": -1, "min": 1}.get(kind)
        for one, other in ((left, arguments[1]), (right, arguments[0])):
            if one is not None and ((kind, one) in neutral or (bound and bound * one >= INFINITE)):
                return other
        unchanged = right is not None and (kind, right) in {("sub", 0.0), ("div", 1.0), ("pow", 1.0)}
        return arguments[0] if unchanged else None

    def cone(self, root: int) -> list[int]:
        """A term and all its subterms, the latest first, without constants."""
        reached, left = set(), [root]
        while left:
            term = left.pop()
            if term not in reached and self.constant(term) is None:
                reached.add(term)
                left.extend(self.terms[term][1])
        return sorted(reached, reverse=True)

    def evaluate(self, root: int, variable: int, x: Tensor) -> Tensor | None:
        """The values of a function of `variable`; None if it also depends on x in another way."""
        values: dict[int, Tensor] = {variable: x}
        for term in [*reversed(self.cone(root))]:
            if term in values:
                continue
            kind, arguments, number = self.terms[term]
            if kind == "x" or any(self.constant(a) is None and a not in values for a in arguments):
                continue
            operands = [values[a] if a in values else self._constant(a, x) for a in arguments]
            values[term] = self._apply((kind, arguments, number), operands)
        return values.get(root)

    def _constant(self, term: int, x: Tensor) -> Tensor:
        return torch.full_like(x, self.terms[term][2])

    @staticmethod
    def _apply(term: Term, operands: list[Tensor]) -> Tensor:
        kind, _, number = term
        if kind == "where":
            return torch.where(operands[0].bool(), operands[1], operands[2])
        if kind in _BINARY:
            return _BINARY[kind](*operands)
        return _UNARY[kind](*operands) if kind in _UNARY else FUNCTIONS[kind](operands[0], number)

    def recognise(self, root: int, variable: int) -> tuple[str, float] | None:
        """The activation that equals a function of `variable`, and its parameter; ("identity", 1) for the identity."""
        values = self.evaluate(root, variable, _grid())
        if values is None or self.is_comparison(root):
            return None
        certain = torch.isfinite(values) | (
            _grid().abs() < 80
        )  # far out exp overflows where softplus does not
        names, plain = _plain_values()
        same = (_close(values, plain) | ~certain).all(1).nonzero()
        if len(same):
            return names[int(same[0])], 1.0
        for name, parameter in _fit(values).items():
            if bool((_close(values, FUNCTIONS[name](_grid(), parameter)) | ~certain).all()):
                return name, parameter
        return None


@cache
def _grid() -> Tensor:
    """Test inputs of all magnitudes, dense where activations bend."""
    wide = torch.logspace(-6, 6, 200, dtype=torch.float64)
    near = torch.linspace(-13, 13, 1201, dtype=torch.float64)
    return torch.cat([torch.tensor([-50.0, -1.0, 0.0], dtype=torch.float64), near, wide, -wide])


_FITTED = {"leaky_relu", "elu", "celu", "softplus"}


@cache
def _plain_values() -> tuple[list[str], Tensor]:
    """All activations without a parameter, and the identity, with their values, a row each."""
    names = [name for name in FUNCTIONS if name not in _FITTED | {"sine", "cosine"}]
    rows = [_grid(), *(FUNCTIONS[name](_grid(), 1.0) for name in names)]
    return ["identity", *names], torch.stack(rows).nan_to_num(posinf=1e300)


def _close(values: Tensor, expected: Tensor) -> Tensor:
    return (values - expected).abs() <= 1e-6 * (1 + expected.abs())


def _fit(values: Tensor) -> dict[str, float]:
    """The parameter that each parametrized activation would need; only functions that bend at 0 can be one."""
    at_minus_50, at_minus_1, at_0 = (float(v) for v in values[:3])
    softplus = math.log(2) / at_0 if at_0 > 0 else 0.0
    fitted = {"leaky_relu": -at_minus_1, "elu": -at_minus_50, "celu": -at_minus_50, "softplus": softplus}
    return {name: decimal(number) for name, number in fitted.items() if 1e-6 < abs(number) < 1e6}
