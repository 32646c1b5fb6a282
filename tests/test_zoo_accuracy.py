"""The accuracy predictor from zoo to card: what it reads, what it answers, what it leaves out to be honest."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
import torch

from nfn.accuracy.answers import angle, fraction
from nfn.accuracy.predictor import PLAIN, AccuracyPredictor
from nfn.network import ClassifierConvention, Graph, Network, SirenConvention
from zoo import evaluate_accuracy as evaluating
from zoo import train_accuracy
from zoo.build import run_build
from zoo.build_wild import WildBuild, wild_images
from zoo.card_accuracy import accuracy_card
from zoo.card_plot import reliability_svg
from zoo.commands.train import save
from zoo.evaluate_accuracy import evaluate_accuracy, noise_ceiling, tau_error
from zoo.train_accuracy import (
    AccuracyRecipe,
    calibrate,
    conformal_quantile,
    describe_training,
    describe_wild,
    leave_out,
    likeliest_correction_error,
    read_folders,
)
from zoo.train_accuracy import train_accuracy as fit_accuracy
from zoo.wild_collection import WildNetwork, wild_networks

RECIPE = AccuracyRecipe(steps=8, folds=3)


pytestmark = pytest.mark.usefixtures("local_images")


@pytest.fixture(scope="module")
def zoos(local_images, tmp_path_factory) -> list[Path]:
    """Two tiny wild zoos, with runs of all three splits."""
    root = tmp_path_factory.mktemp("zoos")
    builds = {
        "gray": WildBuild("cifar10-gray", count=6, effort=1e-3),
        "digits": WildBuild("mnist", 5, effort=1e-3),
    }
    for name, build in builds.items():
        run_build(build, root / name, "cpu", 1, lambda count: None)
    return [root / name for name in builds]


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def model(zoos, work) -> AccuracyPredictor:
    return fit_accuracy(zoos, RECIPE, work)


def first_network(zoo: Path) -> WildNetwork:
    return next(iter(wild_networks(zoo)))


def test_the_estimate_is_the_same_after_saving_and_loading(model, zoos, tmp_path):
    model.save(tmp_path / "accuracy")
    back = AccuracyPredictor.load(tmp_path / "accuracy")
    assert back.config == model.config
    for zoo, name, shape in zip(zoos, ("cifar10", "mnist"), ((1, 32, 32), (1, 28, 28)), strict=True):
        network = first_network(zoo)
        before, after = (m.estimate(name, shape, network.scores) for m in (model, back))
        assert after.test_accuracy == pytest.approx(before.test_accuracy, abs=5e-3), "half precision"
        assert after.seen == before.seen
        assert before.low <= before.test_accuracy <= before.high


def test_it_learns_from_the_training_split_alone(model, zoos):
    rows = [network.facts for zoo in zoos for network in wild_networks(zoo)]
    mine = [facts for facts in rows if facts["split"] == "train"]
    assert describe_training(model)["networks"] == len(mine) < len(rows)
    seen = model.processes[0].inputs[:, 0]
    torch.testing.assert_close(
        fraction(model.processes[0].targets + seen),
        torch.tensor([facts["test_accuracy"] for facts in mine]),
        atol=1e-5,
        rtol=0,
    )


def test_a_predictor_is_extended_without_the_networks_that_it_learned_from(model, zoos, work):
    both = [zoo for zoo in zoos if any(n.facts["split"] == "train" for n in wild_networks(zoo))]
    first = fit_accuracy(both[:1], RECIPE, work)
    extended = fit_accuracy(both[1:], RECIPE, work, earlier=first)
    assert describe_training(extended) == describe_training(model)
    network = first_network(zoos[1])
    before, after = (m.estimate("mnist", (1, 28, 28), network.scores) for m in (model, extended))
    assert after.test_accuracy == pytest.approx(before.test_accuracy, abs=1e-4)
    assert after.low == pytest.approx(before.low, abs=1e-4)
    assert first.estimate("mnist", (1, 28, 28), network.scores).low != pytest.approx(before.low, abs=1e-4)


def test_the_statistics_are_of_the_outputs_on_stored_pictures(model, zoos):
    network = first_network(zoos[1])
    pictures, labels = wild_images("mnist", "train")
    stored = model.pictures("mnist")
    assert torch.equal(stored.images, pictures[: len(stored.images)])
    answers = network.scores(stored.images.float() / 255).argmax(1)
    weights = torch.tensor(model.config.stored["mnist"].shares)[labels] / labels.bincount()[labels]
    accuracy = float((weights * (answers == labels)).sum() / weights.sum())
    read = model.features(model.statistics("mnist", (1, 28, 28), network.scores))
    assert float(read[0]) == pytest.approx(float(angle(torch.tensor(accuracy))), abs=1e-6)
    flipped = model.config.features.index(("flipped", "accuracy"))
    mirrored = model.features(model.statistics("mnist", (1, 28, 28), lambda x: network.scores(x.flip(3))))
    assert float(mirrored[flipped]) == pytest.approx(-float(read[flipped]), abs=1e-6)


def test_the_estimate_does_not_depend_on_the_unit_of_the_scores_or_on_what_they_are_called(model, zoos):
    network = first_network(zoos[1])
    first = model.estimate("mnist", (1, 28, 28), network.scores)
    second = model.estimate("mnist", (1, 28, 28), lambda x: torch.log_softmax(network.scores(x), 1) + 3)
    assert second.test_accuracy == pytest.approx(first.test_accuracy, abs=1e-3)


def test_large_networks_are_shown_fewer_pictures(model, zoos, monkeypatch):
    looks = (model.config.looks[0], replace(model.config.looks[1], pictures=7))
    monkeypatch.setattr(model, "config", replace(model.config, looks=looks))
    network, seen = first_network(zoos[1]), []

    def scores(x):
        seen.append(len(x))
        return network.scores(x)

    result = model.estimate("mnist", (1, 28, 28), scores, work=1e9)
    assert result.pictures == 7
    assert set(seen) == {7}


def test_impossible_inputs_give_clear_errors(model, zoos):
    network = first_network(zoos[1])
    with pytest.raises(ValueError, match=r"Unknown images 'svhn'.*mnist"):
        model.estimate("svhn", (3, 32, 32), network.scores)
    with pytest.raises(ValueError, match=r"gives \(9,\) for a picture; expected 10"):
        model.estimate("mnist", (1, 28, 28), lambda x: network.scores(x)[:, 1:])


def test_readability_follows_from_the_shapes_alone(model, zoos):
    from nfn.architecture.graph import Architecture
    from nfn.architecture.ops import Flatten, Linear

    def network(shape, inputs, classes, convention=None):
        linear = Linear(inputs=(len(shape) // 2,), weight="w")
        ops = (Flatten(inputs=(0,)), linear) if len(shape) > 1 else (linear,)
        architecture = Architecture(shape, ops, {"w": (classes, inputs)})
        return Network(
            None,
            convention or ClassifierConvention(),
            graph=Graph(architecture, {"w": torch.zeros(classes, inputs)}),
        )

    for zoo in zoos:
        graph = Graph(first_network(zoo).architecture, {})
        assert model.fault(Network(None, ClassifierConvention(), graph=graph)) is None
    assert model.fault(network((784,), 784, 10)) is None
    assert "3 outputs" in (model.fault(network((1, 28, 28), 784, 3)) or "")
    assert "4 inputs" in (model.fault(network((4, 2, 2), 16, 10)) or "")
    assert "not an image classifier" in (model.fault(network((2,), 2, 1, SirenConvention())) or "")


def test_a_network_unlike_the_zoo_gets_no_interval(model, monkeypatch):
    looks = tuple(replace(look, farthest=0.0) for look in model.config.looks)
    monkeypatch.setattr(model, "config", replace(model.config, looks=looks))
    result = model.estimate("mnist", (1, 28, 28), lambda x: torch.zeros(len(x), 10))
    assert (result.typical, result.low, result.high) == (False, 0.0, 1.0)


def test_networks_are_read_once(zoos, work, model, monkeypatch):
    monkeypatch.setattr(AccuracyPredictor, "statistics", None)
    again = fit_accuracy(zoos, RECIPE, work)
    assert str(again.state_dict()) == str(model.state_dict())
    assert again.config == model.config


def test_conformal_quantiles_have_their_coverage():
    generator = torch.Generator().manual_seed(0)
    inside = [
        float(errors[0] <= conformal_quantile(errors[1:], 0.9))
        for errors in torch.rand(3000, 30, generator=generator)
    ]
    assert 0.88 < sum(inside) / len(inside) < 0.95, "at least 90%, at most 1 / 30 more"
    assert conformal_quantile(torch.tensor([3.0, 1.0, 2.0]), 0.5) == 2.0


def test_intervals_grow_with_the_correction_as_left_out_errors_do(model):
    """Errors that are half as large as the correction are found to be so; and errors that do not depend on it."""
    process, kept = model.processes[0], model.config
    generator = torch.Generator().manual_seed(1)
    shift = torch.randn(len(process.targets), generator=generator, dtype=torch.float64)
    deviation = torch.full_like(shift, 0.01)
    targets = process.targets.clone()
    for truth in (0.3, 0.0):
        noise = torch.randn(len(shift), generator=generator).sign()
        process.targets.copy_(shift + noise * torch.hypot(deviation, truth * shift))
        assert likeliest_correction_error(model, 0, shift, deviation) == pytest.approx(truth, abs=0.11)
    process.targets.copy_(targets)
    widths = [[width(model, error, shift) for shift in (0.0, 0.1)] for error in (0.0, 0.5)]
    model.config = kept
    assert widths[1][1] > 1.5 * widths[0][1] and widths[1][0] == widths[0][0]


def width(model: AccuracyPredictor, correction_error: float, shift: float) -> float:
    """The width of an interval of a network of MNIST with this correction."""
    look = replace(
        model.config.looks[0], quantiles={"mnist": 1.0}, farthest=1.0, correction_error=correction_error
    )
    model.config = replace(model.config, looks=(look,))
    estimate = model._interval(0.8, shift, 0.01, model.config.groups.index("mnist"), 0)
    return estimate.high - estimate.low


def test_shares_are_those_of_the_whole_training_set(model):
    labels = torch.cat([wild_images("mnist", split)[1] for split in ("train", "validation")])
    expected = [(labels == kind).double().mean().item() for kind in range(10)]
    assert model.config.stored["mnist"].shares == pytest.approx(expected)
    with pytest.raises(ValueError, match="10 numbers from 0 to 1"):
        replace(model.config.stored["mnist"], shares=(0.5, 0.5))


def test_a_run_is_calibrated_on_the_other_runs(model, zoos, work):
    """A run whose targets are wrong makes itself surprising, and does not explain itself."""
    examples = read_folders(model, zoos, work).where(lambda facts: facts["split"] == "train")
    process = model.processes[0]
    before = leave_out(process, examples.runs, 3)[0]
    mine = examples.runs == 0
    kept = process.targets.clone()
    process.targets[mine] += 0.5
    after = leave_out(process, examples.runs, 3)[0]
    process.targets.copy_(kept)
    torch.testing.assert_close(after[mine], before[mine])
    assert not torch.allclose(after[~mine], before[~mine])


def test_calibration_follows_the_errors(model):
    kept = model.config
    model.processes[0].targets.mul_(3)
    calibrate(model, 0, RECIPE)
    wide, model.config = model.config.looks[0].quantiles, kept
    model.processes[0].targets.div_(3)
    narrow = kept.looks[0].quantiles
    errors = train_accuracy.left_out_errors(model, 0, RECIPE.folds)
    assert train_accuracy.group_quantiles(model, 0, errors, RECIPE.coverage) == pytest.approx(
        narrow, rel=1e-4
    )
    assert set(narrow) == set(wide) == {"cifar10-gray", "mnist"}
    assert all(wide[name] > narrow[name] for name in wide)


def test_the_card_contains_the_measured_figures(model, zoos, work, tmp_path):
    facts = {
        "recipe": {"steps": 8},
        "seconds": 61,
        **describe_training(model),
        "wild": list(map(describe_wild, zoos)),
    }
    save("accuracy", model, tmp_path, [], facts)
    metrics = evaluate_accuracy(AccuracyPredictor.load(tmp_path), zoos, [], work, facts["wild"])
    named = {row["which"]: row for row in metrics["accuracy"]}
    assert {"all held out", "all of families never trained on", "cifar10-gray", "mnist"} <= set(named)
    rows = [network.facts for zoo in zoos for network in wild_networks(zoo)]
    assert named["all held out"]["networks"] == sum(facts["split"] == "test" for facts in rows)
    assert named["family resnet, never trained on"]["networks"] == sum(f["split"] == "unseen" for f in rows)
    training = json.loads((tmp_path / "training.json").read_text())
    card = accuracy_card(training, metrics, [])
    row = named["all held out"]
    for text in (
        f"{row['tau']}",
        f"{100 * row['mae']:.1f}%",
        "cifar10-gray",
        f"{training['networks']} networks".split()[0],
    ):
        assert text in card
    held_out, unseen = metrics["reliability"]
    assert len(held_out["measured"]) + len(unseen["predicted"]) == sum(f["split"] != "train" for f in rows)
    assert list(held_out["levels"].values()) == sorted(held_out["levels"].values())
    plot = reliability_svg(metrics["reliability"])
    assert fromstring(plot).tag.endswith("svg") and "families never trained on" in plot
    assert plot.count("h0") == len(rows) - training["networks"] + 2 * len(held_out["levels"])


def test_all_runs_of_a_build_that_it_was_not_trained_on_are_held_out(model, zoos, work):
    trained = [describe_wild(zoo) for zoo in zoos]

    def splits(builds) -> list[str]:
        held_out = evaluating.read_held_out(model, zoos, work, builds)
        return [facts["split"] for facts in held_out.facts if facts["collection"] == zoos[1].name]

    rows = [network.facts for network in wild_networks(zoos[1])]
    assert splits(trained) == [facts["split"] for facts in rows if facts["split"] != "train"]
    longer = {**trained[1], "count": 99}  # a build that grew draws the same runs
    assert splits([trained[0], longer]) == splits(trained)
    for other in ({**trained[1], "seed": 7}, {**trained[1], "images": "fashion_mnist"}):
        names = {"train": "test"}
        assert splits([trained[0], other]) == [names.get(facts["split"], facts["split"]) for facts in rows]


def test_figures_match_a_slow_count(model, zoos, work):
    held_out = read_folders(model, zoos, work).where(lambda facts: facts["split"] != "train")
    for facts in held_out.facts:
        facts["confidence"] = 0.5
    row = evaluating.figures(model, held_out)
    truths = [facts["test_accuracy"] for facts in held_out.facts]
    results = model.explain(held_out.read[0], held_out.groups)
    typical = [(r, t) for r, t in zip(results, truths, strict=True) if r.typical]
    inside = sum(r.low <= t <= r.high for r, t in typical)
    assert row["coverage"] == round(inside / max(1, len(typical)), 4)
    assert evaluating.observed(model, held_out, model.config.looks[0].quantiles) == row["coverage"]
    mean_error = sum(abs(r.test_accuracy - t) for r, t in zip(results, truths, strict=True)) / len(truths)
    assert row["mae"] == pytest.approx(mean_error, abs=1e-4)
    assert row["confidence_mae"] == pytest.approx(sum(abs(0.5 - t) for t in truths) / len(truths), abs=1e-4)


def test_the_ceiling_is_lower_where_accuracies_are_alike():
    spread, alike = torch.linspace(0.1, 0.9, 200).double(), torch.linspace(0.5, 0.51, 200).double()
    assert noise_ceiling(spread) > 0.98
    assert noise_ceiling(alike) < 0.5


def test_the_standard_error_of_tau_counts_runs_and_not_their_checkpoints():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(40, generator=generator, dtype=torch.float64)
    predicted, runs = truth + 0.2 * torch.rand(40, generator=generator), torch.arange(40)
    assert tau_error(truth, truth, runs) == 0
    once = tau_error(predicted, truth, runs)
    copies = tau_error(predicted.repeat(4), truth.repeat(4), runs.repeat(4))
    assert once > 0.02 and copies == pytest.approx(once, rel=0.2)  # four copies of a run say nothing new
    assert tau_error(predicted.repeat(4), truth.repeat(4), torch.arange(160)) < 0.8 * once


def test_the_feature_list_names_what_exists():
    from nfn.accuracy.answers import STATISTICS
    from nfn.accuracy.perturb import PERTURBATIONS

    assert all(name in PERTURBATIONS and number in STATISTICS for name, number in train_accuracy.FEATURES)
    assert train_accuracy.FEATURES[0] == (PLAIN, "accuracy")
