"""`Architecture`: a network's computation as data; `run` is its forward pass."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from nfn.architecture.decode import decode_op, decode_shape
from nfn.architecture.ops import ArchitectureError, Op, Shape

FORMAT = "weightscope-architecture/1"
MAX_OPS = 2_000
MAX_VALUE = 50_000_000
"""The most entries of one value per input: an image of 4,000 by 4,000 pixels in three channels."""


@dataclass(frozen=True)
class Architecture:
    """A feed-forward network without its weights.

    `input_shape` is `(c, h, w)` or `(n,)`, without the batch. Value 0 is the input, op `i` computes value `i + 1` from
    earlier ones, and the last value is the output. `shapes` has the shape of every tensor that the ops use.

    Raises ArchitectureError if an op does not fit its inputs or tensors.
    """

    input_shape: Shape
    ops: tuple[Op, ...]
    shapes: Mapping[str, Shape]

    def __post_init__(self):
        object.__setattr__(self, "shapes", {name: tuple(self.shapes[name]) for name in _names(self)})
        if len(self.input_shape) not in (1, 3) or min(self.input_shape) < 1:
            raise ArchitectureError(f"An input of shape {self.input_shape}; expected (c, h, w) or (n,).")
        if not 1 <= len(self.ops) <= MAX_OPS:
            raise ArchitectureError(f"A network of {len(self.ops)} operations; expected 1 to {MAX_OPS}.")
        assert self.values  # checks every op

    @cached_property
    def values(self) -> tuple[Shape, ...]:
        """The shapes of all values, starting with the input."""
        values: list[Shape] = [self.input_shape]
        for number, op in enumerate(self.ops):
            if not op.inputs or not all(0 <= i < len(values) for i in op.inputs):
                raise op.fail(f"operation {number} takes the values {op.inputs}; {len(values)} are there")
            if op.arity is not None and len(op.inputs) != op.arity:
                raise op.fail(f"operation {number} takes {len(op.inputs)} values; expected {op.arity}")
            shape = op.shape([values[i] for i in op.inputs], self.shapes)
            if math.prod(shape) > MAX_VALUE:
                raise op.fail(f"operation {number} gives {shape}, more than {MAX_VALUE:,} entries")
            values.append(shape)
        return tuple(values)

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, without the batch."""
        return self.values[-1]

    @property
    def parameters(self) -> int:
        """The number of values in all tensors."""
        return sum(map(math.prod, self.shapes.values()))

    @property
    def multiplications(self) -> int:
        """The approximate number of multiply-adds of `run` per input."""
        pairs = zip(self.ops, self.values[1:], strict=True)
        return sum(op.multiplications(out, self.shapes) for op, out in pairs)

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """For each value the index of the last op that uses it; for the output `len(ops)`."""
        last = list(range(-1, len(self.ops)))
        for number, op in enumerate(self.ops):
            for i in op.inputs:
                last[i] = number
        return (*last[:-1], len(self.ops))

    @property
    def peak(self) -> int:
        """The peak number of entries of all live values during `run`, per input."""
        most = 0
        for number in range(len(self.ops)):
            alive = (s for i, s in enumerate(self.values[: number + 2]) if self.last_use[i] >= number)
            most = max(most, sum(map(math.prod, alive)))
        return most

    def run(self, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """The outputs `(N, *output_shape)` for inputs `(N, *input_shape)`; differentiable in tensors and inputs.

        Raises ArchitectureError for inputs of another shape.
        """
        return self.trace(tensors, x, {len(self.ops)})[len(self.ops)]

    def trace(self, tensors: Mapping[str, Tensor], x: Tensor, indices: set[int]) -> dict[int, Tensor]:
        """As `run`, returning the values with these indices; others are freed after their last use."""
        if tuple(x.shape[1:]) != self.input_shape:
            raise ArchitectureError(f"This network takes {self.input_shape}, and got {tuple(x.shape[1:])}.")
        alive, kept = {0: x}, {0: x} if 0 in indices else {}
        for number, op in enumerate(self.ops):
            alive[number + 1] = op.run([alive[i] for i in op.inputs], tensors)
            if number + 1 in indices:
                kept[number + 1] = alive[number + 1]
            for i in {*op.inputs, number + 1}:
                if self.last_use[i] <= number:
                    alive.pop(i, None)
        return kept

    def to_json(self) -> str:
        """Serialize as JSON; see `from_json`."""
        ops = [{"kind": op.kind, **_changed(op)} for op in self.ops]
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        document = {"format": FORMAT, "input_shape": list(self.input_shape), "ops": ops, "shapes": shapes}
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """Parse (untrusted) JSON of `to_json`; ArchitectureError if it is not valid."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArchitectureError("The architecture is not JSON.") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ArchitectureError(f"Not an architecture of the format {FORMAT!r}.")
        ops, shapes = document.get("ops"), document.get("shapes")
        if not isinstance(ops, list) or not isinstance(shapes, dict) or len(ops) > MAX_OPS:
            raise ArchitectureError(f"An architecture has 'shapes' and a list of at most {MAX_OPS} 'ops'.")
        decoded = {name: decode_shape(shape, f"tensor {name[:60]!r}") for name, shape in shapes.items()}
        input_shape = decode_shape(document.get("input_shape"), "the input")
        return cls(input_shape, tuple(decode_op(op) for op in ops), decoded)


def _names(architecture: Architecture) -> list[str]:
    names = dict.fromkeys(name for op in architecture.ops for name in op.tensors)
    missing = [name for name in names if name not in architecture.shapes]
    if missing:
        raise ArchitectureError(f"The tensor {missing[0][:60]!r} is used, and is not there.")
    return list(names)


def _changed(op: Op) -> dict[str, Any]:
    """The fields of an op that differ from their defaults."""
    defaults = {name: f.default for name, f in op.__dataclass_fields__.items()}
    return {name: value for name, value in asdict(op).items() if value != defaults[name]}
