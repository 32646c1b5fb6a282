"""Tickets from weights alone, of a matched reference: equivariant, with its number of weights per layer, and pruned
while it learns."""

import json

import pytest
import torch

from nfn.features import WeightSpaceFeatures
from nfn.network import ClassifierConvention, LayerNames, Network
from nfn.permutation import permute, random_permutations
from nfn.predictor import Predictor
from nfn.pruning import kept_per_layer, top_masks
from nfn.reference_ticket import match, reference_scores
from nfn.sparse_training import SparseTraining, TrainingRecipe, default_init
from nfn.spec import ArraySpec, NetworkSpec
from nfn.tickets import TicketConfig, TicketPredictor
from zoo.catalog import EMBEDDED
from zoo.evaluate_tickets import ranked, reader_rows
from zoo.files import read_json
from zoo.tickets import PREDICTORS
from zoo.train_ticket_reference import train_reference

MLP = ((12, 16), (9, 12), (4, 9))
CNN = ((5, 3, 3, 3), (6, 5, 3, 3), (7, 6), (4, 7))
KEPT = {MLP: [40, 30, 12], CNN: [30, 60, 20, 10]}


def spec_of(shapes):
    return NetworkSpec(tuple(map(ArraySpec, shapes)), tuple(ArraySpec(shape[:1]) for shape in shapes))


def reference_of(shapes, seed=0):
    """Another initialization, with the largest weights of each layer."""
    weights = default_init(spec_of(shapes), [seed]).weights
    masks = [top_masks([w.abs()], 1 - k / w.numel())[0] for w, k in zip(weights, KEPT[shapes], strict=True)]
    return [(w * m)[0, 0] for w, m in zip(weights, masks, strict=True)]


def predictor_of(shapes):
    """A predictor of both readers, whose short training is on four images of noise."""
    image = (1, 4, 4) if shapes == MLP else (3, 8, 8)
    config = TicketConfig(
        shapes=shapes, image_shape=image, images=4, moments=(1, 2), batch=2, rule="magnitude"
    )
    model = TicketPredictor(config)
    model.store(torch.randint(0, 256, (4, *image), dtype=torch.uint8), torch.arange(4))
    model.store_reference(reference_of(shapes))
    return model


def network_of(shapes, seed=3):
    names = tuple(LayerNames(f"{i}.weight", f"{i}.bias") for i in range(len(shapes)))
    return Network(default_init(spec_of(shapes), [seed]), ClassifierConvention(), names)


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_scores_are_equivariant_bit_for_bit(shapes):
    model, init = predictor_of(shapes), default_init(spec_of(shapes), [3])
    orders = random_permutations(spec_of(shapes), torch.Generator().manual_seed(9))
    scores = model.scores(init, "weights")
    expected = permute(WeightSpaceFeatures(scores, init.biases), orders).weights
    for one, other in zip(expected, model.scores(permute(init, orders), "weights"), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(scores[0], model.scores(init, "training")[0])


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_a_ticket_keeps_as_many_weights_of_each_layer_as_the_reference(shapes):
    init, kept = default_init(spec_of(shapes), [3, 4]), KEPT[shapes]
    scores = reference_scores(reference_of(shapes), init)
    total = sum(score[0].numel() for score in scores)
    assert kept_per_layer(top_masks(scores, 1 - sum(kept) / total)).tolist() == [kept, kept]


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_a_permuted_copy_of_the_reference_gets_its_own_mask(shapes):
    reference = default_init(spec_of(shapes), [0])
    orders = random_permutations(spec_of(shapes), torch.Generator().manual_seed(2))
    copy = permute(reference, orders)
    found = match([w[0, 0] for w in reference.weights], [w[0, 0] for w in copy.weights])
    for order, wanted in zip(found, orders, strict=True):
        assert torch.equal(wanted[order], torch.arange(len(order)))
    sparse = reference_of(shapes)
    masks = [weight >= 1 for weight in reference_scores(sparse, copy, own=0)]
    expected = permute(
        WeightSpaceFeatures([(w != 0)[None, None].float() for w in sparse], reference.biases), orders
    )
    assert all(torch.equal(a, b.bool()) for a, b in zip(masks, expected.weights, strict=True))


OTHER = ((10, 16), (9, 10), (4, 9))


def test_other_widths_are_left_to_the_short_training():
    model = predictor_of(MLP)
    assert model.predict(network_of(MLP)).reader == "weights"
    assert model.predict(network_of(MLP), "training").reader == "training"
    assert model.predict(network_of(OTHER)).reader == "training"
    with pytest.raises(ValueError, match="Only networks with weights of 12×16, 9×12, 4×9"):
        model.predict(network_of(OTHER), "weights")
    with pytest.raises(ValueError, match="same widths"):
        model.scores(default_init(spec_of(OTHER), [0]), "weights")


def test_without_a_reference_there_is_the_short_training_only():
    model = TicketPredictor(TicketConfig(shapes=MLP, image_shape=(1, 4, 4), images=4))
    assert model.readers_of(network_of(MLP)) == ("training",)
    with pytest.raises(ValueError, match="no reference is stored"):
        model.predict(network_of(MLP), "weights")


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan")])
def test_a_reference_without_a_ticket_is_refused(value):
    model = predictor_of(MLP)
    model.reference.fill_(value)
    with pytest.raises(ValueError, match="a layer without weights, or with infinite ones"):
        model.predict(network_of(MLP))


def test_a_stored_reference_comes_back_and_the_order_of_the_readers_says_which_is_best(tmp_path):
    model = predictor_of(MLP)
    model.save(tmp_path)
    loaded = TicketPredictor.load(tmp_path)
    for one, other in zip(reference_of(MLP), loaded.reference_weights, strict=True):
        assert torch.equal(one.half().float(), other)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "readers": ["training", "weights"]}))
    swapped = TicketPredictor.load(tmp_path)
    assert swapped.readers_of(network_of(MLP)) == ("training", "weights")
    assert swapped.predict(network_of(MLP)).reader == "training"


HOSTILE = {
    "no reader": ({"readers": []}, "Got the readers"),
    "weights alone only": ({"readers": ["weights"]}, "Got the readers"),
    "twice": ({"readers": ["training", "training"]}, "Got the readers"),
    "unknown": ({"readers": ["training", "luck"]}, "Got the readers"),
    "no list": ({"readers": 1}, "not iterable"),
    "mixed": ({"readers": ["training", 1]}, "not supported between"),
    "too large": ({"shapes": [[10**6, 16], [9, 10**6], [4, 9]]}, "size mismatch for reference"),
    "beyond numbers": ({"shapes": [[2**31, 2**31], [2**31, 2**31], [4, 2**31]]}, "no winning-tickets has the sizes"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_configs_are_refused_before_they_take_memory(content, words, tmp_path):
    predictor_of(MLP).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **content}))
    with pytest.raises((ValueError, RuntimeError), match=words):
        Predictor.load(tmp_path)


def test_a_training_can_be_pruned_on_the_way():
    init, generator = default_init(spec_of(MLP), [0]), torch.Generator().manual_seed(0)
    images, labels = torch.randn(20, 1, 4, 4, generator=generator), torch.arange(20) % 4
    training = SparseTraining(init, None, TrainingRecipe(4, 20))
    training.step(images, labels)
    masks = top_masks([w.abs() for w in training.features.weights], 0.8)
    training.prune(masks)
    training.step(images, labels)
    for weight, mask in zip(training.features.weights, masks, strict=True):
        assert not weight[~mask].any() and weight[mask].all()


def test_the_reference_keeps_what_it_is_told():
    init, generator = default_init(spec_of(MLP), [0]), torch.Generator().manual_seed(0)
    images, labels = torch.randn(20, 1, 4, 4, generator=generator), torch.arange(20) % 4
    weights = train_reference(init, KEPT[MLP], TrainingRecipe(100, 20), images, labels)
    assert [int((weight != 0).sum()) for weight in weights] == KEPT[MLP]


def test_the_shipped_readers_are_in_the_order_of_their_measured_accuracy():
    for name in PREDICTORS:
        folder = EMBEDDED / "predictors" / name
        metrics, readers = read_json(folder / "metrics.json"), read_json(folder / "config.json")["readers"]
        assert readers == metrics["readers"] == ranked("this model", readers, metrics["methods"])
        assert metrics["shipped"] == reader_rows("this model", readers)[readers[0]]
