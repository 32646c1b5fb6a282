"""Replacements for the torch functions that a checkpoint's pickle calls: arguments to `StoredTensor`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.tensors import FLOATS, INTEGERS, StoredTensor, refused_tensor

_STORAGE_DTYPES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "QInt8": "quantised int8",
    "QUInt8": "quantised uint8",
    "QInt32": "quantised int32",
    "Untyped": "bytes",
}
_ITEM_BYTES = {**FLOATS, **INTEGERS, "bytes": 1, "bool": 1}
_OTHER_BYTES = {
    "complex64": 8,
    "complex128": 16,
    "quantised int8": 1,
    "quantised uint8": 1,
    "quantised int32": 4,
}
"""Bytes per value of unsupported types, needed to find the storages after them in legacy files."""


@dataclass(frozen=True, eq=False)
class StorageRef:
    """One storage of the archive; `fault` says why it cannot be used."""

    dtype: str
    data: memoryview
    fault: str = ""


def storage_dtype(class_name: str) -> str:
    """The dtype of a storage class: float32 for `torch.FloatStorage`."""
    kind = class_name.rpartition(".")[2].removeprefix("_").removesuffix("Storage")
    return _STORAGE_DTYPES.get(kind, f"unknown {kind}")


def item_bytes(dtype: str) -> int:
    """Bytes per value of a storage; 0 if the dtype is unknown."""
    return _ITEM_BYTES.get(dtype, _OTHER_BYTES.get(dtype, 0))


def make_storage_ref(class_name: str, key: Any, numel: Any, members: Mapping[str, memoryview]) -> StorageRef:
    """The storage of a persistent id, checked against the archive's member."""
    dtype = storage_dtype(class_name)
    if not isinstance(key, str) or type(numel) is not int:
        raise _malformed()
    data = members.get(f"data/{key}")
    if data is None:
        return StorageRef(dtype, memoryview(b""), "corrupt: its storage is missing from the file")
    if dtype in _ITEM_BYTES and numel * _ITEM_BYTES[dtype] != len(data):
        return StorageRef(
            dtype, data, f"corrupt: its storage has {len(data):,} bytes, not what the file declares"
        )
    return StorageRef(dtype, data)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
    """`torch._utils._rebuild_tensor_v2`; `rest` is requires_grad, backward hooks and metadata."""
    if not isinstance(storage, StorageRef):
        raise _malformed()
    return _view(storage, storage.dtype, offset, shape, strides, rest[2:3])


def _tensor_v3(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
    """`torch._utils._rebuild_tensor_v3`: an untyped storage with a dtype."""
    if not isinstance(storage, StorageRef) or len(rest) < 3 or not isinstance(rest[2], str):
        raise _malformed()
    return _view(storage, rest[2].removeprefix("torch."), offset, shape, strides, rest[3:4])


def _view(
    storage: StorageRef, dtype: str, offset: Any, shape: Any, strides: Any, metadata: tuple
) -> StoredTensor:
    if type(offset) is not int or not _are_ints(shape) or not _are_ints(strides):
        raise _malformed()
    if storage.fault:
        return refused_tensor(storage.fault)
    if any(metadata):
        return refused_tensor("a conjugated, negated or otherwise marked tensor")
    return StoredTensor(dtype, shape, strides, offset, storage.data)


def _are_ints(values: Any) -> bool:
    return isinstance(values, tuple) and len(values) <= 64 and all(type(value) is int for value in values)


def _parameter(data: Any, *_: Any) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise _malformed()
    return data


def _from_type(function: Any, kind: Any, arguments: Any, *_: Any) -> StoredTensor:
    """A tensor with Python attributes, or of a subclass (which is not supported)."""
    if kind not in ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"):
        return refused_tensor(f"of the tensor subclass {quote(kind)}")
    if function not in _PLAIN_TENSORS or not isinstance(arguments, tuple):
        return refused_tensor("rebuilt in an unknown way")
    return _PLAIN_TENSORS[function](*arguments[:9])


def _size(values: Any = (), *_: Any) -> tuple:
    if not isinstance(values, tuple):
        raise _malformed()
    return values


def _refuse(what: str) -> Callable[..., StoredTensor]:
    return lambda *_: refused_tensor(what)


_PLAIN_TENSORS: dict[str, Callable[..., StoredTensor]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
}

REBUILDERS: dict[str, Callable[..., Any]] = {
    **_PLAIN_TENSORS,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type": _from_type,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.Size": _size,
    "torch._utils._rebuild_sparse_tensor": _refuse("a sparse tensor"),
    "torch._utils._rebuild_sparse_csr_tensor": _refuse("a sparse tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": _refuse("a meta tensor, which has no values"),
    "torch._utils._rebuild_qtensor": _refuse("a quantised tensor"),
    "torch._utils._rebuild_nested_tensor": _refuse("a nested tensor"),
    "torch._utils._rebuild_wrapper_subclass": _refuse("a wrapped tensor"),
    "torch._utils._rebuild_device_tensor_from_numpy": _refuse("a tensor of another device"),
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _refuse("a tensor of another device"),
}
"""Name in the pickle to its replacement here; no other function is called, and none of these uses torch."""


def _malformed() -> NetworkFileError:
    return NetworkFileError(
        f"The checkpoint is corrupt: it describes a tensor in an impossible way. {EXPORT_ADVICE}"
    )
