"""Graph inputs and outputs: possible input shapes, and a check of the declared output shape."""

from collections.abc import Iterator
from dataclasses import dataclass

from nfn.architecture.ops import Shape
from nfn.onnx_reader.builder import Builder
from nfn.onnx_reader.errors import OnnxError, invalid
from nfn.onnx_reader.parse import Port
from nfn.onnx_reader.values import Order, Value
from nfn.reader.errors import ONNX_EXPORT, quote


@dataclass(frozen=True)
class Reading:
    """One way to take the input: its shape as an architecture's, and as ONNX's without the batch.

    `batches` are the sizes of the axes before it: one, or two to be tried where the file leaves them open.
    """

    input_shape: Shape
    view: Shape
    order: Order
    batches: tuple[Shape, ...]
    notes: tuple[str, ...] = ()


def readings(port: Port) -> Iterator[Reading]:
    """The possible shapes of an input, the most likely first."""
    dims = _sized(port)
    sizes: Shape = tuple(n or 0 for n in dims[1:])
    batches = _batches(dims[:1])
    if len(dims) == 2:
        yield Reading(sizes, sizes, "chw", batches)
    if len(dims) == 3:
        note = f"The input {_show(dims)} was taken for pictures of one channel, (1, {sizes[0]}, {sizes[1]})."
        if dims[1] is not None:
            yield Reading((1, *sizes), sizes, "chw", batches, (note,))
        note = f"The input {_show(dims)} was taken for points, one after the other."
        yield Reading(sizes[1:], sizes[1:], "chw", _batches(dims[:2]), (note,))
    if len(dims) == 4:
        first = Reading(sizes, sizes, "chw", batches)
        turned = (sizes[2], *sizes[:2])
        note = f"The file's pictures have their channels last, {_show(dims)}; here they are {turned}."
        last = Reading(turned, sizes, "hwc", batches, (note,))
        yield from (last, first) if sizes[2] <= 4 < sizes[0] else (first, last)


def _sized(port: Port) -> tuple[int | None, ...]:
    """The sizes of an input, of which only the batch size may be unknown."""
    name = quote(port.name)
    if port.dtype not in ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "UINT8"):
        raise invalid(
            f"its input {name} takes values of type {port.dtype}; expected floats, a picture or a vector"
        )
    if port.dims is None:
        raise _unsized(f"its input {name} has no shape")
    if not 2 <= len(port.dims) <= 4:
        raise _unsized(f"its input {name} has the shape {_show(port.dims)}")
    open_axes = [i for i, n in enumerate(port.dims) if n is None and i > 0]
    if open_axes and not (len(port.dims) == 3 and open_axes == [1]):
        raise _unsized(f"its input {name} has the shape {_show(port.dims)}, with sizes left open")
    return port.dims


def _unsized(fault: str) -> OnnxError:
    return invalid(
        f"{fault}; expected (batch, channels, height, width) or (batch, features) with numbers for all but the batch",
        f"Export it with one input as an example, and no sizes left open but the batch's: {ONNX_EXPORT}.",
    )


def _show(dims: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("?" if n is None else str(n) for n in dims) + ")"


def _batches(dims: tuple[int | None, ...]) -> tuple[Shape, ...]:
    tried = tuple(tuple(n or size for n in dims) for size in (2, 3))
    return tried if None in dims else tried[:1]


def check_output(builder: Builder, port: Port, output: Value) -> None:
    """Raise OnnxError if the output's declared shape differs from the computed one."""
    if port.dims is None:
        return
    declared, lead = port.dims, len(builder.batch)
    fits = len(declared) == lead + len(output.view) and all(
        n in (None, size) for n, size in zip(declared[lead:], output.view, strict=True)
    )
    if not fits:
        raise invalid(
            f"it says that its output {quote(port.name)} has the shape {_show(declared)}, and computes "
            f"{builder.show(output.view)}"
        )


def output_number(builder: Builder, output: Value) -> int:
    """The number of the output: a vector, or a picture with its channels first."""
    if len(output.view) == 1 or (len(output.view) == 3 and output.order == "chw"):
        number = builder.shaped(output)
    else:
        number = builder.number(output)
        builder.check_not_expanded(output)
        view = builder.show(output.view)
        builder.note(f"The output {view} of the file is here of shape {builder.values[number]}.")
    if number == 0:
        raise invalid("its output is its input, unchanged")
    return number
