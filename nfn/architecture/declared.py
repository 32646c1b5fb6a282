"""Read a declared architecture: from the metadata of a safetensors file, or from JSON next to the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from nfn.architecture.caps import check_caps
from nfn.architecture.graph import Architecture
from nfn.architecture.ops import ArchitectureError

KEY = "architecture"
"""The metadata key of `Architecture.to_json()`."""
MAX_CHARACTERS = 1 << 20


class HasShape(Protocol):
    """A tensor, or a description of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def read_declared(metadata: Mapping[str, str], tensors: Mapping[str, HasShape]) -> Architecture | None:
    """The architecture in a file's metadata, checked against the file's tensors; None if there is none.

    The file may have tensors that the architecture does not use. It is untrusted: sizes are limited.

    Raises:
        ArchitectureError: the entry is not valid, or does not match the tensors; a sentence for the visitor.
    """
    text = metadata.get(KEY)
    return None if text is None else _read(text, tensors)


def read_beside(path: str | Path, tensors: Mapping[str, HasShape]) -> Architecture | None:
    """As `read_declared`, from `NAME.architecture.json` next to the weights `NAME.safetensors`.

    Example: `Path("net.architecture.json").write_text(nfn.trace(module, (1, 28, 28)).to_json())` declares `net.pt`.
    """
    file = Path(path).with_suffix(".architecture.json")
    if not file.is_file():
        return None
    with file.open(encoding="utf-8", errors="replace") as opened:
        return _read(opened.read(MAX_CHARACTERS + 1), tensors)


def parse_declared(text: str) -> Architecture:
    """The architecture in untrusted JSON of limited size; ArchitectureError, a sentence for the visitor, if invalid."""
    if len(text) > MAX_CHARACTERS:
        raise ArchitectureError(
            f"The declared architecture has more than {MAX_CHARACTERS:,} characters, the most that is read."
        )
    architecture = Architecture.from_json(text)
    check_caps(architecture)
    return architecture


def _read(text: str, tensors: Mapping[str, HasShape]) -> Architecture:
    architecture = parse_declared(text)
    for name, shape in architecture.shapes.items():
        _check_tensor(name, shape, tensors.get(name))
    return architecture


def _check_tensor(name: str, shape: tuple[int, ...], tensor: HasShape | None) -> None:
    file_shape = None if tensor is None else tuple(tensor.shape)
    if file_shape != shape:
        actual = "the file has none" if file_shape is None else f"the file's is {file_shape}"
        raise ArchitectureError(
            f"The declared architecture uses the tensor {name[:60]!r} of shape {shape}, and {actual}. Save both "
            "together with nfn.save(module, path, input_shape), or remove the metadata entry 'architecture'."
        )
