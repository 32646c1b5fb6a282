"""`write_network`: write a network as safetensors, with its original tensor names."""

import json
import os
import tempfile
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from nfn.architecture.declared import KEY
from nfn.network import Network
from nfn.reader.chain import LayerShape, order_layers
from nfn.reader.classifier_convention import write_classifier_convention
from nfn.reader.convention import LAYER_ORDER, write_convention
from nfn.reader.errors import NetworkFileError
from nfn.siren_convention.convention import SirenConvention


def write_network(network: Network, path: str | Path) -> None:
    """Write a network as float32 safetensors with its tensor names, metadata, kind and convention.

    Folded batch norm is written as part of its layer. The graph of a network that is not a chain is written as by
    `nfn.save`.

    Raises:
        ValueError: two tensors have the same name.

    Example: `write_network(read_network("net.pt"), "net.safetensors")`.
    """
    tensors = network.tensors()
    count = len(network.names) + sum(names.bias is not None for names in network.names)
    if len(tensors) < count:
        raise ValueError(
            f"Got {count} tensors under {len(tensors)} names {sorted(tensors)}: expected each name once."
        )
    write_atomically(safetensors_bytes(tensors, _metadata(network)), Path(path))


def safetensors_bytes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file with sorted metadata, so that the bytes are reproducible."""
    content = save(tensors, metadata)
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def _metadata(network: Network) -> dict[str, str]:
    metadata = {**network.metadata, "kind": network.kind}
    metadata.pop(KEY, None)  # a chain may have been read from a graph, but is written without it
    if isinstance(network.convention, SirenConvention):
        metadata = write_convention(metadata, network.convention)
    else:
        metadata = write_classifier_convention(metadata, network.convention)
    if network.chain is None:
        declared = {} if network.graph is None else {KEY: network.graph.architecture.to_json()}
        return {**metadata, **declared}
    order = [names.weight for names in network.names]
    if _order_by_names(network) != order:
        metadata[LAYER_ORDER] = json.dumps(order)
    return metadata


def _order_by_names(network: Network) -> list[str] | None:
    """The order that the reader would find by names and shapes only (safetensors sorts names)."""
    shapes = [tuple(weight.shape[2:]) for weight in network.features.weights]
    layers = [LayerShape(names.weight, shape) for names, shape in zip(network.names, shapes, strict=True)]
    try:
        return order_layers(layers, in_order=False)
    except NetworkFileError:
        return None


def write_atomically(data: bytes, path: Path) -> None:
    """Write to a temporary file in the same folder, then rename it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
