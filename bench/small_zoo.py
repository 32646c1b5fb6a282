"""A small valid zoo of every family and predictor, and changes of its files, for `bench.fuzz_zoo`."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from hashlib import sha1, sha256
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.fuzzing import dump, mutate_bytes, mutate_json
from nfn.accuracy.predictor import AccuracyConfig, AccuracyPredictor
from nfn.classifier import InrClassifier, InrClassifierConfig
from nfn.editor import InrEditor, InrEditorConfig
from nfn.generalization import GeneralizationConfig, GeneralizationPredictor
from nfn.predictor import CLASSES
from nfn.tickets import TicketConfig, TicketPredictor
from nfn.weight_reader import WeightReader, WeightReaderConfig
from zoo.catalog import EMBEDDED, write_catalog
from zoo.sample import Sample, sample_collection

NAME = "someone/zoo"
COLLECTIONS = ("mnist-sirens", "cifar10-cnns", "fashion-mnist-wild", "mnist-inits")
Files = dict[str, bytes]
"""The files of a zoo, by their paths in its folder."""


def make_zoo(folder: Path) -> Files:
    """A small valid zoo: three networks of every family, and untrained predictors of every kind."""
    for name in COLLECTIONS:
        sample = Sample(count=3, smallest=name.endswith("wild"))
        sample_collection([EMBEDDED / "collections" / name], folder / "collections" / name, sample)
    for model in _small_predictors():
        model.save(folder / "predictors" / model.name)
        (folder / "predictors" / model.name / "README.md").write_text(
            "# A card\n\n[Of](https://b.c) a reader.\n"
        )
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A zoo\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    write_catalog(folder)
    homes = {name: {"repo": home(name), "revision": commit_of(name)} for name in CLASSES}
    (folder / "hub.json").write_bytes(dump({"format": 1, "predictors": homes}))
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


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


def home(predictor: str) -> str:
    """The model repository of a predictor."""
    return f"{NAME}-{predictor}"


def commit_of(text: str) -> str:
    """Something like a commit."""
    return sha1(text.encode()).hexdigest()


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
    elif path != "catalog.json" and random.random() < 0.1:
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
WRITES: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"use_dictionary": False}, {"row_group_size": 1}, {"compression": "gzip"}, {"version": "1.0"},
    {"data_page_version": "2.0"}, {"store_schema": False}, {"write_statistics": False},
)  # fmt: skip


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
    count = random.choice((0, 1, table.num_rows, 300, 3000)) if table.num_rows else 0
    return table.take(pa.array([random.randrange(table.num_rows) for _ in range(count)], pa.int64()))


CHANGES: dict[str, Callable[[bytes, Random], bytes]] = {
    "json": _mutate_json_file, "parquet": _mutate_parquet, "safetensors": _mutate_safetensors,
}  # fmt: skip
"""How a file is changed, by its suffix."""
