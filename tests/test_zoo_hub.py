"""Zoos on the Hub, with the real client and a small Hub on this machine: push, pull, open, and all that breaks."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from loopback_hub import LoopbackHub
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from nfn.editor import InrEditor, InrEditorConfig
from zoo import cache, remote, table
from zoo.__main__ import app
from zoo.catalog import EMBEDDED, Zoo, write_catalog
from zoo.errors import HubError, ZooError
from zoo.hub import HubRepo
from zoo.push import Push, pull
from zoo.remote import open_hub_zoo, open_zoo
from zoo.sample import sample_collection
from zoo.stacked import RemoteStacked

ROOT = Path(__file__).parent.parent
NAME = "someone/zoo"
DATASET, MODEL = ("datasets", NAME), ("models", f"{NAME}-inr-editor")
DEADLINE = 6
"""Seconds that any failure may take here: where it is about time, the Hub has one to answer."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A zoo of 12 SIRENs and an untrained editor."""
    root = tmp_path_factory.mktemp("made") / "zoo"
    folder = root / "collections" / "tiny-sirens"
    sample_collection([EMBEDDED / "collections" / "mnist-sirens"], folder, "test", 12, False, 0)
    InrEditor(InrEditorConfig(channels=4)).save(root / "predictors" / "inr-editor")
    (root / "predictors" / "inr-editor" / "README.md").write_text("# A card\n")
    write_catalog(root)
    return root


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that the client in this process talks to, and an empty cache."""
    constants = huggingface_hub.constants
    with LoopbackHub() as served:
        for name, value in {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}.items():
            monkeypatch.setattr(constants, name, value)
        environment = {"HF_ENDPOINT": served.url, "HF_TOKEN": "hf_loopback", "WEIGHTSCOPE_HUB_SECONDS": "5",
                       "WEIGHTSCOPE_CACHE": str(tmp_path / "cache")}  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def pushed(hub, made) -> LoopbackHub:
    """The Hub, with the made zoo on it."""
    put(hub, made)
    hub.requests.clear()
    return hub


def put(hub: LoopbackHub, folder: Path, repo: str = NAME) -> str:
    return Push(folder, repo).run(lambda *_: None)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("catalog.json", *Zoo(folder).listed())}


def cached(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.name != cache.USED}


def test_the_embedded_zoo_goes_to_the_hub_and_comes_back_byte_for_byte(hub, tmp_path):
    put(hub, EMBEDDED)
    zoo = pull(NAME, tmp_path / "back", lambda path, size: None)
    zoo.verify()
    assert tree(tmp_path / "back") == listed(EMBEDDED)
    repos = {("datasets", NAME), *(("models", f"{NAME}-{info.name}") for info in Zoo(EMBEDDED).predictors())}
    assert set(hub.repos) == repos
    assert all(len(commits) == 2 for commits in hub.repos.values()), "made, then one commit"


def test_a_second_push_sends_nothing_and_a_change_sends_itself(pushed, made, tmp_path):
    first = pushed.find(*DATASET, "main")[0]
    assert put(pushed, made) == first and not [r for r in pushed.requests if r.method == "PUT"]
    changed = Path(shutil.copytree(made, tmp_path / "changed"))
    (changed / "predictors" / "inr-editor" / "README.md").write_text("# Another card\n")
    write_catalog(changed)
    plan = {(upload.repo.kind, upload.path): upload.state for upload in Push(changed, NAME).plan()}
    assert {name for (_, name), state in plan.items() if state != "there"} == {"README.md", "catalog.json"}
    assert plan["dataset", "collections/tiny-sirens/spec.json"] == "there"
    assert put(pushed, changed) != first
    assert not [r for r in pushed.requests if r.method == "PUT"], "no large file was sent again"
    assert open_zoo(NAME).card("inr-editor") == "# Another card\n"
    assert open_zoo(f"{NAME}@{first}").card("inr-editor") == "# A card\n", (
        "the commit pins its predictors too"
    )


def test_a_push_that_was_stopped_goes_on(hub, made):
    hub.fail("403", "/commit/")
    with pytest.raises(
        HubError, match=r"refuses access to the model repository someone/zoo-inr-editor \(403\)"
    ):
        put(hub, made)
    hub.heal()
    hub.requests.clear()
    put(hub, made)
    sent = [r.path for r in hub.requests if r.method == "PUT"]
    assert len(sent) == 2, "the collection's table and shard; the predictor's weights had arrived before"


def test_what_the_zoo_no_longer_has_leaves_the_hub(pushed, made, tmp_path):
    smaller = Path(shutil.copytree(made, tmp_path / "smaller"))
    shutil.rmtree(smaller / "collections" / "tiny-sirens")
    write_catalog(smaller)
    put(pushed, smaller)
    assert not [path for path in pushed.find(*DATASET, "main")[1] if path.startswith("collections/")]


def test_cards_tell_the_viewer_where_tables_are(pushed):
    card = pushed.find(*DATASET, "main")[1]["README.md"].decode()
    data = huggingface_hub.DatasetCard(card).data.to_dict()
    assert data["configs"] == [{"config_name": "tiny-sirens", "data_files": [
        {"split": "networks", "path": "collections/tiny-sirens/networks.parquet"}]}]  # fmt: skip
    assert data["license"] == ["mit"] and "`someone/zoo-inr-editor`" in card
    assert open_zoo(NAME).card() == card


def test_a_zoo_on_the_hub_is_the_zoo_that_was_pushed(pushed, made):
    here, there = Zoo(made), open_zoo(NAME)
    sha = pushed.find(*DATASET, "main")[0]
    assert str(there.source) == f"someone/zoo at {sha[:7]}" and there.source.where == f"{NAME}@{sha}"
    assert there.source.url == f"{pushed.url}/datasets/someone/zoo/tree/{sha}"
    assert len(pushed.requests) == 3, "opening: the list, hub.json and the catalog"
    assert there.collections() == here.collections() and there.rows("tiny-sirens") == here.rows("tiny-sirens")
    for ours, theirs in zip(
        here.collection("tiny-sirens").features(), there.collection("tiny-sirens").features(), strict=True
    ):
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    network = here.network("tiny-sirens/test/3")
    edits = [zoo.predictor("inr-editor").edit(network, "dilate", 1.0) for zoo in (here, there)]
    assert same(edits[0].network, edits[1].network)
    assert not [r for r in pushed.requests if r.token], "reading lends nobody our token"


def test_one_network_of_a_large_shard_comes_by_byte_ranges(pushed, made, monkeypatch):
    monkeypatch.setattr(remote, "WHOLE", 1000)
    here, there = Zoo(made), open_zoo(NAME)
    assert same(there.network("tiny-sirens/test/7"), here.network("tiny-sirens/test/7"))
    ranged = [r for r in pushed.requests if r.range and "/large/" in r.path]
    assert len(ranged) == 1 + 6, "the header, then a range for each tensor"
    assert "weights-00000.safetensors" not in cached(there.root)
    rows = [4, 2, 3, 9, 4]
    for ours, theirs in zip(
        here.collection("tiny-sirens").features(rows),
        there.collection("tiny-sirens").features(rows),
        strict=True,
    ):
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    assert "weights-00000.safetensors" not in cached(there.root)
    pushed.fail("norange")
    assert same(open_zoo(NAME).network("tiny-sirens/test/7"), here.network("tiny-sirens/test/7")), (
        "whole, then"
    )
    assert "weights-00000.safetensors" in cached(there.root)


def same(first, second) -> bool:
    pairs = zip(first.tensors().values(), second.tensors().values(), strict=True)
    return first.tensors().keys() == second.tensors().keys() and all(torch.equal(a, b) for a, b in pairs)


def test_a_commit_that_was_read_before_opens_with_the_hub_down(pushed, made):
    zoo = open_zoo(NAME)
    where, network = zoo.source.where, zoo.network("tiny-sirens/test/1")
    pushed.stop()
    again = open_zoo(where)
    assert same(again.network("tiny-sirens/test/1"), network)
    with pytest.raises(HubError, match=rf"cannot be reached.*The copy fetched before opens as {where}"):
        open_zoo(NAME)
    with pytest.raises(HubError, match="cannot be reached"):
        again.predictor("inr-editor")


FAILURES = {
    "401": r"wants a login for the dataset repository someone/zoo \(401\)",
    "403": r"refuses access to the dataset repository someone/zoo \(403\)",
    "404": r"has no dataset repository someone/zoo \(404\)",
    "429": r"too many requests from here \(429\)\. Try again in 120 s",
    "500": r"has trouble of its own \(500\)",
    "503": r"has trouble of its own \(503\)",
    "418": r"\(status 418\)",
    "gated": "someone/zoo is gated",
    "disabled": "has disabled the dataset repository",
    "html": "not what the Hub sends for .*, such as a web page",
    "hang": "was silent for 1 s",
    "slow": "too slow: .* did not come within",
    "cut": "cut in the middle of",
    "corrupt": "did not arrive as announced .its checksum differs.|not what the Hub sends",
}


@pytest.mark.parametrize("path", ["/api/datasets/", "catalog.json"])
@pytest.mark.parametrize(("failure", "sentence"), FAILURES.items(), ids=FAILURES)
def test_opening_fails_in_one_sentence_within_seconds(pushed, failure, sentence, path, tmp_path):
    pushed.fail(failure, path)
    check_failure(lambda: open_hub_zoo(NAME), sentence)
    assert not [name for name in cached(tmp_path / "cache") if name not in ("hub.json",)], (
        "nothing is believed"
    )
    pushed.heal()
    assert open_hub_zoo(NAME).rows("tiny-sirens", limit=1)


@pytest.mark.parametrize("failure", ["404", "429", "500", "html", "hang", "slow", "cut", "corrupt"])
def test_reading_fails_in_one_sentence_within_seconds(pushed, failure, tmp_path):
    zoo = open_hub_zoo(NAME)
    before = cached(zoo.root)
    pushed.fail(failure, "/large/")
    check_failure(lambda: zoo.rows("tiny-sirens"), FAILURES[failure] if failure != "404" else r"\(404\)")
    check_failure(lambda: zoo.predictor("inr-editor"), FAILURES[failure] if failure != "404" else r"\(404\)")
    assert cached(zoo.root) - before <= {"spec.json", "config.json"}, "nothing half-written stays"
    pushed.heal()
    assert zoo.rows("tiny-sirens", limit=1) and zoo.predictor("inr-editor")


@pytest.mark.parametrize("failure", ["500", "hang", "cut", "html"])
def test_byte_ranges_fail_in_one_sentence_too(pushed, failure, monkeypatch):
    monkeypatch.setattr(remote, "WHOLE", 1000)
    zoo = open_hub_zoo(NAME)
    zoo.rows("tiny-sirens")
    pushed.fail(failure, "/large/")
    check_failure(lambda: zoo.network("tiny-sirens/test/7"), FAILURES[failure])


def check_failure(deed, sentence: str) -> None:
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(HubError, match=sentence) as caught:
        if "silent" in sentence or "slow" in sentence:
            patch.setenv("WEIGHTSCOPE_HUB_SECONDS", "1")
        deed()
    assert time.monotonic() - started < DEADLINE
    assert (
        "\n" not in str(caught.value)
        and "Traceback" not in str(caught.value)
        and len(str(caught.value)) < 350
    )
    assert Zoo(EMBEDDED).network("mnist-sirens/test/0"), "the zoo that ships works on"


def test_sentences_tell_failures_apart():
    plain = [sentence for name, sentence in FAILURES.items() if name != "503"]
    assert len(set(plain)) == len(plain)


def test_the_hub_down_and_the_client_offline(hub, monkeypatch):
    hub.stop()
    check_failure(lambda: open_hub_zoo(NAME), r"The Hub at 127\.0\.0\.1:\d+ cannot be reached")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    check_failure(lambda: open_hub_zoo(NAME), "HF_HUB_OFFLINE is set here")


def test_what_is_missing_is_named(pushed):
    with pytest.raises(HubError, match="has no revision v9"):
        open_hub_zoo(f"{NAME}@v9")
    with pytest.raises(
        HubError, match=r"wants a login for the dataset repository someone/else \(401\): .* there is none"
    ):
        open_hub_zoo("someone/else")
    pushed.create("datasets", "someone/pictures")
    with pytest.raises(HubError, match=r"has no catalog\.json: it is not a zoo"):
        open_hub_zoo("someone/pictures")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "replace", "mkdir"])
def test_a_disk_that_takes_nothing(pushed, number, call, monkeypatch):
    wanted = (
        "The disk for downloads is full"
        if number == errno.ENOSPC
        else "cannot be written to .WEIGHTSCOPE_CACHE"
    )

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    place = {
        "open": (remote.tempfile, "mkstemp"),
        "replace": (remote.os, "replace"),
        "mkdir": (Path, "mkdir"),
    }[call]
    with monkeypatch.context() as patch:
        patch.setattr(*place, refuse)
        check_failure(lambda: open_hub_zoo(NAME), wanted)
    assert open_hub_zoo(NAME).rows("tiny-sirens", limit=1)


def test_a_disk_that_fills_in_the_middle(pushed, monkeypatch):
    zoo = open_hub_zoo(NAME)
    with monkeypatch.context() as patch:
        patch.setattr(remote, "_open_part", lambda handle: Path("/dev/full").open("wb"))  # noqa: SIM115
        check_failure(lambda: zoo.rows("tiny-sirens"), "The disk for downloads is full")
    assert cached(zoo.root) == {"hub.json", "catalog.json"}


def test_the_cache_keeps_to_its_quota_and_lets_the_least_used_go(hub, made, monkeypatch):
    for name in ("a/zoo", "b/zoo", "c/zoo"):
        put(hub, made, name)
    size = sum(file.size for file in Zoo(made).listed().values() if file.name != "README.md")
    monkeypatch.setenv(cache.QUOTA_VARIABLE, str(2.5 * size / 1e9))
    for name in ("a/zoo", "b/zoo", "a/zoo", "c/zoo"):
        zoo = open_hub_zoo(name)
        zoo.network("tiny-sirens/test/0")
        zoo.predictor("inr-editor")
    kept = {
        path.parts[-3] for path in cache.folder().rglob("model.safetensors") for path in [path.parent.parent]
    }
    assert kept == {"a--zoo", "c--zoo"}
    monkeypatch.setenv(cache.QUOTA_VARIABLE, "0.00001")
    with pytest.raises(HubError, match=r"MB more, and downloads may take 0 MB here .WEIGHTSCOPE_CACHE_GB."):
        open_hub_zoo("b/zoo").network("tiny-sirens/test/0")


def test_sizes_are_refused_before_anything_is_fetched(pushed, monkeypatch):
    _, files = pushed.find(*DATASET, "main")
    catalog = json.loads(files["catalog.json"])
    catalog["collections"][0]["files"][0]["size"] = 10**12
    pushed.commit(*DATASET, {"catalog.json": json.dumps(catalog).encode()}, [])
    zoo = open_hub_zoo(NAME)
    with pytest.raises(HubError, match=r"networks\.parquet has 1,000,000\.0 MB: at most 67\.1 MB"):
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
def test_a_visitor_types_no_paths_and_no_addresses(hub, text):
    with pytest.raises(
        HubError, match=r"names no zoo on the Hub: wanted owner/name or owner/name@revision"
    ) as caught:
        open_hub_zoo(text)
    assert len(str(caught.value)) < 450 and not hub.requests


def test_addresses_are_read_as_what_was_meant(hub):
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


def test_tables_cannot_be_made_to_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MAX_TEXT", 2**20)
    read_table = table.read_table
    pq.write_table(pa.table({"id": ["x" * 1000] * 2000}), tmp_path / "texts.parquet")
    assert (tmp_path / "texts.parquet").stat().st_size < 10_000
    with pytest.raises(ZooError, match="at most 1 MiB of text"):
        read_table(tmp_path / "texts.parquet")
    pq.write_table(pa.table({"n": [0] * 10}), tmp_path / "gzip.parquet", compression="gzip")
    with pytest.raises(ZooError, match="is compressed by GZIP: use snappy"):
        read_table(tmp_path / "gzip.parquet")
    pq.write_table(pa.table({"n": [[1]]}), tmp_path / "lists.parquet")
    with pytest.raises(ZooError, match="column 'n' holds lists"):
        read_table(tmp_path / "lists.parquet")
    plain = pa.table(
        {"id": ["a", None, "a"], "n": [1, 2, 3], "x": [0.5, 1.5, None], "b": [True, False, True]}
    )
    pq.write_table(plain, tmp_path / "plain.parquet")
    assert read_table(tmp_path / "plain.parquet").equals(plain)


@pytest.mark.parametrize("damage", [b"", b"\x00" * 8, b"\xff" * 8, (2).to_bytes(8, "little") + b"{]",
                                    (2).to_bytes(8, "little") + b"[]"])  # fmt: skip
def test_a_remote_shard_that_is_none(damage):
    with pytest.raises(ZooError, match="is damaged"):
        RemoteStacked("w.safetensors", len(damage), lambda start, stop: damage[start:stop])


def test_predictors_come_from_folders_and_from_the_hub(pushed, made, hub):
    sha = pushed.find(*MODEL, "main")[0]
    code = (
        "import sys; from nfn.editor import InrEditor; "
        "a, b = InrEditor.from_pretrained(sys.argv[1], revision=sys.argv[2]), InrEditor.from_pretrained(sys.argv[3]); "
        "print(all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run([sys.executable, "-c", code, f"{NAME}-inr-editor", sha, made / "predictors" / "inr-editor"],
                          env=environment, cwd=ROOT, capture_output=True, text=True)  # fmt: skip
    assert done.stdout == "True\n", done.stderr


def test_loading_is_strict(made, tmp_path):
    folder = Path(shutil.copytree(made / "predictors" / "inr-editor", tmp_path / "editor"))
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        InrEditor.from_pretrained(folder)


def test_the_command_line(pushed, made, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "0 of 9 files to send" not in run("push", made, "someone/new", "--dry-run")
    assert HubRepo("someone/new", "dataset").id not in {repo for _, repo in pushed.repos}, (
        "a dry run sends nothing"
    )
    assert "0 of 9 files to send, 0 bytes" in run("push", made, NAME, "--dry-run")
    sha = pushed.find(*DATASET, "main")[0]
    assert f"The zoo is {NAME}@{sha}" in run("push", made, NAME)
    assert "all as the catalog lists them" in run("pull", NAME, tmp_path / "back")
    assert tree(tmp_path / "back") == listed(made)
    assert f"someone/zoo at {sha[:7]}" in run("list", "--zoo", NAME)
    assert "first_omega 30.0" in run("show", "tiny-sirens", "--zoo", f"{NAME}@{sha}")
    monkeypatch.setenv("WEIGHTSCOPE_ZOO", NAME)
    assert "label" in run("show", "tiny-sirens/test/1")
