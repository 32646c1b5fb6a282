"""Fuzz zoos on the Hub: a small valid zoo with changed files, opened as the app opens a visitor's.

    nice -n 19 python -m bench.fuzz_zoo 600          # seconds; --seed and --only replay a case

Every step (listing, each entry's page, its networks in their tabs, its predictors) must work or be refused in one
sentence, within limits on CPU time and memory.
"""

import html
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

from app.networks.source import Source
from app.networks.zoos import own_zoo, zoo_at
from app.runtime.errors import RequestError
from app.tabs.checkpoint import actions as checkpoint_actions
from app.tabs.generalization import actions as generalization_actions
from app.tabs.inr import actions as inr_actions
from app.tabs.tickets import actions as tickets_actions
from app.tabs.zoo import views
from app.tabs.zoo.browse import ABOUT, ORDERS, View
from app.ui import TABS
from bench.fuzzing import fuzz, read_arguments
from bench.small_zoo import NAME, Files, commit_of, home, make_zoo, mutate
from nfn.predictor import CLASSES
from tests.loopback_hub import LoopbackHub
from zoo import cache, remote
from zoo.errors import ZooError

OPENED = {
    "mnist-sirens": inr_actions.read_siren,
    "cifar10-cnns": generalization_actions.classifier_of,
    "fashion-mnist-wild": generalization_actions.classifier_of,
    "mnist-inits": tickets_actions.open_initialization,
}
"""The collections, and how the tab for each opens a network."""
SECONDS, GROWTH, ROOM = 2.0, 400, 3 * 2**30
"""Limits of one step: CPU seconds, and growth of the process in MiB; and of the addresses that the process may take."""


class FuzzedZoo:
    """A zoo on a Hub on this machine, of which changed copies are opened."""

    def __init__(self, hub: LoopbackHub, files: Files):
        self._hub, self.files = hub, files
        own_zoo()
        assert self.check_files(files, "catalog.json", Random(0)) == "shown", "The zoo is valid."

    def check(self, random: Random) -> str:
        """Change the zoo and use it, within the limits on memory."""
        files, path = mutate(self.files, random)
        before = _memory("VmRSS")
        _reset_peak()
        outcome = self.check_files(files, path, random)
        grown = _memory("VmHWM") - before
        assert grown < GROWTH, f"{path}: {grown} MiB more"
        return outcome

    def check_files(self, files: Files, path: str, random: Random) -> str:
        """Take all steps that a changed file matters to: "refused" if one is, else "shown"."""
        where = f"{NAME}@{self._serve(files, random)}"
        ranges = patch.object(remote, "WHOLE", 0 if random.random() < 0.5 else remote.WHOLE)
        try:
            with ranges:  # or whole files
                refused = [sentence for step in _steps(where, path, random) if (sentence := _take(step))]
        finally:
            shutil.rmtree(cache.folder(), ignore_errors=True)
        return "refused" if refused else "shown"

    def _serve(self, files: Files, random: Random) -> str:
        """Put files on the Hub; return the commit."""
        sha = f"{random.getrandbits(160):040x}"
        models = {name: _below(files, f"predictors/{name}/") for name in CLASSES}
        self._hub.large.clear()
        self._hub.repos = {
            ("models", home(name)): [(commit_of(name), content)] for name, content in models.items()
        }
        self._hub.repos["datasets", NAME] = [(sha, files)]
        return sha


def _below(files: Files, folder: str) -> Files:
    return {path.removeprefix(folder): content for path, content in files.items() if path.startswith(folder)}


@contextmanager
def fuzzed_zoo() -> Iterator[FuzzedZoo]:
    """Serve the small zoo, with an empty cache, for as long as it is fuzzed."""
    with TemporaryDirectory() as folder, LoopbackHub() as hub:
        os.environ |= {"HF_ENDPOINT": hub.url, "WEIGHTSCOPE_CACHE": f"{folder}/cache"}
        yield FuzzedZoo(hub, make_zoo(Path(folder, "zoo")))


def _steps(where: str, path: str, random: Random) -> Iterator[Callable[[], object]]:
    """What visitors can do with a zoo, as far as a file of it matters."""
    yield lambda: views.typed(NAME)
    name = path.rpartition("/")[0].partition("/")[2]
    for entry in [name] if name else [*OPENED, *CLASSES, ABOUT]:
        group, page = random.choice(("", "", "5", "relu")), random.choice((0, 0, 1))
        view = View(where, entry, group, random.choice(ORDERS), page)
        yield partial(_show, view)
        if entry in OPENED:
            network = f"{entry}/test/{random.randrange(3)}"
            yield partial(_show, replace(view, network=network))
            for opened in (checkpoint_actions.look_at, OPENED[entry]):
                yield partial(opened, Source(zoo_id=network, zoo=where))
        if entry in CLASSES:
            yield lambda entry=entry: zoo_at(where).predictor(entry)


def _show(view: View) -> None:
    """Show a view; ZooError with the text of the failure on the page, if there is one."""
    *_, failure = views.show(TABS, lambda: view, 0)
    if failure:
        raise ZooError(html.unescape(re.sub("<[^>]*>", "", failure)).strip())


def _take(step: Callable[[], object]) -> str:
    """Take one step within the limit on CPU time: the sentence with which it is refused, or ""."""
    start, sentence = time.process_time(), ""
    try:
        step()
    except (ZooError, RequestError) as error:
        sentence = str(error)
        assert sentence.isprintable() and 10 < len(sentence) <= 800 and sentence[-1] in ".?…", sentence
        assert not re.search(r"Traceback|allocate|/cache/|/tmp/", sentence), sentence
    seconds = time.process_time() - start
    assert seconds < SECONDS, f"{seconds:.1f} s"
    return sentence


def _memory(field: str) -> int:
    """MiB of this process: VmRSS now, VmHWM at the peak, VmSize of addresses."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) // 1024


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Fuzz for a time; exit status 1 if there are findings."""
    arguments = read_arguments(__doc__)
    with fuzzed_zoo() as zoo:
        room = _memory("VmSize") * 2**20 + ROOM  # a step that wants more fails, instead of the machine
        resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
        sys.exit(fuzz(zoo.check, arguments.seconds, arguments.seed, arguments.only) > 0)


if __name__ == "__main__":
    main()
