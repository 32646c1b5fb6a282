"""From the bytes of an ONNX file to its one checked graph: nodes in order, names that are there, one input.

Sources: https://onnx.ai/onnx/repo-docs/IR.html and `onnx.proto`. The schemas of the operators, which the `onnx` package
holds as data, say what each node may have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nfn.onnx_reader.errors import AGAIN, WEIGHTS, OnnxError, invalid
from nfn.onnx_reader.tensors import RawTensor, check_tensor, describe, type_name
from nfn.onnx_reader.wire import check_wire
from nfn.reader import limits
from nfn.reader.errors import ONNX_EXPORT, quote, quote_some

OPSETS = (7, 26)
"""Versions of the operators that are known: from PyTorch 1.0 on."""

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | RawTensor | None
"""None: of a kind that no operator here takes."""


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: `inputs` and `outputs` name values, "" is one that was left out."""

    number: int
    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    @property
    def where(self) -> str:
        """For messages: "node 3, Conv '/conv1/Conv'"."""
        return (
            f"node {self.number}, {quote(self.op)[1:-1]} {quote(self.name or next(iter(self.outputs), ''))}"
        )


@dataclass(frozen=True)
class Port:
    """An input or output of the graph; sizes that the file leaves open are None, as is an unknown shape."""

    name: str
    dims: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True, eq=False)
class Model:
    """What the output of an ONNX file needs."""

    nodes: tuple[Node, ...]
    initializers: Mapping[str, RawTensor]
    input: Port
    output: Port
    opset: int
    metadata: dict[str, str]
    notes: tuple[str, ...]


def parse(data: bytes, wanted: str | None = None) -> Model:
    """The checked graph to the output `wanted`, or the first; OnnxError says what is wrong and where."""
    check_wire(data)
    proto = _decode(data)
    opset = _opset(proto)
    graph = proto.graph
    initializers = _initializers(graph)
    nodes = _nodes(graph, opset)
    ports = [_port(info) for info in graph.input if info.name not in initializers]
    _check_order(nodes, [*initializers, *(port.name for port in ports)])
    output, notes = _output(graph, wanted)
    needed = _needed(nodes, output.name)
    used = {name for node in needed for name in node.inputs} | {output.name}
    metadata = {
        entry.key: entry.value
        for entry in proto.metadata_props
        if isinstance(entry.key, str) and isinstance(entry.value, str)
    }
    return Model(tuple(needed), initializers, _input(ports, used), output, opset, metadata, notes)


def _decode(data: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise invalid("it is incomplete, or no protobuf message") from error
    if not proto.HasField("graph"):
        raise invalid("it holds no graph")
    if proto.functions:
        raise invalid(
            f"it defines functions of its own ({quote_some([f.name for f in proto.functions])}); wanted plain "
            "operators",
            f"Inline them with onnx.inliner.inline_local_functions(model), or export it again: {ONNX_EXPORT}.",
        )
    return proto


def _opset(proto: Any) -> int:
    """The version of the standard operators."""
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    low, high = OPSETS
    if len(versions) != 1:
        raise invalid(f"it names {len(versions)} versions of ONNX's operators; wanted one (an opset)")
    if not low <= versions[0] <= high:
        raise invalid(
            f"it is in opset {versions[0]}; {low} to {high} are read",
            f"Convert it with onnx.version_converter.convert_version(model, 20), or export it again: {ONNX_EXPORT}.",
        )
    return versions[0]


def _initializers(graph: Any) -> dict[str, RawTensor]:
    """The stored tensors by name; none is read yet."""
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise invalid(f"tensor {quote(name)} is sparse; wanted dense weights")
    if len(graph.initializer) > limits.ONNX_NODES:
        raise invalid(f"it has {len(graph.initializer):,} tensors; at most {limits.ONNX_NODES:,} are read")
    tensors: dict[str, RawTensor] = {}
    for proto in graph.initializer:
        name = _check_name(proto.name, "a tensor")
        if name in tensors:
            raise invalid(f"two tensors are called {quote(name)}")
        tensors[name] = describe(proto)
        check_tensor(name, tensors[name])
    return tensors


def _nodes(graph: Any, opset: int) -> list[Node]:
    if len(graph.node) > limits.ONNX_NODES:
        raise invalid(f"it has {len(graph.node):,} nodes; at most {limits.ONNX_NODES:,} are read")
    return [_node(number, proto, opset) for number, proto in enumerate(graph.node, 1)]


def _node(number: int, proto: Any, opset: int) -> Node:
    names = [
        _check_name(name, f"a value of node {number}", empty=True) for name in (*proto.input, *proto.output)
    ]
    inputs, outputs = tuple(names[: len(proto.input)]), tuple(names[len(proto.input) :])
    op = _check_name(proto.op_type, f"the operator of node {number}")
    bare = Node(number, op, _check_name(proto.name, f"node {number}", empty=True), inputs, outputs, {})
    if not any(outputs):
        raise invalid(f"node {number}, {quote(op)}, gives nothing")
    if proto.domain not in ("", "ai.onnx"):
        raise _at(bare, f"it is an operator of {quote(proto.domain)}; wanted ONNX's own operators", WEIGHTS)
    attributes: dict[str, Attribute] = {}
    for attribute in proto.attribute:
        name = _check_name(attribute.name, f"an attribute of node {number}")
        if name in attributes:
            raise _at(bare, f"its attribute {quote(name)} stands there twice")
        attributes[name] = _attribute(bare, attribute)
    node = replace(bare, attributes=attributes)
    _check_schema(node, proto, opset)
    return node


def _attribute(node: Node, proto: Any) -> Attribute:
    if proto.ref_attr_name:
        raise _at(node, f"its attribute {quote(proto.name)} refers to a function's; wanted a value")
    kind = proto.type
    if kind in (proto.GRAPH, proto.GRAPHS):
        raise _at(
            node,
            "it holds a graph of its own (a condition or a loop); wanted a plain chain of operators",
            WEIGHTS,
        )
    if kind == proto.TENSOR:
        tensor = describe(proto.t)
        check_tensor(node.outputs[0], tensor)
        return tensor
    if kind in (proto.INTS, proto.FLOATS):
        values = proto.ints if kind == proto.INTS else proto.floats
        if len(values) > limits.ONNX_INTEGERS:
            raise _at(node, f"its attribute {quote(proto.name)} has {len(values):,} numbers")
        return tuple(values)
    if kind == proto.STRING:
        return proto.s[:100].decode("utf-8", "replace")
    return proto.i if kind == proto.INT else proto.f if kind == proto.FLOAT else None


def _check_schema(node: Node, proto: Any, opset: int) -> None:
    """What ONNX says of the operator: which attributes, of which kinds, how many inputs and outputs."""
    import onnx

    if not onnx.defs.has(node.op, opset, ""):
        raise _at(node, f"it is no operator of opset {opset}", WEIGHTS)
    schema = onnx.defs.get_schema(node.op, opset, "")
    for attribute in proto.attribute:
        wanted = schema.attributes.get(attribute.name)
        if wanted is None:
            raise _at(
                node, f"it has the attribute {quote(attribute.name)}, which this operator does not have"
            )
        kind = wanted.type
        if kind.value != attribute.type:  # pyright: ignore[reportAttributeAccessIssue]
            raise _at(node, f"its attribute {quote(attribute.name)} is of another kind than {kind}")
    missing = [
        name for name, wanted in schema.attributes.items() if wanted.required and name not in node.attributes
    ]
    if missing:
        raise _at(node, f"it lacks the attribute {quote(missing[0])}")
    for what, names, low, high in (
        ("inputs", node.inputs, schema.min_input, schema.max_input),
        ("outputs", node.outputs, schema.min_output, schema.max_output),
    ):
        if not low <= len(names) <= high:
            wanted = f"{low}" if high == low else f"{low} to {high}" if high < 100 else f"{low} or more"
            raise _at(node, f"it has {len(names)} {what}; wanted {wanted}")
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    for place, (name, wanted) in enumerate(zip(node.inputs, schema.inputs, strict=False), 1):
        if not name and wanted.option == single:
            raise _at(node, f"its input {place} ({wanted.name}) is missing")


def _check_order(nodes: list[Node], there: Iterable[str]) -> None:
    """Every value is made once, before it is used."""
    known = set()
    for name in there:
        if name in known:
            raise invalid(f"an input and a tensor are both called {quote(name)}")
        known.add(name)
    made_by = {name: node for node in nodes for name in node.outputs if name}
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in known:
                later = made_by.get(name)
                fault = f"which {later.where} makes only later" if later else "which nothing makes"
                raise _at(node, f"it takes {quote(name)}, {fault}")
        for name in filter(None, node.outputs):
            if name in known:
                raise _at(node, f"it makes {quote(name)}, which is there already")
            known.add(name)


def _needed(nodes: list[Node], output: str) -> list[Node]:
    """The nodes that an output comes from, in order."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(filter(None, node.outputs)):
            kept.append(node)
            wanted.update(node.inputs)
    return kept[::-1]


def _output(graph: Any, wanted: str | None) -> tuple[Port, tuple[str, ...]]:
    """The output with the name `wanted`, or the first, and a note on the others."""
    ports = {port.name: port for port in map(_port, graph.output)}
    if not ports:
        raise invalid("its graph has no output")
    name = next(iter(ports)) if wanted is None else wanted
    if name not in ports:
        raise invalid(f"it has no output {quote(name)}", f"Its outputs are {quote_some([*ports], 10)}.")
    others = [other for other in ports if other != name]
    if not others:
        return ports[name], ()
    note = f"The file has {len(ports)} outputs: {quote(name)} was taken, {quote_some(others)} left out."
    return ports[name], (note,)


def _input(ports: list[Port], used: set[str]) -> Port:
    """The one input that the output comes from."""
    needed = [port for port in ports if port.name in used]
    if len(needed) == 1:
        return needed[0]
    if not needed:
        raise invalid("its output does not depend on an input")
    raise invalid(
        f"it takes {len(needed)} inputs ({quote_some([port.name for port in needed])}); wanted one, a picture or a "
        "vector",
        f"Export the part that takes one input: {ONNX_EXPORT}.",
    )


def _port(info: Any) -> Port:
    name = _check_name(info.name, "an input or output")
    if not info.type.HasField("tensor_type"):
        return Port(name, None, "unknown")
    tensor = info.type.tensor_type
    dtype = type_name(tensor.elem_type)
    if not tensor.HasField("shape"):
        return Port(name, None, dtype)
    if len(tensor.shape.dim) > limits.RANK:
        raise invalid(f"{quote(name)} has {len(tensor.shape.dim)} dimensions; at most {limits.RANK} are read")
    return Port(name, tuple(_size(name, dim) for dim in tensor.shape.dim), dtype)


def _size(name: str, dim: Any) -> int | None:
    if not dim.HasField("dim_value") or dim.dim_value in (0, -1):  # some exporters write these for "any"
        return None
    if not 0 < dim.dim_value < 2**31:
        raise invalid(f"{quote(name)} has the size {dim.dim_value:,} along one dimension")
    return dim.dim_value


def _check_name(name: str | bytes, what: str, empty: bool = False) -> str:
    """A name from the file; protobuf gives bytes for what is no UTF-8."""
    if isinstance(name, bytes):
        raise invalid(f"the name of {what} is no text")
    if len(name) > limits.NAME_CHARACTERS or not (name or empty):
        fault = (
            f"has {len(name):,} characters; at most {limits.NAME_CHARACTERS:,} are read"
            if name
            else "is empty"
        )
        raise invalid(f"the name of {what} {fault}")
    return name


def _at(node: Node, fault: str, advice: str = AGAIN) -> OnnxError:
    return OnnxError(f"This ONNX file cannot be read at {node.where}: {fault}. {advice}")
