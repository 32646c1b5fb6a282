"""The wild zoo: architectures drawn at random, runs that depend on their settings alone, truths that torch measures."""

import json
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from nfn.architecture.trace import trace
from zoo import build_wild
from zoo.build import grow, run_build
from zoo.build_wild import KINDS, WildBuild, make_run, own_pixels, wild_images
from zoo.errors import ZooError
from zoo.wild_collection import read_wild, wild_networks, wild_rows
from zoo.wild_module import build_module
from zoo.wild_recipe import FAMILIES, MAX_COST, UNSEEN, Draw, WildRecipe, cost, draw_recipe
from zoo.wild_training import WildPlan, WildTraining, augment, draw_training, shifted, train

BUILD = WildBuild("cifar10", count=4, seed=5, effort=1e-3)


pytestmark = pytest.mark.usefixtures("local_images")


@pytest.fixture(scope="module")
def built(local_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wild") / "wild"
    run_build(BUILD, folder, "cpu", 1, lambda count: None)
    return folder


def drawn(family: str, number: int, channels: int = 3, size: int = 32) -> WildRecipe:
    return draw_recipe(family, channels, size, Draw(number))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_recipe_is_a_module_and_an_architecture_that_compute_the_same(family):
    for number, (channels, size) in product(range(6), ((1, 28), (3, 32))):
        recipe = drawn(family, number, channels, size)
        module = build_module(recipe).eval()
        for part in module.modules():  # statistics as after training
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                assert part.running_mean is not None
                part.running_mean.normal_()
        architecture = trace(module, (channels, size, size))
        x = torch.randn(3, channels, size, size)
        with torch.no_grad():
            torch.testing.assert_close(architecture.run(module.state_dict(), x), module(x))
        assert architecture.output_shape == (10,)
        assert cost(recipe) <= MAX_COST or not recipe.stages


def test_the_estimated_cost_is_near_the_architectures():
    for family, number in product(FAMILIES, range(5)):
        recipe = drawn(family, number)
        true = trace(build_module(recipe), (3, 32, 32)).multiplications
        assert 0.6 < cost(recipe) / true < 1.5, recipe


def test_drawn_recipes_cover_all_options():
    recipes = [drawn("cnn", number) for number in range(150)]
    for field, wanted in {
        "norm": {"none", "before", "after"},
        "activation": {"relu", "tanh", "gelu", "leaky_relu", "silu", "elu", "sigmoid"},
        "head": {"flatten", "average", "max"},
        "bias": {True, False},
    }.items():
        assert {getattr(recipe, field) for recipe in recipes} == wanted
    stages = [stage for recipe in recipes for stage in recipe.stages]
    assert {stage.pool for stage in stages} == {"none", "max", "average"}
    assert {stage.kernel for stage in stages} == {3, 5}
    assert {stage.padding for stage in stages} >= {0, 1}
    assert {len(recipe.stages) for recipe in recipes} >= {2, 3, 4, 5, 6}
    assert {len(recipe.linear) for recipe in recipes} == {0, 1, 2}
    assert {len(drawn("mlp", number).linear) + 1 for number in range(60)} == {1, 2, 3, 4, 5}
    assert {drawn("gelu-mlp", number).activation for number in range(20)} == {"gelu"}
    assert "gelu" not in {drawn("mlp", number).activation for number in range(60)}


def test_unseen_families_are_in_a_split_of_their_own():
    splits = {family: {split for split, other in KINDS if other == family} for family in FAMILIES}
    assert all(splits[family] == {"unseen"} for family in UNSEEN)
    assert splits["cnn"] == splits["mlp"] == {"train", "test"}
    assert Counter(split for split, _ in KINDS) == {"train": 12, "test": 5, "unseen": 3}


def test_a_recipe_survives_json():
    from dataclasses import asdict

    for family in FAMILIES:
        recipe = drawn(family, 1)
        assert WildRecipe.from_json(json.dumps(asdict(recipe))) == recipe


def test_truths_are_what_the_stored_network_has_on_the_test_pictures(built):
    pixels, labels = wild_images("cifar10", "test")
    networks = list(wild_networks(built))
    assert {network.facts["run"] for network in networks} == set(range(4))
    for network in networks:
        scores = network.scores(pixels.float() / 255)
        accuracy = float((scores.argmax(1) == labels).float().mean())
        assert accuracy == pytest.approx(network.facts["test_accuracy"])
        loss = float(nn.functional.cross_entropy(scores, labels))
        assert loss == pytest.approx(network.facts["test_loss"], rel=1e-3)


def test_checkpoints_of_a_run_share_recipe_and_split_and_the_last_is_at_the_end(built):
    rows = wild_rows(built)
    for number in range(BUILD.count):
        mine = [row for row in rows if row["run"] == number]
        assert 2 <= len(mine) <= 3
        assert {(row["split"], row["family"]) for row in mine} == {KINDS[number]}
        assert len({row["recipe"] for row in mine}) == 1
        steps = [row["step"] for row in mine]
        assert steps == sorted(set(steps))
        assert steps[-1] == mine[-1]["steps"]


def test_a_run_depends_on_its_settings_alone(built):
    rows = [row for row in wild_rows(built) if row["run"] == 2]
    again = make_run(BUILD, 2)
    stored = read_wild(built, rows[-1])
    for name, tensor in stored.tensors.items():
        assert torch.equal(tensor, again.tensors[f"{len(rows) - 1}/{name}"])
    other = make_run(replace(BUILD, seed=6), 2)
    assert other.rows[0]["training"] != again.rows[0]["training"]


def test_a_larger_count_extends_a_finished_build_to_the_same_files(built, tmp_path):
    run_build(replace(BUILD, count=3), tmp_path, "cpu", 1, lambda count: None)
    first = tmp_path / "weights-00000.safetensors"
    before, counts = first.stat().st_mtime_ns, []
    grow(BUILD, tmp_path)
    run_build(BUILD, tmp_path, "cpu", 1, counts.append)
    assert first.stat().st_mtime_ns == before, "a finished shard was made again"
    assert counts == [3, 1]
    extended, whole = ({path.name: path.read_bytes() for path in f.iterdir()} for f in (tmp_path, built))
    assert extended == whole


def test_other_settings_do_not_grow(built):
    grow(replace(BUILD, count=9, seed=1), built)
    with pytest.raises(ZooError, match="seed is 5 there and 1 here"):
        run_build(replace(BUILD, count=9, seed=1), built, "cpu", 1, lambda count: None)


@pytest.mark.parametrize(("changes", "message"), [
    ({"count": 0}, "at least 1"), ({"seed": -1}, "seed of 0"), ({"effort": 0.0}, "effort above 0"),
    ({"by_heart": 1.5}, "to be from 0 to 1"), ({"usual": -0.1}, "to be from 0 to 1"),
    ({"images": "svhn"}, "cifar10-gray"),
])  # fmt: skip
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ZooError, match=message):
        replace(BUILD, **changes).check()


def test_memorizing_trainings_repeat_the_first_few_thousand_pictures():
    recipe, own = drawn("cnn", 0), own_pixels("cifar10")
    plans = {share: WildPlan(2.0, share) for share in (0.0, 1.0)}
    sizes = {
        share: [draw_training(recipe, own, 45_000, plan, Draw(n)) for n in range(40)]
        for share, plan in plans.items()
    }
    assert all(t.subset == "first" and 2_000 <= t.train_images <= 8_000 for t in sizes[1.0])
    assert sum(t.train_images == 45_000 for t in sizes[0.0]) > 5
    epochs = sorted(t.steps * t.batch / t.train_images for t in sizes[1.0])
    assert epochs[20] > 5, "half of them see each picture more than five times"


def test_usual_trainings_have_right_labels_many_pictures_and_some_epochs():
    recipe, own = drawn("cnn", 0), own_pixels("cifar10")
    trainings = [draw_training(recipe, own, 45_000, WildPlan(usual=1.0), Draw(n)) for n in range(40)]
    assert all(t.shuffled_labels == 0 and t.train_images >= 10_000 for t in trainings)
    epochs = sorted(t.steps * t.batch / t.train_images for t in trainings)
    assert epochs[20] > 2 and epochs[-1] < 9


def recipe_for_training(**changes) -> WildTraining:
    recipe = drawn("mlp", 0)
    return replace(draw_training(recipe, own_pixels("cifar10"), 24, WildPlan(1e-3), Draw(0)), **changes)


def test_shifted_pictures_are_moved_and_filled_with_black():
    x = torch.randint(1, 256, (64, 2, 8, 8), dtype=torch.uint8)
    moved = shifted(x, 2, torch.Generator().manual_seed(0))
    padded = nn.functional.pad(x, (2, 2, 2, 2))
    offsets = set()
    for before, after in zip(padded, moved, strict=True):
        fits = [
            (i, j)
            for i, j in product(range(5), repeat=2)
            if torch.equal(before[:, i : i + 8, j : j + 8], after)
        ]
        assert len(fits) == 1
        offsets.add(fits[0])
    assert len(offsets) > 15, "every move should come up"


def test_a_batch_is_flipped_by_halves_and_normalised():
    training = recipe_for_training(flip=True, shift=0)
    x = torch.randint(0, 256, (200, 3, 4, 4), dtype=torch.uint8)
    out = augment(x, training, torch.Generator().manual_seed(0))
    plain, mirrored = training.pixels(x.float() / 255), training.pixels(x.flip(3).float() / 255)
    flips = [torch.allclose(a, b) for a, b in zip(out, mirrored, strict=True)]
    assert all(flip or torch.allclose(a, b) for flip, a, b in zip(flips, out, plain, strict=True))
    assert 70 < sum(flips) < 130


def test_a_diverging_training_ends_with_its_initial_weights():
    module = build_module(replace(drawn("mlp", 0), linear=(16,), norm="none", activation="relu"))
    training = recipe_for_training(
        optimizer="sgd", learning_rate=1e30, steps=30, keep=(20, 30), schedule="constant"
    )
    x, y = wild_images("cifar10", "train")
    kept = list(train(module, x, y, training, torch.Generator().manual_seed(0)))
    assert [step for step, _ in kept] == [0]
    assert all(torch.isfinite(value).all() for value in kept[0][1].state_dict().values())


def test_the_drawn_fraction_of_labels_is_shuffled(monkeypatch):
    labels = torch.arange(10).repeat(500)
    out = build_wild._shuffle(labels, 0.5, torch.Generator().manual_seed(0))
    assert 0.41 < float((out != labels).float().mean()) < 0.49, "half drawn anew, a tenth of them as before"
    assert torch.equal(build_wild._shuffle(labels, 0.0, torch.Generator()), labels)
