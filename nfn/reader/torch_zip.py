"""Read the zip archive of `torch.save`: one folder with `data.pkl` and a member per storage."""

from typing import Any

from nfn.reader.errors import EXPORT_ADVICE, KERAS_ADVICE, NetworkFileError, quote, quote_some
from nfn.reader.pickle_plan import read_plan
from nfn.reader.zip_file import Archive, hostile

_PLAIN_MEMBERS = ("data.pkl", "version", "byteorder", ".format_version", ".storage_alignment")
_MEMBER_FOLDERS = ("data/", ".data/")


def read_torch_zip(archive: Archive, checked: bool = True) -> Any:
    """The object in the archive, with tensors as views of the file's bytes; verifies checksums if `checked`.

    Raises:
        NetworkFileError: the archive or its pickle is not valid, or not one of `torch.save`.
    """
    foreign, advice = _foreign_archive(archive.names, [name.partition("/")[2] for name in archive.names])
    if foreign:
        raise NetworkFileError(f"This is {foreign}. {advice}")
    members = read_members(archive, checked)
    _check_layout(archive.names)
    return read_plan(members["data.pkl"], members)


def read_members(archive: Archive, checked: bool = True, unpack: bool = False) -> dict[str, memoryview]:
    """The members by their names in the archive's one folder; NetworkFileError for big-endian archives."""
    contents = archive.members(unpack, checked)
    members = {name.partition("/")[2]: view for name, view in contents.items()}
    byteorder = bytes(members.get("byteorder", b"little")[:16])
    if byteorder != b"little":
        raise NetworkFileError(
            f"The checkpoint's byte order is {quote(byteorder)}; expected little. {EXPORT_ADVICE}"
        )
    return members


def is_torch_zip(names: list[str]) -> bool:
    """Whether an archive has the pickle of a checkpoint."""
    return any(name.partition("/")[2] == "data.pkl" for name in names)


def _foreign_archive(names: list[str], inner: list[str]) -> tuple[str, str]:
    if any(name == "constants.pkl" or name.startswith("code/") for name in inner):
        return "a TorchScript model, which contains code", EXPORT_ADVICE
    if any(
        n.endswith(("archive_format", "serialized_exported_program.json")) or n.startswith("models/")
        for n in inner
    ):
        return "an exported PyTorch program (.pt2), which contains code", EXPORT_ADVICE
    if is_torch_zip(names):
        return "", ""
    if any(name.endswith((".weights.h5", "keras_metadata.pb")) for name in names):
        return "a Keras model, whose weights are in HDF5", KERAS_ADVICE
    if not names:
        return "an empty zip archive", EXPORT_ADVICE
    return (
        f"a zip archive of other files ({quote_some(names)})",
        "Unpack it and choose the file with the weights.",
    )


def _check_layout(names: list[str]) -> None:
    """Require one top folder, with only such members as `torch.save` writes."""
    inner = [name.partition("/")[2] for name in names]
    tops = sorted({name.partition("/")[0] for name in names})
    if len(tops) > 1:
        raise hostile(f"it has several top folders ({quote_some(tops)})")
    strange = [name for name in inner if name not in _PLAIN_MEMBERS and not name.startswith(_MEMBER_FOLDERS)]
    if strange:
        raise hostile(f"it contains {quote_some(strange)}, which torch.save never writes")
