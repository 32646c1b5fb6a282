"""Winning tickets through the app: exact, the same for permuted copies, in the visitor's own names; fair races."""

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import app.tabs.tickets.race
import nfn
from app.networks.source import Source
from app.networks.zoos import zoo_at
from app.page.html import escape, percent
from app.runtime.errors import RequestError
from app.tabs.tickets import actions as tickets_actions
from app.tabs.tickets.actions import SNIPPET, mask, masked, open_initialization, save_ticket, score
from app.tabs.tickets.html import READERS, comparison, layers, other_ticket, race_table, summary
from app.tabs.tickets.race import LANES, lanes_of, race
from nfn.features import network_spec_from_wsfeat
from nfn.permutation import permute, random_permutations
from nfn.pruning import top_masks
from nfn.reader import write_network
from nfn.tickets import TITLES, TicketPredictor
from zoo.graph_tickets import RULE
from zoo.tickets import PREDICTORS

FIRSTS = ["mnist-inits/test/0", "cifar10-inits/test/0"]


def mlp(*widths: int, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(a, b, bias=bias) for a, b in itertools.pairwise(widths)]
    parts = [part for layer in layers for part in (layer, nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *parts[:-1])


def source_of(net: nn.Module, path: Path) -> Source:
    save_file(net.state_dict(), path)
    return Source(path=str(path))


@pytest.mark.parametrize("zoo_id", FIRSTS)
@pytest.mark.parametrize("sparsity", [0.8, 0.95, 0.98])
def test_exactly_as_many_weights_are_kept_as_asked_for(zoo_id, sparsity):
    shown = masked(Source(zoo_id=zoo_id), sparsity)
    assert shown.kept == shown.total - round(sparsity * shown.total)
    assert sum(int(m.sum()) for m in shown.masks) == sum(int(m.sum()) for m in shown.magnitude) == shown.kept
    assert sum(layer.kept for layer in shown.layers) == shown.kept


@pytest.mark.parametrize("reader", ["best", "training"])
@pytest.mark.parametrize("zoo_id", FIRSTS)
def test_a_permuted_copy_gets_the_same_mask_permuted(zoo_id, reader, tmp_path):
    network = zoo_at().network(zoo_id)
    spec = network_spec_from_wsfeat(network.features, set_all_dims=True)
    orders = random_permutations(spec, torch.Generator().manual_seed(4))
    copy = network.with_features(permute(network.features, orders))
    write_network(copy, tmp_path / "copy.safetensors")
    found = score(Source(path=str(tmp_path / "copy.safetensors")), reader)
    before = score(Source(zoo_id=zoo_id), reader)
    assert not torch.equal(found.network.features.weights[1], before.network.features.weights[1])
    wanted = permute(replace_weights(network.features, mask(before, 0.95).masks), orders).weights
    assert all(torch.equal(a, b) for a, b in zip(mask(found, 0.95).masks, wanted, strict=True))


def replace_weights(features, weights):
    return type(features)(weights, features.biases)


@pytest.mark.parametrize("bad", [0, 1, -1, 2, float("nan"), float("inf"), "0.5", None, True, [0.5]])
def test_an_impossible_sparsity_is_refused(bad):
    with pytest.raises(RequestError, match="choose one between 0 and 1"):
        masked(Source(zoo_id=FIRSTS[0]), bad)


def test_the_ticket_is_better_than_chance_at_the_zoos_known_ticket():
    shown = masked(Source(zoo_id=FIRSTS[0]), 0.95)
    known = zoo_at().collection("mnist-inits").masks_of("test/0")
    kept = sum(int((a & b).sum()) for a, b in zip(shown.masks, known, strict=True)) / shown.kept
    assert kept > 3 * shown.by_chance


@pytest.mark.parametrize("widths, bias", [((784, 64, 32, 10), True), ((784, 40, 90, 10), False)])
def test_other_widths_and_names_and_missing_biases_are_supported(widths, bias, tmp_path):
    net = nn.ModuleDict({"reader": mlp(*widths, bias=bias)})
    source = source_of(net, tmp_path / "mine.safetensors")
    found = score(source)
    mask_path, init_path = save_ticket(source, found, mask(found, 0.9), tmp_path)
    saved, init = load_file(mask_path), load_file(init_path)
    parameters = dict(net.named_parameters())
    assert set(saved) == {name for name in parameters if name.endswith("weight")}
    assert set(init) == set(parameters)
    for name, layer in saved.items():
        assert layer.dtype == torch.uint8 and layer.shape == parameters[name].shape
        assert torch.equal(init[name], parameters[name].detach() * layer)


def test_the_lines_of_pytorch_do_what_they_say(tmp_path, monkeypatch):
    """Exactly the text on the page, run beside the downloaded file; then the pruned weights stay zero in training."""
    net = mlp(784, 32, 16, 10)
    source = source_of(net, tmp_path / "net.safetensors")
    found = score(source)
    mask_path, _ = save_ticket(source, found, mask(found, 0.95), tmp_path)
    mask_path.rename(tmp_path / "mask.safetensors")
    monkeypatch.chdir(tmp_path)
    exec(SNIPPET, {"net": net})
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(3):
        nn.functional.cross_entropy(net(torch.randn(8, 784)), torch.arange(8)).backward()
        optimizer.step()
    masks = load_file("mask.safetensors")
    layer = net[1]
    assert isinstance(layer, nn.Linear) and len(SNIPPET.strip().splitlines()) == 5
    with torch.no_grad():
        net(torch.randn(1, 784))
    assert not layer.weight[masks["1.weight"] == 0].any() and layer.weight[masks["1.weight"] == 1].all()


@pytest.mark.parametrize("net", [mlp(100, 20, 20, 10), mlp(784, 20, 20, 5)])
def test_other_images_are_refused_with_what_is_supported(net, tmp_path):
    with pytest.raises(RequestError, match="Supported: classifiers into 10 classes"):
        score(source_of(net, tmp_path / "net.safetensors"))


def lenet(channels: int, after: int) -> nn.Sequential:
    """Usual, but of no family: padding, pooling, batch norm, two linear layers behind a flattened picture."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(after, 24), nn.ReLU(),
        nn.Linear(24, 10),
    )  # fmt: skip


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "guessed"])
@pytest.mark.parametrize("channels, side, after", [(1, 28, 392), (3, 32, 512)], ids=["digits", "colour"])
def test_a_network_of_any_wiring_gets_a_ticket_and_a_race(channels, side, after, declared, tmp_path):
    net, path = lenet(channels, after), tmp_path / "net.safetensors"
    if declared:
        nfn.save(net, path, (channels, side, side))
    else:
        save_file(net.state_dict(), path)
    source = Source(path=str(path))
    found, shown = score(source), masked(source, 0.8)
    assert found.predictor == RULE and not found.ticket.trained
    assert f"{TITLES[PREDICTORS[found.opened.images]]} is assumed" in found.assumed[0]
    assert any("how its layers are connected" in said for said in found.assumed) != declared
    weights = {name: x for name, x in net.state_dict().items() if x.dim() > 1}
    assert [layer.name for layer in shown.layers] == list(weights)
    assert sum(layer.kept for layer in shown.layers) == shown.kept == shown.total - round(0.8 * shown.total)
    mask_path, init_path = save_ticket(source, found, shown, tmp_path)
    masks, init = load_file(mask_path), load_file(init_path)
    assert set(masks) == set(weights)
    assert all(torch.equal(init[name], x * masks[name]) for name, x in weights.items())
    assert open_initialization(Source(path=str(init_path))).names == list(weights)
    *_, last = race(found, shown, 0, steps=4)
    assert last.finished and last.lanes[0].kept == shown.kept and last.lanes[3].kept == shown.total
    row = (None, None)
    assert escape(found.assumed[0]) in summary(source, found, shown, *row)
    assert layers(found, shown) and comparison(found, shown) and race_table(last)


def test_a_network_too_large_for_a_race_says_so(monkeypatch, tmp_path):
    nfn.save(lenet(1, 392), tmp_path / "net.safetensors", (1, 28, 28))
    source = Source(path=str(tmp_path / "net.safetensors"))
    found, shown = score(source), masked(source, 0.8)
    monkeypatch.setattr(app.tabs.tickets.race, "RACING", 1e6)
    with pytest.raises(RequestError, match="too large for a race"):
        next(race(found, shown, 0))


def test_the_page_says_what_the_ticket_was_read_from_and_how_far_both_agree(tmp_path):
    source, other = (
        Source(zoo_id=FIRSTS[0]),
        tickets_actions.other_ticket(Source(zoo_id=FIRSTS[0]), 0.95, "best"),
    )
    said = {
        name: summary(source, score(source, name), masked(source, 0.95, name), None, None) for name in READERS
    }
    assert "no image was used, and nothing was trained" in said["weights"]
    assert (
        "the network was trained for 256 steps" in said["training"]
        and "Only networks" not in said["training"]
    )
    assert other is not None and other.reader == "training" and 1 > other.shared > 1.2 * other.by_chance
    assert f"after a short training has {percent(other.shared)} of the same weights" in other_ticket(other)
    narrow = source_of(mlp(784, 32, 16, 10), tmp_path / "net.safetensors")
    assert "Only networks with weights of 128×784" in summary(
        narrow, score(narrow), masked(narrow, 0.95), None, None
    )
    assert tickets_actions.other_ticket(narrow, 0.95, "best") is None
    with pytest.raises(RequestError, match="Leave reader at best"):
        score(narrow, "weights")
    lane = next(iter(race(score(source, "training"), masked(source, 0.95, "training"), 0, steps=1)))
    assert lane.reader == "training"


def test_an_mlp_of_the_family_stays_with_its_predictor_and_says_which_images(tmp_path):
    found = score(source_of(mlp(784, 32, 16, 10), tmp_path / "net.safetensors"))
    assert found.predictor == "tickets-mnist"
    assert found.assumed == ("MNIST is assumed: 784 inputs and 10 classes.",)
    assert score(Source(zoo_id=FIRSTS[0])).assumed == ()


def cnn(stride: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(a, b, 3, stride) for a, b in [(3, 8), (8, 8), (8, 8)]]
    parts = [part for layer in convolutions for part in (layer, nn.ReLU())]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 10)]
    return nn.Sequential(*parts, *head)


@pytest.mark.parametrize("net, shape, images", [
    (mlp(784, 32, 16, 10), (1, 28, 28), "tickets-mnist"), (cnn(), (3, 32, 32), "tickets-cifar10"),
])  # fmt: skip
def test_a_declared_network_of_a_family_is_read_as_the_same_tensors_are(net, shape, images, tmp_path):
    nfn.save(net, tmp_path / "declared.safetensors", shape)
    declared = score(Source(path=str(tmp_path / "declared.safetensors")))
    bare = score(source_of(net, tmp_path / "bare.safetensors"))
    assert declared.predictor == bare.predictor == images
    pairs = zip(declared.ticket.scores, bare.ticket.scores, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs) and declared.opened.names == bare.opened.names


def test_a_family_in_another_wiring_is_not_the_family(tmp_path):
    nfn.save(cnn(stride=1), tmp_path / "net.safetensors", (3, 32, 32))
    nfn.save(nn.Sequential(*[nn.Tanh() if isinstance(x, nn.ReLU) else x for x in mlp(784, 9, 9, 10)]),
             tmp_path / "tanh.safetensors", (784,))  # fmt: skip
    for name in ("net", "tanh"):
        assert open_initialization(Source(path=str(tmp_path / f"{name}.safetensors"))).setup is not None


def test_too_many_weights_are_refused(tmp_path):
    with pytest.raises(RequestError, match="up to 1,000,000 weights"):
        score(source_of(mlp(784, 1200, 100, 10), tmp_path / "large.safetensors"))


def test_pictures_and_classifiers_of_the_zoo_are_refused():
    for zoo_id in ("mnist-sirens/test/0", "cifar10-cnns/test/0"):
        with pytest.raises(RequestError, match="No ticket predictor"):
            score(Source(zoo_id=zoo_id))


def test_a_trained_network_is_noticed_and_served_all_the_same(tmp_path):
    net = mlp(784, 64, 64, 10)
    model = zoo_at().predictor("tickets-mnist", TicketPredictor)
    images, labels = model.stored_batch(torch.arange(2000))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    untrained = score(source_of(net, tmp_path / "before.safetensors"))
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    trained = score(source_of(net, tmp_path / "after.safetensors"))
    assert not untrained.ticket.trained and trained.ticket.trained
    assert mask(trained, 0.95).kept > 0


@pytest.mark.parametrize("zoo_id", FIRSTS)
def test_a_race_trains_and_is_reproducible(zoo_id):
    source = Source(zoo_id=zoo_id)
    found, shown = score(source), masked(source, 0.95)
    first, second = (list(race(found, shown, 7, steps=12)) for _ in range(2))
    assert [lane.accuracy for lane in first[-1].lanes] == [lane.accuracy for lane in second[-1].lanes]
    assert first[-1].finished and not first[0].finished and first[-1].lanes[0].steps[-1] == 12
    assert [lane.name for lane in first[0].lanes] == list(LANES)
    assert len({lane.kept for lane in first[0].lanes[:3]}) == 1 and first[0].lanes[3].kept == shown.total
    assert first[0].lanes[3].accuracy[0] != first[-1].lanes[3].accuracy[-1]


def test_the_random_lane_keeps_as_many_in_every_layer():
    source = Source(zoo_id=FIRSTS[0])
    masks = lanes_of(masked(source, 0.95), torch.Generator().manual_seed(0))
    for layer in masks:
        assert int(layer[0].sum()) == int(layer[1].sum()) and not torch.equal(layer[0], layer[1])
        assert layer[3].all()


def test_the_ticket_wins_against_random_in_a_short_race():
    source = Source(zoo_id=FIRSTS[0])
    *_, last = race(score(source), masked(source, 0.95), 1, steps=120)
    reached = {lane.name: lane.accuracy[-1] for lane in last.lanes}
    assert reached["ticket"] > reached["random"] + 0.02


def test_closing_a_race_ends_it():
    source = Source(zoo_id=FIRSTS[0])
    running = race(score(source), masked(source, 0.95), 0, steps=400)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert list(running) == []


def test_an_upload_that_is_gone_says_so():
    tickets_actions.open_initialization.cache_clear()
    with pytest.raises(RequestError, match="no longer kept"):
        score(Source(path="/nowhere/net.safetensors"))


@pytest.mark.parametrize("zoo_id", FIRSTS)
def test_the_zoos_masks_keep_a_twentieth_of_all_weights(zoo_id):
    opened = zoo_at().collection(zoo_id.partition("/")[0])
    assert [int(m.sum()) for m in opened.masks_of("test/0")] == [
        int(m.sum()) for m in top_masks([m.float() for m in opened.masks_of("test/0")], 0.95)
    ]
