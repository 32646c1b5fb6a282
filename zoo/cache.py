"""The folder for downloads from the Hub: a snapshot per repository and commit, up to a quota."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from zoo import hub
from zoo.errors import HubError
from zoo.files import files_below

CACHE_VARIABLE, QUOTA_VARIABLE = "WEIGHTSCOPE_CACHE", "WEIGHTSCOPE_CACHE_GB"
USED, PART = ".used", ".part-"
PART_SECONDS = 3600
"""No download takes longer: older temporary files were left by a process that was killed."""
_lock = Lock()


def folder() -> Path:
    """Where snapshots are stored: `WEIGHTSCOPE_CACHE`, or next to the Hub client's own cache."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else hub.home() / "weightscope"


def quota() -> int:
    """The total size that snapshots may take, in bytes: `WEIGHTSCOPE_CACHE_GB`, 4 GB if unset."""
    return round(float(os.environ.get(QUOTA_VARIABLE) or 4) * 1e9)


def snapshot(repo: str, sha: str, own: bool = False) -> Path:
    """The folder of a repository `owner/name` at a commit, existing or not; `own` if it was read with our own token."""
    host = hub.host().replace(":", "_")
    return folder() / (f"{host}-own" if own else host) / repo.replace("/", "--") / sha


def touch(snapshot_folder: Path) -> None:
    """Create the folder if needed, and mark it as used now."""
    with disk():
        snapshot_folder.mkdir(parents=True, exist_ok=True)
        (snapshot_folder / USED).touch()


def make_room(snapshot_folder: Path, size: int) -> None:
    """Delete other snapshots, least recently used first, until `size` more bytes fit; HubError if they cannot."""
    with _lock, disk():
        _discard_parts()
        sizes = {path: _size(path) for path in _by_last_use(snapshot_folder)}
        excess = sum(sizes.values()) + _size(snapshot_folder) + size - quota()
        if excess > sum(sizes.values()):
            raise HubError(
                f"This needs {size / 1e6:,.1f} MB more, and downloads may take {quota() / 1e6:,.0f} MB here "
                f"({QUOTA_VARIABLE}): it was not downloaded."
            )
        for path, freed in sizes.items():
            if excess <= 0:
                return
            shutil.rmtree(path, ignore_errors=True)
            excess -= freed


@contextmanager
def disk() -> Iterator[None]:
    """Turn an OSError of the disk into a HubError with a readable message."""
    try:
        yield
    except OSError as error:
        raise HubError(hub.describe_disk_error(error)) from error


def _discard_parts() -> None:
    for path, info in files_below(folder()):
        if path.name.startswith(PART) and time.time() - info.st_mtime > PART_SECONDS:
            path.unlink(missing_ok=True)


def _by_last_use(excluded: Path) -> list[Path]:
    """All snapshots, least recently used first; those without a mark come first, as their deletion was interrupted."""
    snapshots = [path for path in folder().glob("*/*/*") if path.is_dir() and path != excluded]
    marks = {path: path / USED for path in snapshots}
    return sorted(snapshots, key=lambda path: marks[path].stat().st_mtime_ns if marks[path].exists() else 0)


def _size(path: Path) -> int:
    return sum(info.st_size for _, info in files_below(path))
