"""Sharded checkpoints: an index from tensors to files, and the files next to it."""

import json
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from nfn.checkpoint import limits
from nfn.checkpoint.listing import Checkpoint
from nfn.reader.errors import NetworkFileError, quote, quote_some

INDEX_NAMES = ("model.safetensors.index.json", "pytorch_model.bin.index.json",
               "diffusion_pytorch_model.safetensors.index.json", "adapter_model.safetensors.index.json")  # fmt: skip


def is_index(head: bytes) -> bool:
    """Whether a file that starts with these bytes is the index of a sharded checkpoint."""
    return head.lstrip().startswith(b"{") and b'"weight_map"' in head


def read_index(data: bytes) -> dict[str, str]:
    """From a tensor's name to the shard that holds it.

    Raises:
        NetworkFileError: it is no index, or names files that do not lie beside it.
    """
    try:
        places = json.loads(data)["weight_map"] if len(data) <= limits.INDEX_BYTES else None
    except (KeyError, TypeError, ValueError, RecursionError):
        places = None
    if not isinstance(places, dict) or not all(
        isinstance(name, str) and _is_plain(name) for name in places.values()
    ):
        raise NetworkFileError("This index of a sharded checkpoint is damaged, or names files elsewhere.")
    if len(places) > limits.ALL_TENSORS or len(set(places.values())) > limits.SHARDS:
        raise NetworkFileError(
            f"This index lists {len(places):,} tensors; at most {limits.ALL_TENSORS:,} are read."
        )
    return places


def _is_plain(name: str) -> bool:
    return (
        PurePosixPath(name).name == name and "\\" not in name and len(name) < 200 and name not in (".", "..")
    )


def join_shards(places: Mapping[str, str], open_shard: Callable[[str], Checkpoint | None]) -> Checkpoint:
    """Join all shards into one checkpoint; `open_shard` returns None for a missing file."""
    names = sorted(set(places.values()))
    opened = {name: open_shard(name) for name in names}
    shards = {name: shard for name, shard in opened.items() if shard is not None}
    if not shards:
        raise NetworkFileError(
            f"This is the index of a sharded checkpoint, and none of its {len(names):,} files ({quote_some(names)}) is "
            "here: put them beside it, or give the id of its repository on the Hub."
        )
    tensors = {name: shard.tensors[name] for shard in shards.values() for name in shard.tensors}
    readers = {name: shard.blocks for shard in shards.values() for name in shard.tensors if shard.blocks}
    lost = [name for name in names if name not in shards]
    unlisted = [name for name in places if places[name] in shards and name not in tensors]
    first = next(iter(shards.values()))
    return Checkpoint(
        f"{first.format}, {len(names):,} shards",
        tensors,
        first.metadata,
        (lambda name: readers[name](name)) if readers else None,
        broken=(*_faults(lost, unlisted), *(said for shard in shards.values() for said in shard.broken)),
        missing=frozenset().union(*(shard.missing for shard in shards.values())),
        files=tuple(names),
        release=lambda: [shard.release() for shard in shards.values()],
        verify=lambda after: [shard.verify(after) for shard in shards.values() if shard.verify],
    )


def _faults(lost: list[str], unlisted: list[str]) -> list[str]:
    faults = []
    if lost:
        faults.append(f"{len(lost):,} shards are missing: {quote_some(lost)}. Download them too.")
    if unlisted:
        faults.append(
            f"{len(unlisted):,} tensors of the index are in no shard, such as {quote(unlisted[0])}: index and shards "
            "are not of one save. Download all of them again."
        )
    return faults
