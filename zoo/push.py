"""Upload a zoo to the Hub and download one: `push` makes one commit per repository, `pull` a complete zoo folder."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo import cache, hub, remote
from zoo.catalog import Zoo
from zoo.dataset_card import dataset_card
from zoo.errors import HubError
from zoo.files import sha256
from zoo.hub import HubRepo, Listing, RemoteFile
from zoo.remote import CARD, CATALOG, HOMES, HubFiles
from zoo.viewer import viewer_tables


@dataclass(frozen=True)
class Upload:
    """A file of a repository: its size in bytes, and whether the Hub lacks it, has another version, or has this one."""

    repo: HubRepo
    path: str
    size: int
    state: str


class Push:
    """Push the zoo in `folder` to the dataset repository `repo`, and each predictor to `repo-<predictor>`.

    Files that the Hub already has are not sent again, so a failed push can be repeated. Raises HubError on failure.
    `token` is used for writing; without one, that of HF_TOKEN or `hf auth login`.
    """

    def __init__(
        self,
        folder: Path,
        repo: str,
        private: bool = False,
        token: str | None = None,
        message: str = "Push a zoo with Weightscope",
    ):
        self.zoo, self.private, self.message = Zoo(folder), private, message
        self.zoo.verify()
        self.repo, revision = remote.parse_hub_id(repo, token)
        homes = {info.name: f"{repo}-{info.name}" for info in self.zoo.predictors()}
        if revision or not all(map(hub.is_repo_id, homes.values())):
            raise HubError(
                f"The target must be owner/name, at most 96 characters including the predictors' names; got {repo}."
            )
        self.homes = {name: HubRepo(home, "model", token) for name, home in homes.items()}

    def plan(self) -> Iterator[Upload]:
        """The uploads that `run` would make."""
        homes = {}
        for name, repo in self.homes.items():
            listing = hub.find_files(repo)
            homes[name] = (repo, listing.sha if listing else "0" * 40)
            yield from self._uploads(repo, self._predictor_files(name), listing)
        yield from self._uploads(self.repo, self._dataset_files(homes), hub.find_files(self.repo))

    def run(self, on_done: Callable[[HubRepo, str, int], None]) -> str:
        """Push the predictors, then the dataset, calling `on_done(repo, commit, files sent)`; return its commit."""
        homes = {}
        for name, repo in self.homes.items():
            homes[name] = (repo, self._send(repo, self._predictor_files(name), on_done))
        return self._send(self.repo, self._dataset_files(homes), on_done)

    def _send(
        self, repo: HubRepo, files: dict[str, Path | bytes], on_done: Callable[[HubRepo, str, int], None]
    ) -> str:
        listing = hub.find_files(repo)
        if listing is None:
            hub.create_repo(repo, self.private)
            listing = hub.list_files(repo)
        changed = {upload.path: files[upload.path] for upload in self._uploads(repo, files, listing)
                   if upload.state != "there"}  # fmt: skip
        gone = [
            path for path in listing.files if path.startswith(("collections/", "data/")) and path not in files
        ]
        sha = hub.commit(repo, changed, gone, listing.sha, self.message) if changed or gone else listing.sha
        on_done(repo, sha, len(changed))
        return sha

    def _uploads(
        self, repo: HubRepo, files: dict[str, Path | bytes], listing: Listing | None
    ) -> Iterator[Upload]:
        there = listing.files if listing else {}
        for path, content in files.items():
            state = "new" if path not in there else "there" if _is_same(content, there[path]) else "changed"
            yield Upload(
                repo, path, len(content) if isinstance(content, bytes) else content.stat().st_size, state
            )

    def _predictor_files(self, name: str) -> dict[str, Path | bytes]:
        prefix = f"predictors/{name}/"
        return {
            path.removeprefix(prefix): self.zoo.root / path
            for path in self.zoo.listed()
            if path.startswith(prefix)
        }

    def _dataset_files(self, homes: dict[str, tuple[HubRepo, str]]) -> dict[str, Path | bytes]:
        lines = {name: {"repo": repo.id, "revision": sha} for name, (repo, sha) in homes.items()}
        collections = [path for path in self.zoo.listed() if path.startswith("collections/")]
        return {
            CARD: dataset_card(
                self.zoo, self.repo.id, {name: repo.id for name, repo in self.homes.items()}
            ).encode(),
            HOMES: (json.dumps({"format": 1, "predictors": lines}, indent=2) + "\n").encode(),
            **viewer_tables(self.zoo),
            **{path: self.zoo.root / path for path in collections},
            CATALOG: self.zoo.root / CATALOG,
        }


def _is_same(content: Path | bytes, there: RemoteFile) -> bool:
    if isinstance(content, Path):
        if content.stat().st_size != there.size:
            return False
        if there.sha256:
            return sha256(content) == there.sha256
        content = content.read_bytes()
    if there.sha256:
        return hashlib.sha256(content).hexdigest() == there.sha256
    return hub.blob_id(content) == there.blob_id


def pull(where: str, folder: Path, on_file: Callable[[str, int], None], token: str | None = None) -> Zoo:
    """Download a whole zoo from the Hub into a folder, the catalog last; existing files are kept."""
    repo, revision = remote.parse_hub_id(where, token)
    listing = hub.list_files(repo, revision)
    if CATALOG not in listing.files:
        raise HubError(f"The {repo} has no {CATALOG}: it is not a zoo.")
    waiting = folder / ".pull"
    for name in (HOMES, CATALOG):
        if name in listing.files:
            remote.fetch_listed(repo, listing.sha, name, listing.files[name], waiting)
    zoo = Zoo(waiting)
    files = HubFiles(repo, listing.sha, waiting, lambda size: None)
    with cache.disk():
        (folder / CATALOG).unlink(missing_ok=True)
    for path, file in zoo.listed().items():
        target = folder / path
        if not (target.is_file() and target.stat().st_size == file.size and sha256(target) == file.sha256):
            files.ensure(path, file)
            with cache.disk():
                target.parent.mkdir(parents=True, exist_ok=True)
                (waiting / path).replace(target)
        on_file(path, file.size)
    return _finish(folder, waiting)


def _finish(folder: Path, waiting: Path) -> Zoo:
    with cache.disk():
        (waiting / CATALOG).replace(folder / CATALOG)
        (waiting / HOMES).unlink(missing_ok=True)
        for rest in sorted(waiting.rglob("*"), reverse=True):
            rest.rmdir()
        waiting.rmdir()
    return Zoo(folder)
