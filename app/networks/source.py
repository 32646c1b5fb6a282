"""The network that a visitor chose: a zoo id or an uploaded file. No gradio."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.runtime.errors import RequestError
from nfn.network import Convention
from zoo import siren_conventions

UPLOAD_EXPIRED = "This upload is no longer kept here. Please upload the file again."


@dataclass(frozen=True)
class Source:
    """The network a visitor chose: a zoo id, or an uploaded file with the convention that the visitor gave.

    `zoo` is the zoo of the id: "" for the app's own, else as `zoo_at` takes it. `images` is the image set that a
    classifier was trained on, if the visitor gave it. `part` selects one of several networks in a file ("": the usual
    one), `reading` one of the possible readings of a classifier ("": the best fit). `undeclared` are the parts of
    `convention` that still have to be found.
    """

    zoo_id: str | None = None
    path: str | None = None
    convention: Convention | None = None
    zoo: str = ""
    images: str | None = None
    part: str = ""
    reading: str = ""
    undeclared: tuple[str, ...] = ()

    def __post_init__(self):
        if (self.zoo_id is None) == (self.path is None):
            raise RequestError("Give exactly one network: a file, or a zoo id such as mnist-sirens/test/17.")

    @property
    def name(self) -> str:
        """The name on screen and in file names."""
        return self.zoo_id or Path(self.path or "").name


def with_part(source: Source, part: str) -> Source:
    """The source with a network of its file selected by name; "auto" lets the reader choose."""
    if part in ("", siren_conventions.AUTO):
        return source
    if source.path is None:
        raise RequestError("A zoo id names a single network: leave part at auto.")
    return replace(source, part=part)


@contextmanager
def reader_errors() -> Iterator[None]:
    """Convert the reader's exceptions to `RequestError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise RequestError(UPLOAD_EXPIRED) from error
    except ValueError as error:  # a bad file, or an impossible convention
        raise RequestError(str(error)) from error


def safe_stem(name: str) -> str:
    """A network's name in the characters of a file name."""
    stem = name if "/" in name else Path(name).stem
    return (
        "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in stem).strip("-")[:60]
        or "network"
    )
