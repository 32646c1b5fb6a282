"""`read_networks`: read a stack of networks, whose tensors all have the networks as their first axis.

`torch.func.stack_module_state`, or `torch.stack` over the entries of state_dicts, make such files.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from nfn.network import Convention, Kind, Network
from nfn.reader import limits
from nfn.reader.errors import NetworkFileError, quote
from nfn.reader.layers import Chain
from nfn.reader.read import chain_of, checked_kind, from_chain, from_onnx, to_network
from nfn.reader.stored import StoredFile, load_file, parse_file
from nfn.reader.tensors import StoredTensor, check_tensor, show_count

NETWORKS = 1_000
"""The most networks in one file."""
LAYERS = 4_000
"""The most layers of all networks in one file; each costs time and some memory, however small."""
STACKED_RANKS = (3, 5)
"""Ranks of stacked linear weights (n, out, in) and convolutions (n, out, in, h, w)."""


def read_networks(
    path: str | Path, convention: Convention | None = None, part: str | None = None
) -> list[Network | NetworkFileError]:
    """The networks of a stack, in order, or the one network of any other file that `read_network` takes.

    `part` names one of several networks in a file, as for `read_network`. In place of a network of a stack that
    cannot be read, such as one with NaN, is its error.

    Raises:
        NetworkFileError: the file, or every network in it, is not valid.
        ValueError: `convention` is not valid.
    """
    kind = checked_kind(None, convention)
    data, layout = load_file(Path(path))
    if layout == "onnx":
        return [from_onnx(data, kind, convention, part)]
    stored = parse_file(Path(path), data, layout, part)
    if not any(len(tensor.shape) in STACKED_RANKS for tensor in stored.tensors.values()):
        return [to_network(stored, kind, convention)]
    _check_stack(stored)
    count = _count(stored.tensors)
    chain = chain_of(_map(stored, partial(_entry, i=0)))
    _check_layers(count, len(chain.order))
    stored = _without_counters(stored)
    read = [_read_one(_map(stored, partial(_entry, i=i)), chain, kind, convention) for i in range(count)]
    return _unless_all_fail(read)


def _without_counters(stored: StoredFile) -> StoredFile:
    """The stack without integer tensors, which are all counters (`chain_of` rejects others)."""
    floats = {name: tensor for name, tensor in stored.tensors.items() if not tensor.is_integer}
    return replace(stored, tensors=floats)


def _unless_all_fail(read: list[Network | NetworkFileError]) -> list[Network | NetworkFileError]:
    """Raise the common error if all networks have the same one."""
    errors = [one for one in read if isinstance(one, NetworkFileError)]
    if len(errors) == len(read) and len({str(error) for error in errors}) == 1:
        raise errors[0]
    return read


def _check_stack(stored: StoredFile) -> None:
    """Check whole tensors against their bytes, so that networks do not share memory."""
    for name, tensor in stored.tensors.items():
        if not tensor.is_integer:  # batch norm counters; others are rejected with their network
            check_tensor(name, tensor)
    total = sum(tensor.numel for tensor in stored.tensors.values())
    if total > limits.ELEMENTS:
        raise NetworkFileError(
            f"The stack has {show_count(total)} values; at most {limits.ELEMENTS:,} are supported. Split it."
        )


def _count(tensors: dict[str, StoredTensor]) -> int:
    """The number of stacked networks: the first size of all tensors."""
    counts = {tensor.shape[0] if tensor.shape else 0: name for name, tensor in tensors.items()}
    if len(counts) > 1:
        (one, first), (other, second), *_ = counts.items()
        raise NetworkFileError(
            f"Tensors of 3 or 5 dimensions were found, so this was taken for a stack of networks, and each tensor's "
            f"first size for their number; but {quote(first)} has {one:,} and {quote(second)} has {other:,}. "
            f"Stack every tensor (torch.stack). 1D and 3D convolutions are not supported."
        )
    (count,) = counts
    if not 1 <= count <= NETWORKS:
        raise NetworkFileError(
            f"The file stacks {count:,} networks; 1 to {NETWORKS:,} are read at once. Split it."
        )
    return count


def _check_layers(count: int, layers: int) -> None:
    if count * layers > LAYERS:
        raise NetworkFileError(
            f"The file stacks {count:,} networks of {layers} layers; at most {LAYERS:,} layers of all networks "
            f"together are read at once. Split it."
        )


def _read_one(
    stored: StoredFile, chain: Chain, kind: Kind | None, convention: Convention | None
) -> Network | NetworkFileError:
    try:
        return from_chain(stored, chain, kind, convention)
    except NetworkFileError as error:
        return error


def _map(stored: StoredFile, part: Callable[[StoredTensor], StoredTensor]) -> StoredFile:
    return replace(stored, tensors={name: part(tensor) for name, tensor in stored.tensors.items()})


def _entry(tensor: StoredTensor, i: int) -> StoredTensor:
    """Entry `i` of the first axis, a view of the same bytes."""
    offset = tensor.offset + i * tensor.strides[0]
    return replace(tensor, shape=tensor.shape[1:], strides=tensor.strides[1:], offset=offset)
