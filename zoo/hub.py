"""The boundary to the Hugging Face Hub: the only file of the zoo that imports its client. Every failure is a HubError.

Reads end within `seconds()`, plus one second per megabyte. Files are downloaded with our own requests on the client's
session instead of `hf_hub_download`, which retries for 10 to 20 s, waits for minutes on a server that hangs, and
silently returns its cached copy if the Hub is down.
"""

import errno
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from huggingface_hub import (
    CardData,
    CommitOperationAdd,
    CommitOperationDelete,
    EvalResultEntry,
    HfApi,
    eval_result_entries_to_yaml,
    hf_hub_download,
    hf_hub_url,
)
from huggingface_hub.constants import HF_HOME
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import (
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    httpx,
    validate_repo_id,
    yaml_dump,
)

from zoo.errors import HubError

T = TypeVar("T")
SECONDS_VARIABLE = "WEIGHTSCOPE_HUB_SECONDS"
MIN_BYTES_PER_SECOND = 1_000_000
"""The lowest speed of a download in bytes per second, after the first `seconds()`."""
SHA = re.compile(r"[0-9a-f]{40}")


class NoRanges(HubError):
    """This Hub, or a mirror in its place, does not serve byte ranges."""


@dataclass(frozen=True)
class HubRepo:
    """A repository `owner/name` of kind `dataset` or `model`. `token` is as in the client: False for none, None for
    that of HF_TOKEN or `hf auth login`. Repositories that an untrusted user names are read without a token."""

    id: str
    kind: str
    token: str | bool | None = field(default=False, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} repository {self.id}"

    def url(self, sha: str) -> str:
        """The URL of its page at a commit."""
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}/tree/{sha}"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its size in bytes, and its SHA-256 (large files) or its git blob id."""

    size: int
    sha256: str | None
    blob_id: str | None


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit."""

    sha: str
    files: dict[str, RemoteFile]


def endpoint() -> str:
    """The URL of the Hub: `HF_ENDPOINT`, read at every call."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def host() -> str:
    """The Hub's host name, and its port if there is one."""
    return urlsplit(endpoint()).netloc


def home() -> Path:
    """The client's data folder, which also contains our cache."""
    return Path(HF_HOME)


def seconds() -> float:
    """The timeout for an answer of the Hub: `WEIGHTSCOPE_HUB_SECONDS`, 10 if unset."""
    return float(os.environ.get(SECONDS_VARIABLE) or 10)


def is_repo_id(text: str) -> bool:
    """Whether the text is a valid repository name `owner/name`."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return text.count("/") == 1 and text.isascii()


def list_files(repo: HubRepo, revision: str | None = None) -> Listing:
    """List the files of a repository at a revision, and the commit that it refers to now."""
    api = HfApi(endpoint=endpoint(), token=repo.token)
    with _as_hub_error(repo, f"the list of files of {repo.id}", revision):
        info = _with_timeout(seconds() + 0.5, lambda: api.repo_info(
            repo.id, repo_type=repo.kind, revision=revision, files_metadata=True, timeout=seconds()
        ))  # fmt: skip
        if not SHA.fullmatch(info.sha or ""):
            raise ValueError("the Hub's answer has no commit")
        files = {
            file.rfilename: RemoteFile(int(file.size), file.lfs.sha256 if file.lfs else None, file.blob_id)
            for file in vars(info).get("siblings") or ()
        }
        return Listing(str(info.sha), files)


def blob_id(content: bytes) -> str:
    """Git's blob id of a file's content, which the Hub lists for small files."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def find_files(repo: HubRepo) -> Listing | None:
    """As `list_files`, or None if there is no such repository."""
    try:
        return list_files(repo)
    except HubError as error:
        if isinstance(error.__cause__, HfHubHTTPError) and error.__cause__.response.status_code in (401, 404):
            return None
        raise


def download(repo: HubRepo, sha: str, path: str, limit: int, write: Callable[[bytes], object]) -> None:
    """Pass one file to `write` in pieces; HubError if it has more than `limit` bytes."""
    end = time.monotonic() + seconds() + limit / MIN_BYTES_PER_SECOND

    def stream() -> None:
        received = 0
        with _get(repo, sha, path, {}) as response:
            for piece in response.iter_bytes():
                received += len(piece)
                if received > limit:
                    raise HubError(f"{path} of {repo.id} is larger than announced: it was discarded.")
                if time.monotonic() > end:
                    raise TimeoutError
                write(piece)

    with _as_hub_error(repo, path, sha):
        _with_timeout(end - time.monotonic() + 0.5, stream)


def read_range(repo: HubRepo, sha: str, path: str, start: int, stop: int) -> bytes:
    """The bytes `start` to `stop` of a file; NoRanges if the Hub would send the whole file instead."""

    def read() -> bytes:
        headers, received = {"Range": f"bytes={start}-{stop - 1}"}, bytearray()
        with _get(repo, sha, path, headers) as response:
            if response.status_code != 206:
                raise NoRanges(f"The Hub at {host()} does not send parts of {path}.")
            for piece in response.iter_bytes():
                received += piece
                if len(received) > stop - start:
                    break
        if len(received) != stop - start:
            raise HubError(f"The Hub sent other bytes of {path} than were requested: they were discarded.")
        return bytes(received)

    with _as_hub_error(repo, path, sha):
        return _with_timeout(seconds() + (stop - start) / MIN_BYTES_PER_SECOND + 0.5, read)


@contextmanager
def _get(repo: HubRepo, sha: str, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    url = hf_hub_url(repo.id, path, repo_type=repo.kind, revision=sha, endpoint=endpoint())
    headers = {**build_hf_headers(token=repo.token), "Accept-Encoding": "identity", **headers}
    with get_session().stream("GET", url, headers=headers, timeout=seconds()) as response:
        hf_raise_for_status(response)
        if response.headers.get("content-type", "").startswith("text/html"):
            raise ValueError("a web page")
        yield response


def _with_timeout(limit: float, work: Callable[[], T]) -> T:
    """Run `work` in a thread, which is abandoned with a TimeoutError after `limit` seconds."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    return done.result(limit)


@contextmanager
def _as_hub_error(repo: HubRepo, what: str, revision: str | None = None) -> Iterator[None]:
    """Turn any error of the client, the network or the disk into a HubError with a readable message."""
    try:
        yield
    except HubError:
        raise
    except (OfflineModeIsEnabled, HfHubHTTPError, httpx.HTTPError, OSError, ValueError, TypeError, KeyError,
            AttributeError) as error:  # fmt: skip
        raise HubError(_describe_error(error, repo, what, revision)) from error


def _describe_error(error: Exception, repo: HubRepo, what: str, revision: str | None) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so {what} cannot be downloaded from the Hub."
    if isinstance(error, HfHubHTTPError):
        return _describe_status(error, repo, what, revision)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"The Hub at {host()} cannot be reached. Try again later."
    if isinstance(error, httpx.TimeoutException):
        return f"The Hub at {host()} did not answer within {seconds():g} s when asked for {what}. Try again later."
    if isinstance(error, TimeoutError):
        return f"The Hub at {host()} is too slow: {what} did not arrive within the time allowed. Try again later."
    if isinstance(error, httpx.HTTPError):
        return f"The connection to the Hub was lost while reading {what}: nothing of it was kept. Try again."
    if isinstance(error, OSError):
        return describe_disk_error(error)
    return (f"{host()} answered with something that is not what the Hub sends for {what}, such as a web page: "
           "check HF_ENDPOINT, and whether a proxy or login page is in between.")  # fmt: skip


def describe_disk_error(error: OSError) -> str:
    """The message for a download that cannot be stored."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk for downloads is full: nothing was kept. The embedded zoo needs no download."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
        return "The folder for downloads is not writable: set WEIGHTSCOPE_CACHE to another one."
    return f"The folder for downloads fails: {error.strerror or type(error).__name__}."


def _describe_status(error: HfHubHTTPError, repo: HubRepo, what: str, revision: str | None) -> str:
    response = error.response
    status, code = response.status_code, response.headers.get("X-Error-Code")
    if isinstance(error, GatedRepoError):
        return f"{repo.id} is gated: its owner grants access individually, and no token is used here."
    if isinstance(error, DisabledRepoError):
        return f"The Hub has disabled the {repo}."
    if code == "RevisionNotFound":
        return f"The {repo} has no revision {revision}."
    if code == "EntryNotFound":
        return f"The {repo} has no file {what}."
    if status == 429:
        wait = response.headers.get("Retry-After", "")
        when = f"in {wait} s" if wait.isdecimal() and len(wait) < 6 else "in a few minutes"
        return f"The Hub has received too many requests from here (429). Try again {when}."
    if status >= 500:
        return f"The Hub has an internal error ({status}) with {what}. Try again later."
    sentences = {
        401: f"The Hub requires a login for the {repo} (401): it is private, or does not exist.",
        403: f"The Hub denies access to the {repo} (403).",
        404: f"The Hub has no {repo} (404): check its spelling.",
        412: f"Someone else has changed the {repo} in the meantime. Push again.",
    }
    return sentences.get(status, f"The Hub refuses {what} (status {status}).")


def create_repo(repo: HubRepo, private: bool) -> None:
    """Create a repository."""
    api = HfApi(endpoint=endpoint(), token=repo.token)
    with _as_hub_error(repo, f"the creation of {repo.id}"):
        _with_timeout(60, lambda: api.create_repo(repo.id, repo_type=repo.kind, private=private))


def commit(
    repo: HubRepo, files: dict[str, Path | bytes], deleted: Sequence[str], parent: str, message: str
) -> str:
    """Upload files (by path in the repository) as one commit on top of `parent`; return the new commit.

    Large files that an earlier failed attempt uploaded are not sent again.
    """
    api = HfApi(endpoint=endpoint(), token=repo.token)
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    operations += [CommitOperationDelete(path) for path in deleted]
    size = sum(
        operation.upload_info.size for operation in operations if isinstance(operation, CommitOperationAdd)
    )

    def send() -> str:
        info = api.create_commit(repo.id, operations, commit_message=message, repo_type=repo.kind,
                                 parent_commit=parent)  # fmt: skip
        return info.oid

    with _as_hub_error(repo, "the upload"):
        try:
            return _with_timeout(120 + 20 * size / MIN_BYTES_PER_SECOND, send)
        except RuntimeError as error:  # the client wraps errors of its upload threads
            raise error.__cause__ or HubError(f"The upload to {repo.id} failed: {error}") from error


def download_dataset_file(repo: str, filename: str) -> Path:
    """One file of a dataset repository, from the client's cache if it is there.

    Raises:
        HubError: the Hub does not have it, or cannot be reached (which the client would retry for half a minute).
    """
    try:
        return Path(hf_hub_download(repo, filename, repo_type="dataset", token=False, local_files_only=True))
    except LocalEntryNotFoundError:
        list_files(HubRepo(repo, "dataset"))
        return Path(hf_hub_download(repo, filename, repo_type="dataset", token=False))


def front_matter(fields: dict[str, Any]) -> str:
    """The YAML header of a card."""
    return f"---\n{CardData(**fields).to_yaml()}\n---\n"


def yaml_text(fields: dict[str, Any] | list[dict[str, Any]]) -> str:
    """Plain data as YAML, as the Hub's client writes it."""
    return yaml_dump(fields, sort_keys=False)


def eval_result(dataset_id: str, value: float, notes: str) -> list[dict[str, Any]]:
    """An entry of `.eval_results/*.yaml`, as plain data."""
    return eval_result_entries_to_yaml(
        [EvalResultEntry(dataset_id=dataset_id, task_id="default", value=value, notes=notes)]
    )
