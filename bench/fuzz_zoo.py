"""Fuzz zoos on the Hub: a small valid zoo with changed files, opened as the app opens a visitor's.

    nice -n 19 python -m bench.fuzz_zoo 600          # seconds; --seed and --only replay a case

Every step (listing, each entry's page, its networks in their tabs, its predictors) must work or be refused in one
sentence, within limits on CPU time and memory.
"""

import faulthandler
import html
import io
import json
import os
import re
import resource
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha1, sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

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
from bench.fuzzing import dump, fuzz, mutate_bytes, mutate_json, read_arguments
from nfn.accuracy.predictor import AccuracyConfig, AccuracyPredictor
from nfn.classifier import InrClassifier, InrClassifierConfig
from nfn.editor import InrEditor, InrEditorConfig
from nfn.generalization import GeneralizationConfig, GeneralizationPredictor
from nfn.tickets import TicketConfig, TicketPredictor
from nfn.weight_reader import WeightReader, WeightReaderConfig
from tests.loopback_hub import LoopbackHub
from zoo import cache, remote
from zoo.catalog import EMBEDDED, write_catalog
from zoo.errors import ZooError
from zoo.sample import Sample, sample_collection

NAME = "someone/zoo"
OPENED = {
    "mnist-sirens": inr_actions.read_siren,
    "cifar10-cnns": generalization_actions.classifier_of,
    "fashion-mnist-wild": generalization_actions.classifier_of,
    "mnist-inits": tickets_actions.open_initialization,
}
"""The collections, and how the tab for each opens a network."""
PREDICTORS = (
    "inr-classifier",
    "inr-editor",
    "generalization",
    "accuracy",
    "weight-reader",
    "winning-tickets",
)
SECONDS, GROWTH, ROOM = 2.0, 400, 3 * 2**30
"""Limits of one step: CPU seconds, and growth of the process in MiB; and of the addresses that the process may take."""
HANGING = 120
"""Seconds after which a step that does not end is shown, and the fuzzer ends."""
Files = dict[str, bytes]
"""The files of a zoo, by their paths in its folder."""


def make_zoo(folder: Path) -> Files:
    """A small valid zoo: three networks of every family, and untrained predictors of every kind."""
    for name in OPENED:
        sample = Sample(count=3, smallest=name.endswith("wild"))
        sample_collection([EMBEDDED / "collections" / name], folder / "collections" / name, sample)
    for model in _small_predictors():
        model.save(folder / "predictors" / model.name)
        (folder / "predictors" / model.name / "README.md").write_text(
            "# A card\n\n[Of](https://b.c) a predictor.\n"
        )
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A zoo\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    write_catalog(folder)
    homes = {
        path.name: {"repo": _home(path.name), "revision": _sha(path.name)}
        for path in (folder / "predictors").iterdir()
    }
    (folder / "hub.json").write_bytes(dump({"format": 1, "predictors": homes}))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _small_predictors() -> Iterator[Any]:
    shapes = ((4, 2), (1, 4))
    plain, features = ("as they are",), (("as they are", "accuracy"),)
    looks: Any = [{"pictures": 2, "examples": 4, "quantiles": {"mnist": 1.0}, "farthest": 1.0}]
    stored: Any = {"mnist": {"count": 2, "size": 28, "channels": 1, "bytes": 40}}
    yield InrClassifier(InrClassifierConfig({"mnist": ["0", "1"]}, widths=(4, 4), judges=True, rejects=True))
    yield InrEditor(InrEditorConfig(channels=4))
    yield GeneralizationPredictor(GeneralizationConfig({"mnist": 28}, 2, 4, 1, half_widths={"mnist": 1.0}))
    yield AccuracyPredictor(AccuracyConfig(("mnist",), stored, plain, features, looks))
    yield WeightReader(WeightReaderConfig(shapes, labels={"mnist": ["0", "1"]}, channels=4, head=4))
    yield TicketPredictor(
        TicketConfig("mnist", ((4, 784), (10, 4)), 0.1, 0.3, (1, 28, 28), images=2, packed=9, channels=4)
    )


def _home(predictor: str) -> str:
    return f"{NAME}-{predictor}"


def _sha(text: str) -> str:
    return sha1(text.encode()).hexdigest()


# --- changes ---


def mutate(files: Files, random: Random) -> tuple[Files, str]:
    """A copy with a changed file, and its path; half of the time the catalog lists its new size and checksum."""
    path = random.choice(sorted(files))
    change = mutate_bytes if random.random() < 0.15 else CHANGES.get(path.rpartition(".")[2], mutate_bytes)
    files = {**files, path: change(files[path], random)}
    if random.random() < 0.05:
        files[path] = files[random.choice(sorted(files))]
    if path != "catalog.json" and random.random() < 0.5:
        files["catalog.json"] = _list_anew(files, path)
    if random.random() < 0.05:
        del files[random.choice((path, *files))]
    elif random.random() < 0.1:
        files["catalog.json"] = _mutate_json_file(files["catalog.json"], random)
    return files, path


def _list_anew(files: Files, path: str) -> bytes:
    """The catalog with the new size and checksum of a file."""
    catalog, (kind, name, file) = json.loads(files["catalog.json"]), (*path.split("/"), "", "")[:3]
    for entry in catalog.get(kind, []):
        for listed in entry["files"] if entry["name"] == name else []:
            if listed["name"] == file:
                listed |= {"size": len(files[path]), "sha256": sha256(files[path]).hexdigest()}
    return dump(catalog)


def _mutate_json_file(content: bytes, random: Random) -> bytes:
    return dump(mutate_json(json.loads(content), random))


def _mutate_safetensors(content: bytes, random: Random) -> bytes:
    start = 8 + int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8:start]), bytearray(content[start:])
    if random.random() < 0.6:
        header = mutate_json(header, random)
    else:
        number = struct.pack(
            random.choice(("<e", "<f")), random.choice((float("nan"), float("inf"), 6e4, -1.0, 0.0))
        )
        at = random.randrange(len(body)) // len(number) * len(number)
        body[at : at + len(number)] = number * random.choice((1, 1, 10, 1000))
    text = dump(header)
    return struct.pack("<Q", len(text)) + text + bytes(body)


VALUES = {
    pa.int64(): (-1, 0, 1, 2, 2**31, 2**62, -(2**63)),
    pa.float64(): (0.0, -1.0, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    pa.string(): (
        "",
        "a",
        "../x",
        "test/0",
        "test/" + "9" * 400,
        "x" * 10_000,
        "<b>",
        "a\0\n",
        "nan",
        "1e999,1",
        "relu",
    ),
    pa.bool_(): (True, False),
    pa.binary(): (b"", b"\xff"),
    pa.list_(pa.int64()): ([], [1, 2]),
    pa.null(): (None,),
}
"""By type of column, values that are seldom expected there."""
WRITES = ({}, {}, {}, {"use_dictionary": False}, {"row_group_size": 1}, {"compression": "gzip"}, {"version": "1.0"},
          {"data_page_version": "2.0"}, {"store_schema": False}, {"write_statistics": False})  # fmt: skip


def _mutate_parquet(content: bytes, random: Random) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    for _ in range(random.choice((1, 1, 1, 2))):
        table = random.choice((_change_cells, _change_cells, _change_cells, _change_columns, _change_rows))(
            table, random
        )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **random.choice(WRITES))
    return buffer.getvalue()


def _change_cells(table: pa.Table, random: Random) -> pa.Table:
    """Another value in one row, or in all of them; of another type sometimes."""
    if not (table.num_rows and table.num_columns):
        return table
    at = random.randrange(table.num_columns)
    values, kind = table.column(at).to_pylist(), table.schema.types[at]
    if isinstance(values[0], str) and values[0].startswith("{"):
        values = [dump(mutate_json(json.loads(value), random)).decode() for value in values]
    elif random.random() < 0.15:
        kind = random.choice(list(VALUES))
        values = [random.choice(VALUES[kind])] * len(values)
    else:
        odd = random.choice((*VALUES.get(kind, ()), None))
        values = [odd] * len(values) if random.random() < 0.5 else [odd, *values[1:]]
    return table.set_column(at, table.schema.names[at], pa.array(values, kind))


def _change_columns(table: pa.Table, random: Random) -> pa.Table:
    """A column fewer, under another name, or twice."""
    if not table.num_columns:
        return table
    at = random.randrange(table.num_columns)
    fewer, name = table.remove_column(at), random.choice(("", "id", "x" * 300, "<b>", *table.schema.names))
    return random.choice(
        (fewer, fewer.append_column(name, table.column(at)), table.append_column(name, table.column(at)))
    )


def _change_rows(table: pa.Table, random: Random) -> pa.Table:
    count = random.choice((0, 1, table.num_rows, 300, 20_000)) if table.num_rows else 0
    return table.take(pa.array([random.randrange(table.num_rows) for _ in range(count)], pa.int64()))


CHANGES: dict[str, Callable[[bytes, Random], bytes]] = {
    "json": _mutate_json_file, "parquet": _mutate_parquet, "safetensors": _mutate_safetensors,
}  # fmt: skip
"""How a file is changed, by its suffix."""


# --- the app ---


class FuzzedZoo:
    """A zoo on a Hub on this machine, of which changed copies are opened."""

    def __init__(self, hub: LoopbackHub, files: Files):
        self._hub, self.files = hub, files
        own_zoo()
        assert self.check_files(files, "catalog.json", Random(0)) == "shown", "The zoo is valid."
        self._usual = _memory("VmRSS")

    def check(self, random: Random) -> str:
        """Change the zoo and use it, within the limits on memory."""
        files, path = mutate(self.files, random)
        _reset_peak()
        outcome = self.check_files(files, path, random)
        grown = _memory("VmHWM") - self._usual
        assert grown < GROWTH, f"{path}: {grown} MiB more"
        return outcome

    def check_files(self, files: Files, path: str, random: Random) -> str:
        """Take all steps that a changed file matters to: "refused" if one is, else "shown"."""
        where = f"{NAME}@{self._serve(files, random)}"
        remote.WHOLE = random.choice((0, 2**22))  # whether weights are read by byte ranges
        faulthandler.dump_traceback_later(HANGING, exit=True)
        try:
            refused = [sentence for step in _steps(where, path, random) if (sentence := _take(step))]
        finally:
            faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(cache.folder(), ignore_errors=True)
        return "refused" if refused else "shown"

    def _serve(self, files: Files, random: Random) -> str:
        """Put files on the Hub; return the commit."""
        sha = f"{random.getrandbits(160):040x}"
        models = {name: _below(files, f"predictors/{name}/") for name in PREDICTORS}
        self._hub.large.clear()
        self._hub.repos = {
            ("models", _home(name)): [(_sha(name), content)] for name, content in models.items()
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
    for entry in [name] if name else [*OPENED, *PREDICTORS, ABOUT]:
        view = View(
            where,
            entry,
            random.choice(("", "", "5", "relu")),
            random.choice(ORDERS),
            random.choice((0, 0, 1)),
        )
        yield partial(_show, view)
        if entry in OPENED:
            network = f"{entry}/test/{random.randrange(3)}"
            yield partial(_show, replace(view, network=network))
            for opened in (checkpoint_actions.look_at, OPENED[entry]):
                yield partial(opened, Source(zoo_id=network, zoo=where))
        if entry in PREDICTORS:
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
        assert not re.search(r"Traceback|\\n|allocate|/cache/|/tmp/", sentence), sentence
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
