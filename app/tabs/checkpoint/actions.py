"""The actions of the Any file tab and `/describe_network`: look at, check and compare checkpoints. No gradio."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from app.networks.checkpoint import open_upload
from app.networks.source import Source, reader_errors
from app.networks.zoos import zoo_at
from app.runtime.errors import RequestError
from nfn.checkpoint import Checkpoint
from nfn.checkpoint.memory import of_tensors
from nfn.compare import Comparison, compare
from nfn.health import Health, Spectrum, examine_in_steps, spectra
from nfn.health.measure import floats
from nfn.health.spectrum import LEAST_SIDE, side_of
from nfn.look import Look, look
from nfn.reader.limits import FILE_BYTES
from zoo.hub_checkpoint import download_hub_checkpoint, open_hub_checkpoint
from zoo.next_steps import NextSteps, next_steps

MAX_SIDE, MAX_SPECTRA = 512, 40
"""The side and the number of the weights whose spectra are computed: at most two seconds of one core."""
MAX_NAME = 200
"""Characters of a repository's id."""


@dataclass(frozen=True)
class Looked:
    """The contents of a file or a model on the Hub, its name on screen, and what can be done with it next."""

    name: str
    look: Look
    steps: NextSteps = field(default_factory=lambda: NextSteps(None))


def example() -> str:
    """The zoo id of the network that is shown at first: an untrained one, as the check has something to say of it."""
    info = max(zoo_at().collections(), key=lambda info: (info.kind == "init", info.name))
    return zoo_at().rows(info.name, limit=1)[0]["id"]


def look_at(source: Source) -> Looked:
    """Look at an upload, or a network of the zoo; RequestError or NetworkFileError if it is not a checkpoint."""
    if source.path is None:
        network = zoo_at(source.zoo).network(source.zoo_id or "")
        return Looked(
            f"{source.name}, from the zoo", look(of_tensors("zoo", network.tensors())), NextSteps(network)
        )
    return Looked(source.name, look(open_upload(source.path)), next_steps(Path(source.path)))


def look_on_hub(repo_id: str | None) -> Looked:
    """Look at the headers of a model on the Hub; HubError if they cannot be fetched."""
    repo_id = typed_id(repo_id)
    return Looked(repo_id[:MAX_NAME], look(open_hub_checkpoint(repo_id)))


def typed_id(text: str | None) -> str:
    """The id of a model on the Hub as typed into a box; RequestError if there is none."""
    typed = (text or "").strip()
    if not typed:
        raise RequestError("Type the id of a model on the Hub first, such as google-bert/bert-base-uncased.")
    return typed


@dataclass(frozen=True)
class Checked:
    """The state of a check: `done` of `of` bytes (then spectra, once `health` is there); `spectra` at the end."""

    done: int
    of: int
    health: Health | None = None
    spectra: tuple[Spectrum, ...] | None = None


def check_in_steps(source: Source) -> Iterator[Checked]:
    """Check the values of an upload, and compute the spectra of its smaller weights; errors as for `look_at`.

    Yields the state after each tensor; the last one has the report and the spectra.
    """
    with reader_errors():
        checkpoint, report = open_checkpoint(source), None
        for done, of, report in examine_in_steps(checkpoint):
            yield Checked(done, of, report)
        found: list[Spectrum] = []
        of = min(MAX_SPECTRA, sum(LEAST_SIDE <= side_of(info) <= MAX_SIDE for info in floats(checkpoint)))
        for spectrum in spectra_of(checkpoint):
            found.append(spectrum)
            yield Checked(len(found), of, report)
        yield Checked(of, of, report, tuple(found))


def spectra_of(checkpoint: Checkpoint) -> Iterator[Spectrum]:
    """The spectra of the first smaller weights."""
    return islice(spectra(checkpoint, MAX_SIDE), MAX_SPECTRA)


def open_checkpoint(source: Source) -> Checkpoint:
    """An upload, or a network of the zoo, as a checkpoint; errors as for `look_at`."""
    if source.path is not None:
        return open_upload(source.path)
    return of_tensors("zoo", zoo_at(source.zoo).network(source.zoo_id or "").tensors())


def name_of(source: Source | str) -> str:
    """The name on screen of what is compared."""
    return source[:MAX_NAME] if isinstance(source, str) else source.name


def compare_sources(first: Source | str, other: Source | str) -> Comparison:
    """Compare an upload, a network of the zoo or a model on the Hub (its id) with another; errors as for `look_at`."""
    with reader_errors():
        one, two = (
            download_hub_checkpoint(source, FILE_BYTES)
            if isinstance(source, str)
            else open_checkpoint(source)
            for source in (first, other)
        )
        return compare(one, two)
