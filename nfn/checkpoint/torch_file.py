"""Files of `torch.save`, `numpy.savez` and TorchScript: all tensors of all networks, by dotted path."""

from collections.abc import Iterator, Mapping

import numpy as np

from nfn.checkpoint.listing import BITS, Blocks, Checkpoint, TensorInfo
from nfn.checkpoint.safetensors_header import truncate_metadata
from nfn.checkpoint.values import blocks, is_readable, view
from nfn.reader.contents import Contents, contents_of
from nfn.reader.errors import NetworkFileError, quote, quote_some
from nfn.reader.legacy_file import read_legacy
from nfn.reader.npz_file import read_npy, read_npz
from nfn.reader.pickle_plan import read_plan
from nfn.reader.tensors import StoredTensor, check_extent
from nfn.reader.torch_zip import read_members, read_torch_zip
from nfn.reader.zip_file import Archive

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "params",
    "weights",
)
"""Common checkpoint keys of the network's state_dict."""


def open_torch_zip(archive: Archive) -> Checkpoint:
    """A checkpoint of `torch.save`; checksums are verified in `nfn.health`, not here."""
    return _from_contents("torch.save (zip)", contents_of(read_torch_zip(archive, checked=False)))


def open_torchscript(archive: Archive) -> Checkpoint:
    """The tensors of a TorchScript archive; its code is not read."""
    members = read_members(archive, checked=False, unpack=True)
    contents = contents_of(read_plan(members["data.pkl"], members))
    return _from_contents(
        "TorchScript", contents, ("The file holds compiled code, too, which was not read.",)
    )


def open_legacy(data: memoryview) -> Checkpoint:
    """A checkpoint of `torch.save` before PyTorch 1.6."""
    return _from_contents("torch.save (before 1.6)", contents_of(read_legacy(data)))


def open_pickle(data: memoryview) -> Checkpoint:
    """A plain pickle with arrays."""
    return _from_contents("pickle", contents_of(read_plan(data, {})))


def open_npy(data: memoryview) -> Checkpoint:
    """One array of `numpy.save`."""
    value = read_npy(data)
    contents = Contents({("array",): value}) if isinstance(value, StoredTensor) else contents_of(value)
    return _from_contents("npy", contents)


def open_npz(archive: Archive) -> Checkpoint:
    """The arrays of `numpy.savez`."""
    return _from_contents("npz", Contents({(name,): tensor for name, tensor in read_npz(archive).items()}))


def _from_contents(form: str, contents: Contents, notes: tuple[str, ...] = ()) -> Checkpoint:
    stored = _named(contents)
    if not stored:
        raise NetworkFileError(f"No tensors were found: {contents.description}.")
    facts = {".".join(path): text for path, text in contents.facts.items() if ".".join(path) not in stored}
    classes = [facts.class_name for path, facts in contents.modules.items() if path[-1] == ""]
    return Checkpoint(
        form,
        {name: _info(name, tensor) for name, tensor in stored.items()},
        truncate_metadata(facts),
        _reader(stored),
        notes=(*notes, *_notes(contents, classes)),
    )


def _named(contents: Contents) -> dict[str, StoredTensor]:
    """Tensors by dotted path, without the key of the state_dict if nearly all tensors are in it."""
    tensors = contents.tensors
    tops = {path[0] for path in tensors if len(path) > 1}
    top = next(iter(tops)) if len(tops) == 1 else None
    drop = 1 if top in WRAPPERS and all(len(path) > 1 for path in tensors) else 0
    return {".".join(part for part in path[drop:] if part): tensor for path, tensor in tensors.items()}


def _notes(contents: Contents, classes: list[str]) -> Iterator[str]:
    if classes:
        yield f"The file holds a whole pickled module ({quote_some(classes)}): its code was not run."
    if contents.training_state:
        yield f"Training state stands beside the network, and was not listed: {quote_some(contents.training_state)}."


def _info(name: str, tensor: StoredTensor) -> TensorInfo:
    if tensor.problem:
        return TensorInfo(name, tensor.problem, (), 0)
    bits = BITS.get(tensor.dtype, 0)
    return TensorInfo(name, tensor.dtype, tensor.shape, tensor.numel * bits // 8)


def _reader(stored: Mapping[str, StoredTensor]) -> Blocks:
    def read(name: str) -> Iterator[np.ndarray]:
        tensor = stored[name]
        if tensor.problem or not is_readable(tensor.dtype):
            raise NetworkFileError(
                f"Tensor {quote(name)} is {tensor.problem or tensor.dtype}: its values are not read."
            )
        check_extent(name, tensor, BITS[tensor.dtype] // 8)
        yield from blocks(
            view(tensor.data, tensor.dtype, tensor.shape, tensor.strides, tensor.offset), tensor.dtype
        )

    return read
