"""The generalization predictor that ships: symmetry, calibration, what it refuses and what it calls unlike the zoo."""

from dataclasses import replace

import pytest
import torch

from nfn.cnn import small_cnn_spec
from nfn.features import WeightSpaceFeatures
from nfn.generalization import HARDLY_LEARNED, GeneralizationConfig, GeneralizationPredictor, summarize
from nfn.permutation import permute, random_permutations
from zoo.catalog import Zoo
from zoo.evaluate_generalization import duplicate, figures, kendall_tau, tie_ceiling
from zoo.train_generalization import negatives, noise_like, shuffle, uncouple, untrained

COLLECTIONS = ("cifar10-cnns", "fashion-mnist-cnns")


@pytest.fixture(scope="module")
def zoo():
    return Zoo()


@pytest.fixture(scope="module")
def model(zoo):
    return zoo.predictor("generalization")


@pytest.fixture(scope="module")
def networks(zoo):
    return zoo.collection("cifar10-cnns").features(range(24))


@pytest.mark.parametrize("name", COLLECTIONS)
def test_held_out_networks_are_predicted_as_the_card_says(name, zoo, model):
    """These networks are test networks: neither trained nor calibrated on."""
    collection = zoo.collection(name)
    facts = collection.rows.to_pylist()
    assert {fact["split"] for fact in facts} == {"test"}
    results = model.predict_features(collection.features(), [fact["activation"] for fact in facts])
    found = figures(results, facts, collection.images)
    assert found["tau"] > 0.87
    assert found["mae"] < 0.012
    assert 0.85 <= found["coverage"] <= 0.96  # 90%, and two standard errors of 160 networks
    assert found["width"] < 0.06
    learned = [one.typical for one in results if one.test_accuracy >= HARDLY_LEARNED]
    assert sum(learned) > 0.97 * len(learned) and found["typical"] > 0.95
    assert found["images_found"] > 0.97


def test_permuted_copies_get_the_same_prediction(networks, model):
    permutations = random_permutations(small_cnn_spec(), torch.Generator().manual_seed(0))
    copies = permute(networks, permutations)
    for activation in (None, "relu", "tanh"):
        before, after = (model.predict_features(f, [activation] * 24) for f in (networks, copies))
        for a, b in zip(before, after, strict=True):
            assert b.test_accuracy == pytest.approx(a.test_accuracy, abs=1e-5)
            assert (a.typical, a.images, a.activation) == (b.typical, b.images, b.activation)


def test_scaled_relu_neurons_get_the_same_accuracy(networks, model):
    """A ReLU neuron times 2 and its readers by half compute the same; told image set and activation stay."""
    weights, biases = list(networks.weights), list(networks.biases)
    scaled = WeightSpaceFeatures([weights[0] * 2, weights[1] / 2, *weights[2:]], [biases[0] * 2, *biases[1:]])
    before, after = (model.predict_features(f, ["relu"] * 24) for f in (networks, scaled))
    same = [(a, b) for a, b in zip(before, after, strict=True) if a.images == b.images]
    assert len(same) > 20
    assert all(b.test_accuracy == pytest.approx(a.test_accuracy, abs=1e-4) for a, b in same)


def test_a_batch_predicts_as_one_by_one(networks, model):
    together = model.predict_features(networks, [None] * 24)
    for i in range(3):
        (alone,) = model.predict_features(networks.select(i), [None])
        assert alone.test_accuracy == pytest.approx(together[i].test_accuracy, abs=1e-5)


def test_out_of_distribution_networks_get_no_interval(zoo, model):
    generator = torch.Generator().manual_seed(3)
    trained = zoo.collection("cifar10-cnns").features(range(100))
    odd = {
        "noise": trained.map(lambda x: noise_like(x, generator)),
        "shuffled": trained.map(lambda x: shuffle(x, generator)),
        "uncoupled": uncouple(trained, generator),
        "mixed": negatives(trained, generator),
    }
    for kind, features in odd.items():
        results = model.predict_features(features, [None] * 100)
        assert sum(r.typical for r in results) <= (4 if kind == "uncoupled" else 20), kind
        assert all((r.low, r.high) == (0.0, 1.0) for r in results if not r.typical)


def test_another_width_is_never_typical(networks, model):
    wide = WeightSpaceFeatures(
        [duplicate(weight, i, 4) for i, weight in enumerate(networks.weights)],
        [torch.cat([b, b], 2) if i < 3 else b for i, b in enumerate(networks.biases)],
    )
    before, after = (model.predict_features(f, ["relu"] * 24) for f in (networks, wide))
    assert not any(r.typical for r in after)
    assert all((r.low, r.high) == (0.0, 1.0) for r in after)
    assert len(before) == len(after)


def make(spec) -> WeightSpaceFeatures:
    return WeightSpaceFeatures(
        [torch.zeros(1, 1, *array.shape) for array in spec.weight_spec],
        [torch.zeros(1, 1, *array.shape) for array in spec.bias_spec],
    )


@pytest.mark.parametrize(("spec", "message"), [
    (small_cnn_spec(depth=2), "has 3 layers"), (small_cnn_spec(inputs=3), "from 3 channels"),
    (small_cnn_spec(classes=7), "to 7 classes"), (small_cnn_spec(width=80), "more than 64 channels"),
])  # fmt: skip
def test_other_architectures_are_refused_with_a_sentence(spec, message, model):
    with pytest.raises(ValueError, match=message):
        model.predict_features(make(spec), [None])


def test_zeros_and_huge_weights_do_not_crash(networks, model):
    for features in (make(small_cnn_spec()), networks.select(0).map(lambda x: x * 1e18)):
        (result,) = model.predict_features(features, [None])
        assert not result.typical


def test_it_is_saved_and_loaded_as_it_is(tmp_path, networks):
    torch.manual_seed(0)
    config = GeneralizationConfig(
        probes=4, members=2, width=8, half_widths={"cifar10": 2.0, "fashion_mnist": 1.5}
    )
    model = GeneralizationPredictor(config).eval()
    model.save(tmp_path)
    again = GeneralizationPredictor.load(tmp_path)
    assert again.config == replace(config)
    few = networks.select(slice(0, 2))
    (a, b), (c, d) = (m.predict_features(few, [None, "tanh"]) for m in (model, again))
    assert a.test_accuracy == pytest.approx(c.test_accuracy, abs=1e-2)
    assert b.test_accuracy == pytest.approx(d.test_accuracy, abs=1e-2)


@pytest.mark.parametrize("widths", [{}, {"cifar10": 2.0}, {"cifar10": 2.0, "fashion_mnist": 0.0},
                                    {"cifar10": float("nan"), "fashion_mnist": 1.0}])  # fmt: skip
def test_without_calibration_there_is_no_interval(tmp_path, networks, widths):
    """It answered one of no width, which was said to hold the truth for 90% of networks."""
    torch.manual_seed(0)
    config = GeneralizationConfig(probes=4, members=2, width=8, half_widths=widths, typical_from=0.0)
    model = GeneralizationPredictor(config).eval()
    model.save(tmp_path)
    with pytest.raises(ValueError, match=r"no calibration for .*`half_widths` needs a number above 0"):
        GeneralizationPredictor.load(tmp_path)
    for result in model.predict_features(networks.select(slice(0, 4)), [None] * 4):
        if not 0 < widths.get(result.images, 0) < float("inf"):
            assert result.typical and (result.low, result.high) == (0.0, 1.0)


def test_summaries_of_a_perfect_and_of_a_wrong_network():
    labels = torch.tensor([0, 1, 2])
    right = 20 * torch.eye(3)[None]
    wrong = 20 * torch.eye(3)[None].roll(1, 1)
    accuracy = summarize(torch.cat([right, wrong]), labels)[:, -3]
    assert accuracy.tolist() == [1.0, 0.0]


def test_kendalls_tau_and_its_tie_ceiling_by_hand():
    truth = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert kendall_tau(truth, truth) == pytest.approx(1)
    assert kendall_tau(truth, -truth) == pytest.approx(-1)
    assert kendall_tau(torch.tensor([1.0, 3.0, 2.0, 4.0]), truth) == pytest.approx(4 / 6)
    tied = torch.tensor([1.0, 1.0, 2.0, 3.0])  # one pair of six is tied
    assert tie_ceiling(tied) == pytest.approx((5 / 6) ** 0.5)
    assert kendall_tau(torch.tensor([1.0, 2.0, 3.0, 4.0]), tied) == pytest.approx(tie_ceiling(tied))


def test_a_constant_prediction_has_no_rank_correlation():
    truth = torch.tensor([1.0, 2.0, 3.0])
    assert kendall_tau(torch.full((3,), 0.7), truth) == kendall_tau(truth, torch.zeros(3)) == 0
    with pytest.raises(ValueError, match="finite"):
        kendall_tau(torch.tensor([1.0, float("nan"), 2.0]), truth)


def test_untrained_networks_are_seldom_typical(model):
    features = untrained(64, torch.Generator().manual_seed(9))
    assert features.weights[0].shape[0] == 64
    assert sum(r.typical for r in model.predict_features(features, [None] * 64)) <= 8
