"""What a file is, whatever it is: the deeds behind the Checkpoint tab and `/describe_network`. No gradio."""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from app.actions import RequestError, Source, reading
from nfn.checkpoint import Checkpoint, open_bytes
from nfn.compare import Comparison, compare
from nfn.health import Health, Spectrum, examine, spectra
from nfn.look import Look, look
from nfn.reader.limits import FILE_BYTES
from zoo.hub_checkpoint import open_hub_checkpoint
from zoo.next_steps import NextSteps, next_steps

MAX_SIDE, MAX_SPECTRA = 512, 40
"""Of weights whose spectra are looked at: a second or two of one core at most."""
MAX_NAME = 200
"""Characters of a repository's id."""


@dataclass(frozen=True)
class Looked:
    """A look at a file or a model on the Hub under the name that a visitor knows it by, and what comes next."""

    name: str
    look: Look
    steps: NextSteps = field(default_factory=lambda: NextSteps(None))


def open_upload(path: str) -> Checkpoint:
    """The checkpoint in an upload, which is read whole: somebody may upload the same one meanwhile."""
    with reading(), Path(path).open("rb") as file:
        data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise RequestError(f"The file is larger than {FILE_BYTES >> 20} MiB.")
        return open_bytes(data)


def look_at(source: Source) -> Looked:
    """What an upload is; RequestError or NetworkFileError where it is no checkpoint at all."""
    if source.path is None:
        raise RequestError("Upload a file first.")
    return Looked(source.name, look(open_upload(source.path)), next_steps(Path(source.path)))


def look_on_hub(repo_id: str) -> Looked:
    """What a model on the Hub is, from headers alone; a HubError says why it cannot be had."""
    repo_id = repo_id.strip()
    if not repo_id:
        raise RequestError("Type the id of a model on the Hub first, such as google-bert/bert-base-uncased.")
    return Looked(repo_id[:MAX_NAME], look(open_hub_checkpoint(repo_id)))


def check(source: Source) -> tuple[Health, list[Spectrum]]:
    """What is wrong with the values of an upload, and the spectra of its smaller weights; errors as of `look_at`."""
    with reading():
        checkpoint = open_upload(source.path or "")
        return examine(checkpoint), list(islice(spectra(checkpoint, MAX_SIDE), MAX_SPECTRA))


def compare_with(source: Source, path: str) -> Comparison:
    """What another upload is of this one; errors as of `look_at`."""
    with reading():
        return compare(open_upload(source.path or ""), open_upload(path))
