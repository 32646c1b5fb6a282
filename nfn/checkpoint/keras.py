"""Keras: the layers of a `.keras` archive out of its settings. Its weights, and `.h5` files, are HDF5 and stay shut:
the library that reads them parses in C what nobody has checked."""

import json
from collections import Counter
from typing import Any

from nfn.checkpoint import limits
from nfn.checkpoint.listing import Checkpoint, Port
from nfn.reader.errors import KERAS_ADVICE, NetworkFileError
from nfn.reader.zip_file import Archive

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_SHUT = "Weights in HDF5 are not listed: "


def is_keras(names: list[str]) -> bool:
    """Whether an archive is one of Keras 3."""
    return "config.json" in names and "model.weights.h5" in names


def open_hdf5() -> Checkpoint:
    """An HDF5 file is recognised, and that is all."""
    return Checkpoint("HDF5 (Keras .h5?)", {}, notes=(_SHUT + KERAS_ADVICE,))


def open_keras(archive: Archive) -> Checkpoint:
    """The layers of a `.keras` archive, counted by class, and its inputs; NetworkFileError if its settings are none."""
    data = archive.members(unpack=True, checked=False)["config.json"]
    if len(data) > limits.JSON_BYTES or bytes(data).count(b"{") > limits.NODES:
        raise NetworkFileError(f"The settings of this Keras model have {len(data):,} bytes. {KERAS_ADVICE}")
    try:
        settings = json.loads(bytes(data))["config"]
        layers = settings["layers"]
        kinds = Counter(str(layer["class_name"])[:60] for layer in layers)
        name = str(settings.get("name", ""))[:60]
        inputs = tuple(_port(layer["config"]) for layer in layers if layer["class_name"] == "InputLayer")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NetworkFileError(
            f"The settings of this Keras model are not as Keras writes them. {KERAS_ADVICE}"
        ) from error
    kinds.pop("InputLayer", None)
    return Checkpoint(
        "Keras (.keras)", {}, inputs=inputs, operators=kinds, told=name, notes=(_SHUT + KERAS_ADVICE,)
    )


def _port(config: dict[str, Any]) -> Port:
    sizes = config.get("batch_shape") or config.get("batch_input_shape") or []
    shape = tuple(size if type(size) is int else None for size in sizes[:8])
    return Port(str(config.get("name", ""))[:60], shape, str(config.get("dtype", ""))[:20])
