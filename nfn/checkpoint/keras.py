"""Keras: tensors out of HDF5 (`.h5`, `.weights.h5`, and that in a `.keras` archive), layers out of the settings."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nfn.checkpoint import limits
from nfn.checkpoint.hdf5 import Contents, Dataset, read_hdf5
from nfn.checkpoint.hdf5_chunks import join_chunks
from nfn.checkpoint.listing import Blocks, Checkpoint, Port
from nfn.checkpoint.safetensors_header import truncate_metadata
from nfn.checkpoint.values import blocks, is_readable, view
from nfn.reader.errors import KERAS_ADVICE, NetworkFileError, quote
from nfn.reader.zip_file import Archive

_WEIGHTS = "model.weights.h5"
_OPTIMIZER = ("optimizer", "optimizer_weights")
"""The groups of training state: Keras 3's, and that of a whole model in `.h5`."""
_BUFFERS = re.compile(r"moving_(mean|variance)(:0)?$|(^|/)seed_generator(_\d+)?/")
_BATCH_NORM = re.compile(r"(.*/batch_normalization(?:_\d+)?/vars)/\d+$")


def is_keras(names: list[str]) -> bool:
    """Whether an archive is a Keras 3 file."""
    return "config.json" in names and _WEIGHTS in names


def open_hdf5(data: memoryview) -> Checkpoint:
    """The datasets of an HDF5 file, and the layers where Keras's settings are with them."""
    contents = read_hdf5(data)
    if not contents.datasets and not contents.broken:
        raise NetworkFileError("This HDF5 file has no datasets. Save the model again.")
    by_keras = "keras_version" in contents.texts or any("/vars/" in name for name in contents.datasets)
    form = "HDF5 (Keras)" if by_keras else "HDF5"
    settings = contents.texts.get("model_config")
    return _checkpoint(form, data, contents, _layers(settings.encode()) if settings else {})


def open_keras(archive: Archive) -> Checkpoint:
    """The tensors and layers of a `.keras` archive; NetworkFileError if its settings or weights are not valid."""
    members = archive.members(unpack=True, checked=False)
    weights = members[_WEIGHTS]
    return _checkpoint("Keras (.keras)", weights, read_hdf5(weights), _layers(bytes(members["config.json"])))


def _checkpoint(form: str, data: memoryview, contents: Contents, layers: Mapping[str, Any]) -> Checkpoint:
    names = sorted(contents.datasets, key=_natural)
    kept = {name: contents.datasets[name] for name in names if name.partition("/")[0] not in _OPTIMIZER}
    buffers = _buffers(kept)
    tensors = {name: replace(found.info, is_buffer=name in buffers) for name, found in kept.items()}
    notes = ("The optimizer's state stands beside the network, and was not listed.",)
    return Checkpoint(
        form,
        tensors,
        truncate_metadata(contents.texts),
        _reader(data, kept),
        notes=notes if len(kept) < len(names) else (),
        broken=contents.broken,
        missing=frozenset(name for name, found in kept.items() if found.end > len(data)),
        **layers,
    )


def _natural(name: str) -> list[tuple[str, int]]:
    """A key that sorts `dense_2` before `dense_10`, as the layers follow each other."""
    return [(text, int(number or -1)) for text, number in re.findall(r"([^0-9]*)([0-9]{0,18})", name)]


def _buffers(names: Mapping[str, object]) -> set[str]:
    """Batch norm's statistics (Keras 3 stores them last, under numbers), and the states of random generators."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if match := _BATCH_NORM.match(name):
            groups.setdefault(match[1], []).append(name)
    return {name for name in names if _BUFFERS.search(name)} | {
        n for group in groups.values() for n in group[-2:]
    }


def _reader(data: memoryview, datasets: Mapping[str, Dataset]) -> Blocks:
    def read(name: str) -> Iterator[np.ndarray]:
        found, dtype = datasets[name], datasets[name].info.dtype
        if not is_readable(dtype) or found.end > len(data):
            raise NetworkFileError(f"The values of tensor {quote(name)} ({dtype}) are not read here.")
        yield from blocks(view(_content(data, found), dtype, found.info.shape), dtype)

    return read


def _content(data: memoryview, found: Dataset) -> memoryview:
    if found.chunks is not None:
        return join_chunks(data, found.chunks, found.info.shape)
    return data[found.start : found.end]


def _layers(data: bytes) -> dict[str, Any]:
    """Inputs, layers by class, and the model's name, as fields of a `Checkpoint`."""
    if len(data) > limits.JSON_BYTES or data.count(b"{") > limits.NODES:
        raise NetworkFileError(f"The settings of this Keras model have {len(data):,} bytes. {KERAS_ADVICE}")
    try:
        settings = json.loads(data)["config"]
        layers = settings["layers"]
        kinds = Counter(str(layer["class_name"])[:60] for layer in layers)
        inputs = tuple(_port(layer["config"]) for layer in layers if layer["class_name"] == "InputLayer")
        name = str(settings.get("name", ""))[:60]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NetworkFileError(
            f"The settings of this Keras model are not as Keras writes them. {KERAS_ADVICE}"
        ) from error
    kinds.pop("InputLayer", None)
    return {"inputs": inputs, "operators": kinds, "declared_name": name}


def _port(config: dict[str, Any]) -> Port:
    sizes = config.get("batch_shape") or config.get("batch_input_shape") or []
    shape = tuple(size if type(size) is int else None for size in sizes[:8])
    return Port(str(config.get("name", ""))[:60], shape, str(config.get("dtype", ""))[:20])
