"""Read the format of `torch.save` before PyTorch 1.6, or with `_use_new_zipfile_serialization=False`.

Five consecutive pickles (a magic number, the protocol, facts about the machine, the object, the storage keys), then
each storage: its number of values in 8 bytes, and the values.
"""

import struct
from collections.abc import Mapping
from typing import Any

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.pickle_plan import read_pickle
from nfn.reader.rebuild import StorageRef, item_bytes, make_storage_ref, storage_dtype
from nfn.reader.tensors import show_count

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTOCOL = 1001
_COUNT = struct.Struct("<q")


def read_legacy(data: memoryview) -> Any:
    """The object in the file, with tensors as views of its bytes.

    Raises:
        NetworkFileError: a pickle is not valid, or the storages do not fill the rest of the file.
    """
    start = _skip_header(data)
    declared = _Declared()
    value, end = read_pickle(data[start:], declared)
    keys, length = read_pickle(data[start + end :], declared.refuse)
    members = _split_storages(data[start + end + length :], keys, declared.sizes)
    if not members:  # so nothing is missing from the first pass
        return value
    value, _ = read_pickle(data[start:], lambda kind, key, numel: make_storage_ref(kind, key, numel, members))
    return value


class _Declared:
    """Collects the bytes per value of each storage, in a first pass over the pickle, which is before the storages."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def __call__(self, kind: str, key: Any, numel: Any) -> StorageRef:
        dtype = storage_dtype(kind)
        if not isinstance(key, str) or item_bytes(dtype) == 0:
            raise _corrupt(f"a storage of the unknown type {quote(kind)}")
        self.sizes[key] = item_bytes(dtype)
        return StorageRef(dtype, memoryview(b""), "not yet there")

    def refuse(self, *_: Any) -> StorageRef:
        raise _corrupt("a storage among the storages' keys")


def _skip_header(data: memoryview) -> int:
    position = len(LEGACY_MAGIC)
    protocol, length = read_pickle(data[position:], _Declared().refuse)
    if protocol != _PROTOCOL:
        raise _corrupt(f"its protocol is {quote(protocol)} and not {_PROTOCOL}")
    position += length
    machine, length = read_pickle(data[position:], _Declared().refuse)
    if not isinstance(machine, dict) or machine.get("little_endian", True) is not True:
        raise _corrupt("its numbers are big-endian")
    return position + length


def _split_storages(data: memoryview, keys: list[str], sizes: Mapping[str, int]) -> dict[str, memoryview]:
    """The bytes of each storage by its member name in `torch_zip`; they must fill the rest of the file."""
    valid = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not valid or len(keys) > limits.TENSORS or sorted(keys) != sorted(sizes):
        raise _corrupt("the list of its storages is not that of its tensors")
    members, position = {}, 0
    for key in keys:
        if len(data) - position < _COUNT.size:
            raise _cut_short(key)
        (count,) = _COUNT.unpack_from(data, position)
        start = position + _COUNT.size
        position = start + count * sizes[key]
        if count < 0:
            raise _corrupt(f"storage {quote(key)} has {show_count(count)} values")
        if position > len(data):
            raise _cut_short(key)
        members[f"data/{key}"] = data[start:position]
    if position != len(data):
        raise _corrupt(f"{len(data) - position:,} bytes follow its last storage")
    return members


def _corrupt(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This checkpoint in PyTorch's old format was refused: {fault}. {EXPORT_ADVICE}")


def _cut_short(key: Any) -> NetworkFileError:
    return NetworkFileError(
        f"This checkpoint in PyTorch's old format is incomplete: it ends within storage {quote(key)}. "
        f"Download or save it again."
    )
