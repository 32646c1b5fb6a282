"""An exported PyTorch program (`.pt2`, torch 2.8 and later): tensors and graph out of its JSON; its pickles stay shut.

Layout: `torch/csrc/export/pt2_archive_constants.h`, schema: `torch/_export/serde/schema.py`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nfn.checkpoint import limits
from nfn.checkpoint.listing import BITS, Blocks, Checkpoint, Port, TensorInfo
from nfn.checkpoint.values import blocks, is_readable, view
from nfn.reader.errors import NetworkFileError, quote
from nfn.reader.limits import RANK
from nfn.reader.tensors import contiguous_strides
from nfn.reader.torch_zip import read_members
from nfn.reader.zip_file import Archive

_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
           10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16"}  # fmt: skip
"""`ScalarType` of the schema."""
_CONFIG, _GRAPH = "data/weights/model_weights_config.json", "models/model.json"


def is_exported(names: list[str]) -> bool:
    """Whether an archive was written by `torch.export.save`."""
    return any(name.partition("/")[2] == _GRAPH for name in names)


def open_exported(archive: Archive) -> Checkpoint:
    """Tensors, inputs, outputs and operators of an exported program; NetworkFileError if its JSON is not valid."""
    members = read_members(archive, checked=False)
    try:
        config, program = _json(members, _CONFIG), _json(members, _GRAPH)
        entries = config["config"]
        tensors = {name: _info(name, entry) for name, entry in entries.items()}
        graph = program["graph_module"]["graph"]
        operators = Counter(_operator(node["target"]) for node in graph["nodes"][: limits.NODES])
        inputs, outputs = _ports(program, graph)
        where = {name: members.get(f"data/weights/{entry['path_name']}")
                 for name, entry in entries.items() if _is_contiguous(entry["tensor_meta"])}  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NetworkFileError(
            "The graph of this .pt2 file is not as torch.export.save writes it. Export it again."
        ) from error
    return Checkpoint("torch.export (.pt2)", tensors, {}, _reader(tensors, where), inputs, outputs, operators,
                      notes=("Pickled sample inputs and constants in the file were not opened.",))  # fmt: skip


def _json(members: Mapping[str, memoryview], name: str) -> dict[str, Any]:
    data = members[name]
    if len(data) > limits.JSON_BYTES or bytes(data).count(b"{") > 30 * limits.TENSORS:
        raise NetworkFileError(
            f"The file's {quote(name)} has {len(data):,} bytes; at most {limits.JSON_BYTES:,} are read."
        )
    return json.loads(bytes(data))


def _info(name: str, entry: dict) -> TensorInfo:
    meta = entry["tensor_meta"]
    sizes = tuple(size["as_int"] for size in meta["sizes"])
    if len(sizes) > RANK or not all(type(size) is int and 0 <= size < 2**40 for size in sizes):
        raise ValueError("an impossible shape")
    dtype = _DTYPES.get(meta["dtype"], "unknown")
    info = TensorInfo(name, dtype, sizes, 0, not entry["is_param"])
    return TensorInfo(name, dtype, sizes, info.numel * BITS.get(dtype, 8) // 8, info.is_buffer)


def _is_contiguous(meta: dict) -> bool:
    sizes, strides = ([one["as_int"] for one in meta[key]] for key in ("sizes", "strides"))
    return tuple(strides) == contiguous_strides(tuple(sizes))


def _operator(target: str) -> str:
    """`conv2d` of `torch.ops.aten.conv2d.default`."""
    return target.removeprefix("torch.ops.").removesuffix(".default").removeprefix("aten.")[:60]


def _ports(program: dict, graph: dict) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    signature = program["graph_module"]["signature"]
    values = graph["tensor_values"]
    inputs = [spec["user_input"]["arg"]["as_tensor"]["name"] for spec in signature["input_specs"]
              if "as_tensor" in spec.get("user_input", {}).get("arg", {})]  # fmt: skip
    outputs = [spec["user_output"]["arg"]["as_tensor"]["name"] for spec in signature["output_specs"]
               if "as_tensor" in spec.get("user_output", {}).get("arg", {})]  # fmt: skip
    return tuple(_port(name, values[name]) for name in inputs), tuple(
        _port(name, values[name]) for name in outputs
    )


def _port(name: str, value: dict) -> Port:
    sizes = tuple(size.get("as_int") for size in value["sizes"])[:RANK]
    return Port(name, sizes, _DTYPES.get(value["dtype"], ""))


def _reader(tensors: dict[str, TensorInfo], where: Mapping[str, memoryview | None]) -> Blocks:
    def read(name: str) -> Iterator[np.ndarray]:
        info, data = tensors[name], where.get(name)
        if data is None or not is_readable(info.dtype) or len(data) < info.nbytes:
            raise NetworkFileError(
                f"The values of tensor {quote(name)} ({info.dtype}) are not in the file as they are used."
            )
        yield from blocks(view(data, info.dtype, info.shape), info.dtype)

    return read
