"""`open_zoo` and `open_hub_zoo`: a `Zoo` whose files are downloaded from the Hub when they are needed.

A zoo on the Hub is a dataset repository with the layout of a zoo's folder, and a `hub.json`: the model repository and
commit of each predictor. It is read at one commit, into a snapshot folder that any `Zoo` could read.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO

from zoo import cache, hub
from zoo.catalog import Zoo
from zoo.errors import HubError, ZooError, shorten
from zoo.files import read_json
from zoo.hub import HubRepo, RemoteFile
from zoo.limits import TRUSTED, UNTRUSTED, ZooLimits
from zoo.source import EMBEDDED, CheckedFiles, FileInfo, ZooSource
from zoo.stacked import LocalStacked, RemoteStacked, Stacked, runs_of

CATALOG, HOMES, CARD = "catalog.json", "hub.json", "README.md"
HUB_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[\w][\w./-]{0,99}))?",
    re.ASCII,
)
LIMITS = {".json": 2**20, ".md": 2**20, ".parquet": 2**26, ".safetensors": 2**29}
"""The largest size of downloaded files, in bytes, by file name suffix."""
WHOLE = 2**22
"""Shards of up to this many bytes are downloaded whole."""
HEADERS = 4
"""The number of shards whose headers are cached, a few MB at most."""
MAX_RUNS, MAX_ROWS = 8, 256
"""The largest number of rows, and of runs of adjacent rows, that are read from larger shards by byte ranges."""


def open_zoo(where: str | Path | None = None, token: str | bool | None = None) -> Zoo:
    """Open the embedded zoo (None, ""), one in a folder, or one on the Hub: `owner/name` or `owner/name@revision`.

    `token` is as in the Hub's client: None for that of HF_TOKEN or `hf auth login`, False for none.
    """
    if not where:
        return Zoo(EMBEDDED)
    folder = Path(where).expanduser()
    if isinstance(where, Path) or folder.is_absolute() or not HUB_ID.fullmatch(where):
        if not folder.is_dir():
            raise ZooError(f"{shorten(str(where))} is neither a folder nor owner/name of a zoo on the Hub.")
        return Zoo(folder)
    if folder.is_dir():
        raise ZooError(
            f"{where!r} is a folder here and may be a zoo on the Hub: write ./{where} for the folder, "
            f"{where}@main for the Hub."
        )
    return open_hub_zoo(where, TRUSTED, token)


def open_hub_zoo(text: str, limits: ZooLimits = UNTRUSTED, token: str | bool | None = False) -> Zoo:
    """Open a zoo on the Hub that a visitor chose: `owner/name` or `owner/name@revision`, never a path or a URL.

    It is read without a token, and not from snapshots that were read with one: visitors must not see what only we may.
    """
    repo, revision = parse_hub_id(text, token)
    snapshot = _snapshot(repo, revision or "")
    if not (hub.SHA.fullmatch(revision or "") and (snapshot / CATALOG).is_file()):
        try:
            snapshot = _fetch_catalog(repo, revision)
        except HubError as error:
            raise HubError(f"{error}{_cached_copy(repo)}") from error
    cache.touch(snapshot)
    files = HubFiles(repo, snapshot.name, snapshot, lambda size: cache.make_room(snapshot, size), limits)
    return Zoo(snapshot, files)


def _snapshot(repo: HubRepo, sha: str) -> Path:
    return cache.snapshot(repo.id, sha, own=repo.token is not False)


def parse_hub_id(text: str, token: str | bool | None = False) -> tuple[HubRepo, str | None]:
    """Parse `owner/name[@revision]` into dataset repository and revision; HubError suggests the correct spelling."""
    match = HUB_ID.fullmatch(text)
    if match and hub.is_repo_id(match["repo"]) and _is_revision(match["revision"]):
        return HubRepo(match["repo"], "dataset", token), match["revision"]
    near = re.sub(r"^\s*(https?://[^/]*/)?(datasets/)?|(/tree/.*)?/?\s*$", "", text[:300])
    hint = (
        f" Did you mean {near}?" if near != text and HUB_ID.fullmatch(near) and hub.is_repo_id(near) else ""
    )
    raise HubError(
        f"{shorten(text)} is not a zoo on the Hub: expected owner/name or owner/name@revision.{hint}"
    )


def _is_revision(text: str | None) -> bool:
    return text is None or not re.search(r"\.\.|//|[/.]$|\.lock|/\.", text)


def _cached_copy(repo: HubRepo) -> str:
    snapshots = _snapshot(repo, "").glob(f"*/{CATALOG}")
    latest = max(snapshots, key=lambda path: path.stat().st_mtime_ns, default=None)
    return f" The copy downloaded earlier opens as {repo.id}@{latest.parent.name}." if latest else ""


def _fetch_catalog(repo: HubRepo, revision: str | None) -> Path:
    """Resolve the revision and download the files that list the zoo's content, the catalog last."""
    listing = hub.list_files(repo, revision)
    snapshot = _snapshot(repo, listing.sha)
    if CATALOG not in listing.files:
        raise HubError(f"The {repo} has no {CATALOG}: it is not a zoo.")
    for name in (HOMES, CATALOG):
        if name in listing.files and not (snapshot / name).is_file():
            cache.touch(snapshot)
            fetch_listed(repo, listing.sha, name, listing.files[name], snapshot)
    return snapshot


def fetch_listed(repo: HubRepo, sha: str, name: str, file: RemoteFile, folder: Path) -> None:
    """Download a file, checking it against the Hub's own listing."""
    _check_limit(name, file.size)
    check = _is_blob(file) if file.sha256 is None else _is_sha256(file.size, file.sha256)
    fetch(repo, sha, name, file.size, check, folder / name)


class HubFiles:
    """The files of a zoo on the Hub at one commit, downloaded into `root` when needed.

    `make_room` is called with the number of bytes to download, and may raise. Any method may raise HubError.
    """

    def __init__(
        self,
        repo: HubRepo,
        sha: str,
        root: Path,
        make_room: Callable[[int], None],
        limits: ZooLimits = UNTRUSTED,
    ):
        self.repo, self.sha, self.root, self._make_room = repo, sha, root, make_room
        self.source, self.limits = ZooSource("hub", repo.id, sha, repo.url(sha)), limits
        self._checked = CheckedFiles(root)
        self._ranged = lru_cache(HEADERS)(self._open_ranged)

    def ensure(self, path: str, file: FileInfo) -> None:
        """Make sure that a file of the catalog, `collections/...` or `predictors/...`, is complete under `root`."""
        if self._checked.holds(path, file):
            return
        _check_limit(file.name, file.size)
        self._make_room(file.size)
        repo, sha, name = self._home(path)
        fetch(repo, sha, name, file.size, _is_sha256(file.size, file.sha256), self.root / path)

    def open_shard(self, path: str, file: FileInfo, indices: Sequence[int]) -> Stacked:
        """Open a shard to read these rows: downloaded whole if it is small or many rows are needed."""
        few_rows = len(indices) <= MAX_ROWS and len(runs_of(indices)) <= MAX_RUNS
        if file.size > WHOLE and few_rows and not (self.root / path).is_file():
            with suppress(hub.NoRanges):
                return self._ranged(path, file)
        self.ensure(path, file)
        return LocalStacked(self.root / path)

    def card(self) -> str:
        """The dataset card, untrusted Markdown."""
        path = self.root / CARD
        if not path.is_file():
            fetch(self.repo, self.sha, CARD, LIMITS[".md"], lambda content: True, path)
        return path.read_text(encoding="utf-8", errors="replace")

    def _open_ranged(self, path: str, file: FileInfo) -> RemoteStacked:
        """Open a shard by byte ranges. There is no SHA-256 for these; sizes and shapes are checked."""
        _check_limit(file.name, file.size)
        return RemoteStacked(path, file.size, partial(hub.read_range, *self._home(path)))

    def _home(self, path: str) -> tuple[HubRepo, str, str]:
        """Repository, commit and name of a file of the zoo."""
        kind, entry, name = path.split("/")
        if kind == "collections":
            return self.repo, self.sha, path
        repo, sha = self.predictor_repos().get(entry, (None, None))
        if repo is None or sha is None:
            raise HubError(
                f"{self.source} lists the predictor {entry}, but {HOMES} has no repository for it."
            )
        return repo, sha, name

    def predictor_repos(self) -> dict[str, tuple[HubRepo, str]]:
        """The model repository and commit of each predictor."""
        path = self.root / HOMES
        if not path.is_file():
            return {}
        try:
            lines = read_json(path)["predictors"]
            latest = {
                name: (HubRepo(line["repo"], "model", self.repo.token), line["revision"])
                for name, line in lines.items()
            }
            valid = all(hub.is_repo_id(repo.id) and hub.SHA.fullmatch(sha) for repo, sha in latest.values())
        except (KeyError, TypeError, AttributeError) as error:
            raise HubError(f"{HOMES} of {self.source} is damaged.") from error
        if not valid:
            raise HubError(
                f"{HOMES} of {self.source} is damaged: expected owner/name and a commit for each predictor."
            )
        return latest


def fetch(repo: HubRepo, sha: str, name: str, size: int, check: Callable[[Path], bool], target: Path) -> None:
    """Download a file of at most `size` bytes to `target`, atomically, and only if `check` accepts it."""
    with cache.disk():
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=cache.PART, dir=target.parent)
    try:
        with cache.disk(), _open_part(handle) as file:
            hub.download(repo, sha, name, size, file.write)
        if not check(Path(part)):
            raise HubError(
                f"{name} of {repo.id} did not arrive as announced (its checksum differs): it was discarded."
            )
        with cache.disk():
            os.replace(part, target)
    finally:
        Path(part).unlink(missing_ok=True)


def _open_part(handle: int) -> BinaryIO:
    return open(handle, "wb")


def _is_sha256(size: int, checksum: str) -> Callable[[Path], bool]:
    def check(path: Path) -> bool:
        with path.open("rb") as file:
            return path.stat().st_size == size and hashlib.file_digest(file, "sha256").hexdigest() == checksum

    return check


def _is_blob(listed: RemoteFile) -> Callable[[Path], bool]:
    """A check that a small file is the git blob that the Hub lists."""

    def check(path: Path) -> bool:
        content = path.read_bytes()
        return len(content) == listed.size and listed.blob_id in (None, hub.blob_id(content))

    return check


def _check_limit(name: str, size: int) -> None:
    limit = LIMITS.get(Path(name).suffix, LIMITS[".json"])
    if not 0 <= size <= limit:
        raise HubError(f"{name} has {size / 1e6:,.1f} MB: the limit for such files is {limit / 1e6:,.1f} MB.")
