"""From a bare state_dict to the architectures that it may be."""

import itertools
import math
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from foreign_nets import OwnBlocks, ResNet9
from torch import nn

from nfn.architecture.ops import ArchitectureError, BatchNorm, Conv
from nfn.reader import read_network
from nfn.wiring.batch_norms import WiringError
from nfn.wiring.chain import Down, NormPlace, Wiring, blocks_of
from nfn.wiring.fit import TEMPERATURES, UNCHANGED, Setting, fits_of, logits
from nfn.wiring.geometry import STEM
from nfn.wiring.pictures import MINUS_ONE_ONE, ZERO_ONE, PictureSet
from nfn.wiring.prefixes import DROPOUT, PrefixCache, _norm_shifts
from nfn.wiring.propose import MOST_SKIPPED, Proposal, propose
from nfn.wiring.residual import ResidualWiring
from nfn.wiring.search import (
    BEHIND,
    FEW,
    GLANCE,
    JUNK,
    MANY,
    NOTHING_GIVEN,
    SHIFT_PENALTY,
    USUAL,
    Search,
    _likely_views,
    badness,
)
from nfn.wiring.sequence import Sequence
from nfn.wiring.skips import Place, Skips, inside_skips, named_residual


def proposal_of(module, in_order=True):
    state = {name: tensor for name, tensor in module.state_dict().items() if tensor.dim()}
    names = list(state) if in_order else sorted(state)
    return propose({name: tuple(state[name].shape) for name in names}, in_order), state


def randomized(module, seed=0):
    """Weights and running statistics at random, in evaluation mode and float64."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.3 if tensor.dim() == 1 else tensor)
    return module.double().eval()


def lenet():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(),
                         nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 20), nn.Tanh(), nn.Linear(20, 10))  # fmt: skip


def norms_after_pooling():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(8),
                         nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(12),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))  # fmt: skip


def depthwise():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, 2, 1, groups=8),
                         nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.ReLU6(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))  # fmt: skip


def strided_stem():
    return nn.Sequential(nn.Conv2d(1, 12, 5, 2), nn.SiLU(), nn.BatchNorm2d(12), nn.Conv2d(12, 20, 3), nn.SiLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(500, 40), nn.SiLU(), nn.Linear(40, 10))  # fmt: skip


def resnet_stem():
    return nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                         nn.Conv2d(8, 12, 3, 1, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(12, 10))  # fmt: skip


def small_alexnet():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1),
                         nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(16, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(32, 10))  # fmt: skip


def pooled_then_strided():
    return nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(),
                         nn.Flatten(), nn.Linear(588, 10))  # fmt: skip


def prelu():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.PReLU(), nn.Linear(8, 10))


class NormsMadeLast(nn.Module):
    """Layers of one width, and their norms after all of them, as many write it."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv2d(1, 8, 3, 2),
            nn.Conv2d(8, 8, 3, 2),
            nn.Conv2d(8, 8, 3, 2),
        )
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = norm(convolution(x)).relu()
        return self.fc(x.mean((2, 3)))


class NormsInAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in ((784, 8), (8, 8), (8, 10)))
        self.norms = nn.ModuleList(nn.BatchNorm1d(8) for _ in range(2))

    def forward(self, x):
        x = x.flatten(1)
        for layer, norm in zip(self.layers[:-1], self.norms, strict=True):
            x = norm(layer(x)).relu()
        return self.layers[-1](x)


class BasicBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(BasicBlock(8, 8, 1), BasicBlock(8, 8, 1))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(self.bn1(self.conv1(x)).relu()))
        return self.fc(x.mean((2, 3)))


class Skips1(nn.Module):
    """A skip over each convolution of stride 1, though no name says so, and pooling behind one of the sums."""

    def __init__(self, before):
        super().__init__()
        self.before = before
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv2d(1, 6, 3, 2, 1),
            nn.Conv2d(6, 6, 3, 1, 1),
            nn.Conv2d(6, 6, 3, 1, 1),
        )
        self.fc = nn.Linear(6, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.added(self.conv1(x).relu(), self.conv2), 2)
        return self.fc(self.added(x, self.conv3).mean((2, 3)))

    def added(self, x, convolution):
        return (x + convolution(x)).relu() if self.before else x + convolution(x).relu()


class LinearSum(nn.Module):
    """A skip over two convolutions, and no activation behind the second."""

    def __init__(self):
        super().__init__()
        self.stem, self.a = nn.Conv2d(1, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.b, self.head = nn.Conv2d(6, 6, 3, 1, 1), nn.Linear(6, 10)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head((x + self.b(self.a(x).relu())).mean((2, 3)))


MAX, STRIDE = Down("max"), Down("stride")
CASES = {
    "resnet9": (
        ResNet9, (3, 32, 32),
        Wiring(("relu", 1.0), (1,) * 8, (None, MAX, None, None, MAX, MAX, None, None), "max",
               skips=Skips(2, "after")),
    ),
    "blocks": (
        OwnBlocks, (1, 28, 28),
        Wiring(("relu", 1.0), (1,) * 6, (STRIDE, None, None, STRIDE, None, None), "average",
               skips=Skips(2, "before")),
    ),
    "skips_after": (
        partial(Skips1, False), (1, 28, 28),
        Wiring(("relu", 1.0), (1,) * 3, (STRIDE, MAX, None), "average", skips=Skips(1, "after")),
    ),
    "skips_before": (
        partial(Skips1, True), (1, 28, 28),
        Wiring(("relu", 1.0), (1,) * 3, (STRIDE, MAX, None), "average", skips=Skips(1, "before")),
    ),
    "linear_sum": (
        LinearSum, (1, 28, 28),
        Wiring(("relu", 1.0), (1,) * 3, (STRIDE, None, None), "average", skips=Skips(2, "instead of")),
    ),
    "lenet": (lenet, (1, 28, 28), Wiring(("tanh", 1.0), (2, 0), (Down("average"),) * 2, "flatten")),
    "norms_after_pooling": (
        norms_after_pooling, (3, 32, 32),
        Wiring(("relu", 1.0), (1, 1), (Down("max"),) * 2, "average", "after_pool"),
    ),
    "depthwise": (
        depthwise, (3, 32, 32), Wiring(("relu6", 1.0), (1, 1, 0), (None, Down("stride"), None), "average"),
    ),
    "strided_stem": (
        strided_stem, (1, 28, 28),
        Wiring(("silu", 1.0), (0, 0), (Down("stride"), Down("max")), "flatten", "after"),
    ),
    "resnet_stem": (resnet_stem, (3, 32, 32), Wiring(("relu", 1.0), (3, 1), (STEM, None), "average")),
    "small_alexnet": (
        small_alexnet, (3, 32, 32),
        Wiring(("relu", 1.0), (1,) * 4, (Down("max", own=2), Down("max"), None, Down("max")), "flatten"),
    ),
    "pooled_then_strided": (
        pooled_then_strided, (1, 28, 28),
        Wiring(("relu", 1.0), (1, 1), (Down("max"), Down("stride")), "flatten"),
    ),
    "prelu": (prelu, (1, 28, 28), Wiring()),
    "norms_made_last": (
        NormsMadeLast, (1, 28, 28), Wiring(("relu", 1.0), (0, 0, 0), (Down("stride"),) * 3, "average"),
    ),
    "norms_in_a_list": (NormsInAList, (1, 28, 28), Wiring()),
    "resnet": (ResNet, (3, 32, 32), ResidualWiring()),
}  # fmt: skip


@pytest.mark.parametrize("in_order", (True, False))
@pytest.mark.parametrize("name", CASES)
def test_the_right_choice_computes_what_the_module_does(name, in_order):
    make, shape, choice = CASES[name]
    torch.manual_seed(0)
    module = randomized(make())
    proposal, state = proposal_of(module, in_order)
    x = torch.randn(3, *shape, dtype=torch.float64)
    got = proposal.build(choice, shape).run(state, x)
    torch.testing.assert_close(got, module(x))


@pytest.mark.parametrize("name", CASES)
def test_the_right_geometry_is_among_the_starts(name):
    make, shape, choice = CASES[name]
    proposal, _ = proposal_of(make())
    assert choice in {proposal.same_geometry(choice, start) for start in proposal.starts(shape[1])} or any(
        other.activation == choice.activation and proposal.same_geometry(start, choice) == start
        for start in proposal.starts(shape[1])
        for other in proposal.neighbours(start)
    )


@pytest.mark.parametrize("name", CASES)
def test_every_start_can_be_built(name):
    make, shape, _ = CASES[name]
    proposal, _ = proposal_of(make())
    starts = proposal.starts(shape[1])
    assert starts
    for start in starts[:50]:
        assert proposal.build(start, shape).output_shape == (10,)


def test_skips_are_over_convolutions_that_keep_the_shape():
    layers = proposal_of(Skips1(True))[0].layers
    wiring, anywhere = Wiring(padding=(1,) * 3, down=(STRIDE, MAX, None), skips=Skips(1, "after")), [True] * 3
    assert blocks_of(layers, wiring, anywhere) == {1: 1, 2: 2}
    assert blocks_of(layers, wiring, [True, False, True]) == {2: 2}
    assert blocks_of(layers, replace(wiring, down=(None, STRIDE, None)), anywhere) == {2: 2}, (
        "a stride inside"
    )
    assert blocks_of(layers, replace(wiring, padding=(1, 1, 0)), anywhere) == {1: 1}, "a border is missing"
    assert blocks_of(layers, replace(wiring, skips=Skips(2, "after")), anywhere) == {}, "pooling inside"
    assert blocks_of(layers, replace(wiring, skips=None), anywhere) == {}
    assert blocks_of(layers[:-1], wiring, anywhere) == {1: 1}, "the last layer gives the scores"


def test_skips_are_where_their_words_say():
    proposal, _ = proposal_of(ResNet9())
    choice = CASES["resnet9"][2]
    orders: dict[NormPlace, dict[Place, str]] = {
        "before": {"before": "NSA", "after": "NAS", "instead of": "NS"},
        "after": {"before": "SAN", "after": "ANS", "instead of": "SN"},
        "after_pool": {"before": "SAN", "after": "ASN", "instead of": "SN"},
    }
    for norm_place, places in orders.items():
        for place, steps in places.items():
            wiring = replace(choice, norm_place=norm_place, skips=Skips(2, place))
            kinds = [op.kind for op in proposal.build(wiring, (3, 32, 32)).ops]
            second = [i for i, kind in enumerate(kinds) if kind == "conv"][3]
            letters = {"batch_norm": "N", "activation": "A", "add": "S"}
            assert "".join(letters[kind] for kind in kinds[second + 1 : second + 1 + len(steps)]) == steps
    with pytest.raises(ArchitectureError):
        proposal.build(replace(choice, norm_place="before_pooled"), (3, 32, 32))


def test_no_skip_replaces_an_activation_with_weights():
    layers = [nn.Conv2d(1, 6, 3, 2, 1), nn.PReLU(6), nn.Conv2d(6, 6, 3, 1, 1), nn.PReLU(6)]
    proposal, _ = proposal_of(nn.Sequential(*layers, *layers[2:], nn.Flatten(), nn.Linear(6, 10)))
    wiring = Wiring(padding=(1,) * 3, down=(STRIDE, None, None), head="average", skips=Skips(2, "instead of"))
    with pytest.raises(ArchitectureError, match="activation with weights"):
        proposal.build(wiring, (1, 28, 28))


def test_names_tell_which_convolutions_are_inside_of_skips():
    def told(module, by=inside_skips):
        return by([layer for layer in proposal_of(module)[0].layers if layer.is_convolution])

    named = [False, False, True, True, False, False, True, True]
    assert told(ResNet9()) == told(ResNet9(), named_residual) == named
    assert told(nn.ModuleDict({"resnet": ResNet9()})) == named
    assert not any(told(nn.ModuleDict({"res_net": Skips1(True)}), named_residual)), "all of them are no hint"
    assert told(OwnBlocks()) == [False, True, True, False, True, True], "two in a module that keeps its width"
    assert not any(told(OwnBlocks(), named_residual))
    assert all(told(Skips1(True))) and all(told(small_alexnet()))
    for word in ("features", "reshape", "resize", "resnet", "result", "pressed"):
        assert not any(told(nn.ModuleDict({word: small_alexnet()}), named_residual)), word
    for word in ("res1", "res", "res_block", "resblock2", "ResUnit", "my_residual", "skip"):
        module = nn.ModuleDict({"a": nn.Conv2d(1, 4, 3), word: nn.Conv2d(4, 4, 3), "z": nn.Linear(4, 10)})
        assert told(module, named_residual) == [False, True], word


def test_proposing_a_deep_network_with_blocks_takes_a_moment():
    shapes: dict[str, tuple[int, ...]] = {"stem.weight": (4, 1, 3, 3)}
    shapes |= {f"block{i}.{j}.weight": (4, 4, 3, 3) for i in range(120) for j in range(2)}
    start = time.process_time()
    proposal = propose(shapes | {"fc.weight": (10, 4)}, in_order=True)
    assert len(proposal.with_skips(28)) == MOST_SKIPPED
    assert time.process_time() - start < 3, (
        "0.3 s on a slow machine; 20 s when names were read for each wiring"
    )


@pytest.mark.parametrize("name", ["resnet9", "blocks"])
def test_skips_are_tried_early(name):
    make, shape, choice = CASES[name]
    proposal, _ = proposal_of(make())
    tried = [*proposal.starts(shape[1])[:USUAL], *proposal.with_skips(shape[1])]
    assert choice in tried


def test_layers_that_fit_no_chain_are_named():
    shapes = {"encoder.weight": (8, 30), "decoder.weight": (31, 9)}
    with pytest.raises(WiringError, match=r"decoder\.weight.*takes 9 inputs.*gives 8"):
        propose(shapes, in_order=True)


def test_a_tensor_without_a_part_is_named():
    shapes = {"a.weight": (8, 30), "a.bias": (8,), "ln.weight": (8,), "ln.bias": (8,), "b.weight": (10, 8)}
    with pytest.raises(WiringError, match=r"ln\.bias"):
        propose(shapes, in_order=True)


def test_an_order_found_from_widths_is_reported():
    proposal = propose({"b.weight": (10, 8), "a.weight": (8, 30)}, in_order=True)
    assert [layer.weight for layer in proposal.layers] == ["a.weight", "b.weight"]
    assert "order" in proposal.assumed[0]


def sequential():
    stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.BatchNorm2d(8, eps=1e-3))
    return nn.Sequential(
        stem, nn.MaxPool2d(3, 2, 1), nn.Dropout(), nn.Flatten(), nn.Linear(8 * 49, 10), nn.LogSoftmax(1)
    )


def test_a_pickled_sequential_is_read_with_its_settings(tmp_path):
    torch.manual_seed(0)
    module = sequential().eval()
    torch.save(module, tmp_path / "net.pt")
    network = read_network(tmp_path / "net.pt")
    assert isinstance(network.proposal, Sequence)
    (choice,) = network.proposal.starts(28)
    assert choice.sentences() == [] and network.proposal.starts(32) == []
    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(
            network.proposal.build(choice, (1, 28, 28)).run(network.stored, x), module(x)
        )


class PoolsInForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2)
        self.act, self.last = nn.GELU(), nn.Linear(6, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.act(self.first(x)), 2)
        return self.last(self.act(self.second(x)).mean((2, 3)))


def test_declared_settings_of_convolutions_are_not_searched(tmp_path):
    torch.save(PoolsInForward(), tmp_path / "net.pt")
    network = read_network(tmp_path / "net.pt")
    assert isinstance(network.proposal, Proposal) and network.classifier.activation == "gelu"
    starts = network.proposal.starts(28)
    assert {start.padding for start in starts if isinstance(start, Wiring)} == {(1, 0)}
    downs = [start.down[1] for start in starts if isinstance(start, Wiring)]
    assert downs[0] == Down("stride", 2, 2) and {down and down.convolution_stride for down in downs} == {2}
    assert Wiring(padding=(1, 0), down=(Down("max"), Down("stride", 2, 2)), head="average") in starts


def test_neighbours_differ_in_the_downsampling_of_one_convolution():
    proposal, _ = proposal_of(pooled_then_strided())
    choice = Wiring(padding=(1, 1), down=(Down("max"), Down("stride")))
    downs = {c.down for c in proposal.neighbours(choice) if isinstance(c, Wiring)} - {choice.down}
    assert (Down("average"), Down("stride")) in downs and (Down("max"), Down("max", 3, 2, 1)) in downs
    assert all(sum(a != b for a, b in zip(down, choice.down, strict=True)) == 1 for down in downs)
    known = replace(proposal, settings={"0": (1, 1), "3": (2, 1)})
    downs = {c.down for c in known.neighbours(choice) if isinstance(c, Wiring)}
    assert all(down[1] == Down("stride") for down in downs) and len(downs) == 3


def test_neighbours_move_downsampling_to_the_convolution_beside_it():
    proposal, _ = proposal_of(small_alexnet())
    down = (Down("max"), Down("stride"), None, Down("max"))
    choice = Wiring(padding=(1,) * 4, down=down)
    moved = {c.down for c in proposal.neighbours(choice) if isinstance(c, Wiring) and c.down.index(None) != 2}
    assert moved == {(Down("max"), None, Down("stride"), Down("max")), (*down[:2], Down("max"), None)}
    known = replace(proposal, settings={"0": (1, 1), "3": (2, 1), "6": (1, 1), "8": (1, 1)})
    assert all(c.down.index(None) == 2 for c in known.neighbours(choice) if isinstance(c, Wiring))


def test_downsampling_at_the_ends_of_separable_blocks_is_tried():
    """A stem and two blocks of a depthwise and a 1x1 convolution, with pooling behind the stem and each block."""
    blocks = [
        layer
        for a, b in ((8, 12), (12, 16))
        for layer in (nn.Conv2d(a, a, 3, 1, 1, groups=a), nn.Conv2d(a, b, 1), nn.ReLU(), nn.MaxPool2d(2))
    ]
    module = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), *blocks, nn.Flatten(),
                           nn.Linear(144, 10))  # fmt: skip
    proposal, _ = proposal_of(module)
    pooled = (Down("max"), None, Down("max"), None, Down("max"))
    assert pooled in {c.down for c in proposal.starts(28) if isinstance(c, Wiring)}


def test_batch_norms_are_shifted_in_all_settings_but_their_own():
    """Running statistics of real digits, in evaluation mode: in the right setting, inputs vary as they say."""
    torch.manual_seed(0)
    images = torch.rand(64, 1, 28, 28)
    module = norms_in_a_chain()
    module(MINUS_ONE_ONE(images))
    proposal, state = proposal_of(module.eval())
    pictures = PictureSet("mnist", (255 * images).byte(), torch.arange(64) % 10)
    search, choice = Search(proposal, state, [pictures], NOTHING_GIVEN), proposal.starts(28)[0]
    assert isinstance(choice, Wiring)
    settings = [Setting("mnist", (1, 28, 28), p, choice) for p in (MINUS_ONE_ONE, ZERO_ONE)]
    own, other = search.look_at(settings, 64)
    assert own.norm_shift < 0.05 and other.norm_shift == pytest.approx(math.log(4), abs=0.1)
    for fit in (own, other):  # the same alone, and where all but the last operations come from the cache
        alone = Search(proposal, state, [pictures], NOTHING_GIVEN).look(fit.setting, 64)
        assert alone is not None and alone.norm_shift == pytest.approx(fit.norm_shift, abs=1e-4)
    changed = replace(settings[0], choice=replace(choice, down=(*choice.down[:1], Down("average"))))
    (average,) = search.look_at([changed], 64)
    assert average.norm_shift == pytest.approx(own.norm_shift, abs=1e-4)  # both norms are before it


def test_batch_norms_behind_dropout_vary_less_and_that_counts_less():
    """Running statistics of training, in which dropout adds variance; the first batch norm is in front of it."""
    torch.manual_seed(0)
    images = torch.rand(64, 1, 28, 28)
    chain = norms_in_a_chain()
    layers = list(chain)
    nn.Sequential(*layers[:4], nn.Dropout(0.5), *layers[4:])(MINUS_ONE_ONE(images))
    proposal, state = proposal_of(chain.eval())
    pictures = PictureSet("mnist", (255 * images).byte(), torch.arange(64) % 10)
    search, choice = Search(proposal, state, [pictures], NOTHING_GIVEN), proposal.starts(28)[0]
    fit = search.look(Setting("mnist", (1, 28, 28), MINUS_ONE_ONE, choice), 64)
    second = layers[5]
    assert isinstance(second, nn.BatchNorm2d) and second.running_var is not None
    variances = nn.Sequential(*layers[:5])(MINUS_ONE_ONE(images)).detach().var([0, 2, 3], correction=0)
    smaller = float((variances / second.running_var).log().median())
    assert fit is not None and smaller < -0.2
    assert fit.norm_shift == pytest.approx(-DROPOUT * smaller, abs=0.01)


def test_a_channel_that_is_constant_in_training_too_is_not_shifted():
    torch.manual_seed(0)
    tensors = {"mean": torch.full((4,), 57.3), "variance": torch.zeros(4)}
    x = torch.full((32, 4, 6, 6), 57.3)
    norm = BatchNorm(inputs=(0,), mean="mean", variance="variance")
    assert _norm_shifts(norm, x, tensors, 2).tolist() == [0.0, 0.0]
    assert _norm_shifts(norm, x + torch.randn(32, 4, 6, 6), tensors, 1) > 1


def test_a_single_further_image_says_nothing_of_variances():
    """Large networks are run on few images at a time: of one, a batch norm of features has no variance."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 10))
    proposal, state = proposal_of(module.eval())
    pictures = PictureSet("mnist", torch.randint(256, (33, 1, 28, 28)).byte(), torch.arange(33) % 10)
    search = Search(proposal, state, [pictures], NOTHING_GIVEN)
    setting = Setting("mnist", (1, 28, 28), ZERO_ONE, proposal.starts(28)[0])
    before, after = search.look(setting, 32), search.look(setting, 33)
    assert before is not None and after is not None and after.pictures == 33
    assert 0 < before.norm_shift < math.inf and after.norm_shift == before.norm_shift


def norms_in_a_chain():
    norms = nn.BatchNorm2d(4, momentum=1.0), nn.BatchNorm2d(6, momentum=1.0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), norms[0], nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(4, 6, 3, padding=1, bias=False), norms[1], nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(294, 10))  # fmt: skip


def test_shifted_batch_norms_count_against_informative_settings_only():
    proposal, _ = proposal_of(lenet())
    setting = Setting("mnist", (1, 28, 28), ZERO_ONE, proposal.starts(28)[0])
    (fit,) = fits_of([setting], torch.zeros(1, 10, 10), torch.arange(10))
    relu = replace(fit, setting=replace(setting, choice=replace(setting.choice, activation=("relu", 1.0))))

    def bad(likelihood: float, shift: float) -> float:
        return badness(replace(relu, log_likelihood=likelihood, norm_shift=shift))

    assert bad(-0.5, 0.0) == 0.5 and bad(-0.5, 0.5) == pytest.approx(0.5 + SHIFT_PENALTY / 2)
    assert bad(-0.5, math.inf) == bad(-0.5, 1.0) == pytest.approx(0.5 + SHIFT_PENALTY)
    assert bad(-2.29, 9.0) == bad(-2.29, 0.0) == 2.29
    assert bad(JUNK + 0.01, 9.0) <= -JUNK, "an informative setting stays ahead of one that is not"


def test_a_setting_that_is_looked_at_again_on_more_pictures_has_the_scores_of_all_of_them():
    """Those of a few are not computed again, also if settings differ in how many they have seen, or are there."""
    torch.manual_seed(0)
    proposal, state = proposal_of(lenet())
    pictures = PictureSet("mnist", torch.randint(256, (100, 1, 28, 28)).byte(), torch.arange(100) % 10)
    search, choice = Search(proposal, state, [pictures], NOTHING_GIVEN), proposal.starts(28)[0]
    first, second = (Setting("mnist", (1, 28, 28), pixels, choice) for pixels in (MINUS_ONE_ONE, ZERO_ONE))
    search.look(first, GLANCE)
    for count in (FEW, MANY):  # of the second, none has been seen at first
        fits = search.look_at([first, second], count)
        for fit, setting in zip(fits, (first, second), strict=True):
            seen = pictures.first(count)
            scores = logits(
                proposal.build(choice, (1, 28, 28)), state, setting.pixels(seen.shaped((1, 28, 28)))
            )
            (alone,) = fits_of([setting], scores[None], seen.labels)
            assert fit.pictures == alone.pictures == min(count, 100)
            assert fit.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-5)
            assert fit.confidence == pytest.approx(alone.confidence, abs=1e-5)
    another = next(c for c in proposal.neighbours(choice) if c != choice)
    for count in (MANY, MANY + 1):
        assert (
            len(
                search.look_at(
                    [Setting("mnist", (1, 28, 28), p, another) for p in (ZERO_ONE, MINUS_ONE_ONE)], count
                )
            )
            == 2
        )


def test_settings_together_fit_as_each_alone():
    """The batch of normalizations changes no number, and a network that is not finite says so for its setting alone."""
    torch.manual_seed(0)
    proposal, _ = proposal_of(lenet())
    settings = [
        Setting("mnist", (1, 28, 28), p, proposal.starts(28)[0]) for p in (MINUS_ONE_ONE, ZERO_ONE, ZERO_ONE)
    ]
    scores, labels = 3 * torch.randn(3, 50, 10), torch.arange(50) % 10
    scores[2, 7, 3] = torch.inf
    together = fits_of(settings, scores, labels)
    assert together == [fits_of([s], z[None], labels)[0] for s, z in zip(settings, scores, strict=True)]
    assert [fit.finite for fit in together] == [True, True, False]
    first = together[0]
    assert first.accuracy == pytest.approx(float((scores[0].argmax(1) == labels).float().mean()))
    assert first.confidence == pytest.approx(float(scores[0].softmax(1).amax(1).mean()))
    at = [-float(torch.nn.functional.cross_entropy(scores[0] / t, labels)) for t in TEMPERATURES]
    assert first.log_likelihood == pytest.approx(max(at), abs=1e-5)
    assert first.temperature_gain == pytest.approx(max(at) - max(at[: UNCHANGED + 1]), abs=1e-5)
    assert first.temperature_gain > 0.1, "random scores are too confident"
    (calm,) = fits_of(settings[:1], scores[:1] / 10, labels)
    assert calm.temperature_gain < first.temperature_gain


def test_an_image_set_that_falls_far_behind_is_not_tried_further():
    """As long as no set is informative all are; once one is, only those near it are worth the other activations."""
    torch.manual_seed(0)
    proposal, state = proposal_of(lenet())
    sets = [
        PictureSet(n, torch.zeros(10, 1, 28, 28).byte(), torch.arange(10)) for n in ("mnist", "fashion_mnist")
    ]
    search, choice = Search(proposal, state, sets, NOTHING_GIVEN), proposal.starts(28)[0]
    (blank,) = fits_of(
        [Setting("mnist", (1, 28, 28), ZERO_ONE, choice)], torch.zeros(1, 10, 10), sets[0].labels
    )

    def seen(**numbers: float) -> list[str]:
        settings = [Setting(v.images, v.shape, ZERO_ONE, choice) for v in search.views if v.images in numbers]
        search.looked = {
            (s, GLANCE): replace(blank, setting=s, log_likelihood=numbers[s.images]) for s in settings
        }
        return list(dict.fromkeys(view.images for view in _likely_views(search)))

    assert seen() == seen(mnist=JUNK - 0.01, fashion_mnist=-9.0) == ["mnist", "fashion_mnist"]
    assert seen(mnist=-1.5, fashion_mnist=-1.5 - BEHIND - 0.01) == ["mnist"]
    assert seen(mnist=-1.5, fashion_mnist=-1.5 - BEHIND + 0.01) == ["mnist", "fashion_mnist"]


@pytest.mark.parametrize("room", [0, 20_000, 2**26])
@pytest.mark.parametrize("name", CASES)
def test_networks_that_begin_alike_compute_the_same_together_as_alone(name, room, monkeypatch):
    """To the bit, for two pixel ranges, whether all, some or no values are kept; if all, convolutions are spared."""
    monkeypatch.setattr("nfn.wiring.prefixes.MAX_BYTES", room)
    torch.manual_seed(0)
    make, shape, _ = CASES[name]
    proposal, state = proposal_of(make().eval())
    starts = proposal.starts(shape[1])[:3]
    choices = [c for start in starts for c in (start, *itertools.islice(proposal.neighbours(start), 3))]
    x, cache = torch.rand(2, *shape), PrefixCache(state)
    run, ran = Conv.run, []
    monkeypatch.setattr(Conv, "run", lambda op, *given: (ran.append(op), run(op, *given))[1])
    for pixels, choice in itertools.product((ZERO_ONE, MINUS_ONE_ONE), choices):
        architecture, inputs = proposal.build(choice, shape), pixels(x)
        together = cache.run(architecture, pixels, lambda inputs=inputs: inputs)
        count = len(ran)
        again = cache.run(architecture, pixels, lambda inputs=inputs: inputs)
        assert torch.equal(together, architecture.run(state, inputs)) and torch.equal(together, again)
        del ran[count:]
        assert sum(kept.value.nbytes for kept in cache._kept.values()) == cache._bytes <= room
    alone = 2 * len(choices) * sum(isinstance(op, Conv) for op in architecture.ops)
    assert len(ran) == alone if room == 0 else len(ran) <= alone
    assert len(ran) < alone or room < 2**26 or alone == 0
