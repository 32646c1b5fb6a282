"""Where a zoo comes from, and how its files get into its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zoo.collection import open_stacked
from zoo.errors import ZooError
from zoo.files import sha256, short_name
from zoo.limits import TRUSTED, ZooLimits
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
    """The source of a zoo: `embedded`, `folder` or `hub`; for the Hub `owner/name`, the commit and the URL."""

    kind: str
    repo: str | None = None
    revision: str | None = None
    url: str | None = None
    folder: Path | None = None

    @property
    def where(self) -> str:
        """The argument that opens exactly this zoo again: "", a folder, or `owner/name@commit`."""
        if self.kind == "hub":
            return f"{self.repo}@{self.revision}"
        return str(self.folder.resolve()) if self.folder else ""

    def __str__(self) -> str:
        if self.kind == "hub":
            return f"{self.repo} at {str(self.revision)[:7]}"
        return f"folder {self.folder.name}" if self.folder else "embedded zoo"


class Files(Protocol):
    """How a zoo's files get into its folder; paths are like `collections/mnist-sirens/spec.json`."""

    source: ZooSource
    limits: ZooLimits
    """Limits on how much of them is read."""

    def ensure(self, path: str, file: FileInfo) -> None:
        """Make sure that a file is in the folder and matches the catalog."""
        ...

    def open_shard(self, path: str, file: FileInfo, indices: Sequence[int]) -> Stacked:
        """Open a shard to read the rows at these indices."""
        ...

    def card(self) -> str:
        """The card of the whole zoo, "" if there is none."""
        ...


def check_file(folder: Path, file: FileInfo) -> None:
    """Check size and SHA-256 of a file in `folder`; ZooError if it is missing or different."""
    path = folder / file.name
    if not path.is_file():
        raise ZooError(f"{short_name(path)} is missing, though the catalog lists it: download it again.")
    if path.stat().st_size != file.size or sha256(path) != file.sha256:
        raise ZooError(
            f"{short_name(path)} is not the file in the catalog (its SHA-256 differs): "
            "download it again, or run `python -m zoo index` if you changed it yourself."
        )


class CheckedFiles:
    """Checks files of a folder against the catalog, computing a SHA-256 again only if the file has changed."""

    def __init__(self, root: Path):
        self._root = root
        self._good: dict[str, tuple[FileInfo, int, int]] = {}

    def holds(self, path: str, file: FileInfo) -> bool:
        """Whether the file at `path` exists and has the listed size and checksum."""
        target = self._root / path
        if not target.is_file() or (info := target.stat()).st_size != file.size:
            return False
        state = (file, info.st_mtime_ns, info.st_ctime_ns)
        if self._good.get(path) != state:
            if sha256(target) != file.sha256:
                return False
            self._good[path] = state
        return True


class LocalFiles:
    """Files of a local folder."""

    limits = TRUSTED

    def __init__(self, root: Path):
        self._root, self._checked = root, CheckedFiles(root)
        self.source = ZooSource("embedded") if root == EMBEDDED else ZooSource("folder", folder=root)

    def ensure(self, path: str, file: FileInfo) -> None:
        """As in `Files`."""
        if not self._checked.holds(path, file):
            check_file((self._root / path).parent, file)

    def open_shard(self, path: str, file: FileInfo, indices: Sequence[int]) -> Stacked:
        """As in `Files`."""
        self.ensure(path, file)
        return open_stacked(self._root / path)

    def card(self) -> str:
        """As in `Files`."""
        return ""
