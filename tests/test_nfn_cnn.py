"""Small CNNs, many at once: as torch computes, trains and normalizes each on its own."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nfn.cnn import CnnRecipe, class_scores, init_cnns, small_cnn_spec, train_cnns
from nfn.features import WeightSpaceFeatures
from nfn.permutation import permute, random_permutations

GROUP = 3


def recipe(**changes) -> CnnRecipe:
    settings = {
        "activation": "relu", "batch_norm": False, "biases": True, "steps": 4,
        "optimizer": ("sgd", "adam", "rmsprop"), "learning_rate": (0.05, 0.01, 0.003),
        "weight_decay": (0.0, 1e-3, 0.0), "dropout": (0.0,) * GROUP, "train_share": (1.0,) * GROUP,
        "schedule": ("constant",) * GROUP, "init": ("he", "glorot", "he"), "init_scale": (1.0, 0.7, 0.6),
        "batch": 8, **changes,
    }  # fmt: skip
    return CnnRecipe(**settings)


def sequential(activation: str, batch_norm: bool = False) -> nn.Sequential:
    act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    modules: list[nn.Module] = []
    for inputs in (1, 16, 16):
        modules.append(nn.Conv2d(inputs, 16, 3, stride=2, bias=not batch_norm))
        if batch_norm:
            modules.append(nn.BatchNorm2d(16))
        modules.append(act())
    return nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def load(model: nn.Sequential, features: WeightSpaceFeatures, number: int) -> None:
    layers = [module for module in model if isinstance(module, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, features, strict=True):
            layer.weight.copy_(weight[number, 0])
            if layer.bias is not None:
                layer.bias.copy_(bias[number, 0])


@pytest.fixture(scope="module")
def digits(real_images):
    pixels = torch.stack([real_images("mnist", row)[0] for row in range(8)])
    return pixels.float() / 127.5 - 1, torch.tensor([7, 2, 1, 0, 4, 1, 4, 9])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("size", [28, 32])
def test_scores_are_those_of_torch_modules(activation, size, digits):
    images = F.interpolate(digits[0], (size, size))
    networks = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))
    networks = networks.map(lambda x: x + 0.1)  # biases too
    scores = class_scores(networks, images, activation)
    for number in range(GROUP):
        model = sequential(activation)
        load(model, networks, number)
        torch.testing.assert_close(scores[number], model(images), atol=1e-5, rtol=1e-4)


def test_permuted_neurons_score_the_same(digits):
    networks = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))
    copies = permute(networks, random_permutations(small_cnn_spec(), torch.Generator().manual_seed(1)))
    torch.testing.assert_close(
        class_scores(networks, digits[0], "tanh"), class_scores(copies, digits[0], "tanh")
    )
    assert not torch.equal(networks.weights[1], copies.weights[1])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_training_steps_are_those_of_torch_optimizers(activation, batch_norm, digits):
    """Full batches, so that the order of the images does not matter: each network beside its twin in torch."""
    images, labels = digits
    start = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))
    settings = recipe(activation=activation, batch_norm=batch_norm, train_share=(1 / 8,) * GROUP)
    generator = torch.Generator().manual_seed(5)
    rows = [int(torch.randperm(8, generator=torch.Generator().manual_seed(5))[0])]
    ((step, trained),) = train_cnns(start, images, labels, settings, [4], generator)
    assert step == 4
    assert settings.optimizer[0] == "sgd"
    model = sequential(activation, batch_norm)
    load(model, start, 0)
    optimizer = torch.optim.SGD(model.parameters(), settings.learning_rate[0], momentum=0.9)
    model.train()
    for _ in range(4):
        batch = images[rows].expand(8, -1, -1, -1)
        loss = F.cross_entropy(model(batch), labels[rows].expand(8))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    mine = class_scores(trained.select(0), images, activation)[0]
    torch.testing.assert_close(mine, model.eval()(images), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize(("number", "make"), [
    (1, lambda p: torch.optim.Adam(p, 0.01, weight_decay=1e-3)),
    (2, lambda p: torch.optim.RMSprop(p, 0.003)),
])  # fmt: skip
def test_each_optimizer_is_torchs(number, make, digits):
    images, labels = digits
    start = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(5)
    shuffles = torch.Generator().manual_seed(5)
    rows = [int(torch.randperm(8, generator=shuffles)[0]) for _ in range(GROUP)][number]
    ((_, trained),) = train_cnns(start, images, labels, recipe(train_share=(1 / 8,) * GROUP), [4], generator)
    model = sequential("relu")
    load(model, start, number)
    optimizer = make(model.parameters())
    for _ in range(4):
        loss = F.cross_entropy(model(images[[rows]].expand(8, -1, -1, -1)), labels[[rows]].expand(8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    mine = class_scores(trained.select(number), images, "relu")[0]
    torch.testing.assert_close(mine, model(images), atol=2e-3, rtol=2e-3)


def test_networks_without_biases_get_none(digits):
    start = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))
    ((_, trained),) = train_cnns(
        start, digits[0], digits[1], recipe(biases=False), [4], torch.Generator().manual_seed(1)
    )
    assert all(not bias.any() for bias in trained.biases)
    assert all((a != b).any() for a, b in zip(trained.weights, start.weights, strict=True))


def test_dropout_drops_and_training_is_seeded(digits):
    start = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))

    def train(seed: int, **changes):
        generator = torch.Generator().manual_seed(seed)
        return next(train_cnns(start, digits[0], digits[1], recipe(**changes), [4], generator))[1].weights[0]

    assert torch.equal(train(1), train(1))
    assert not torch.equal(train(1), train(2))
    assert not torch.equal(train(1), train(1, dropout=(0.5,) * GROUP))


@pytest.mark.parametrize(
    ("shape", "message"), [((1, 3, 28, 28), "1 channels; these have 3"), ((1, 1, 5, 5), "too small")]
)
def test_images_that_do_not_fit_are_refused(shape, message):
    networks = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=message):
        class_scores(networks, torch.zeros(shape), "relu")


def test_weights_too_small_for_a_normal_number_count_as_zero():
    networks = init_cnns(recipe(), small_cnn_spec(), torch.Generator().manual_seed(0))
    weights = [*networks.weights[:-1], torch.full_like(networks.weights[-1], 1e-40)]
    dwindled = WeightSpaceFeatures(weights, [bias * 0 for bias in networks.biases])
    assert (class_scores(dwindled, 100 * torch.rand(3, 1, 28, 28), "relu") == 0).all()
