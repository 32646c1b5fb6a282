"""Initializations and their tickets: seeded, exact, packed; the predictor trained on them; the command."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from nfn.pruning import kept_per_layer
from nfn.ticket_vae import TicketVae
from nfn.tickets import TicketConfig, TicketPredictor
from zoo import build_ticket, images
from zoo.__main__ import app
from zoo.build import run_build
from zoo.build_ticket import TicketBuild, pixels_of, train_networks
from zoo.card_tickets import tickets_card
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.evaluate_tickets import evaluate_tickets
from zoo.sample import Sample, sample_collection
from zoo.tickets import pack, unpack
from zoo.train_tickets import TicketTraining, train_tickets

BUILD = TicketBuild("cifar10", count=15, sparsity=0.9, shard_size=10)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Fifteen pairs of the real architecture, trained for four steps on the few images that tests have."""
    from conftest import IMAGES

    folder = tmp_path_factory.mktemp("tickets") / "tiny-inits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(IMAGES))
        patch.setattr(build_ticket, "HELD_OUT", 5)
        task = build_ticket.TASKS["cifar10"]
        short = replace(task, recipe=replace(task.recipe, steps=4, batch=8))
        patch.setitem(build_ticket.TASKS, "cifar10", short)
        pixels_of.cache_clear()
        run_build(BUILD, folder, "cpu", 1, lambda count: None)
        yield folder
    pixels_of.cache_clear()


def test_masks_are_those_of_the_largest_trained_weights(built):
    collection = Collection(built)
    rows = list(range(5))
    order = collection.rows["batch_order"][0].as_py()
    dense = train_networks(collection.features(rows), None, "cifar10", order)
    masks, total = collection.masks(rows), 21_984
    assert kept_per_layer(masks).sum(1).tolist() == [total - round(0.9 * total)] * 5
    for i in rows:
        kept = torch.cat([w[i][m[i]].abs() for w, m in zip(dense.weights, masks, strict=True)])
        left = torch.cat([w[i][~m[i]].abs() for w, m in zip(dense.weights, masks, strict=True)])
        assert kept.min() >= left.max()


def test_the_last_are_held_out_and_every_row_is_full(built):
    rows = Collection(built).rows.to_pylist()
    assert [row["split"] for row in rows] == ["train"] * 10 + ["test"] * 5
    assert len({row["init_seed"] for row in rows}) == 15
    assert all(0 <= row[name] <= 1 for row in rows for name in ("dense_accuracy", "ticket_accuracy"))


def test_a_seed_that_gives_other_numbers_is_noticed(built, monkeypatch):
    collection = Collection(built)
    network = collection.network("test/2")
    assert network.kind == "classifier" and len(network.spec) == 5
    monkeypatch.setattr("zoo.tickets.checksum", lambda init: "0" * 64)
    with pytest.raises(ZooError, match="gives another initialization here"):
        Collection(built).network("test/2")


def test_several_rounds_prune_a_bit_at_a_time(built):
    init = Collection(built).features([0, 1])
    build = replace(BUILD, rounds=2)
    dense = train_networks(init, None, "cifar10", 0)
    masks = build_ticket.find_tickets(init, dense, build, 0)
    once = build_ticket.find_tickets(init, dense, BUILD, 0)
    assert torch.equal(kept_per_layer(masks).sum(1), kept_per_layer(once).sum(1))
    assert any(not torch.equal(a, b) for a, b in zip(masks, once, strict=True))


def test_packing_is_exact():
    mask = torch.rand(3, 1, 5, 7) > 0.5
    assert torch.equal(unpack(pack(mask), (5, 7)), mask)


@pytest.mark.parametrize("wrong", [
    {"images": "fashion_mnist"}, {"count": 5}, {"count": 17}, {"sparsity": 1.0}, {"rounds": 0}, {"seed": -1},
])  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ZooError):
        replace(BUILD, **wrong).check()


def test_a_sample_has_its_masks(built, tmp_path):
    sample_collection([built], tmp_path / "few", Sample(count=3))
    few, all_ = Collection(tmp_path / "few"), Collection(built)
    seeds = all_.rows["init_seed"].to_pylist()
    for i, row in enumerate(few.rows.to_pylist()):
        place = seeds.index(row["init_seed"])
        assert all(torch.equal(a, b) for a, b in zip(few.masks([i]), all_.masks([place]), strict=True))


def test_damaged_masks_are_reported(built, tmp_path):
    sample_collection([built], tmp_path / "few", Sample(count=2))
    path = tmp_path / "few" / "weights-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ZooError, match="damaged"):
        Collection(tmp_path / "few").masks()


@pytest.mark.parametrize("kind", [TicketPredictor, TicketVae])
def test_a_predictor_is_trained_measured_and_described(built, tmp_path, kind):
    """Every step of the recipe on few networks: two models, all masks, and a card without an empty place."""
    config = TicketConfig(images=16, moments=(1, 2), channels=4, depth=2)
    training = TicketTraining(steps=3, batch=2)
    model = train_tickets(built, config, training, tmp_path / "work", model_class=kind)
    model.save(tmp_path / "model")
    metrics = evaluate_tickets(built, {"this model": tmp_path / "model"}, tmp_path / "results")
    by_name = {row["mask"]: row for row in metrics["methods"]}
    assert {"dense", "IMP", "SNIP", "random, Bernoulli", "this model"} <= set(by_name)
    assert metrics["networks"] == 5 and metrics["symmetry"]["different"] == 0
    assert by_name["IMP"]["overlap"] == pytest.approx(1)
    assert (tmp_path / "results" / "group-10.json").exists()
    facts = {"recipe": {"steps": 3}, "seconds": 60, "model": "direct", "moments": [1, 2], "images": 16, "device": "cpu",
             "machine": "here", "torch": "2", "pairs": Collection(built).describe()}  # fmt: skip
    card = tickets_card(facts, metrics, [])
    assert "SNIP" in card and "None" not in card


def test_earlier_figures_are_kept_and_only_of_the_same_networks(built, tmp_path):
    config = TicketConfig(images=16, moments=(1, 2), rule="magnitude")
    train_tickets(built, config, TicketTraining(), tmp_path / "work").save(tmp_path / "model")
    folders = {"this model": tmp_path / "model"}
    whole = evaluate_tickets(built, folders, tmp_path / "whole")
    earlier = {**whole, "methods": [{**row, "accuracy": row["accuracy"] / 2} for row in whole["methods"]]}
    again = evaluate_tickets(built, folders, tmp_path / "again", earlier=earlier)
    for row in again["methods"]:
        full = next(other for other in whole["methods"] if other["mask"] == row["mask"])
        measured = row["mask"] in ("this model", "dense", "magnitude after the short training")
        assert row["accuracy"] == full["accuracy"] / (1 if measured else 2)
    with pytest.raises(ZooError, match="other networks"):
        evaluate_tickets(built, folders, tmp_path / "other", earlier={**whole, "networks": 7})


def test_the_command_writes_a_mask_and_says_what_it_keeps(tmp_path):
    out = tmp_path / "mask.safetensors"
    arguments = ["predict", "ticket", "mnist-inits/test/0", "--sparsity", "0.98", "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    facts = json.loads(result.stdout)
    kept = sum(layer["kept"] for layer in facts["layers"])
    assert kept == 118_016 - round(0.98 * 118_016) == sum(int(mask.sum()) for mask in load_file(out).values())
    assert "1.weight" in CliRunner().invoke(app, [*arguments, "--overwrite"]).stdout


def test_the_command_refuses_a_picture():
    result = CliRunner().invoke(app, ["predict", "ticket", "mnist-sirens/test/0"])
    assert result.exit_code == 1 and isinstance(result.exception, ZooError)
