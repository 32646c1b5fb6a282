"""Open any upload as a checkpoint: its tensors by name. No gradio."""

from pathlib import Path

from app.networks.source import reader_errors
from app.runtime.errors import RequestError
from nfn.checkpoint import Checkpoint, open_bytes
from nfn.reader.limits import FILE_BYTES


def open_upload(path: str) -> Checkpoint:
    """Read an upload into memory and open it as a checkpoint: another visitor may replace the same file meanwhile."""
    with reader_errors(), Path(path).open("rb") as file:
        data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise RequestError(f"The file is larger than {FILE_BYTES >> 20} MiB.")
        return open_bytes(data)
