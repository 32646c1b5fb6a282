"""Weights-only readers: they learn, are invariant, resume training, and refuse what they cannot read."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nfn_cases import random_features
from typer.testing import CliRunner

from nfn.augment import mirror_columns
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.network import ClassifierConvention
from nfn.permutation import permute, random_permutations
from nfn.weight_reader import WeightReader, WeightReaderConfig
from zoo.__main__ import app
from zoo.card_plot import learning_curve_svg
from zoo.card_reader import LEARNING_CURVE_PLOT, curve_svg, reader_card
from zoo.catalog import EMBEDDED, Zoo
from zoo.collection import Collection
from zoo.commands.evaluate import read_baselines
from zoo.errors import ZooError
from zoo.evaluate_classifier import equivalent_copies
from zoo.evaluate_reader import evaluate_reader, number_row, rescaled
from zoo.files import read_json
from zoo.train_reader import (
    ReaderRecipe,
    ReaderSize,
    activations_of,
    canonical_of,
    reader_config,
    run_batched,
    split_rows,
    train_reader,
)

IMAGES = Path(__file__).parent / "data/images"
QUICK = ReaderRecipe(samples=960, batch=16)


@pytest.fixture(scope="module")
def reader(digits, tmp_path_factory) -> WeightReader:
    return train_reader([digits], "label", ReaderSize(16), QUICK, tmp_path_factory.mktemp("work"), "cpu")


def test_a_reader_learns_what_its_networks_show(reader, digits):
    collection = Collection(digits)
    chosen, _ = split_rows(collection)
    right = run_batched(reader, collection.normalized(chosen.tolist())).argmax(1) == collection.labels[chosen]
    assert right.float().mean() > 0.75


def test_permuted_and_flipped_copies_get_the_same_answers(reader, digits):
    features = Collection(digits).normalized()
    before = run_batched(reader, features)
    for copy in equivalent_copies(features, torch.Generator().manual_seed(0)).values():
        torch.testing.assert_close(run_batched(reader, copy), before, atol=2e-3, rtol=0)


def test_an_interrupted_reader_ends_where_an_uninterrupted_one_does(reader, digits, tmp_path):
    class Interrupted(Exception):
        pass

    def stop(features):
        raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        rate = ReaderRecipe.rate
        patch.setattr(ReaderRecipe, "rate", lambda self, i: stop(i) if i == 40 else rate(self, i))
        with pytest.raises(Interrupted):
            train_reader([digits], "label", ReaderSize(16), QUICK, tmp_path, "cpu")
    again = train_reader([digits], "label", ReaderSize(16), QUICK, tmp_path, "cpu")
    for name, tensor in reader.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert "validation" in (tmp_path / "curve.json").read_text()


def test_a_saved_reader_gives_the_same_answers(reader, digits, tmp_path):
    reader.save(tmp_path)
    network = Collection(digits).network("train/3")
    result, again = reader.predict(network), WeightReader.load(tmp_path).predict(network)
    assert again.label == result.label and again.domain == "mnist"
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert result.domain_probabilities == {"mnist": pytest.approx(1)}


def test_an_answer_does_not_depend_on_what_else_is_read(reader, digits):
    assert reader.config.views == 8 and not reader.config.mirror
    features = Collection(digits).normalized()
    together = reader.read(features)
    assert not torch.allclose(together, reader(features).log_softmax(1).detach())
    torch.testing.assert_close(reader.read(features.select(3)), together[3:4], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(together.exp().sum(1), torch.ones(16))


def test_attributions_follow_the_weights_that_they_are_of(reader, digits):
    network = Collection(digits).network("train/0")
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    moved = permute(network.features, [order, order.flip(0)])
    found = reader.attribute(network, "mnist", "5")
    assert found.weights[1].shape == (1, 1, 32, 32) and found.weights[1].abs().max() > 0
    again = reader.attribute(network.with_features(moved), "mnist", "5")
    for got, want in zip(again.tensors, permute(found, [order, order.flip(0)]).tensors, strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-3)


@pytest.fixture(scope="module")
def small_cnns() -> tuple[WeightReader, WeightSpaceFeatures, tuple[str, ...]]:
    """A reader of accuracies, and networks that it reads: features in our convention, and activations."""
    collection = Collection(EMBEDDED / "collections/cifar10-cnns")
    reader = Zoo().predictor("reader-cifar10-cnns", WeightReader)
    return reader, collection.normalized(slice(0, 12)), activations_of(collection)[:12]


def test_attributions_of_a_permuted_copy_are_the_permuted_attributions(small_cnns):
    reader, features, activations = small_cnns
    generator = torch.Generator().manual_seed(0)
    orders = random_permutations(network_spec_from_wsfeat(features, set_all_dims=True), generator)
    wanted = permute(reader.attribution(features, activations), orders)
    assert set(activations) == {"relu", "tanh"} and all(x.abs().max() > 0 for x in wanted.tensors)
    for got, want in zip(
        reader.attribution(permute(features, orders), activations).tensors, wanted.tensors, strict=True
    ):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-3)


def test_attributions_are_in_accuracy(small_cnns):
    """Scaling a tensor by 1 + h changes the accuracy by about h times the sum of its attributions."""
    reader, features, activations = small_cnns
    found, h = reader.attribution(features, activations), 1e-2
    for place, contributions in enumerate(found.tensors):

        def accuracies(factor: float, place: int = place) -> torch.Tensor:
            tensors = [x * factor if i == place else x for i, x in enumerate(features.tensors)]
            return reader.read(features.with_tensors(tensors), activations)[:, 0] * reader.config.deviation

        change = (accuracies(1 + h) - accuracies(1 - h)) / (2 * h)
        torch.testing.assert_close(contributions.flatten(1).sum(1), change, atol=1e-5, rtol=1e-3)


def test_what_enters_a_relu_unit_counts_as_much_as_what_leaves_it(small_cnns):
    """The reader does not see the scale of such a unit, so the attributions of both sides are equal."""
    reader, features, activations = small_cnns
    relu = [i for i, name in enumerate(activations) if name == "relu"]
    found = reader.attribution(features.select(relu), ["relu"] * len(relu))
    for (weight, bias), (after, _) in itertools.pairwise(found):
        enters, leaves = weight.flatten(3).sum(3) + bias, after.movedim(3, 2).flatten(3).sum(3)
        torch.testing.assert_close(enters, leaves, atol=1e-6, rtol=1e-3)


def test_attributions_of_networks_with_units_of_zeros_are_numbers(small_cnns):
    reader, features, activations = small_cnns
    dead = features.map(lambda x: x.clone())
    dead.weights[1][:, :, :3], dead.biases[1][:, :, :3] = 0, 0
    found = reader.attribution(dead, activations)
    assert all(x.isfinite().all() for x in found.tensors)
    assert all((x[:, :, :3] == 0).all() for x in (found.weights[1], found.biases[1]))


def test_unknown_domains_are_reported_by_a_reader(reader, digits):
    network = Collection(digits).network("train/0")
    with pytest.raises(ValueError, match="knows no domain 'cifar10'"):
        reader.predict(network, "cifar10")
    wide = network.with_features(network.features.map(lambda x: torch.cat([x, x], 2)))
    with pytest.raises(ValueError, match=r"another shape than those .* layers of 32 x 2, 32 x 32, 1 x 32"):
        reader.predict(wide)
    assert reader.fault(network) is None and "one row" in str(reader.fault(replace(network, chain=None)))
    ended = replace(network, convention=replace(network.siren, output="sigmoid"))
    assert "a sigmoid at the end" in str(reader.fault(ended))
    assert "is a classifier" in str(reader.fault(replace(network, convention=ClassifierConvention())))


def test_a_number_of_small_cnns_is_read(tmp_path):
    folder = EMBEDDED / "collections/cifar10-cnns"
    config = reader_config("accuracy", [Collection(folder)], ReaderSize(8))
    assert config.outputs == 1 and config.canonical == "activation" and not config.labels
    model = WeightReader(replace(config, mean=0.4, deviation=0.1))
    number = model.predict(Collection(folder).network("test/0")).number
    assert number is not None and -2 < number < 2
    with pytest.raises(ZooError, match="no networks in the split 'train'"):
        train_reader([folder], "accuracy", ReaderSize(8), QUICK, tmp_path, "cpu")


def test_rescaled_and_sign_flipped_copies_of_classifiers_get_the_same_number():
    collection = Collection(EMBEDDED / "collections/cifar10-cnns")
    features, activations = collection.features(slice(0, 40)), activations_of(collection)[:40]
    assert set(activations) == {"relu", "tanh"}
    copies = rescaled(features, activations, torch.Generator().manual_seed(0))
    assert not torch.allclose(copies.weights[0], features.weights[0])
    config, answers = reader_config("accuracy", [collection], ReaderSize(8)), {}
    for canonical in ("activation", "none"):
        torch.manual_seed(0)
        model = WeightReader(replace(config, canonical=canonical)).eval()
        model.measure(features, activations)
        answers[canonical] = [run_batched(model.read, x, activations) for x in (features, copies)]
    torch.testing.assert_close(*answers["activation"], atol=1e-3, rtol=1e-3)
    assert (answers["none"][0] - answers["none"][1]).abs().max() > 0.05


def test_a_reader_of_classifiers_needs_an_activation_that_it_knows():
    collection = Collection(EMBEDDED / "collections/cifar10-cnns")
    model, network = (
        WeightReader(reader_config("accuracy", [collection], ReaderSize(4))),
        collection.network("test/0"),
    )
    assert model.fault(network) is None
    for activation, message in ((None, "activation is not known"), ("gelu", "gelu; this reader knows")):
        other = replace(network, convention=replace(network.classifier, activation=activation))
        assert message in str(model.fault(other))


@pytest.mark.parametrize(
    ("name", "images"), [("cifar10-cnns", "CIFAR-10"), ("fashion-mnist-cnns", "Fashion-MNIST")]
)
def test_titles_write_image_sets_as_people_do(name, images):
    config = reader_config("accuracy", [Collection(EMBEDDED / "collections" / name)], ReaderSize(4))
    title = f"The accuracy of {images} networks, from weights alone"
    assert WeightReader(config).title == title
    assert title in {info.title for info in Zoo().predictors()}


def test_networks_of_other_activations_are_read_as_they_are(monkeypatch):
    monkeypatch.setattr("zoo.train_reader.activations_of", lambda collection: ("relu", "gelu"))
    assert canonical_of([Collection(EMBEDDED / "collections/cifar10-cnns")]) == "none"


def test_labels_of_mirrored_sets_do_not_depend_on_the_side_and_other_answers_stay():
    """Of two sets of two labels each; the second is mirrored."""
    torch.manual_seed(0)
    labels = {"mnist": ["0", "1"], "fashion_mnist": ["shirt", "bag"]}
    config = WeightReaderConfig(
        ((8, 2), (8, 8), (1, 8)), labels=labels, channels=8, mirror=("fashion_mnist",)
    )
    model = WeightReader(config).eval()
    plain = WeightReader(replace(config, mirror=())).eval()
    plain.load_state_dict(model.state_dict())
    features = random_features(config.spec, 1).map(lambda x: x.float())
    own, other = (model.read(x).exp() for x in (features, mirror_columns(features)))
    before = plain.read(features).exp()
    torch.testing.assert_close(own[:, :2], before[:, :2])
    torch.testing.assert_close(own.sum(1), torch.ones(len(own)))
    torch.testing.assert_close(own[:, 2] / own[:, 3], other[:, 2] / other[:, 3])
    assert not torch.allclose(own[:, 2], before[:, 2], rtol=1e-4)


def test_a_number_of_sirens_is_measured():
    collection = Collection(EMBEDDED / "collections/mnist-sirens")
    row = number_row(WeightReader(reader_config("psnr", [collection], ReaderSize(4))), collection)
    assert row["networks"] == len(collection) and row["images"] == "mnist" and row["error"] > 0


def test_columns_and_shapes_that_do_not_fit_are_named(digits):
    with pytest.raises(ZooError, match="no column 'test_accuracy': choose one of id, split"):
        reader_config("accuracy", [Collection(digits)], ReaderSize(8))
    with pytest.raises(ZooError, match="of one shape; these collections have 2"):
        reader_config(
            "label", [Collection(digits), Collection(EMBEDDED / "collections/cifar10-sirens")], ReaderSize(8)
        )
    with pytest.raises(ValueError, match="canonical 'cosine'"):
        WeightReaderConfig(((2, 2),), canonical="cosine")  # type: ignore[arg-type]


def test_the_card_has_every_figure_and_the_curve_a_line_for_each_image_set(reader, digits, monkeypatch):
    monkeypatch.setattr("zoo.evaluate_classifier.BATCH", 8)
    metrics = evaluate_reader(reader, [digits])
    training = {
        "recipe": {"samples": 640, "seed": 0}, "seconds": 120, "device": "cpu", "machine": "2 cores", "torch": "2.13.0",
        "collections": [{"collection": "c", "images": "mnist", "recipe": "varied", "networks": 5, "psnr": 30.0}],
    }  # fmt: skip
    card = reader_card(training, metrics, [])
    assert f"{100 * metrics['rows'][0]['accuracy']:.1f}%" in card and "2 minutes on cpu" in card
    assert metrics["symmetry"][0]["permuted"] < 1e-2 and metrics["rows"][0]["accuracy_auto"] > 0.8
    picture = curve_svg(
        [{"samples": 8, "validation": [0.1, 0.2]}, {"samples": 16, "validation": [0.3, 0.4]}], ["a", "b"]
    )
    assert picture.count("<polyline") == 2 and "16 networks seen" in picture


def test_a_learning_curve_is_drawn_from_the_figures_of_the_card():
    """Heights are linear in tau, and each doubling of the runs is as far."""
    folder = EMBEDDED / "predictors/reader-cifar10-cnns"
    training, metrics = (read_json(folder / name) for name in ("training.json", "metrics.json"))
    rows = training["learning_curve"]
    picture = learning_curve_svg(rows[::-1], 160)
    assert picture == (folder / LEARNING_CURVE_PLOT).read_text() and "160 held-out networks" in picture
    places = [
        [float(n) for n in pair] for pair in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', picture)
    ]
    steps = [b[0] - a[0] for a, b in itertools.pairwise(places)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    slopes = [
        (b[1] - a[1]) / (two["tau"] - one["tau"])
        for (a, b), (one, two) in zip(itertools.pairwise(places), itertools.pairwise(rows), strict=True)
    ]
    assert slopes == pytest.approx([slopes[0]] * 3, rel=0.02) and slopes[0] < 0
    card = reader_card(training, metrics, read_baselines(folder))
    assert card == (folder / "README.md").read_text()
    assert "| 512 | 1536 |" in card and LEARNING_CURVE_PLOT in card
    assert LEARNING_CURVE_PLOT not in reader_card({**training, "learning_curve": []}, metrics, [])


def test_the_command_trains_measures_and_writes_a_card(digits, tmp_path):
    out, work = str(tmp_path / "reader"), str(tmp_path / "work")
    run = CliRunner().invoke(
        app,
        ["train", "reader", str(digits), "--out", out, "--work", work, "--samples", "32", "--channels", "4"],
    )
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(app, ["evaluate", "reader", str(digits), "--folder", out])
    assert run.exit_code == 0, run.output
    assert {path.name for path in Path(out).iterdir()} == {
        "config.json", "curve.svg", "metrics.json", "model.safetensors", "README.md", "training.json"
    }  # fmt: skip
