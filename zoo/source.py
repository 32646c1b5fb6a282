"""Where a zoo comes from, and how its files come to its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zoo.collection import open_stacked
from zoo.stacked import Stacked

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class FileInfo:
    """A file of an entry: its name, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ZooSource:
    """Where a zoo comes from: `embedded`, `folder` or `hub`; for the Hub `owner/name`, the commit and the page."""

    kind: str
    repo: str | None = None
    revision: str | None = None
    url: str | None = None
    folder: Path | None = None

    @property
    def where(self) -> str:
        """What opens exactly this zoo again: "", a folder, or `owner/name@commit`."""
        if self.kind == "hub":
            return f"{self.repo}@{self.revision}"
        return str(self.folder.resolve()) if self.folder else ""

    def __str__(self) -> str:
        if self.kind == "hub":
            return f"{self.repo} at {str(self.revision)[:7]}"
        return f"folder {self.folder.name}" if self.folder else "embedded zoo"


class Files(Protocol):
    """How a zoo's files come to its folder; paths are like `collections/mnist-sirens/spec.json`."""

    source: ZooSource

    def need(self, path: str, file: FileInfo) -> None:
        """Make sure that a file is in the folder."""
        ...

    def open_shard(self, path: str, file: FileInfo, places: Sequence[int]) -> Stacked:
        """A shard, to read these rows from."""
        ...

    def card(self) -> str:
        """The text about the whole zoo, "" where there is none."""
        ...


class LocalFiles:
    """Files that are there already, or missing."""

    def __init__(self, root: Path):
        self._root = root
        self.source = ZooSource("embedded") if root == EMBEDDED else ZooSource("folder", folder=root)

    def need(self, path: str, file: FileInfo) -> None:
        """As in `Files`: whoever reads the file finds out."""

    def open_shard(self, path: str, file: FileInfo, places: Sequence[int]) -> Stacked:
        """As in `Files`."""
        return open_stacked(self._root / path)

    def card(self) -> str:
        """As in `Files`."""
        return ""
