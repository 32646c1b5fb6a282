"""Zoos of strangers, made to fill the memory or to be taken for others: refused before anything that large is made."""

import copy
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_zoo import DATASET, NAME, ROOT

from app.tabs.zoo import browse as zoo_browse
from app.tabs.zoo import html as zoo_html
from app.tabs.zoo.browse import View
from zoo.catalog import EMBEDDED, Zoo, write_catalog
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.families import FAMILIES, initializations
from zoo.files import sha256
from zoo.limits import UNTRUSTED
from zoo.remote import open_hub_zoo, open_zoo
from zoo.table import MAX_COLUMNS

MIB = 2**20
LONG = "x" * 30_000


def repeated(value: object, kind: pa.DataType) -> pa.Table:
    """100,000 rows of one value, which parquet keeps once."""
    return pa.table({"id": pa.chunked_array([pa.array([value] * 1000, kind)] * 100)})


TABLES = {
    "binary": (lambda: repeated(LONG.encode(), pa.binary()), "'binary'"),
    "large text": (lambda: repeated(LONG, pa.large_string()), "'large_string'"),
    "bytes of one length": (lambda: repeated(LONG.encode(), pa.binary(30_000)), "fixed_size_binary"),
    "a dictionary": (lambda: repeated(LONG, pa.string()).set_column(0, "id", _dictionary()), "dictionary<"),
    "text": (lambda: repeated(LONG, pa.string()), "MiB of text"),
    "other texts": (lambda: pa.table({"id": [f"{LONG}{i}" for i in range(2000)]}), "MiB of text"),
    "a list": (lambda: pa.table({"n": [[1] * 1000] * 1000}), "'list<"),
    "a structure": (lambda: pa.table({"n": [{"a": 1}]}), "'struct<"),
    "decimals": (lambda: pa.table({"n": pa.array([1], pa.decimal128(38))}), "decimal128"),
    "times": (lambda: pa.table({"n": pa.array([1], pa.timestamp("ns"))}), "timestamp"),
    "many rows": (lambda: pa.table({"n": pa.array([0]).take(pa.array([0] * 200_000))}), "100,000 networks"),
    "many columns": (lambda: pa.table({f"c{i}": [0] for i in range(MAX_COLUMNS + 1)}), "200 columns"),
    "very many columns": (
        lambda: pa.table({f"c{i}": [0] for i in range(10_000)}),
        "description of its columns",
    ),
}
READ = """
import resource, sys
from pathlib import Path
from zoo.errors import ZooError
from zoo.files import sha256
from zoo.limits import UNTRUSTED
from zoo.table import read_table
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_table(Path(sys.argv[1]), UNTRUSTED)
except ZooError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


def _dictionary() -> pa.ChunkedArray:
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array([LONG]))] * 100
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_refused_from_its_description(tmp_path, name):
    """In a process of its own, whose memory is measured: a file of 5 kB took 9.7 GiB."""
    make, words = TABLES[name]
    pq.write_table(make(), tmp_path / "networks.parquet")
    run = subprocess.run([sys.executable, "-c", READ, tmp_path / "networks.parquet"], cwd=ROOT, capture_output=True,
                         text=True, timeout=60, check=True)  # fmt: skip
    *said, grown = run.stdout.splitlines()
    assert len(said) == 1 and words in said[0] and int(grown) < 60, run.stdout


def test_a_table_that_lies_about_its_size_is_read_a_part_at_a_time(tmp_path):
    path = tmp_path / "networks.parquet"
    pq.write_table(pa.table({"id": [f"{LONG}{i}" for i in range(2000)]}), path, use_dictionary=False)
    group = pq.ParquetFile(path).metadata.row_group(0)
    content = path.read_bytes()
    for size in {group.total_byte_size, group.column(0).total_uncompressed_size}:
        size_bytes = _varint(2 * size)
        assert size_bytes in content
        content = content.replace(size_bytes, _varint(2000, len(size_bytes)))
    path.write_bytes(content)
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size == 1000
    run = subprocess.run([sys.executable, "-c", READ, path], cwd=ROOT, capture_output=True, text=True, timeout=60,
                         check=True)  # fmt: skip
    said, grown = run.stdout.splitlines()
    assert "MiB of text" in said and int(grown) < 250, run.stdout


def _varint(number: int, length: int = 1) -> bytes:
    """As in the description of a parquet file, with as many bytes as asked for."""
    out = bytearray()
    while number or len(out) < length:
        out.append(number & 127 | 128)
        number >>= 7
    out[-1] &= 127
    return bytes(out)


# --- specs and reads ---


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A zoo of the shipped collections of digits: SIRENs and initializations."""
    root = tmp_path_factory.mktemp("small") / "zoo"
    for name in ("mnist-sirens", "mnist-inits"):
        shutil.copytree(EMBEDDED / "collections" / name, root / "collections" / name)
    write_catalog(root)
    return root


@pytest.fixture
def zoo(small, tmp_path) -> Path:
    return shutil.copytree(small, tmp_path / "zoo")


def change_spec(root: Path, name: str, **fields: object) -> None:
    path = root / "collections" / name / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


HUGE = {
    "wide": {"shapes": [[4096, 784], [4096, 4096], [10, 4096]]},
    "deep": {"shapes": [[1, 1]] * 200, "tensor_names": [["a", "b"]] * 200},
    "deep and wide": {"shapes": [[4096, 4096]] * 100, "tensor_names": [["a", "b"]] * 100},
    "four axes": {"shapes": [[4096] * 4] * 3},
}  # fmt: skip


@pytest.mark.parametrize("case", HUGE)
def test_initializations_of_huge_networks_are_not_made(zoo, monkeypatch, case):
    """Fifty of 4,096 x 4,096 weights are 12 GiB, from a file of 4 kB."""
    change_spec(zoo, "mnist-inits", **HUGE[case])
    monkeypatch.setattr(initializations, "regenerate", None)
    with pytest.raises(ZooError, match=r"too much to read of mnist-inits at once|is damaged: .*at most"):
        opened = Collection(zoo / "collections" / "mnist-inits", limits=UNTRUSTED)
        opened.features(range(48))


@pytest.mark.parametrize(
    "shapes", [[[32, 3], "", [10, 4]], [[32, 3], [], [10, 4]], ["xy"], [3], "abc", {"a": 1}]
)
def test_shapes_that_are_no_lists_of_sizes_are_refused(zoo, shapes):
    change_spec(zoo, "mnist-inits", shapes=shapes)
    with pytest.raises(ZooError, match="is damaged: "):
        Collection(zoo / "collections" / "mnist-inits", limits=UNTRUSTED)


def test_no_read_is_larger_than_all_that_may_be_read(small, monkeypatch):
    """Whatever shards the rows are in: nothing is opened before the count is known."""
    folder = small / "collections" / "mnist-sirens"
    one = Collection(folder).spec.network.get_num_params()

    def untouched(*_: object):
        raise AssertionError("opened")

    opened = Collection(folder, untouched, replace(UNTRUSTED, values=48 * one - 1))
    with pytest.raises(
        ZooError, match=r"48 networks of 1,185 weights are too much to read of mnist-sirens at once"
    ):
        opened.features([0] * 48)
    with pytest.raises(ZooError, match="too much"):
        opened.features()
    inits = Collection(small / "collections" / "mnist-inits", untouched, replace(UNTRUSTED, values=10))
    for read in (inits.features, inits.masks):
        with pytest.raises(ZooError, match="too much"):
            read([0])


def test_a_page_of_the_zoo_is_read(small):
    opened = Collection(small / "collections" / "mnist-sirens", limits=UNTRUSTED)
    assert len(opened.features(range(48)).weights[0]) == 48


def test_few_collections_of_strangers_are_kept_open(pushed):
    """Under as many names as there are, each table would be held for good; so would what shards say of themselves."""
    _, files = pushed.find(*DATASET, "main")
    catalog = json.loads(files["catalog.json"])
    line, content = catalog["collections"][0], {}
    for number in range(20):
        name = f"copy-{number}"
        catalog["collections"].append({**line, "name": name})
        content |= {
            path.replace("tiny-sirens", name): data for path, data in files.items() if "tiny-sirens/" in path
        }
    pushed.commit(*DATASET, {"catalog.json": json.dumps(catalog).encode(), **content}, [])
    zoo = open_hub_zoo(NAME)
    for info in zoo.collections():
        assert zoo.rows(info.name, 1)
    assert len(zoo.collections()) == 21 and len(zoo._opened) == UNTRUSTED.opened
    assert open_zoo(f"{NAME}@main").files.limits.opened > 21, "a zoo that the operator named is no stranger's"


# --- checksums ---


FLIPPED = ["spec.json", "networks.parquet", "weights-00000.safetensors"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", FLIPPED)
def test_a_flipped_byte_is_found_and_said(zoo, name):
    flip(zoo / "collections" / "mnist-sirens" / name)
    with pytest.raises(ZooError, match=rf"mnist-sirens/{name} is not the file in the catalog"):
        Zoo(zoo).network("mnist-sirens/test/3")
    assert Zoo(zoo).network("mnist-inits/test/3"), "the others are there"


def test_a_byte_that_flips_later_is_found(zoo):
    opened = Zoo(zoo)
    assert opened.network("mnist-sirens/test/3")
    flip(zoo / "collections" / "mnist-sirens" / FLIPPED[2])
    with pytest.raises(ZooError, match="its SHA-256 differs"):
        opened.network("mnist-sirens/test/3")


@pytest.mark.parametrize("name", FLIPPED)
def test_a_flipped_byte_of_a_download_is_fetched_anew(pushed, name):
    zoo = open_hub_zoo(NAME)
    expected = zoo.network("tiny-sirens/test/3")
    flip(zoo.root / "collections" / "tiny-sirens" / name)
    again = open_hub_zoo(NAME).network("tiny-sirens/test/3")
    assert all(
        (a == b).all() for a, b in zip(again.tensors().values(), expected.tensors().values(), strict=True)
    )


# --- what the tables of a stranger may say ---


ODD = [
    None,
    True,
    -1,
    10**400,
    1e308,
    float("nan"),
    "",
    "x" * 5000,
    "\ud800",
    "../x",
    [],
    [[[]]],
    {},
    {"a": []},
    [None],
]


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The way to every value in a JSON document, of lists only to the first two."""
    pairs = {dict: lambda x: list(x.items()), list: lambda x: list(enumerate(x))[:2]}
    inside = pairs[type(value)](value) if type(value) in pairs else []
    return [path, *(way for key, part in inside for way in places(part, (*path, key)))]


def changed(document: dict, way: tuple, odd: object) -> object:
    if not way:
        return odd
    out = copy.deepcopy(document)
    inner = out
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = odd
    return out


def use(zoo: Zoo) -> None:
    """Everything that the Zoo tab asks of a stranger's zoo."""
    zoo_html.entries(zoo, bool(zoo.card()))
    zoo_browse.first_view(zoo, "")
    for info in zoo.collections():
        opened, view = zoo.collection(info.name), View(entry=info.name, order="best")
        rows, shown = zoo.rows(info.name, 3), zoo_browse.choose(zoo, view)
        zoo_html.about_collection(info, opened)
        zoo_html.histogram(FAMILIES[info.kind].measure, shown, None)
        zoo.network(rows[0]["id"])
        opened.normalized(shown.places[:2])
        zoo_browse.ids_of(zoo, info.name, shown.places)
    for info in zoo.predictors():
        zoo_html.about_predictor(info, zoo.card(info.name))


@pytest.mark.parametrize("name", ["catalog.json", "hub.json", "spec.json"])
def test_whatever_a_table_says_is_an_answer_or_a_sentence(pushed, name):
    """Every value of each table of JSON, replaced by everything that it is not."""
    _, files = pushed.find(*DATASET, "main")
    path = next(path for path in files if path.endswith(name))
    document, zoo = json.loads(files[path]), open_hub_zoo(NAME)
    use(zoo)
    snapshot = zoo.root
    for way in places(document):
        for odd in ODD:
            (snapshot / path).write_text(json.dumps(changed(document, way, odd)))
            try:
                if name == "spec.json":
                    opened = Collection(snapshot / "collections" / "tiny-sirens", limits=UNTRUSTED)
                    opened.network("test/0")
                    opened.normalized(range(2))
                else:
                    use(Zoo(snapshot, zoo.files))
            except ZooError as error:
                assert str(error).isprintable() and len(str(error)) <= 601, (way, odd, error)


COLUMNS = {
    "id": ["", "../x", "test/" + "9" * 400, "x" * 10_000, "test/0"],
    "split": ["", "x" * 10_000, "<b>"],
    "label": [-1, 10, 2**62],
    "psnr": [float("nan"), float("inf"), -1e308],
    "shard": [-1, 1, 2**62],
    "row": [-1, 12, 2**62],
    "learning_rate": [float("nan")],
}


@pytest.mark.parametrize("column", COLUMNS)
def test_whatever_a_row_says_is_an_answer_or_a_sentence(pushed, column):
    """In the first row, and in all of them."""
    use(zoo := open_hub_zoo(NAME))
    path = zoo.root / "collections" / "tiny-sirens" / "networks.parquet"
    table = pq.read_table(path)
    for odd in COLUMNS[column]:
        for values in ([odd, *table[column].to_pylist()[1:]], [odd] * len(table)):
            place = table.schema.get_field_index(column)
            write = table.set_column(place, column, pa.array(values, table.schema.field(column).type))
            pq.write_table(write, path)
            write_catalog_lines(zoo.root, path)
            try:
                use(Zoo(zoo.root, zoo.files))
            except ZooError as error:
                assert str(error).isprintable() and len(str(error)) <= 601


def write_catalog_lines(root: Path, path: Path) -> None:
    """Let the catalog vouch for a file as it is: its author may write there whatever he likes."""
    catalog = json.loads((root / "catalog.json").read_text())
    for line in catalog["collections"]:
        for file in line["files"]:
            if file["name"] == path.name:
                file |= {"size": path.stat().st_size, "sha256": sha256(path)}
    (root / "catalog.json").write_text(json.dumps(catalog))
