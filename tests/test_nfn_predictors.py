"""What must hold for both SIREN predictors whatever their weights, and what the shipped ones must achieve."""

import dataclasses
import json
import math
import resource
import time

import pytest
import torch
from safetensors.torch import save_file

from nfn.classifier import InrClassifier, InrClassifierConfig
from nfn.editor import InrEditor, InrEditorConfig
from nfn.features import WeightSpaceFeatures
from nfn.network import ClassifierConvention, Network, SirenConvention
from nfn.operators import STYLES, apply_style
from nfn.permutation import flip_signs, permute, permute_uncoupled, random_permutations, random_signs
from nfn.predictor_config import MAX_ITEMS, MAX_REPEATED
from nfn.siren import random_sirens, render
from nfn.spec import NetworkSpec
from nfn.weight_reader import WeightReader, WeightReaderConfig
from zoo.catalog import Zoo
from zoo.errors import ZooError
from zoo.predictors import load_predictor

LABELS = {"cats": ["tabby", "manx"], "dogs": ["pug", "beagle", "spitz"]}
COLLECTIONS = {"mnist-sirens": "mnist", "fashion-mnist-sirens": "fashion_mnist", "cifar10-sirens": "cifar10"}


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo()


@pytest.fixture(scope="module")
def classifier(zoo) -> InrClassifier:
    return zoo.predictor("inr-classifier")


@pytest.fixture(scope="module")
def editor(zoo) -> InrEditor:
    return zoo.predictor("inr-editor")


def networks(zoo: Zoo, collection: str, count: int) -> list[tuple[Network, str]]:
    """Networks of the embedded zoo and what they show."""
    return [(zoo.network(row["id"]), row["label"]) for row in zoo.rows(collection, count)]


def with_features(network: Network, features: WeightSpaceFeatures) -> Network:
    return network.with_features(features)


def random_network(spec: NetworkSpec, seed: int = 0) -> Network:
    features = random_sirens(1, spec, torch.Generator().manual_seed(seed))
    return Network(features, SirenConvention())


def small_classifier() -> InrClassifier:
    torch.manual_seed(0)
    return InrClassifier(InrClassifierConfig(LABELS, size=16, widths=(4, 8))).eval()


# Saving and loading


@pytest.mark.parametrize("model", [small_classifier(), InrEditor(InrEditorConfig(channels=4, steps=2))])
def test_a_saved_predictor_comes_back(model, tmp_path):
    model.half().float().save(tmp_path)
    loaded = type(model).load(tmp_path)
    assert loaded.config == model.config and not loaded.training
    for (name, before), after in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(before, after), name


def test_a_predictor_of_another_kind_is_refused(tmp_path):
    small_classifier().save(tmp_path)
    with pytest.raises(ValueError, match="'inr-classifier' predictor, not 'inr-editor'"):
        InrEditor.load(tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    small_classifier().save(tmp_path)
    save_file({"head.0.0.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        InrClassifier.load(tmp_path)


DAMAGED = {
    "no JSON": (b"{", "is damaged: it is not JSON"),
    "deep": (b"[" * 100_000, "is damaged: it is not JSON"),
    "a list": (b"[]", "expected a JSON object, got list"),
    "another predictor": ({"predictor": ["x"]}, "this version knows inr-classifier"),
    "an unknown field": ({"colour": 1}, "it is no InrEditorConfig: .*colour"),
    "a text": ({"channels": "4"}, "channels of InrEditorConfig cannot be '4'"),
    "a fraction": ({"channels": 4.5}, "channels of InrEditorConfig cannot be '4.5'"),
    "truth": ({"depth": True}, "depth of InrEditorConfig cannot be 'True'"),
    "a negative": ({"channels": -1}, "channels of InrEditorConfig cannot be '-1'"),
    "too deep": ({"depth": 10**6}, "depth of InrEditorConfig cannot be '1000000'"),
    "too many layers": ({"layers": 10**6}, "layers of InrEditorConfig cannot be"),
    "nothing": ({"layers": 0}, "no inr-editor has the sizes in config.json"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_config_is_refused_in_one_sentence(tmp_path, content, words):
    folder = tmp_path / "some-editor"
    InrEditor(InrEditorConfig(channels=4)).save(folder)
    if isinstance(content, dict):
        content = json.dumps({**json.loads((folder / "config.json").read_text()), **content}).encode()
    (folder / "config.json").write_bytes(content)
    with pytest.raises(
        ZooError, match=f"^The predictor some-editor cannot be used: some-editor.*{words}"
    ) as caught:
        load_predictor(folder)
    assert str(caught.value).endswith(".") and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("channels", [5, 10**5, 10**9])
def test_a_predictor_larger_than_its_file_is_not_built(tmp_path, channels):
    """Of 10^5 channels, one layer would have 10^11 weights."""
    folder = tmp_path / "some-editor"
    InrEditor(InrEditorConfig(channels=4)).save(folder)
    (folder / "config.json").write_text(json.dumps({"predictor": "inr-editor", "channels": channels}))
    before = peak_memory()
    with pytest.raises(ZooError, match=r"size mismatch|no inr-editor has the sizes") as caught:
        load_predictor(folder)
    assert peak_memory() - before < 100 and str(caught.value).isprintable() and "\\n" not in str(caught.value)


def peak_memory() -> int:
    """The most MiB that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.parametrize("damage", [b"", b"\xff" * 8, (2).to_bytes(8, "little") + b"[]"])
def test_damaged_weights_are_refused(tmp_path, damage):
    InrEditor(InrEditorConfig(channels=4)).save(tmp_path / "some-editor")
    (tmp_path / "some-editor" / "model.safetensors").write_bytes(damage)
    with pytest.raises(ZooError, match="cannot be used: some-editor is damaged: "):
        load_predictor(tmp_path / "some-editor")


def test_the_deepest_predictor_is_refused_quickly(tmp_path):
    shapes = [[2, 2]] * MAX_ITEMS
    config = {"predictor": "weight-reader", "shapes": shapes, "labels": {}, "rounds": MAX_REPEATED}
    folder = tmp_path / "some-reader"
    WeightReader(WeightReaderConfig(((4, 2), (1, 4)), channels=4, head=4)).save(folder)
    (folder / "config.json").write_text(json.dumps(config))
    start = time.process_time()
    with pytest.raises(ZooError, match="cannot be used"):
        load_predictor(folder)
    assert time.process_time() - start < 10


# The classifier, whatever its weights


def test_probabilities_sum_to_one_within_the_domain():
    model = small_classifier()
    result = model.explain(torch.tensor([0.1, 0.1, 0.3, 0.05, 0.15, 0.3]))
    assert (result.domain, result.label) == ("dogs", "pug")
    assert result.probabilities == pytest.approx({"pug": 0.6, "beagle": 0.1, "spitz": 0.3})
    assert result.domain_probabilities == pytest.approx({"cats": 2 / 7, "dogs": 5 / 7})
    assert result.typicality == pytest.approx(0.7) and result.typical
    answer = model.explain(torch.tensor([0.1, 0.1, 0.3, 0.05, 0.15, 0.3]), "cats")
    assert answer.label == "tabby" and answer.probabilities == pytest.approx({"tabby": 0.5, "manx": 0.5})


def test_out_of_distribution_inputs_are_not_typical():
    assert not small_classifier().explain(torch.tensor([0.1, 0.1, 0.1, 0.1, 0.05, 0.55])).typical
    assert not small_classifier().explain(torch.full((6,), math.nan)).typical


def test_unknown_domains_and_other_networks_are_refused():
    model, network = small_classifier(), random_network(NetworkSpec.mlp(2, 8, 1))
    with pytest.raises(ValueError, match="'birds': choose one of auto, cats, dogs"):
        model.predict(network, "birds")
    with pytest.raises(ValueError, match="a classifier of 2 inputs and 1 output, not a picture"):
        model.predict(dataclasses.replace(network, convention=ClassifierConvention()))


@pytest.mark.parametrize(
    "spec", [NetworkSpec.mlp(2, 1), NetworkSpec.mlp(2, 64, 1), NetworkSpec.mlp(2, 9, 8, 7, 3)]
)
def test_any_depth_and_width_can_be_read(spec):
    result = small_classifier().predict(random_network(spec))
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-5)


# The editor, whatever its weights


def make_editor(steps: int = 2) -> InrEditor:
    torch.manual_seed(0)
    model = InrEditor(InrEditorConfig(channels=6, steps=steps)).double().eval()
    model.scales.copy_(torch.rand_like(model.scales) * 0.02 + 0.01)
    return model


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_update_is_equivariant_to_permutations_and_sign_flips_and_sensitive_to_uncoupled_ones(outputs):
    model, spec, generator = (
        make_editor(),
        NetworkSpec.mlp(2, 10, 12, outputs),
        torch.Generator().manual_seed(1),
    )
    features = random_sirens(2, spec, generator).to(torch.float64)
    targets = torch.rand(2, outputs, 9, 9, generator=generator, dtype=torch.float64)
    order, signs = random_permutations(spec, generator), random_signs(spec, generator)
    out = model(features, targets)[-1]
    for change in (lambda x: permute(x, order), lambda x: flip_signs(x, signs)):
        for (w1, b1), (w2, b2) in zip(model(change(features), targets)[-1], change(out), strict=True):
            torch.testing.assert_close(w1, w2, atol=1e-9, rtol=1e-7)
            torch.testing.assert_close(b1, b2, atol=1e-9, rtol=1e-7)
    uncoupled = (*order, None), (None, None, None)
    broken = model(permute_uncoupled(features, *uncoupled), targets)[-1]
    assert (broken.weights[1] - permute_uncoupled(out, *uncoupled).weights[1]).abs().max() > 1e-6


def test_no_step_makes_an_edit_worse_than_none():
    model, features = (
        make_editor(),
        random_sirens(3, NetworkSpec.mlp(2, 8, 8, 1), torch.Generator().manual_seed(0)),
    )
    features, targets = features.to(torch.float64), torch.zeros(3, 1, 9, 9, dtype=torch.float64)
    before = (render(features, 9, 9).clamp(-1, 1) - targets).square().flatten(1).mean(1)
    after = (render(model.best(features, targets), 9, 9).clamp(-1, 1) - targets).square().flatten(1).mean(1)
    assert (after <= before + 1e-12).all()


def test_other_networks_and_styles_are_refused():
    model = make_editor().float()
    with pytest.raises(ValueError, match="a classifier of 2 inputs and 1 output, not a picture"):
        model.edit(
            dataclasses.replace(
                random_network(NetworkSpec.mlp(2, 8, 8, 1)), convention=ClassifierConvention()
            ),
            "dilate",
        )
    with pytest.raises(ValueError, match="Unknown style"):
        model.edit(random_network(NetworkSpec.mlp(2, 8, 8, 1)), "glitter")


# What ships


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_the_shipped_classifier_reads_held_out_sirens(zoo, classifier, collection):
    bar = {"mnist-sirens": 0.97, "fashion-mnist-sirens": 0.84, "cifar10-sirens": 0.56}[collection]
    results = [(classifier.predict(network), label) for network, label in networks(zoo, collection, 120)]
    assert sum(r.domain == COLLECTIONS[collection] for r, _ in results) >= 0.97 * len(results)
    assert sum(r.label == label for r, label in results) >= bar * len(results)
    assert sum(r.typical for r, _ in results) >= 0.95 * len(results)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_the_shipped_classifier_is_invariant_to_permutations_sign_flips_and_conventions(
    zoo, classifier, collection
):
    network, _ = networks(zoo, collection, 1)[0]
    generator = torch.Generator().manual_seed(0)
    convention = SirenConvention(10, 15, 0, 1, "col_row")
    copies = [
        with_features(network, permute(network.features, random_permutations(network.spec, generator))),
        with_features(network, flip_signs(network.features, random_signs(network.spec, generator))),
        dataclasses.replace(
            network.with_features(convention.denormalize(network.features)), convention=convention
        ),
    ]
    before = classifier.predict(network)
    for copy in copies:
        after = classifier.predict(copy)
        assert after.label == before.label
        assert after.probabilities == pytest.approx(before.probabilities, abs=1e-3)


@pytest.mark.parametrize("outputs", [1, 3])
def test_untrained_and_scrambled_sirens_are_out_of_distribution(zoo, classifier, outputs):
    spec = NetworkSpec.mlp(2, 32, 32, outputs)
    untrained = [classifier.predict(random_network(spec, seed)) for seed in range(40)]
    assert sum(r.typical for r in untrained) <= 2
    collection = "mnist-sirens" if outputs == 1 else "cifar10-sirens"
    generator, scrambled = torch.Generator().manual_seed(0), []
    for network, _ in networks(zoo, collection, 40):
        order = random_permutations(network.spec, generator)
        broken = permute_uncoupled(network.features, (*order, None), (None,) * 3)
        scrambled.append(classifier.predict(with_features(network, broken)))
    assert sum(r.typical for r in scrambled) <= 6


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("style", STYLES)
def test_the_shipped_editor_does_what_the_operator_does(zoo, editor, collection, style):
    edits = [editor.edit(network, style) for network, _ in networks(zoo, collection, 10)]
    error = sum(edit.mse for edit in edits) / len(edits)
    unedited = sum(float((e.before - e.reference).square().mean()) for e in edits) / len(edits)
    assert error < {"dilate": 0.04, "contrast": 0.015}.get(style, 0.06)
    assert error < unedited


def test_an_edit_reports_what_its_network_shows(zoo, editor):
    network, _ = networks(zoo, "mnist-sirens", 1)[0]
    edit = editor.edit(network, "dilate")
    after = render(edit.network.normalized, 28, 28)[0].clamp(-1, 1)
    torch.testing.assert_close(after, edit.after, atol=1e-4, rtol=0)
    assert edit.mse == pytest.approx(float((after - edit.reference).square().mean()), rel=1e-3)
    assert edit.psnr == pytest.approx(10 * math.log10(4 / edit.mse))
    torch.testing.assert_close(edit.reference[None], apply_style(edit.before[None], "dilate"))
    assert list(edit.network.tensors()) == list(network.tensors())


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_permuted_and_flipped_copies_are_edited_into_the_same_picture(zoo, editor, collection):
    generator = torch.Generator().manual_seed(0)
    for network, _ in networks(zoo, collection, 4):
        order, signs = random_permutations(network.spec, generator), random_signs(network.spec, generator)
        before = editor.edit(network, "neon").after
        for features in (permute(network.features, order), flip_signs(network.features, signs)):
            after = editor.edit(with_features(network, features), "neon").after
            torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_strength_moves_the_picture_as_far_as_it_says(zoo, editor):
    network, _ = networks(zoo, "mnist-sirens", 1)[0]
    edits = [editor.edit(network, "dilate", strength) for strength in (0.0, 0.5, 1.0, 1.5)]
    moved = [float((e.after - e.before).square().mean()) for e in edits]
    assert moved[0] < 1e-3 and moved == sorted(moved) and moved[1] > 0.02


def test_an_edited_copy_in_another_convention_shows_the_same_picture(zoo, editor):
    network, _ = networks(zoo, "mnist-sirens", 1)[0]
    convention = SirenConvention(20, 25, 0, 1, "col_row")
    copy = dataclasses.replace(
        network.with_features(convention.denormalize(network.features)), convention=convention
    )
    one, two = editor.edit(network, "dilate"), editor.edit(copy, "dilate")
    assert one.mse == pytest.approx(two.mse, abs=2e-3)
    torch.testing.assert_close(
        render(two.network.normalized, 28, 28)[0].clamp(-1, 1), two.after, atol=1e-3, rtol=0
    )
