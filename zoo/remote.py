"""Zoos elsewhere: `open_zoo` and `open_hub_zoo` give a `Zoo` whose files come from the Hub when they are asked for.

A zoo on the Hub is a dataset repository laid out like a zoo's folder, with `hub.json` besides: the model repository and
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
from zoo.limits import OWN, STRANGERS, ZooLimits
from zoo.source import EMBEDDED, CheckedFiles, FileInfo, ZooSource
from zoo.stacked import LocalStacked, RemoteStacked, Stacked, runs_of

CATALOG, HOMES, CARD = "catalog.json", "hub.json", "README.md"
HUB_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[\w][\w./-]{0,99}))?",
    re.ASCII,
)
LIMITS = {".json": 2**20, ".md": 2**20, ".parquet": 2**26, ".safetensors": 2**29}
"""The largest files that are fetched, in bytes, by the end of their names."""
WHOLE = 2**22
"""Shards of up to so many bytes are fetched whole."""
HEADERS = 4
"""Of so many shards what they hold is remembered, a few MB at worst."""
MAX_RUNS, MAX_ROWS = 8, 256
"""Up to so many runs of neighbouring rows, and rows, are read from larger ones by byte ranges."""


def open_zoo(where: str | Path | None = None) -> Zoo:
    """The embedded zoo (None, ""), the one in a folder, or one on the Hub: `owner/name` or `owner/name@revision`."""
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
    return open_hub_zoo(where, OWN)


def open_hub_zoo(text: str, limits: ZooLimits = STRANGERS) -> Zoo:
    """A zoo on the Hub, named as a visitor would: `owner/name` or `owner/name@revision`, never a path or an address."""
    repo, revision = parse_hub_id(text)
    snapshot = cache.snapshot(repo.id, revision or "")
    if not (hub.SHA.fullmatch(revision or "") and (snapshot / CATALOG).is_file()):
        try:
            snapshot = _fetch_catalog(repo, revision)
        except HubError as error:
            raise HubError(f"{error}{_kept(repo)}") from error
    cache.touch(snapshot)
    files = HubFiles(repo, snapshot.name, snapshot, lambda size: cache.make_room(snapshot, size), limits)
    return Zoo(snapshot, files)


def parse_hub_id(text: str) -> tuple[HubRepo, str | None]:
    """`owner/name[@revision]` as the dataset repository and the revision; HubError offers the right spelling."""
    match = HUB_ID.fullmatch(text)
    if match and hub.is_repo_id(match["repo"]) and _is_revision(match["revision"]):
        return HubRepo(match["repo"], "dataset"), match["revision"]
    near = re.sub(r"^\s*(https?://[^/]*/)?(datasets/)?|(/tree/.*)?/?\s*$", "", text[:300])
    hint = (
        f" Did you mean {near}?" if near != text and HUB_ID.fullmatch(near) and hub.is_repo_id(near) else ""
    )
    raise HubError(
        f"{shorten(text)} names no zoo on the Hub: wanted owner/name or owner/name@revision.{hint}"
    )


def _is_revision(text: str | None) -> bool:
    return text is None or not re.search(r"\.\.|//|[/.]$|\.lock|/\.", text)


def _kept(repo: HubRepo) -> str:
    snapshots = cache.snapshot(repo.id, "").glob(f"*/{CATALOG}")
    found = max(snapshots, key=lambda path: path.stat().st_mtime_ns, default=None)
    return f" The copy fetched before opens as {repo.id}@{found.parent.name}." if found else ""


def _fetch_catalog(repo: HubRepo, revision: str | None) -> Path:
    """Resolve the revision and fetch what tells what is in the zoo, the catalog last."""
    listing = hub.list_files(repo, revision)
    snapshot = cache.snapshot(repo.id, listing.sha)
    if CATALOG not in listing.files:
        raise HubError(f"The {repo} has no {CATALOG}: it is not a zoo.")
    for name in (HOMES, CATALOG):
        if name in listing.files and not (snapshot / name).is_file():
            cache.touch(snapshot)
            fetch_listed(repo, listing.sha, name, listing.files[name], snapshot)
    return snapshot


def fetch_listed(repo: HubRepo, sha: str, name: str, file: RemoteFile, folder: Path) -> None:
    """Fetch a file that the Hub's own list vouches for."""
    _check_limit(name, file.size)
    check = _is_blob(file) if file.sha256 is None else _is_sha256(file.size, file.sha256)
    fetch(repo, sha, name, file.size, check, folder / name)


class HubFiles:
    """The files of a zoo on the Hub at one commit, fetched into `root` when they are needed.

    `make_room` is told how many bytes are to come, and raises where they must not. Any method may raise HubError.
    """

    def __init__(
        self,
        repo: HubRepo,
        sha: str,
        root: Path,
        make_room: Callable[[int], None],
        limits: ZooLimits = STRANGERS,
    ):
        self.repo, self.sha, self.root, self._make_room = repo, sha, root, make_room
        self.source, self.limits = ZooSource("hub", repo.id, sha, repo.url(sha)), limits
        self._checked = CheckedFiles(root)
        self._ranged = lru_cache(HEADERS)(self._open_ranged)

    def need(self, path: str, file: FileInfo) -> None:
        """Make sure that a file of the catalog, `collections/...` or `predictors/...`, lies whole under `root`."""
        if self._checked.holds(path, file):
            return
        _check_limit(file.name, file.size)
        self._make_room(file.size)
        repo, sha, name = self._home(path)
        fetch(repo, sha, name, file.size, _is_sha256(file.size, file.sha256), self.root / path)

    def open_shard(self, path: str, file: FileInfo, places: Sequence[int]) -> Stacked:
        """A shard to read these rows from: fetched whole where it is small or much of it is asked for."""
        few = len(places) <= MAX_ROWS and len(runs_of(places)) <= MAX_RUNS
        if file.size > WHOLE and few and not (self.root / path).is_file():
            with suppress(hub.NoRanges):
                return self._ranged(path, file)
        self.need(path, file)
        return LocalStacked(self.root / path)

    def card(self) -> str:
        """The dataset card, Markdown by strangers."""
        path = self.root / CARD
        if not path.is_file():
            fetch(self.repo, self.sha, CARD, LIMITS[".md"], lambda content: True, path)
        return path.read_text(encoding="utf-8", errors="replace")

    def _open_ranged(self, path: str, file: FileInfo) -> RemoteStacked:
        """The shard by byte ranges. No SHA-256 vouches for these; sizes and shapes are checked."""
        _check_limit(file.name, file.size)
        return RemoteStacked(path, file.size, partial(hub.read_range, *self._home(path)))

    def _home(self, path: str) -> tuple[HubRepo, str, str]:
        """Repository, commit and name of a file of the zoo."""
        kind, entry, name = path.split("/")
        if kind == "collections":
            return self.repo, self.sha, path
        repo, sha = self.homes().get(entry, (None, None))
        if repo is None or sha is None:
            raise HubError(f"{self.source} lists the predictor {entry}, and does not say where it is.")
        return repo, sha, name

    def homes(self) -> dict[str, tuple[HubRepo, str]]:
        """The model repository and commit of each predictor."""
        path = self.root / HOMES
        if not path.is_file():
            return {}
        try:
            lines = read_json(path)["predictors"]
            found = {name: (HubRepo(line["repo"], "model"), line["revision"]) for name, line in lines.items()}
            whole = all(hub.is_repo_id(repo.id) and hub.SHA.fullmatch(sha) for repo, sha in found.values())
        except (KeyError, TypeError, AttributeError) as error:
            raise HubError(f"{HOMES} of {self.source} is damaged.") from error
        if not whole:
            raise HubError(
                f"{HOMES} of {self.source} is damaged: wanted owner/name and a commit for each predictor."
            )
        return found


def fetch(repo: HubRepo, sha: str, name: str, size: int, check: Callable[[Path], bool], target: Path) -> None:
    """Download a file of at most `size` bytes to `target`: whole and checked, or not at all."""
    with cache.disk():
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=cache.PART, dir=target.parent)
    try:
        with cache.disk(), _open_part(handle) as file:
            hub.download(repo, sha, name, size, file.write)
        if not check(Path(part)):
            raise HubError(
                f"{name} of {repo.id} did not arrive as announced (its checksum differs): it was not kept."
            )
        with cache.disk():
            os.replace(part, target)
    finally:
        Path(part).unlink(missing_ok=True)


def _open_part(handle: int) -> BinaryIO:
    return open(handle, "wb")


def _is_sha256(size: int, wanted: str) -> Callable[[Path], bool]:
    def check(path: Path) -> bool:
        with path.open("rb") as file:
            return path.stat().st_size == size and hashlib.file_digest(file, "sha256").hexdigest() == wanted

    return check


def _is_blob(listed: RemoteFile) -> Callable[[Path], bool]:
    """Whether a small file is the git blob that the Hub lists."""

    def check(path: Path) -> bool:
        content = path.read_bytes()
        return len(content) == listed.size and listed.blob_id in (None, hub.blob_id(content))

    return check


def _check_limit(name: str, size: int) -> None:
    limit = LIMITS.get(Path(name).suffix, LIMITS[".json"])
    if not 0 <= size <= limit:
        raise HubError(
            f"{name} has {size / 1e6:,.1f} MB: at most {limit / 1e6:,.1f} MB are fetched of such files."
        )
