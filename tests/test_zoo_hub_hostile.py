"""What visitors type for a zoo on the Hub, and what a hostile one may hold: all refused by name."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_zoo import DATASET, NAME

from zoo.catalog import EMBEDDED
from zoo.errors import HubError, ZooError
from zoo.limits import TRUSTED
from zoo.remote import open_hub_zoo, open_zoo
from zoo.stacked import RemoteStacked
from zoo.table import read_table


def test_sizes_are_refused_before_anything_is_fetched(pushed, monkeypatch):
    _, files = pushed.find(*DATASET, "main")
    catalog = json.loads(files["catalog.json"])
    catalog["collections"][0]["files"][0]["size"] = 10**12
    pushed.commit(*DATASET, {"catalog.json": json.dumps(catalog).encode()}, [])
    zoo = open_hub_zoo(NAME)
    with pytest.raises(
        HubError, match=r"networks\.parquet has 1,000,000\.0 MB: the limit for such files is 67\.1 MB"
    ):
        zoo.rows("tiny-sirens")
    assert not [r for r in pushed.requests if "parquet" in r.path]
    pushed.commit(*DATASET, {"catalog.json": b" " * (2**22 + 1)}, [])
    with pytest.raises(HubError, match=r"catalog\.json has 4\.2 MB"):
        open_hub_zoo(NAME)


HOSTILE = {
    "a predictor's home": ("hub.json", {"predictors": {"inr-editor": {"repo": "../../x", "revision": "main"}}}),
    "no table": ("hub.json", {"predictors": [1]}),
    "a path as a name": ("catalog.json", {"format": 1, "collections": [], "predictors": [
        {"name": "../x", "title": "", "task": "", "size": 0, "files": []}]}),
}  # fmt: skip


@pytest.mark.parametrize(("path", "content"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_tables_are_refused(pushed, path, content):
    pushed.commit(*DATASET, {path: json.dumps(content).encode()}, [])
    with pytest.raises(ZooError, match="is damaged"):
        open_hub_zoo(NAME).predictor("inr-editor")


BAD = ["", " ", "zoo", "a/b/c", "../../x", "/etc/passwd", "..", "a/..", "a/b@", "a/b@../../x", "a/b@x..y", "a/b@-x",
       "a/b@/x", "a/b@x.lock", "a--b/c", "a/b.git", "http://169.254.169.254/latest", "a/b\n", "а/b", "a/" + "b" * 200,
       "x" * 10**5, "a/b@" + "f" * 300, "<script>/x", "a/b?x=1", "a/b#c", "C:\\x", "a /b"]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=lambda text: ascii(text[:20]))
def test_typed_paths_and_urls_are_refused(hub, text):
    with pytest.raises(
        HubError, match=r"is not a zoo on the Hub: expected owner/name or owner/name@revision"
    ) as caught:
        open_hub_zoo(text)
    assert len(str(caught.value)) < 450 and not hub.requests


def test_hub_urls_are_read_as_ids(hub):
    for text in (
        "https://huggingface.co/datasets/a/b",
        " a/b ",
        "datasets/a/b",
        "https://huggingface.co/datasets/a/b/tree/main",
    ):
        with pytest.raises(HubError, match=r"Did you mean a/b\?"):
            open_hub_zoo(text)


def test_open_zoo_refuses_to_guess_between_a_folder_and_the_hub(pushed, made, tmp_path, monkeypatch):
    assert open_zoo("").source.where == "" and open_zoo().root == EMBEDDED
    assert open_zoo(str(made)).source.where == str(made.resolve())
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "someone" / "zoo")
    with pytest.raises(ZooError, match=r"write \./someone/zoo for the folder, someone/zoo@main for the Hub"):
        open_zoo(NAME)
    assert open_zoo(f"./{NAME}").source.kind == "folder" and open_zoo(f"{NAME}@main").source.kind == "hub"
    with pytest.raises(ZooError, match="is neither a folder nor"):
        open_zoo("/nowhere/at/all")


def test_tables_cannot_exhaust_memory(tmp_path):
    limits = replace(TRUSTED, text=2**20)
    pq.write_table(pa.table({"id": ["x" * 1000] * 2000}), tmp_path / "texts.parquet")
    assert (tmp_path / "texts.parquet").stat().st_size < 10_000
    with pytest.raises(ZooError, match="at most 1 MiB of text"):
        read_table(tmp_path / "texts.parquet", limits)
    pq.write_table(pa.table({"n": [0] * 10}), tmp_path / "gzip.parquet", compression="gzip")
    with pytest.raises(ZooError, match="is compressed with GZIP: use snappy"):
        read_table(tmp_path / "gzip.parquet")
    pq.write_table(pa.table({"n": [[1]]}), tmp_path / "lists.parquet")
    with pytest.raises(ZooError, match="column 'n' holds 'list<"):
        read_table(tmp_path / "lists.parquet")
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["n", "n"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(ZooError, match="it has two columns 'n'"):
        read_table(tmp_path / "twice.parquet")
    plain = pa.table(
        {"id": ["a", None, "a"], "n": [1, 2, 3], "x": [0.5, 1.5, None], "b": [True, False, True]}
    )
    pq.write_table(plain, tmp_path / "plain.parquet")
    assert read_table(tmp_path / "plain.parquet").equals(plain)


@pytest.mark.parametrize("damage", [b"", b"\x00" * 8, b"\xff" * 8, (2).to_bytes(8, "little") + b"{]",
                                    (2).to_bytes(8, "little") + b"[]"])  # fmt: skip
def test_a_damaged_remote_shard_is_refused(damage):
    with pytest.raises(ZooError, match="is damaged"):
        RemoteStacked("w.safetensors", len(damage), lambda start, stop: damage[start:stop])
