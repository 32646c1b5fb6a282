"""Zoos on the Hub, with the real client and a small Hub on this machine: push, pull and open."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
from hub_zoo import DATASET, MODEL, NAME, ROOT, cached, listed, put, same, tree
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from nfn.classifier import InrClassifier
from nfn.editor import InrEditor
from nfn.predictor import Predictor
from zoo import remote
from zoo.__main__ import app
from zoo.catalog import EMBEDDED, Zoo, write_catalog
from zoo.errors import HubError
from zoo.hub import HubRepo
from zoo.push import Push, pull
from zoo.remote import open_hub_zoo, open_zoo


def test_the_embedded_zoo_round_trips_through_the_hub(hub, tmp_path):
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


def test_an_interrupted_push_resumes(hub, made):
    hub.fail("403", "/commit/")
    with pytest.raises(
        HubError, match=r"denies access to the model repository someone/zoo-inr-editor \(403\)"
    ):
        put(hub, made)
    hub.heal()
    hub.requests.clear()
    put(hub, made)
    sent = [r.path for r in hub.requests if r.method == "PUT"]
    assert len(sent) == 3, "the collection's tables and shard; the predictor's weights had arrived before"


def test_entries_removed_from_the_zoo_are_deleted_on_the_hub(pushed, made, tmp_path):
    smaller = Path(shutil.copytree(made, tmp_path / "smaller"))
    shutil.rmtree(smaller / "collections" / "tiny-sirens")
    write_catalog(smaller)
    put(pushed, smaller)
    assert not [
        path for path in pushed.find(*DATASET, "main")[1] if path.startswith(("collections/", "data/"))
    ]


def test_cards_tell_the_viewer_where_tables_are(pushed):
    card = pushed.find(*DATASET, "main")[1]["README.md"].decode()
    data = huggingface_hub.DatasetCard(card).data.to_dict()
    assert data["configs"] == [{"config_name": "tiny-sirens", "data_files": [
        {"split": "test", "path": "data/tiny-sirens/test.parquet"}]}]  # fmt: skip
    assert data["license"] == ["mit"] and "`someone/zoo-inr-editor`" in card
    assert (data["task_categories"], data["size_categories"]) == (["image-classification"], ["n<1K"])
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
    edits = [zoo.predictor("inr-editor", InrEditor).edit(network, "dilate", 1.0) for zoo in (here, there)]
    assert same(edits[0].network, edits[1].network)
    pushed.requests.clear()
    assert same(open_hub_zoo(NAME).network("tiny-sirens/test/3"), network)
    assert not [r for r in pushed.requests if r.token], "what visitors name is read without our token"


def test_a_private_zoo_needs_a_token(pushed, made, tmp_path):
    pushed.private = True
    zoo = open_zoo(NAME)
    assert same(zoo.network("tiny-sirens/test/3"), Zoo(made).network("tiny-sirens/test/3"))
    assert zoo.predictor("inr-editor").name == "inr-editor"
    assert pull(NAME, tmp_path / "back", lambda *_: None).rows("tiny-sirens")
    for where in (NAME, zoo.source.where):
        with pytest.raises(
            HubError, match=r"requires a login for the dataset repository someone/zoo \(401\)"
        ) as caught:
            open_hub_zoo(where)
        assert str(zoo.source.revision) not in str(caught.value), "nor does the cache give it to visitors"


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


def test_a_commit_that_was_read_before_opens_with_the_hub_down(pushed, made):
    zoo = open_zoo(NAME)
    where, network = zoo.source.where, zoo.network("tiny-sirens/test/1")
    pushed.stop()
    again = open_zoo(where)
    assert same(again.network("tiny-sirens/test/1"), network)
    with pytest.raises(HubError, match=rf"cannot be reached.*The copy downloaded earlier opens as {where}"):
        open_zoo(NAME)
    with pytest.raises(HubError, match="cannot be reached"):
        again.predictor("inr-editor")


FROM_PRETRAINED = """
import sys
from nfn.editor import InrEditor
from nfn.predictor import Predictor

repo, sha, made, cache = sys.argv[1:]
here = Predictor.from_pretrained(made, subfolder="predictors/inr-editor")
there = InrEditor.from_pretrained(repo, revision=sha, cache_dir=cache, token="hf_loopback")
address = there.push_to_hub("someone/new-editor", private=True, token="hf_loopback")
again = Predictor.from_pretrained("someone/new-editor", cache_dir=cache, token="hf_loopback", device="cpu")
kept = InrEditor.from_pretrained(repo, revision=sha, cache_dir=cache, local_files_only=True)
same = lambda a, b: all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
print(type(here).__name__, type(again).__name__, same(here, there), same(here, again), same(here, kept))
"""


def test_predictors_come_from_folders_and_from_the_hub_and_go_there(pushed, made, tmp_path):
    pushed.private = True
    sha = pushed.find(*MODEL, "main")[0]
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_TOKEN")
    arguments = [f"{NAME}-inr-editor", sha, made, tmp_path]
    done = subprocess.run([sys.executable, "-c", FROM_PRETRAINED, *arguments], env=environment, cwd=ROOT,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout == "InrEditor InrEditor True True True\n", done.stderr
    files = pushed.find("models", "someone/new-editor", "main")[1]
    assert set(files) == {".gitattributes", "config.json", "model.safetensors"}


@pytest.mark.parametrize("place", ["nowhere", "a/b/c", "https://example.org/a/b", ""])
def test_an_invalid_place_is_refused_with_a_clear_error(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        (ValueError, FileNotFoundError), match=r"neither a folder nor owner/name|config\.json"
    ):
        InrEditor.from_pretrained(place)


def test_a_folder_says_which_predictor_it_holds(made, tmp_path):
    Predictor.load(made / "predictors" / "inr-editor").save_pretrained(tmp_path)
    assert isinstance(Predictor.from_pretrained(tmp_path), InrEditor)
    with pytest.raises(ValueError, match="describes a 'inr-editor' predictor, not 'inr-classifier'"):
        InrClassifier.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"predictor": "oracle"}')
    with pytest.raises(ValueError, match="'oracle' predictor; this version knows inr-classifier"):
        Predictor.from_pretrained(tmp_path)


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

    assert "\n10 of 10 files to send" in run("push", made, "someone/new", "--dry-run")
    assert HubRepo("someone/new", "dataset").id not in {repo for _, repo in pushed.repos}, (
        "a dry run sends nothing"
    )
    assert "0 of 10 files to send, 0 bytes" in run("push", made, NAME, "--dry-run")
    sha = pushed.find(*DATASET, "main")[0]
    assert f"The zoo is {NAME}@{sha}" in run("push", made, NAME)
    assert "all verified against the catalog" in run("pull", NAME, tmp_path / "back")
    assert tree(tmp_path / "back") == listed(made)
    assert f"someone/zoo at {sha[:7]}" in run("list", "--zoo", NAME)
    assert "first_omega 30.0" in run("show", "tiny-sirens", "--zoo", f"{NAME}@{sha}")
    monkeypatch.setenv("WEIGHTSCOPE_ZOO", NAME)
    assert "label" in run("show", "tiny-sirens/test/1")
