"""Masks, sparse training and the ticket predictor: exact, equivariant, and as torch itself would train."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.network import ClassifierConvention, LayerNames, Network
from nfn.permutation import apply_order, permute, random_permutations
from nfn.pruning import (
    apply_masks,
    bernoulli_masks,
    dead_neurons,
    kept_per_layer,
    magnitude_scores,
    overlap,
    shuffled_masks,
    snip_scores,
    top_masks,
)  # fmt: skip
from nfn.sparse_training import (
    SparseTraining,
    TrainingRecipe,
    accuracies,
    batches,
    default_init,
    gradients,
    logits,
    train,
)  # fmt: skip
from nfn.spec import ArraySpec, NetworkSpec
from nfn.ticket_vae import TicketVae
from nfn.tickets import TicketConfig, TicketPredictor, canonical_order, comparable_scores, spike_ratio

MLP = ((12, 16), (9, 12), (4, 9))
CNN = ((5, 3, 3, 3), (6, 5, 3, 3), (7, 6), (4, 7))


def spec_of(shapes):
    return NetworkSpec(tuple(map(ArraySpec, shapes)), tuple(ArraySpec(shape[:1]) for shape in shapes))


def module_of(shapes, features, i):
    """The same network as an `nn.Sequential`."""
    layers, last = [], len(shapes) - 1
    for k, (shape, (weight, bias)) in enumerate(zip(shapes, features, strict=True)):
        if len(shape) == 2 and (k == 0 or len(shapes[k - 1]) == 4):
            layers += [nn.AdaptiveAvgPool2d(1)] if k else []
            layers.append(nn.Flatten())
        layer = (
            nn.Conv2d(shape[1], shape[0], 3, stride=2) if len(shape) == 4 else nn.Linear(shape[1], shape[0])
        )
        layer.load_state_dict({"weight": weight[i, 0].clone(), "bias": bias[i, 0].clone()})
        layers += [layer] if k == last else [layer, nn.ReLU()]
    return nn.Sequential(*layers)


def images_for(shapes, count=40):
    generator = torch.Generator().manual_seed(3)
    size = (1, 4, 4) if len(shapes[0]) == 2 else (3, 9, 9)
    return torch.randn(count, *size, generator=generator), torch.randint(4, (count,), generator=generator)


def predictor_for(shapes, pointwise=False, seed=0):
    torch.manual_seed(seed)
    images, labels = images_for(shapes, 32)
    model = TicketPredictor(TicketConfig(
        "toy", shapes, 0.5, 0.25, tuple(images.shape[1:]), len(images), 8, moments=(1, 3), channels=6,
        pointwise=pointwise,
    ))  # fmt: skip
    model.store((images * 40 + 128).clamp(0, 255).to(torch.uint8), labels)
    return model.eval()


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.8, 0.95, 0.98, 1.0])
def test_top_masks_keep_exactly_the_best(sparsity):
    scores = [torch.randn(3, 1, 8, 5), torch.randn(3, 1, 4, 8, 3, 3)]
    masks = top_masks(scores, sparsity)
    total = 40 + 288
    assert kept_per_layer(masks).sum(1).tolist() == [total - round(sparsity * total)] * 3
    for i in range(3):
        kept = torch.cat([s[i][m[i]] for s, m in zip(scores, masks, strict=True)])
        left = torch.cat([s[i][~m[i]] for s, m in zip(scores, masks, strict=True)])
        assert not (len(kept) and len(left)) or kept.min() >= left.max()


def test_equal_scores_still_give_the_exact_number():
    assert kept_per_layer(top_masks([torch.zeros(2, 1, 10, 10)], 0.93)).tolist() == [[7], [7]]


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, float("nan")])
def test_an_impossible_sparsity_raises_value_error(sparsity):
    with pytest.raises(ValueError, match="sparsity"):
        top_masks([torch.zeros(1, 1, 2, 2)], sparsity)


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        top_masks([torch.full((1, 1, 2, 2), float("nan"))], 0.5)


def test_random_masks_have_their_counts():
    masks = top_masks([torch.randn(2, 1, 30, 40), torch.randn(2, 1, 10, 30)], 0.9)
    generator = torch.Generator().manual_seed(0)
    shuffled = shuffled_masks(masks, generator)
    assert torch.equal(kept_per_layer(shuffled), kept_per_layer(masks))
    assert float(overlap(masks, shuffled).mean()) < 0.4
    share = bernoulli_masks([m.float() for m in masks], 0.9, generator)[0].float().mean()
    assert 0.07 < float(share) < 0.13


def test_dead_neurons_by_hand():
    first = torch.tensor([[1, 0], [0, 0], [1, 1]]).bool()[None, None]
    second = torch.tensor([[1, 1, 0]]).bool()[None, None]
    assert dead_neurons([first, second]).tolist() == [[2]]  # the second hears nothing, nobody hears the third


def test_magnitude_of_init_does_not_prefer_layers_of_small_fan_in():
    init = default_init(spec_of(MLP), [0, 1])
    kept = kept_per_layer(top_masks(magnitude_scores(init), 0.5))[0] / torch.tensor([192, 108, 36])
    assert float(kept.min()) > 0.35


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_training_under_masks_is_what_torch_does(shapes):
    """Three masked steps of momentum SGD and Adam give the weights that torch.optim gives."""
    init, (images, labels) = default_init(spec_of(shapes), [0, 1]), images_for(shapes)
    masks = bernoulli_masks(init.weights, 0.4, torch.Generator().manual_seed(1))
    for name in ("sgd", "adam"):
        recipe = TrainingRecipe(3, 10, name, 0.05)
        training = SparseTraining(init, masks, recipe)
        net = module_of(shapes, apply_masks(init, masks), 1)
        kept = [m[1, 0] for m in masks]
        optimizer = (
            torch.optim.SGD(net.parameters(), 0.05, momentum=0.9) if name == "sgd"
            else torch.optim.Adam(net.parameters(), 0.05)
        )  # fmt: skip
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
        for rows in batches(len(images), recipe, torch.Generator().manual_seed(5)):
            training.step(images[rows], labels[rows])
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            weights = [p for p in net.parameters() if p.dim() > 1]
            for weight, mask in zip(weights, kept, strict=True):
                assert weight.grad is not None
                weight.grad *= mask
            optimizer.step()
            schedule.step()
        for ours, theirs in zip(training.features.weights, weights, strict=True):
            assert torch.allclose(ours[1, 0], theirs, atol=1e-5)


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_logits_gradients_and_accuracies_are_torchs(shapes):
    init, (images, labels) = default_init(spec_of(shapes), [4, 5]), images_for(shapes)
    net = module_of(shapes, init, 1)
    assert torch.allclose(logits(init, images)[1], net(images), atol=1e-5)
    nn.functional.cross_entropy(net(images), labels).backward()
    found = gradients(init, images, labels)
    first = next(net.parameters()).grad
    assert first is not None and torch.allclose(found.weights[0][1, 0], first, atol=1e-6)
    right = (net(images).argmax(1) == labels).float().mean()
    assert float(accuracies(init, images, labels)[1]) == pytest.approx(float(right))


def test_pruned_weights_stay_zero_and_training_learns():
    init, (images, labels) = default_init(spec_of(MLP), [0]), images_for(MLP)
    masks = top_masks(magnitude_scores(init), 0.5)
    trained = train(SparseTraining(init, masks, TrainingRecipe(150, 20, "adam", 0.02)), images, labels,
                    torch.Generator().manual_seed(0))  # fmt: skip
    assert all(not w[~m].any() for w, m in zip(trained.weights, masks, strict=True))
    assert float(accuracies(trained, images, labels)) > 0.8


def test_default_init_is_torchs_distribution_and_exact():
    init = default_init(NetworkSpec.mlp(100, 200, 10), [7])
    bound = 0.1
    assert 0.99 * bound < float(init.weights[0].abs().max()) <= bound
    assert float(init.weights[0].std()) == pytest.approx(bound / 3**0.5, rel=0.02)
    again = default_init(NetworkSpec.mlp(100, 200, 10), [6, 7])
    assert torch.equal(init.weights[0][0], again.weights[0][1])


@pytest.mark.parametrize("pointwise", [False, True])
@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_scores_are_equivariant_bit_for_bit(shapes, pointwise):
    """Permuting the hidden neurons of an initialization permutes its scores, and so its mask."""
    model, init = predictor_for(shapes, pointwise), default_init(spec_of(shapes), [3])
    orders = random_permutations(spec_of(shapes), torch.Generator().manual_seed(9))
    scores = WeightSpaceFeatures(model.scores(init), init.biases)
    permuted = model.scores(permute(init, orders))
    for expected, found in zip(permute(scores, orders).weights, permuted, strict=True):
        assert torch.equal(expected, found)


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_scores_see_more_than_a_table_of_numbers(shapes):
    """Shuffling the columns of one weight alone, which changes the function, does more than move the scores."""
    model, init = predictor_for(shapes), default_init(spec_of(shapes), [3])
    order = torch.randperm(shapes[1][1], generator=torch.Generator().manual_seed(1))
    weights = list(init.weights)
    weights[1] = weights[1][:, :, :, order]
    found = model.scores(WeightSpaceFeatures(weights, init.biases))
    assert not torch.allclose(found[1], model.scores(init)[1][:, :, :, order], atol=1e-4)


def test_comparable_scores_keep_the_expected_number_in_each_layer():
    torch.manual_seed(0)
    sure, unsure = torch.randn(1, 1, 40, 50) * 5 - 6, torch.randn(1, 1, 30, 100) * 0.3 - 2
    expected = [float(x.sigmoid().sum()) for x in (sure, unsure)]
    sparsity = 1 - sum(expected) / 5000
    kept = kept_per_layer(top_masks([comparable_scores(sure), comparable_scores(unsure)], sparsity))[0]
    assert kept.tolist() == pytest.approx(expected, abs=12)
    order = sure.flatten().argsort(descending=True)
    assert (comparable_scores(sure).flatten()[order].diff() <= 0).all()


@pytest.mark.parametrize("widths", [(12, 9), (20, 3), (1, 30)])
def test_other_hidden_widths_are_read(widths):
    model = predictor_for(MLP)
    init = default_init(NetworkSpec.mlp(16, *widths, 4), [0])
    assert [tuple(s.shape) for s in model.scores(init)] == [tuple(w.shape) for w in init.weights]


def network_of(features):
    names = tuple(LayerNames(f"{i}.weight", f"{i}.bias") for i in range(len(features)))
    return Network(features, ClassifierConvention(), names)


def test_faults_are_sentences():
    model = predictor_for(MLP)
    assert model.fault(network_of(default_init(NetworkSpec.mlp(16, 5, 5, 4), [0]))) is None
    for widths in ((16, 5, 4), (15, 5, 5, 4), (16, 5, 5, 3)):
        network = network_of(default_init(NetworkSpec.mlp(*widths), [0]))
        with pytest.raises(ValueError, match="this predictor reads"):
            model.predict(network)


def test_a_trained_network_is_noticed_and_still_scored():
    model = predictor_for(MLP)
    init = default_init(spec_of(MLP), [0])
    assert not model.predict(network_of(init)).trained
    recipe = TrainingRecipe(300, 16, "adam", 0.02)
    trained = train(
        SparseTraining(init, None, recipe),
        *model.stored_batch(torch.arange(32)),
        torch.Generator().manual_seed(0),
    )
    ticket = model.predict(network_of(trained))
    assert ticket.trained and "classifies" in ticket.sentence
    assert all(torch.isfinite(score).all() for score in ticket.scores)


@pytest.mark.parametrize("rows, columns", [(10, 64), (64, 64), (128, 784), (10, 128)])
def test_random_weights_of_any_usual_kind_have_no_spike(rows, columns):
    torch.manual_seed(0)
    weight = torch.empty(rows, columns)
    for init in (nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.xavier_uniform_, nn.init.xavier_normal_,
                 nn.init.orthogonal_, lambda w: w.normal_(0, 0.02)):  # fmt: skip
        init(weight)
        assert spike_ratio(weight) < 1.2
    assert spike_ratio(weight + weight.std() * torch.ones(rows, 1) * torch.randn(1, columns)) > 1.35


@pytest.fixture(scope="module", params=[MLP, CNN], ids=["mlp", "cnn"])
def calibrated(request):
    """A predictor of the rule "magnitude", and the networks and masks that it learned its units from."""
    plain, init = predictor_for(request.param), default_init(spec_of(request.param), range(12))
    model = TicketPredictor(replace(plain.config, rule="magnitude", packed=0))
    model.store(plain.pixels, plain.labels)
    masks = top_masks([torch.rand_like(w) * (i + 1) for i, w in enumerate(init.weights)], 0.7)
    model.calibrate(init, masks)
    return model.eval(), init, masks


def test_the_rule_of_magnitude_is_the_size_after_a_short_training(calibrated):
    model, init, _ = calibrated
    one = apply_order(init.select(0), canonical_order(init.select(0)))
    images, labels = model.stored_batch(torch.arange(32))
    training = SparseTraining(one, None, model.short_recipe)
    trained = train(training, images, labels, torch.Generator().manual_seed(0))
    for weight, score, unit in zip(trained.weights, model.scores(one), model.units.tolist(), strict=True):
        expected = weight.abs() / weight.square().mean().sqrt() / unit
        torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-5)


def test_calibrated_layers_keep_as_many_as_the_masks_did(calibrated):
    model, init, masks = calibrated
    kept = torch.stack([(score >= 1).flatten(1).sum(1) for score in model.scores(init)], 1).float().mean(0)
    expected = kept_per_layer(masks).float().mean(0)
    totals = torch.tensor([mask[0].numel() for mask in masks])
    assert ((kept - expected).abs() <= 0.05 * totals).all()
    assert expected.div(totals).diff().abs().min() > 0.05, (
        "a model that keeps the same of every layer would not do"
    )


def test_calibrated_scores_are_equivariant_bit_for_bit_and_survive_a_file(calibrated, tmp_path):
    model, init, _ = calibrated
    one = init.select(1)
    orders = random_permutations(
        network_spec_from_wsfeat(one, set_all_dims=True), torch.Generator().manual_seed(2)
    )
    model.save(tmp_path)
    loaded = TicketPredictor.load(tmp_path)
    scores = WeightSpaceFeatures(loaded.scores(one), one.biases)
    found = loaded.scores(permute(one, orders))
    assert all(torch.equal(a, b) for a, b in zip(permute(scores, orders).weights, found, strict=True))
    for before, after in zip(model.scores(one), scores.weights, strict=True):
        torch.testing.assert_close(before, after, rtol=2e-3, atol=0)


def test_a_saved_predictor_scores_the_same(tmp_path):
    model, init = predictor_for(MLP), default_init(spec_of(MLP), [0])
    model.save(tmp_path)
    loaded = TicketPredictor.load(tmp_path)
    assert loaded.config == model.config
    for a, b in zip(model.scores(init), loaded.scores(init), strict=True):
        assert torch.allclose(a, b, atol=0.1)


@pytest.mark.parametrize("shapes", [MLP, CNN])
def test_the_vae_learns_and_is_equivariant(shapes):
    torch.manual_seed(0)
    plain = predictor_for(shapes)
    model = TicketVae(plain.config)
    model.store(plain.pixels, plain.labels)
    init = default_init(spec_of(shapes), range(4))
    inputs, masks = model.input_channels(init), top_masks([w.abs() for w in init.weights], 0.8)
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.01), []
    for step in range(40):
        loss = model.loss(inputs, masks, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    orders = random_permutations(spec_of(shapes), torch.Generator().manual_seed(9))
    one = init.select(0)
    expected = permute(WeightSpaceFeatures(model.scores(one), one.biases), orders).weights
    assert all(torch.equal(a, b) for a, b in zip(expected, model.scores(permute(one, orders)), strict=True))


def test_stored_images_come_back_bit_for_bit(tmp_path):
    model = predictor_for(CNN)
    pixels = model.pixels.clone()
    model.save(tmp_path)
    assert torch.equal(TicketPredictor.load(tmp_path).pixels, pixels)


def test_snip_is_the_product():
    init, (images, labels) = default_init(spec_of(MLP), [0]), images_for(MLP)
    gradient = gradients(init, images, labels)
    assert torch.equal(snip_scores(init, gradient)[1], (init.weights[1] * gradient.weights[1]).abs())


def test_images_are_stored_smaller():
    images = torch.arange(2 * 4 * 4, dtype=torch.uint8).view(2, 1, 4, 4)
    config = TicketConfig("toy", MLP, 0.5, 0.25, (1, 4, 4), 2, shrink=2)
    model = TicketPredictor(config)
    model.store(images, torch.zeros(2))
    expected = images.view(2, 1, 2, 2, 2, 2).float().mean((3, 5)).round().to(torch.uint8)
    assert torch.equal(model.pixels, expected) and torch.equal(model.downsample(images), expected)
    assert model.stored_batch(torch.arange(1))[0].shape == (1, 1, 2, 2)
