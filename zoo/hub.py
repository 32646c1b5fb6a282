"""The boundary to the Hugging Face Hub: the only file of the zoo that imports its client. What fails is a HubError.

Reading sends no token and ends within `seconds()`, plus a second for each megabyte. Bytes come by our own requests on
the client's session and not by `hf_hub_download`: that retries for 10 to 20 s, waits for minutes on a server that
hangs, and hands out the copy in its cache without a word where the Hub is down.
"""

import errno
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar
from urllib.parse import urlsplit

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetCardData,
    EvalResult,
    HfApi,
    ModelCardData,
    hf_hub_download,
    hf_hub_url,
)
from huggingface_hub.constants import HF_HOME
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import get_session, hf_raise_for_status, httpx, validate_repo_id

from zoo.errors import HubError

T = TypeVar("T")
SECONDS_VARIABLE = "WEIGHTSCOPE_HUB_SECONDS"
SLOWEST = 1_000_000
"""Bytes a second that a download must keep up, after the first `seconds()`."""
SHA = re.compile(r"[0-9a-f]{40}")


class NoRanges(HubError):
    """This Hub, or a mirror in its place, sends whole files only."""


@dataclass(frozen=True)
class HubRepo:
    """A repository: `owner/name`, and `dataset` or `model`."""

    id: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} repository {self.id}"

    def url(self, sha: str) -> str:
        """Its page at a commit."""
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}/tree/{sha}"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: bytes, and its SHA-256 (large files) or else its git blob id."""

    size: int
    sha256: str | None
    blob_id: str | None


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    sha: str
    files: dict[str, RemoteFile]


def endpoint() -> str:
    """The Hub in use: `HF_ENDPOINT`, read now."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def host() -> str:
    """The Hub's host, and port if it has its own."""
    return urlsplit(endpoint()).netloc


def home() -> Path:
    """Where the client keeps its things, and we our cache."""
    return Path(HF_HOME)


def seconds() -> float:
    """How long the Hub may take to answer: `WEIGHTSCOPE_HUB_SECONDS`, 10 if unset."""
    return float(os.environ.get(SECONDS_VARIABLE) or 10)


def is_repo_id(text: str) -> bool:
    """Whether the Hub could have a repository of that name, `owner/name`."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return text.count("/") == 1 and text.isascii()


def list_files(repo: HubRepo, revision: str | None = None, token: bool | None = False) -> Listing:
    """What a repository holds at a revision, and the commit that this is now."""
    api = HfApi(endpoint=endpoint(), token=token)
    with _in_words(repo, f"the list of files of {repo.id}", revision):
        info = _within(seconds() + 0.5, lambda: api.repo_info(
            repo.id, repo_type=repo.kind, revision=revision, files_metadata=True, timeout=seconds()
        ))  # fmt: skip
        if not SHA.fullmatch(info.sha or ""):
            raise ValueError("the Hub names no commit")
        files = {file.rfilename: _remote_file(file) for file in vars(info).get("siblings") or ()}
        return Listing(str(info.sha), files)


def blob_id(content: bytes) -> str:
    """Git's name for a file's content, by which the Hub lists small files."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def find_files(repo: HubRepo) -> Listing | None:
    """`list_files` with the caller's own token, or None where there is no such repository."""
    try:
        return list_files(repo, token=None)
    except HubError as error:
        if isinstance(error.__cause__, HfHubHTTPError) and error.__cause__.response.status_code in (401, 404):
            return None
        raise


def _remote_file(sibling) -> RemoteFile:
    return RemoteFile(int(sibling.size), sibling.lfs.sha256 if sibling.lfs else None, sibling.blob_id)


def download(repo: HubRepo, sha: str, path: str, limit: int, write: Callable[[bytes], object]) -> None:
    """Hand one file to `write`, piece by piece; HubError where it has more than `limit` bytes."""
    end = time.monotonic() + seconds() + limit / SLOWEST

    def stream() -> None:
        got = 0
        with _get(repo, sha, path, {}) as response:
            for piece in response.iter_bytes():
                got += len(piece)
                if got > limit:
                    raise HubError(f"{path} of {repo.id} is larger than announced: it was not kept.")
                if time.monotonic() > end:
                    raise TimeoutError
                write(piece)

    with _in_words(repo, path, sha):
        _within(end - time.monotonic() + 0.5, stream)


def read_range(repo: HubRepo, sha: str, path: str, start: int, stop: int) -> bytes:
    """The bytes `start` to `stop` of a file; NoRanges where the Hub would send the whole file instead."""

    def read() -> bytes:
        wanted, got = {"Range": f"bytes={start}-{stop - 1}"}, bytearray()
        with _get(repo, sha, path, wanted) as response:
            if response.status_code != 206:
                raise NoRanges(f"The Hub at {host()} does not send parts of {path}.")
            for piece in response.iter_bytes():
                got += piece
                if len(got) > stop - start:
                    break
        if len(got) != stop - start:
            raise HubError(f"The Hub sent other bytes of {path} than were asked for: they were not used.")
        return bytes(got)

    with _in_words(repo, path, sha):
        return _within(seconds() + (stop - start) / SLOWEST + 0.5, read)


@contextmanager
def _get(repo: HubRepo, sha: str, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    url = hf_hub_url(repo.id, path, repo_type=repo.kind, revision=sha, endpoint=endpoint())
    headers = {"Accept-Encoding": "identity", **headers}
    with get_session().stream("GET", url, headers=headers, timeout=seconds()) as response:
        hf_raise_for_status(response)
        if response.headers.get("content-type", "").startswith("text/html"):
            raise ValueError("a web page")
        yield response


def _within(limit: float, work: Callable[[], T]) -> T:
    """`work()`, in a thread that is left to itself after `limit` seconds; TimeoutError then."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    return done.result(limit)


@contextmanager
def _in_words(repo: HubRepo, what: str, revision: str | None = None) -> Iterator[None]:
    """Turn whatever the client, the network or the disk raises into one true sentence."""
    try:
        yield
    except HubError:
        raise
    except (OfflineModeIsEnabled, HfHubHTTPError, httpx.HTTPError, OSError, ValueError, TypeError, KeyError,
            AttributeError) as error:  # fmt: skip
        raise HubError(_sentence(error, repo, what, revision)) from error


def _sentence(error: Exception, repo: HubRepo, what: str, revision: str | None) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set here, so {what} cannot be fetched from the Hub."
    if isinstance(error, HfHubHTTPError):
        return _status_sentence(error, repo, what, revision)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"The Hub at {host()} cannot be reached. Try again later."
    if isinstance(error, httpx.TimeoutException):
        return (
            f"The Hub at {host()} was silent for {seconds():g} s while {what} was asked for. Try again later."
        )
    if isinstance(error, TimeoutError):
        return (
            f"The Hub at {host()} is too slow: {what} did not come within the time allowed. Try again later."
        )
    if isinstance(error, httpx.HTTPError):
        return (
            f"The connection to the Hub was cut in the middle of {what}: nothing of it was kept. Try again."
        )
    if isinstance(error, OSError):
        return disk_sentence(error)
    return (f"{host()} answered with something that is not what the Hub sends for {what}, such as a web page: "
            "look whether HF_ENDPOINT is right, or a login page stands between.")  # fmt: skip


def disk_sentence(error: OSError) -> str:
    """Why a download cannot be kept."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk for downloads is full: nothing was kept. The zoo that ships needs no download."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
        return "The folder for downloads cannot be written to (WEIGHTSCOPE_CACHE names another one)."
    return f"The folder for downloads fails: {error.strerror or type(error).__name__}."


def _status_sentence(error: HfHubHTTPError, repo: HubRepo, what: str, revision: str | None) -> str:
    response = error.response
    status, code = response.status_code, response.headers.get("X-Error-Code")
    if isinstance(error, GatedRepoError):
        return f"{repo.id} is gated: its owner lets people in one by one, and nobody is logged in here."
    if isinstance(error, DisabledRepoError):
        return f"The Hub has disabled the {repo}."
    if code == "RevisionNotFound":
        return f"The {repo} has no revision {revision}."
    if code == "EntryNotFound":
        return f"The {repo} has no file {what}."
    if status == 429:
        wait = response.headers.get("Retry-After", "")
        when = f"in {wait} s" if wait.isdecimal() and len(wait) < 6 else "in a few minutes"
        return f"The Hub has had too many requests from here (429). Try again {when}."
    if status >= 500:
        return f"The Hub has trouble of its own ({status}) with {what}. Try again later."
    sentences = {
        401: f"The Hub wants a login for the {repo} (401): it is private, or there is none.",
        403: f"The Hub refuses access to the {repo} (403).",
        404: f"The Hub has no {repo} (404): is it spelled right?",
        412: f"Someone else has changed the {repo} meanwhile. Push again.",
    }
    return sentences.get(status, f"The Hub refuses {what} (status {status}).")


def create_repo(repo: HubRepo, private: bool) -> None:
    """Create a repository with the caller's own token."""
    api = HfApi(endpoint=endpoint())
    with _in_words(repo, f"the creation of {repo.id}"):
        _within(60, lambda: api.create_repo(repo.id, repo_type=repo.kind, private=private))


def commit(repo: HubRepo, files: dict[str, Path | bytes], deleted: Sequence[str], parent: str) -> str:
    """Upload files (by path in the repository) as one commit on top of `parent`; the new commit.

    Large files that reached the Hub in an earlier try that failed are not sent again.
    """
    api = HfApi(endpoint=endpoint())
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    operations += [CommitOperationDelete(path) for path in deleted]
    size = sum(
        operation.upload_info.size for operation in operations if isinstance(operation, CommitOperationAdd)
    )

    def send() -> str:
        info = api.create_commit(repo.id, operations, commit_message="Weightscope push", repo_type=repo.kind,
                                 parent_commit=parent)  # fmt: skip
        return info.oid

    with _in_words(repo, "the upload"):
        try:
            return _within(120 + 20 * size / SLOWEST, send)
        except RuntimeError as error:  # the client wraps what fails in a thread of an upload
            raise error.__cause__ or HubError(f"The upload to {repo.id} failed: {error}") from error


def download_dataset_file(repo: str, filename: str) -> Path:
    """One file of a dataset repository, from the client's cache where it is there already."""
    return Path(hf_hub_download(repo, filename, repo_type="dataset", token=False))


def card_header(
    title: str, tags: list[str], values: Sequence[tuple[str, str, float]], metric: str = "accuracy"
) -> str:
    """The front matter of a model card, with a `model-index` of `(data set title, name, value of the metric)`."""
    results = [
        EvalResult(task_type="image-classification", dataset_type=name, dataset_name=dataset,
                   metric_type=metric, metric_value=value)
        for dataset, name, value in values
    ]  # fmt: skip
    data = ModelCardData(
        model_name=title, license="mit", library_name="weightscope", tags=tags, eval_results=results or None
    )
    return f"---\n{data.to_yaml()}\n---\n"


def dataset_header(title: str, licences: list[str], tables: dict[str, str]) -> str:
    """The front matter of a dataset card, whose viewer shows each table (name to path)."""
    configs = [
        {"config_name": name, "data_files": [{"split": "networks", "path": path}]}
        for name, path in tables.items()
    ]
    data = DatasetCardData(pretty_name=title, license=licences, configs=configs,
                           tags=["weight-space-learning", "model-zoo"])  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n"
