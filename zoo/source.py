"""Where a zoo comes from, and how its files come to its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zoo.collection import open_stacked
from zoo.errors import ZooError
from zoo.files import sha256, short_name
from zoo.limits import OWN, ZooLimits
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
    limits: ZooLimits
    """How much is read of them at most."""

    def need(self, path: str, file: FileInfo) -> None:
        """Make sure that a file is in the folder, and is the one that the catalog lists."""
        ...

    def open_shard(self, path: str, file: FileInfo, places: Sequence[int]) -> Stacked:
        """A shard, to read these rows from."""
        ...

    def card(self) -> str:
        """The text about the whole zoo, "" where there is none."""
        ...


def check_file(folder: Path, file: FileInfo) -> None:
    """Check size and SHA-256 of a file in `folder`; ZooError where it is missing or another."""
    path = folder / file.name
    if not path.is_file():
        raise ZooError(f"{short_name(path)} is missing, though the catalog lists it: download it again.")
    if path.stat().st_size != file.size or sha256(path) != file.sha256:
        raise ZooError(
            f"{short_name(path)} is not the file that the catalog lists (its SHA-256 differs): "
            "download it again, or run `python -m zoo index` if you changed it yourself."
        )


class CheckedFiles:
    """Which files of a folder are those of the catalog: their SHA-256 is computed anew only where they have changed."""

    def __init__(self, root: Path):
        self._root = root
        self._good: dict[str, tuple[FileInfo, int, int]] = {}

    def holds(self, path: str, file: FileInfo) -> bool:
        """Whether the file at `path` below the folder is there and has the size and the checksum that are listed."""
        target = self._root / path
        if not target.is_file() or (found := target.stat()).st_size != file.size:
            return False
        state = (file, found.st_mtime_ns, found.st_ctime_ns)
        if self._good.get(path) != state:
            if sha256(target) != file.sha256:
                return False
            self._good[path] = state
        return True


class LocalFiles:
    """Files that are there already, or missing."""

    limits = OWN

    def __init__(self, root: Path):
        self._root, self._checked = root, CheckedFiles(root)
        self.source = ZooSource("embedded") if root == EMBEDDED else ZooSource("folder", folder=root)

    def need(self, path: str, file: FileInfo) -> None:
        """As in `Files`."""
        if not self._checked.holds(path, file):
            check_file((self._root / path).parent, file)

    def open_shard(self, path: str, file: FileInfo, places: Sequence[int]) -> Stacked:
        """As in `Files`."""
        self.need(path, file)
        return open_stacked(self._root / path)

    def card(self) -> str:
        """As in `Files`."""
        return ""
