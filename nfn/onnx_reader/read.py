"""`read_onnx`: convert an ONNX file to an architecture and its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from nfn.architecture.caps import check_caps
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import ArchitectureError, Shape
from nfn.architecture.trace import only_needed
from nfn.onnx_reader.builder import Builder, same_values
from nfn.onnx_reader.errors import WEIGHTS, OnnxError, invalid
from nfn.onnx_reader.fold import fold
from nfn.onnx_reader.nodes.table import HANDLERS, REFUSED
from nfn.onnx_reader.parse import Model, parse
from nfn.onnx_reader.ports import Reading, check_output, output_number, readings
from nfn.onnx_reader.tensors import RawTensor, to_array
from nfn.onnx_reader.values import Call, Constant, Operand, Value
from nfn.reader import limits
from nfn.reader.errors import quote
from nfn.reader.tensors import check_finite, to_float32


@dataclass(frozen=True)
class OnnxModel:
    """What an ONNX file says: the network, its float32 tensors by the file's names, the file's own metadata.

    `notes` are sentences for the visitor on what was done to the file.
    """

    architecture: Architecture
    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...]
    metadata: Mapping[str, str]


def read_onnx(data: bytes, output: str | None = None) -> OnnxModel:
    """The network in the bytes of an ONNX file: `architecture.run(tensors, x)` is what the file computes.

    Where the file's pictures have their channels last, `x` has them first (a note says so). `output` names one of
    several outputs; without it the first is taken.

    Raises:
        OnnxError: the file is malformed, or does what no architecture can say; the message is one for a visitor, and
            names the node.

    Example: `read_onnx(Path("net.onnx").read_bytes()).architecture.input_shape` is `(1, 28, 28)`.
    """
    model = parse(data, output)
    constants = _Constants(model)
    with np.errstate(all="ignore"):  # what is not finite is refused by name in the end
        built, reading = _first_that_works(model, constants)
    notes = (*model.notes, *reading.notes, *built.notes, *constants.notes())
    tensors = {name: _tensor(name, built.tensors[name]) for name in built.architecture.shapes}
    return OnnxModel(built.architecture, tensors, notes, model.metadata)


@dataclass(frozen=True, eq=False)
class _Built:
    architecture: Architecture
    tensors: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


class _Constants:
    """The stored tensors as arrays, and results of constant folding, each computed once."""

    def __init__(self, model: Model):
        self._raw: Mapping[str, RawTensor] = model.initializers
        self._made: dict[str, Constant] = {}
        self._computed: dict[int, tuple[tuple[Operand | None, ...], Constant]] = {}
        used = {name for node in model.nodes for name in node.inputs} & self._raw.keys()
        total = sum(self._raw[name].numel for name in used)
        if total > limits.ELEMENTS:
            raise invalid(f"its tensors hold {total:,} values; at most {limits.ELEMENTS:,} are read")

    def get(self, name: str) -> Constant | None:
        if name not in self._made and name in self._raw:
            self._made[name] = Constant(to_array(self._raw[name]), name)
        return self._made.get(name)

    def fold(self, builder: Builder, call: Call) -> Constant:
        """What a node makes of constants; of the same ones it is the same."""
        inputs, folded = self._computed.get(call.node.number, ((), None))
        same = len(inputs) == len(call.inputs) and all(
            a is b for a, b in zip(inputs, call.inputs, strict=True)
        )
        if folded is None or not same:
            folded = fold(builder, call)
            self._computed[call.node.number] = call.inputs, folded
        return folded

    def notes(self) -> tuple[str, ...]:
        """Which types were cast."""
        kinds = {self._raw[name].dtype for name in self._made if self._raw[name].is_float} - {"FLOAT"}
        words = {"FLOAT16": "float16", "BFLOAT16": "bfloat16", "DOUBLE": "float64"}
        return tuple(f"Weights of type {words[kind]} were read as float32." for kind in sorted(kinds))


def _first_that_works(model: Model, constants: _Constants) -> tuple[_Built, Reading]:
    """The input's layout (a vector, or an image with channels first or last) is inferred from how it is used."""
    fault: OnnxError | None = None
    for reading in readings(model.input):
        try:
            return _build(model, constants, reading), reading
        except OnnxError as error:
            fault = fault or error
    assert fault is not None, "there is a reading at least"
    raise fault


def _build(model: Model, constants: _Constants, reading: Reading) -> _Built:
    """With an unknown batch size, two sizes must give the same graph; graphs that depend on it are rejected."""
    built, *others = (_walk(model, constants, reading, batch) for batch in reading.batches)
    for other in others:
        same = built.architecture == other.architecture and all(
            same_values(built.tensors[name], other.tensors[name]) for name in built.architecture.shapes
        )
        if not same:
            raise invalid("what it computes depends on the size of the batch")
    return built


def _walk(model: Model, constants: _Constants, reading: Reading, batch: Shape) -> _Built:
    """Convert the graph node by node."""
    builder = Builder(reading.input_shape, batch)
    operands: dict[str, Operand] = {model.input.name: builder.value(0, reading.view, reading.order)}
    for node in model.nodes:
        builder.call = Call(node, (), model.opset)
        inputs = tuple(_look_up(builder, constants, operands, name) for name in node.inputs)
        builder.call = Call(node, inputs, model.opset)
        operands[node.outputs[0]] = _result(builder, constants, builder.call)
    builder.call = None
    output = operands.get(model.output.name)
    if not isinstance(output, Value):
        raise invalid(f"its output {quote(model.output.name)} does not depend on its input")
    check_output(builder, model.output, output)
    try:
        architecture = only_needed(
            builder.ops, output_number(builder, output), reading.input_shape, builder.tensors
        )
        check_caps(architecture)
        if architecture.parameters > limits.ELEMENTS:
            raise ArchitectureError(
                f"Its tensors hold {architecture.parameters:,} values; at most {limits.ELEMENTS:,} do"
            )
    except ArchitectureError as error:
        raise invalid(str(error).rstrip("."), WEIGHTS) from error
    return _Built(architecture, builder.tensors, tuple(builder.notes))


def _look_up(
    builder: Builder, constants: _Constants, operands: Mapping[str, Operand], name: str
) -> Operand | None:
    """The value of a name; None for an omitted input."""
    if not name:
        return None
    operand = operands.get(name) or constants.get(name)
    if operand is None:
        raise builder.refuse(f"it takes {quote(name)}, which is not the first result of its operation")
    return operand


def _result(builder: Builder, constants: _Constants, call: Call) -> Operand:
    if call.node.op in REFUSED:
        raise builder.refuse(REFUSED[call.node.op])
    if not any(isinstance(operand, Value) for operand in call.inputs):
        return constants.fold(builder, call)
    handler = HANDLERS.get(call.node.op)
    if handler is None:
        raise builder.refuse("this operator is none of those that are known")
    try:
        return handler(builder, call)
    except ArchitectureError as error:
        raise builder.refuse(str(error).rstrip(".")) from error


def _tensor(name: str, array: np.ndarray) -> torch.Tensor:
    """A float32 copy; NaN, infinity and values beyond float32 raise OnnxError, naming the tensor."""
    check_finite(name, array)
    narrow = to_float32(name, array)
    return torch.from_numpy(narrow if narrow.flags.writeable else narrow.copy())
