"""`open_file`: read the named tensors and metadata of one network from an untrusted file."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nfn.architecture.declared import KEY as ARCHITECTURE
from nfn.reader import limits
from nfn.reader.clean import clean
from nfn.reader.contents import Contents, ModuleFacts, contents_of
from nfn.reader.convention import LAYER_ORDER
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.legacy_file import read_legacy
from nfn.reader.networks import Candidate, check_count, choose, find_candidates
from nfn.reader.normalization import Normalization
from nfn.reader.npz_file import is_npz, read_npy, read_npz
from nfn.reader.pickle_plan import read_plan
from nfn.reader.roles import ALL
from nfn.reader.safetensors_file import read_safetensors
from nfn.reader.settings import direct_settings, nested_settings
from nfn.reader.sniff import Format, sniff
from nfn.reader.tensors import StoredTensor
from nfn.reader.torch_zip import read_torch_zip
from nfn.reader.zip_file import Archive
from nfn.wiring.names import natural_key

PART = "part"
"""The metadata key that says that all tensors of a file are one network, though their names suggest several."""
_SUFFIXES: dict[str, tuple[Format, ...]] = {
    ".safetensors": ("safetensors",),
    ".pt": ("zip", "legacy"),
    ".pth": ("zip", "legacy"),
    ".ckpt": ("zip", "legacy"),
    ".bin": ("zip", "legacy"),
    ".pkl": ("pickle",),
    ".npz": ("zip",),
    ".npy": ("npy",),
}
_FORMAT_NAMES: dict[Format, str] = {
    "safetensors": "a safetensors file",
    "zip": "a torch.save checkpoint",
    "legacy": "a torch.save checkpoint in the old format",
    "pickle": "a pickle",
    "npy": "a NumPy array",
    "onnx": "an ONNX model",
}


@dataclass(frozen=True)
class StoredFile:
    """The tensors of one network by their names in the file, before they are arranged as layers.

    `in_order` says whether the file keeps the order of modules. `modules` are those of a pickled module by path, in
    order, the network itself as "". `networks` are the valid values of `part` of `open_file`, if there are several;
    `prefix` is the common prefix of all names, such as "module.model.".
    """

    tensors: dict[str, StoredTensor]
    metadata: dict[str, str]
    notes: tuple[str, ...]
    in_order: bool
    modules: Mapping[str, ModuleFacts] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    prefix: str = ""
    normalization: Normalization | None = None


def open_file(path: Path, part: str | None = None) -> StoredFile:
    """Read a file and select its only network, or the one called `part`; no code in the file is run.

    Raises:
        NetworkFileError: the format is unknown, the file is malformed, or it has no network or several.

    Example: `open_file(Path("agent.pt"), part="actor").tensors`.
    """
    return parse_file(path, *load_file(path), part)


def load_file(path: Path) -> tuple[bytes, Format]:
    """The bytes of a file and their format, detected from the content; errors as for `open_file`."""
    data = _read_bytes(path)
    return data, sniff(data)


def parse_file(path: Path, data: bytes, layout: Format, part: str | None = None) -> StoredFile:
    """Parse bytes from `load_file`; errors as for `open_file`."""
    if layout == "safetensors":
        tensors, metadata = read_safetensors(data)
        contents = Contents({(name,): tensor for name, tensor in tensors.items()})
    else:
        contents, metadata = _read_contents(data, layout), {}
    stored = _find_network(contents, metadata, part, layout)
    return replace(stored, notes=(*_name_note(path, layout), *stored.notes))


def _read_contents(data: bytes, layout: Format) -> Contents:
    if layout == "legacy":
        return contents_of(read_legacy(memoryview(data)))
    if layout == "pickle":
        return contents_of(read_plan(memoryview(data), {}))
    if layout == "npy":
        return contents_of(read_npy(memoryview(data)))
    if layout == "onnx":
        raise NetworkFileError(f"This is an ONNX model; expected a file of tensors only. {EXPORT_ADVICE}")
    archive = Archive(data)
    if is_npz(archive.names):
        return Contents({(name,): tensor for name, tensor in read_npz(archive).items()})
    return contents_of(read_torch_zip(archive))


def _find_network(
    contents: Contents, metadata: dict[str, str], part: str | None, layout: Format
) -> StoredFile:
    if part is None and metadata.get(PART) == ALL:
        part = ALL
    candidates = find_candidates(contents)
    chosen, rest = choose(candidates, contents, part)
    check_count(chosen.tensors)
    _refuse_objects(contents, chosen)
    modules = {path[-1]: facts for path, facts in contents.modules.items() if path[:-1] == chosen.path}
    declared = ARCHITECTURE in metadata or LAYER_ORDER in metadata
    cleaned = clean(chosen.tensors, modules, rest, declared)
    settings = {**cleaned.facts, **(metadata or direct_settings(contents.facts, chosen.path))}
    searched = {**{(key,): text for key, text in metadata.items()}, **contents.facts}
    settings |= nested_settings(searched, settings)
    if rest == ALL:
        settings[PART] = ALL
    others = [one.name for one in candidates] if len(candidates) > 1 else []
    return StoredFile(
        tensors=cleaned.tensors,
        metadata=settings,
        notes=(*_choice_notes(chosen, candidates, contents), *cleaned.notes),
        in_order=layout != "safetensors" and _keeps_order(chosen),
        modules=cleaned.modules,
        networks=(*others, *cleaned.networks),
        prefix=cleaned.prefix,
        normalization=cleaned.normalization,
    )


def _keeps_order(chosen: Candidate) -> bool:
    """Whether the file's order may be that of the modules: not if it is alphabetical, as of sorted nested dicts."""
    names = [name for name, tensor in chosen.tensors.items() if len(tensor.shape) > 1]
    if names != sorted(names):
        return True
    return not chosen.nested and names == sorted(names, key=natural_key)


def _refuse_objects(contents: Contents, chosen: Candidate) -> None:
    for path, name in contents.objects.items():
        if path[: len(chosen.path)] == chosen.path and path not in contents.tensors:
            raise NetworkFileError(
                f"{quote('.'.join(path[len(chosen.path) :]))} is an object of class {quote(name)}; "
                f"expected a tensor. {EXPORT_ADVICE}"
            )


def _choice_notes(chosen: Candidate, candidates: list[Candidate], contents: Contents) -> tuple[str, ...]:
    notes = []
    if chosen.path:
        notes.append(f"The network was read from the entry {quote(chosen.name)}.")
    others = [one.name for one in candidates if one is not chosen]
    if others:
        notes.append(f"The file also has other networks: {', '.join(quote(name) for name in others[:5])}.")
    if contents.modules:
        notes.append(
            "The file has a whole module: its tensors, and the classes and settings of its layers, were read; "
            "no code was run."
        )
    return tuple(notes)


def _read_bytes(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise NetworkFileError(f"This is a folder or a device, not a file. {EXPORT_ADVICE}")
    with path.open("rb") as file:
        data = file.read(min(status.st_size, limits.FILE_BYTES) + 1)
    if len(data) > limits.FILE_BYTES:
        size = max(status.st_size, len(data))
        raise NetworkFileError(
            f"The file is too large: {size:,} bytes, and at most {limits.FILE_BYTES:,} "
            f"({limits.FILE_BYTES >> 20} MiB) are read. Save the weights alone, without optimizer state."
        )
    return data


def _name_note(path: Path, layout: Format) -> tuple[str, ...]:
    if layout in _SUFFIXES.get(path.suffix.lower(), (layout,)):
        return ()
    return (
        f"The file name ends in {quote(path.suffix)}, but its content is {_FORMAT_NAMES[layout]}; "
        f"it was read as such.",
    )
