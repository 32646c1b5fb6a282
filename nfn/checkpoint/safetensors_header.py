"""The header of a safetensors file as a list of tensors, from the start of a file or a byte range of the Hub."""

from dataclasses import dataclass

from nfn.checkpoint import limits
from nfn.checkpoint.listing import TensorInfo
from nfn.reader import safetensors_header
from nfn.reader.errors import NetworkFileError, quote
from nfn.reader.limits import NAME_CHARACTERS
from nfn.reader.safetensors_header import Caps, HeaderError

CAPS = Caps(limits.HEADER_BYTES, limits.TENSORS, rank=16)
"""Higher than those of `nfn.reader.safetensors_file`, which reads the values of one network."""


@dataclass(frozen=True)
class Header:
    """The tensors, the spans of their bytes after the header, the metadata, and where the header ends."""

    tensors: dict[str, TensorInfo]
    spans: dict[str, tuple[int, int]]
    metadata: dict[str, str]
    start: int

    @property
    def end(self) -> int:
        """The size of the complete file."""
        return self.start + max((stop for _, stop in self.spans.values()), default=0)


def header_bytes(first: bytes) -> int:
    """The size of the header, from the file's first eight bytes; NetworkFileError if it is too large."""
    try:
        return safetensors_header.header_size(first, CAPS)
    except HeaderError as error:
        raise _malformed(str(error)) from error


def parse_header(text: bytes) -> Header:
    """Parse the JSON after the first eight bytes; NetworkFileError if it is malformed or above a limit."""
    try:
        header = safetensors_header.parse_header(text, CAPS)
    except HeaderError as error:
        raise _malformed(str(error)) from error
    for name in header.entries:
        if len(name) > NAME_CHARACTERS:
            raise _malformed(f"tensor {quote(name)} has a name of {len(name):,} characters")
    infos = {n: TensorInfo(n, e.dtype, e.shape, e.stop - e.start) for n, e in header.entries.items()}
    spans = {name: (entry.start, entry.stop) for name, entry in header.entries.items()}
    return Header(infos, spans, truncate_metadata(header.metadata), 8 + len(text))


def truncate_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """The first entries of metadata, with keys and values truncated."""
    most = limits.METADATA_CHARACTERS
    return {key[:100]: text[:most] for key, text in list(metadata.items())[: limits.METADATA]}


def _malformed(fault: str) -> NetworkFileError:
    return NetworkFileError(f"This is not a valid safetensors file: {fault}. Download or save it again.")
