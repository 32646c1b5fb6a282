"""`Recorder`: convert the ATen operations of a running module, as far as they depend on the input, to ops.

A dispatch mode gets every operation in its ATen form: `F.relu(x)`, `x.relu()` and `nn.ReLU()` are the same. Results
that do not depend on the input (masks, weight norm, standardized weights) are tensors of the network.
"""

import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import resolve_name

from nfn.architecture.ops import ArchitectureError, Flatten, Op, Reshape, Scale, Shape

_TORCH, _OURS = Path(torch.__file__).parent, Path(__file__).parent.parent
_TRACE = _OURS / "trace.py"
"""The file that calls the module: stack frames outside of it are not the module's code."""


@dataclass(frozen=True)
class Value:
    """A value of the architecture as seen by PyTorch: `view` is its shape without the batch.

    Reshaping only changes the view; a reshape op is added when another op needs that shape. In the order `"hwc"`
    the view has the channels last, while the architecture has them first.
    """

    number: int
    view: Shape
    order: Literal["chw", "hwc"] = "chw"


@dataclass(frozen=True)
class Call:
    """One operation: its ATen name, its arguments by name (`Value` if input-dependent), and its output shape."""

    name: str
    arguments: Mapping[str, Any]
    view: Shape

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def x(self) -> Any:
        """The first argument."""
        return next(iter(self.arguments.values()))


Handler = Callable[["Recorder", Call], Value]


@dataclass
class Recorder:
    """The ops recorded so far, and their tensors by name."""

    module: nn.Module
    input_shape: Shape
    handlers: Mapping[str, Handler]
    ops: list[Op] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self):
        self.values: list[Shape] = [self.input_shape]
        self.known: dict[int, tuple[Tensor, Value | None]] = {}
        self.named = [*self.module.named_parameters(), *self.module.named_buffers()]
        self.places: list[str] = []
        self.function: Callable | None = None

    def output_number(self, outputs: Sequence[Tensor]) -> int:
        """The index of the only output that depends on the input; TraceError if there are none or several."""
        known = [self.known[id(y)][1] for y in outputs if id(y) in self.known]
        values = {value.number: value for value in known if value is not None and value.number}
        if len(values) != 1:
            raise self.refuse(
                f"it returns {len(values)} values that are computed from the input; expected one"
            )
        return self.shaped(next(iter(values.values())))

    def know(self, tensor: Tensor, value: Value | None) -> None:
        """Register the value of a tensor; None if it depends on the input but has no op."""
        self.known[id(tensor)] = (tensor, value)  # the tensor is kept, so that its id stays its own

    def record(self, func: Any, args: tuple, kwargs: Mapping[str, Any], out: Any) -> None:
        """Record one operation and its result; TraceError, with name and source line, if it is not supported."""
        arguments = self._bind(func, args, kwargs)
        if not any(isinstance(a, Value) for given in arguments.values() for a in flat(given)):
            return
        name = func.overloadpacket.__name__.removesuffix("_")
        tensors = [t for t in flat(out) if isinstance(t, Tensor)]
        for other in tensors[1:]:
            self.know(other, None)
        if name in _SHAPE_ONLY or not tensors:
            return
        first = tensors[0]
        handler = self.handlers.get(name)
        if handler is None:
            raise self.refuse("it is none of the operations of an architecture")
        self._check_batch(tuple(first.shape))
        try:
            self.know(first, handler(self, Call(name, arguments, tuple(first.shape[1:]))))
        except ArchitectureError as error:
            raise error if isinstance(error, TraceError) else self.refuse(str(error).rstrip(".")) from error

    def _bind(self, func: Any, args: tuple, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments by their schema names, input-dependent tensors as their `Value`."""
        bound = {}
        for number, argument in enumerate(func._schema.arguments):
            given = args[number] if number < len(args) else kwargs.get(argument.name, argument.default_value)
            many = isinstance(given, list | tuple)
            bound[argument.name] = [self._look_up(v) for v in given] if many else self._look_up(given)
        return bound

    def _look_up(self, given: Any) -> Any:
        if not isinstance(given, Tensor) or id(given) not in self.known:
            return given
        value = self.known[id(given)][1]
        if value is None:
            raise self.refuse("it uses what another operation gives besides its result (such as an index)")
        return value

    def _check_batch(self, shape: Shape) -> None:
        batch = next(iter(self.known.values()))[0].shape[0]
        if not shape:
            raise self.refuse(
                "it makes one number of all inputs of a batch, such as for a decision in Python"
            )
        if shape[0] != batch:
            raise self.refuse(
                f"from a batch of {batch} inputs it makes {shape}, which is not one result for each"
            )

    def emit(self, op: Op, view: Shape | None = None, order: Literal["chw", "hwc"] = "chw") -> Value:
        """Add an op; `view` is the result's shape in PyTorch, if it differs from the op's."""
        shapes = {name: tuple(self.tensors[name].shape) for name in op.tensors}
        shape = op.shape([self.values[i] for i in op.inputs], shapes)
        self.ops.append(op)
        self.values.append(shape)
        return Value(len(self.ops), shape if view is None else view, order)

    def apply(self, make: type[Op], value: Value, **fields: Any) -> Value:
        """Add an elementwise op, which keeps the view."""
        self.check_not_expanded(value)
        return self.emit(make(inputs=(value.number,), **fields), value.view, value.order)

    def maker(self, number: int) -> Op | None:
        """The op that made a value; None for the input."""
        return self.ops[number - 1] if number else None

    def is_near_input(self, value: Value) -> bool:
        """Whether only scales and reshapes are between the input and this value."""
        number = value.number
        while isinstance(op := self.maker(number), Scale | Flatten | Reshape):
            number = op.inputs[0]
        return number == 0

    def shaped(self, value: Value) -> int:
        """The index of the value in the shape of its view, a vector or an image; adds a reshape if needed."""
        self.check_not_expanded(value)
        have = self.values[value.number]
        if value.order == "hwc":
            raise self.refuse("it takes a picture with the channels last, (height, width, channels)")
        if have == value.view:
            return value.number
        if len(value.view) == 1 and len(have) == 3:
            return self.emit(Flatten(inputs=(value.number,))).number
        if len(value.view) == 3:
            return self.emit(Reshape(inputs=(value.number,), to=value.view)).number
        raise self.refuse(f"it takes {value.view}; expected a vector or a picture (channels, height, width)")

    def with_channels(self, value: Value) -> int:
        """The index of the value with the channels of its view on the first axis."""
        channels = value.view[0 if value.order == "chw" else -1]
        return value.number if self.values[value.number][0] == channels else self.shaped(value)

    def broadcast(self, value: Value) -> int:
        """The index of the value as an operand of a sum or product, which broadcast expanded values."""
        expanded = math.prod(value.view) != math.prod(self.values[value.number])
        return value.number if expanded else self.shaped(value)

    def check_not_expanded(self, value: Value) -> None:
        """Raise TraceError for a value that PyTorch expanded over the image."""
        if math.prod(value.view) != math.prod(self.values[value.number]):
            raise self.refuse("it takes what was expanded; only sums and products can")

    def name(self, tensor: Tensor, role: str) -> str:
        """The name of a constant tensor; a computed one is named by its module and role."""
        name = next((name for name, known in self.named if _same(known, tensor)), None)
        if name is None:
            flat = next((name for name, known in self.named if _same(known.detach().flatten(), tensor)), None)
            path = self.places[-1] if self.places else ""
            name = self._new_name(tensor, f"{flat}.flat" if flat else f"{path}.{role}".lstrip("."))
        self.tensors[name] = tensor
        return name

    def _new_name(self, tensor: Tensor, stem: str) -> str:
        """An unused name for a tensor; equal tensors get the same name."""
        taken = {name for name, _ in self.named}
        names = (stem if number == 1 else f"{stem}_{number}" for number in itertools.count(1))
        free = (name for name in names if name not in taken)
        return next(n for n in free if n not in self.tensors or torch.equal(self.tensors[n], tensor))

    def is_named(self, tensor: Tensor) -> bool:
        """Whether this is an unmodified parameter or buffer of the module."""
        return any(_same(known, tensor) for _, known in self.named)

    def is_parameter(self, tensor: Tensor) -> bool:
        """Whether this is a parameter, possibly reshaped."""
        return any(_same(known.detach().flatten(), tensor.flatten()) for known in self.module.parameters())

    def refuse(self, why: str) -> "TraceError":
        """A TraceError that names the operation, the module and the source line."""
        what = resolve_name(self.function) if self.function is not None else None
        shape = ", ".join(map(str, (1, *self.input_shape)))
        remark = next((text for word, text in _REMARKS.items() if word in (what or "")), "")
        place = self._where() if what else ""
        return TraceError(
            f"{what or 'The module'} cannot be written as an architecture{place}: {why}.{remark} Export the "
            f'module with torch.onnx.export(module.eval(), (torch.zeros({shape}),), "net.onnx") and use that file, '
            "or write this step in another way."
        )

    def _where(self) -> str:
        """The running module, and the line of the module's code that is being executed."""
        path = self.places[-1] if self.places else ""
        inside = (
            f" in {path!r} ({type(self.module.get_submodule(path)).__name__})" if path else " in the module"
        )
        frame = sys._getframe(1)
        while frame is not None and Path(frame.f_code.co_filename) != _TRACE:
            file = Path(frame.f_code.co_filename)
            if _OURS not in file.parents and _TORCH not in file.parents:
                return f"{inside}, {file.name} line {frame.f_lineno}"
            frame = frame.f_back
        return inside


class TraceError(ArchitectureError):
    """A module has an operation that an architecture cannot express."""


_SHAPE_ONLY = {
    "zeros_like",
    "ones_like",
    "empty_like",
    "new_zeros",
    "new_ones",
    "new_empty",
    "new_full",
    "full_like",
}
"""Operations that depend only on the shape of their input, so that their results are constants."""
_REMARKS = {
    "dropout": " It drops entries in evaluation too: pass training=self.training, or use nn.Dropout.",
    "batch_norm": " In evaluation it needs running statistics (track_running_stats=True).",
}


def constant(recorder: Recorder, given: Any, what: str) -> Tensor:
    """The tensor, which must not depend on the input; otherwise a TraceError names it by `what`."""
    if not isinstance(given, Tensor):
        raise recorder.refuse(f"{what} depends on the input")
    return given


def flat(given: Any) -> list[Any]:
    """A list or tuple as a list; anything else as a list of one."""
    return list(given) if isinstance(given, list | tuple) else [given]


def _same(known: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same memory in the same shape (as a detached parameter)."""
    return (
        known.data_ptr() == tensor.data_ptr()
        and known.dtype == tensor.dtype
        and known.shape == tensor.shape
        and known.stride() == tensor.stride()
        and known.numel() > 0
    )
