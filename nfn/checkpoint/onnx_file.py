"""The initializers, inputs, outputs and operators of an ONNX file, whether or not its graph is supported."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from nfn.checkpoint import limits
from nfn.checkpoint.listing import Blocks, Checkpoint, Port, TensorInfo
from nfn.checkpoint.safetensors_header import truncate_metadata
from nfn.checkpoint.values import blocks, is_readable, view
from nfn.onnx_reader.tensors import TYPES
from nfn.onnx_reader.wire import Message, decode
from nfn.reader.errors import NetworkFileError, quote
from nfn.reader.tensors import show_shape

_NAMES = {"FLOAT": "float32", "DOUBLE": "float64"}
_RANK = 16
_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "COMPLEX64": 64, "COMPLEX128": 128, "DOUBLE": 64, "INT64": 64,
         "UINT64": 64, "FLOAT": 32, "INT32": 32, "UINT32": 32, "FLOAT16": 16, "BFLOAT16": 16,
         "INT16": 16, "UINT16": 16}  # fmt: skip

_CONSTANTS = ("int64", "bool")
"""Dtypes of shapes, indices and masks, which are no parameters."""


def open_onnx(data: memoryview) -> Checkpoint:
    """List an ONNX file; NetworkFileError if it is not valid."""
    file = decode(data)
    graph = file.message("graph")
    messages = {message.text("name"): message for message in graph.messages("initializer")}
    tensors = {name: _info(name, message) for name, message in messages.items()}
    nodes = graph.messages("node")
    inputs = tuple(_port(port) for port in graph.messages("input") if port.text("name") not in messages)
    outside = [name for name, message in messages.items() if message.has("external_data")]
    if not nodes:
        raise NetworkFileError("This ONNX file has no operations. Export it again.")
    return Checkpoint(
        "ONNX",
        tensors,
        truncate_metadata(
            {entry.text("key"): entry.text("value") for entry in file.messages("metadata_props")}
        ),
        _reader(messages, tensors),
        inputs,
        tuple(_port(port) for port in graph.messages("output")),
        Counter(node.text("op_type")[:60] for node in nodes[: limits.NODES]),
        notes=(f"{len(outside):,} tensors lie in another file beside this one.",) if outside else (),
        missing=frozenset(outside),
    )


def _info(name: str, message: Message) -> TensorInfo:
    shape = tuple(message.numbers("dims").tolist())
    if len(shape) > _RANK or any(not 0 <= size < 2**40 for size in shape):
        raise NetworkFileError(f"Tensor {quote(name)} of this ONNX file has the shape {show_shape(shape)}.")
    kind = TYPES.get(message.integer("data_type"), "unknown")
    info = TensorInfo(name, _NAMES.get(kind, kind.lower()), shape, 0)
    is_constant = info.dtype in _CONSTANTS
    return TensorInfo(name, info.dtype, shape, info.numel * _BITS.get(kind, 8) // 8, is_constant)


def _port(message: Message) -> Port:
    tensor = message.message("type").message("tensor_type")
    kind = TYPES.get(tensor.integer("elem_type"), "")
    dtype = _NAMES.get(kind, kind.lower())
    if not tensor.has("shape"):
        return Port(message.text("name"), None, dtype)
    dims = tensor.message("shape").messages("dim")[:_RANK]
    sizes = tuple(
        None if dim.has("dim_param") or dim.integer("dim_value") < 1 else dim.integer("dim_value")
        for dim in dims
    )
    return Port(message.text("name"), sizes, dtype)


def _reader(messages: dict[str, Message], tensors: dict[str, TensorInfo]) -> Blocks:
    def read(name: str) -> Iterator[np.ndarray]:
        info, message = tensors[name], messages[name]
        if (
            message.has("raw_data")
            and is_readable(info.dtype)
            and len(message.raw("raw_data")) == info.nbytes
        ):
            yield from blocks(view(message.raw("raw_data"), info.dtype, info.shape), info.dtype)
        elif info.dtype == "float32" and len(message.numbers("float_data")) == info.numel:
            yield from blocks(message.numbers("float_data").reshape(info.shape), "float32")
        else:
            raise NetworkFileError(f"The values of tensor {quote(name)} ({info.dtype}) are not read here.")

    return read
