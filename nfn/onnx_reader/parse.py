"""From the bytes of an ONNX file to its one checked graph: nodes in order, names that are there, one input.

Sources: https://onnx.ai/onnx/repo-docs/IR.html and `onnx.proto`. The schemas of the operators, which the `onnx` package
holds as data, say what each node may have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from nfn.onnx_reader.errors import AGAIN, WEIGHTS, OnnxError, invalid
from nfn.onnx_reader.tensors import RawTensor, check_tensor, describe, type_name
from nfn.onnx_reader.wire import Message, decode
from nfn.reader import limits
from nfn.reader.errors import ONNX_EXPORT, quote, quote_some

OPSETS = (7, 26)
"""Supported operator set versions, from PyTorch 1.0 on."""

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
    """An input or output of the graph; sizes that the file leaves unknown are None, as is an unknown shape."""

    name: str
    dims: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True, eq=False)
class Model:
    """The nodes, constants and input of one output of an ONNX file."""

    nodes: tuple[Node, ...]
    initializers: Mapping[str, RawTensor]
    input: Port
    output: Port
    opset: int
    metadata: dict[str, str]
    notes: tuple[str, ...]


def parse(data: bytes, output_name: str | None = None) -> Model:
    """The checked graph of the output `output_name`, or the first; OnnxError says what is wrong and where."""
    file = decode(data)
    if not file.has("graph"):
        raise invalid("it holds no graph")
    _check_functions(file)
    graph, opset = file.message("graph"), _opset(file)
    initializers = _initializers(graph)
    nodes = _nodes(graph, opset)
    ports = [_port(port) for port in graph.messages("input") if port.text("name") not in initializers]
    _check_order(nodes, [*initializers, *(port.name for port in ports)])
    output, notes = _output(graph, output_name)
    needed = _needed(nodes, output.name)
    used = {name for node in needed for name in node.inputs} | {output.name}
    metadata = {entry.text("key"): entry.text("value") for entry in file.messages("metadata_props")}
    return Model(tuple(needed), initializers, _input(ports, used), output, opset, metadata, notes)


def _check_functions(file: Message) -> None:
    if file.has("functions"):
        names = quote_some([function.text("name") for function in file.messages("functions")])
        raise invalid(
            f"it defines functions of its own ({names}); expected plain operators",
            f"Inline them with onnx.inliner.inline_local_functions(model), or export it again: {ONNX_EXPORT}.",
        )


def _opset(file: Message) -> int:
    """The version of the standard operators."""
    imported = [entry for entry in file.messages("opset_import") if entry.text("domain") in ("", "ai.onnx")]
    versions = [entry.integer("version") for entry in imported]
    low, high = OPSETS
    if len(versions) != 1:
        raise invalid(f"it names {len(versions)} versions of ONNX's operators; expected one (an opset)")
    if not low <= versions[0] <= high:
        raise invalid(
            f"it is in opset {versions[0]}; {low} to {high} are read",
            f"Convert it with onnx.version_converter.convert_version(model, 20), or export it again: {ONNX_EXPORT}.",
        )
    return versions[0]


def _initializers(graph: Message) -> dict[str, RawTensor]:
    """The stored tensors by name, not yet read."""
    stored = graph.messages("initializer")
    for sparse in graph.messages("sparse_initializer"):
        raise invalid(
            f"tensor {quote(sparse.message('values').text('name'))} is sparse; expected dense weights"
        )
    if len(stored) > limits.ONNX_NODES:
        raise invalid(f"it has {len(stored):,} tensors; at most {limits.ONNX_NODES:,} are read")
    tensors: dict[str, RawTensor] = {}
    for message in stored:
        name = _check_name(message.text("name"), "a tensor")
        if name in tensors:
            raise invalid(f"two tensors are called {quote(name)}")
        tensors[name] = describe(message)
        check_tensor(name, tensors[name])
    return tensors


def _nodes(graph: Message, opset: int) -> list[Node]:
    nodes = graph.messages("node")
    if len(nodes) > limits.ONNX_NODES:
        raise invalid(f"it has {len(nodes):,} nodes; at most {limits.ONNX_NODES:,} are read")
    return [_node(number, message, opset) for number, message in enumerate(nodes, 1)]


def _node(number: int, message: Message, opset: int) -> Node:
    inputs, outputs = (
        tuple(_check_name(name, f"a value of node {number}", empty=True) for name in message.texts(side))
        for side in ("input", "output")
    )
    op = _check_name(message.text("op_type"), f"the operator of node {number}")
    name = _check_name(message.text("name"), f"node {number}", empty=True)
    if not any(outputs):
        raise invalid(f"node {number}, {quote(op)}, gives nothing")
    node = Node(number, op, name, inputs, outputs, {})
    if message.text("domain") not in ("", "ai.onnx"):
        domain = quote(message.text("domain"))
        raise _at(node, f"it is an operator of {domain}; expected ONNX's own operators", WEIGHTS)
    stored = message.messages("attribute")
    names = [_check_name(one.text("name"), f"an attribute of node {number}") for one in stored]
    twice = next((one for i, one in enumerate(names) if one in names[:i]), None)
    if twice is not None:
        raise _at(node, f"its attribute {quote(twice)} stands there twice")
    values = {one: _attribute(node, attribute) for one, attribute in zip(names, stored, strict=True)}
    node = replace(node, attributes=values)
    _check_schema(node, {one: a.integer("type") for one, a in zip(names, stored, strict=True)}, opset)
    return node


_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _GRAPHS = 1, 2, 3, 4, 5, 6, 7, 10
"""Kinds of attributes: `AttributeProto.AttributeType`."""


def _attribute(node: Node, message: Message) -> Attribute:
    name, kind = quote(message.text("name")), message.integer("type")
    if message.has("ref_attr_name"):
        raise _at(node, f"its attribute {name} refers to a function's; expected a value")
    if kind in (_GRAPH, _GRAPHS):
        fault = "it holds a graph of its own (a condition or a loop); expected a plain chain of operators"
        raise _at(node, fault, WEIGHTS)
    if kind == _TENSOR:
        tensor = describe(message.message("t"))
        check_tensor(node.outputs[0], tensor)
        return tensor
    if kind in (_INTS, _FLOATS):
        values = message.numbers("ints" if kind == _INTS else "floats")
        if len(values) > limits.ONNX_INTEGERS:
            raise _at(node, f"its attribute {name} has {len(values):,} numbers")
        return tuple(values.tolist())
    if kind == _STRING:
        return bytes(message.raw("s")[:100]).decode("utf-8", "replace")
    return {_INT: message.integer("i"), _FLOAT: message.real("f")}.get(kind)


def _check_schema(node: Node, kinds: Mapping[str, int], opset: int) -> None:
    """Check a node against ONNX's schema of its operator: attributes, their types, numbers of inputs and outputs."""
    import onnx

    if not onnx.defs.has(node.op, opset, ""):
        raise _at(node, f"it is no operator of opset {opset}", WEIGHTS)
    schema = onnx.defs.get_schema(node.op, opset, "")
    for name, kind in kinds.items():
        expected = schema.attributes.get(name)
        if expected is None:
            raise _at(node, f"it has the attribute {quote(name)}, which this operator does not have")
        if expected.type.value != kind:  # pyright: ignore[reportAttributeAccessIssue]
            raise _at(node, f"its attribute {quote(name)} is of another kind than {expected.type}")
    missing = [
        name
        for name, expected in schema.attributes.items()
        if expected.required and name not in node.attributes
    ]
    if missing:
        raise _at(node, f"it lacks the attribute {quote(missing[0])}")
    for what, names, low, high in (
        ("inputs", node.inputs, schema.min_input, schema.max_input),
        ("outputs", node.outputs, schema.min_output, schema.max_output),
    ):
        if not low <= len(names) <= high:
            expected = f"{low}" if high == low else f"{low} to {high}" if high < 100 else f"{low} or more"
            raise _at(node, f"it has {len(names)} {what}; expected {expected}")
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    for place, name in enumerate(node.inputs):
        expected = schema.inputs[min(place, len(schema.inputs) - 1)]  # the last may stand for any number
        if not name and expected.option != optional:
            raise _at(node, f"its input {place + 1} ({expected.name}) is missing")


def _check_order(nodes: list[Node], there: Iterable[str]) -> None:
    """Check that every value is defined once, before it is used."""
    defined = set()
    for name in there:
        if name in defined:
            raise invalid(f"an input and a tensor are both called {quote(name)}")
        defined.add(name)
    made_by = {name: node for node in nodes for name in node.outputs if name}
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in defined:
                later = made_by.get(name)
                fault = f"which {later.where} makes only later" if later else "which nothing makes"
                raise _at(node, f"it takes {quote(name)}, {fault}")
        for name in filter(None, node.outputs):
            if name in defined:
                raise _at(node, f"it makes {quote(name)}, which is there already")
            defined.add(name)


def _needed(nodes: list[Node], output: str) -> list[Node]:
    """The nodes that an output depends on, in order."""
    needed, kept = {output}, []
    for node in reversed(nodes):
        if needed.intersection(filter(None, node.outputs)):
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]


def _output(graph: Message, output_name: str | None) -> tuple[Port, tuple[str, ...]]:
    """The output called `output_name`, or the first, and a note on the others."""
    ports = {port.name: port for port in map(_port, graph.messages("output"))}
    if not ports:
        raise invalid("its graph has no output")
    name = next(iter(ports)) if output_name is None else output_name
    if name not in ports:
        raise invalid(f"it has no output {quote(name)}", f"Its outputs are {quote_some([*ports], 10)}.")
    others = [other for other in ports if other != name]
    if not others:
        return ports[name], ()
    note = f"The file has {len(ports)} outputs: {quote(name)} was taken, {quote_some(others)} left out."
    return ports[name], (note,)


def _input(ports: list[Port], used: set[str]) -> Port:
    """The only input that the output depends on."""
    needed = [port for port in ports if port.name in used]
    if len(needed) == 1:
        return needed[0]
    if not needed:
        raise invalid("its output does not depend on an input")
    raise invalid(
        f"it takes {len(needed)} inputs ({quote_some([port.name for port in needed])}); expected one, a picture or a "
        "vector",
        f"Export the part that takes one input: {ONNX_EXPORT}.",
    )


def _port(message: Message) -> Port:
    name = _check_name(message.text("name"), "an input or output")
    if not message.message("type").has("tensor_type"):
        return Port(name, None, "unknown")
    tensor = message.message("type").message("tensor_type")
    dtype = type_name(tensor.integer("elem_type"))
    if not tensor.has("shape"):
        return Port(name, None, dtype)
    dims = tensor.message("shape").messages("dim")
    if len(dims) > limits.RANK:
        raise invalid(f"{quote(name)} has {len(dims)} dimensions; at most {limits.RANK} are read")
    return Port(name, tuple(_size(name, dim) for dim in dims), dtype)


def _size(name: str, dim: Message) -> int | None:
    size = dim.integer("dim_value")
    if dim.has("dim_param") or size in (0, -1):  # some exporters write these for "any"
        return None
    if not 0 < size < 2**31:
        raise invalid(f"{quote(name)} has the size {size:,} along one dimension")
    return size


def _check_name(name: str, what: str, empty: bool = False) -> str:
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
