"""Read a safetensors file: the header first, with lower limits than the library's (a hundredth)."""

from nfn.reader import limits
from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError
from nfn.reader.safetensors_header import Caps, HeaderError, header_size, parse_header
from nfn.reader.tensors import StoredTensor, contiguous_strides, show_count

CAPS = Caps(limits.SAFETENSORS_HEADER_BYTES, limits.TENSORS, limits.RANK)


def read_safetensors(data: bytes) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Every tensor of the file by name, in the order of the header, and its metadata.

    Raises:
        NetworkFileError: the header is malformed or above a limit, or does not match the bytes after it.
    """
    try:
        size = header_size(data[:8], CAPS)
        if size > len(data) - 8:
            raise _incomplete(f"its header of {size:,} bytes ends after the file's {len(data):,}")
        header = parse_header(data[8 : 8 + size], CAPS)
    except HeaderError as error:
        raise _malformed(str(error)) from error
    if not header.entries:
        raise NetworkFileError(f"No tensors found: this safetensors file has none. {EXPORT_ADVICE}")
    body = memoryview(data)[8 + size :]
    _check_size(header.body_bytes, len(body))
    tensors = {
        name: StoredTensor(e.dtype, e.shape, contiguous_strides(e.shape), 0, body[e.start : e.stop])
        for name, e in header.entries.items()
    }
    return tensors, header.metadata


def _check_size(expected: int, size: int) -> None:
    if expected > size:
        raise _incomplete(f"its tensors need {show_count(expected)} bytes and {size:,} are there")
    if expected < size:
        raise _malformed(f"{size - expected:,} bytes follow its last tensor")


def _malformed(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This is not a valid safetensors file: {fault}. {EXPORT_ADVICE}")


def _incomplete(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This safetensors file is incomplete: {fault}. Download it again.")
