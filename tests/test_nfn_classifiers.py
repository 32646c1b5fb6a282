"""Classifiers of other people's code are read exactly: their scores on real images are torch's own."""

from pathlib import Path

import pytest
import torch
from foreign_cnn import TinyNet, read_gray, train
from safetensors.torch import save_file
from torch import nn

from nfn.cnn import Activation, class_scores
from nfn.features import WeightSpaceFeatures
from nfn.network import ClassifierConvention
from nfn.reader import NetworkFileError, read_network, write_network

IMAGES = Path(__file__).parent / "data" / "images"
PICTURES = {
    28: IMAGES / "zalando-datasets" / "fashion_mnist" / "fashion_mnist" / "test-00000-of-00001.parquet",
    32: IMAGES / "uoft-cs" / "cifar10" / "plain_text" / "test-00000-of-00001.parquet",
}
"""Real images by their size; the larger ones are colour images made gray."""


def trained(size: int = 28, mean: float = 0.5, std: float = 0.5, **arguments) -> tuple[TinyNet, torch.Tensor]:
    """A network after a few steps on real images, and its scores on them by torch."""
    torch.manual_seed(1)
    net = TinyNet(**arguments)
    x, y = read_gray(PICTURES[size])
    train(net, (x - mean) / std, y, 4, 3e-3)
    with torch.no_grad():
        return net, net((x - mean) / std)


def check_scores(
    network, expected: torch.Tensor, size: int, activation: Activation = "relu", tolerance: float = 3e-5
) -> None:
    """The features in our convention give the same scores on pixels in [-1, 1]."""
    x, _ = read_gray(PICTURES[size])
    found = class_scores(network.normalized.map(torch.Tensor.double), 2 * x.double() - 1, activation)[0]
    assert expected.std() > 1e-3
    torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("norm", [None, "before"], ids=["plain", "batch norm"])
@pytest.mark.parametrize(("activation", "size"), [("relu", 28), ("tanh", 32)])
def test_any_small_cnn_scores_as_torch_has_it(tmp_path, activation, size, norm, bias, suffix):
    net, expected = trained(size, activation=activation, norm=norm, bias=bias)
    path = tmp_path / f"net{suffix}"
    (torch.save if suffix == ".pt" else save_file)(net.state_dict(), path)
    network = read_network(path)
    assert network.kind == "classifier"
    assert network.classifier == ClassifierConvention()
    assert network.spec.get_num_params() == 4970
    check_scores(network, expected, size, activation)


def test_the_foreign_file_is_read_exactly(foreign_cnn_file):
    net = TinyNet()
    net.load_state_dict(torch.load(foreign_cnn_file, weights_only=True))
    x, _ = read_gray(PICTURES[28])
    with torch.no_grad():
        check_scores(read_network(foreign_cnn_file), net.eval()(2 * x - 1), 28)


@pytest.mark.parametrize(
    ("facts", "mean", "std"),
    [
        ({"pixel_range": "[0, 1]"}, 0.0, 1.0),
        ({"pixel_range": "[0, 255]"}, 0.0, 1 / 255),
        ({"pixel_range": [-1, 1]}, 0.5, 0.5),
        ({"pixel_mean": 0.2860, "pixel_std": 0.3530}, 0.2860, 0.3530),
        ({"image_mean": (0.2860,), "image_std": (0.3530,)}, 0.2860, 0.3530),
        ({"config": {"pixel_mean": 0.2860, "pixel_std": 0.3530}}, 0.2860, 0.3530),
    ],
)
def test_pixels_of_any_scale_fold_into_the_first_layer(tmp_path, facts, mean, std):
    net, expected = trained(28, mean, std)
    torch.save({"state_dict": net.state_dict(), "activation": "nn.ReLU()", **facts}, tmp_path / "net.pt")
    network = read_network(tmp_path / "net.pt")
    assert network.classifier.activation == "relu"
    assert network.classifier.pixel_mean == pytest.approx(mean)
    assert network.classifier.pixel_std == pytest.approx(std)
    check_scores(network, expected, 28, tolerance=2e-4 if std < 0.01 else 3e-5)
    assert not any("assumed" in note for note in network.notes)


def test_the_callers_convention_overrides_the_file(tmp_path):
    net, expected = trained(28, 0.0, 1.0)
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata={"pixel_range": "nonsense"})
    declared = ClassifierConvention("relu", 0.0, 1.0)
    check_scores(read_network(tmp_path / "net.safetensors", convention=declared), expected, 28)


def test_undeclared_pixels_are_assumed_and_reported(tmp_path):
    torch.save(TinyNet().state_dict(), tmp_path / "net.pt")
    assert any("from -1 to 1 is assumed" in note for note in read_network(tmp_path / "net.pt").notes)


def test_the_convention_survives_writing(tmp_path):
    net, expected = trained(28, 0.2860, 0.3530, activation="tanh")
    metadata = {"Activation": "Tanh", "image_mean": "0.2860", "image_std": "0.3530", "author": "me"}
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata=metadata)
    network = read_network(tmp_path / "net.safetensors")
    write_network(network.with_normalized(network.normalized), tmp_path / "copy.safetensors")
    again = read_network(tmp_path / "copy.safetensors")
    assert again.classifier == network.classifier == ClassifierConvention("tanh", 0.2860, 0.3530)
    assert again.metadata.items() >= metadata.items()
    check_scores(again, expected, 28, "tanh")


def test_a_choice_that_overrides_the_metadata_replaces_it_when_written(tmp_path):
    save_file(TinyNet().state_dict(), tmp_path / "net.safetensors", metadata={"activation": "relu"})
    declared = ClassifierConvention("tanh", 0.0, 1.0)
    write_network(
        read_network(tmp_path / "net.safetensors", convention=declared), tmp_path / "copy.safetensors"
    )
    assert read_network(tmp_path / "copy.safetensors").classifier == declared


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"activation": "maxout"}, "'activation' is 'maxout'; expected one of relu"),
        ({"activation": "relu then tanh"}, "expected one of relu"),
        ({"pixel_mean": "0.5"}, "only one of 'pixel_mean' and 'pixel_std'"),
        ({"pixel_mean": "0.5", "pixel_std": "0"}, "'pixel_std' is '0(.0)?'; expected a number above 0"),
        ({"pixel_mean": "0.48, 0.45", "pixel_std": "0.2, 0.2"}, "'pixel_mean' is .*; expected a number"),
        ({"pixel_range": "[1, 0]"}, "two numbers such as"),
        ({"pixel_mean": "nan", "pixel_std": "1"}, "expected a number"),
    ],
)
def test_invalid_metadata_is_named(tmp_path, metadata, words):
    save_file(TinyNet().state_dict(), tmp_path / "net.safetensors", metadata=metadata)
    with pytest.raises(NetworkFileError, match=words):
        read_network(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (ClassifierConvention("maxout"), "expected one of relu"),
        (ClassifierConvention(pixel_mean=float("inf"), pixel_std=1.0), "pixel mean"),
        (ClassifierConvention(pixel_mean=0.0, pixel_std=0.0), "pixel std"),
        (ClassifierConvention(pixel_std=0.0), "pixel std"),
    ],
)
def test_a_wrong_convention_raises_value_error(tmp_path, declared, words):
    with pytest.raises(ValueError, match=words):
        read_network(tmp_path / "net.safetensors", convention=declared)


def test_normalize_is_undone_by_denormalize():
    features = read_like(TinyNet())
    for declared in (ClassifierConvention(None, 0.13, 0.31), ClassifierConvention(None, 0.0, 1 / 255)):
        again = declared.denormalize(declared.normalize(features))
        for ours, theirs in zip(
            again.weights + again.biases, features.weights + features.biases, strict=True
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def read_like(net: TinyNet) -> WeightSpaceFeatures:
    values = [value[None, None].detach() for value in net.state_dict().values()]
    return WeightSpaceFeatures(values[::2], values[1::2])


def test_an_activation_other_than_sine_is_not_a_siren(tmp_path):
    relu = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    save_file(relu.state_dict(), tmp_path / "net.safetensors", metadata={"activation": "relu"})
    assert read_network(tmp_path / "net.safetensors").kind == "classifier"
    save_file(relu.state_dict(), tmp_path / "net.safetensors", metadata={"activation": "sine"})
    assert read_network(tmp_path / "net.safetensors").kind == "siren"


def test_half_precision_is_read_as_it_is(tmp_path):
    net, _ = trained()
    torch.save(net.half().state_dict(), tmp_path / "net.pt")
    x, _ = read_gray(PICTURES[28])
    with torch.no_grad():
        check_scores(read_network(tmp_path / "net.pt"), net.float()(2 * x - 1), 28)


def test_batch_norm_after_the_activation_folds_into_the_next_layer_where_the_file_says_so(tmp_path):
    net, expected = trained(norm="after")
    torch.save({"model": net.state_dict(), "batch_norm": "after activation"}, tmp_path / "net.pt")
    network = read_network(tmp_path / "net.pt")
    check_scores(network, expected, 28)
    assert any("after the activation was folded into the next layer" in note for note in network.notes)
    torch.save({"model": net.state_dict(), "batch_norm": True}, tmp_path / "net.pt")
    assert any("set batch_norm = 'after'" in note for note in read_network(tmp_path / "net.pt").notes)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_numbers_of_a_sequential_tell_that_batch_norm_comes_after_the_activation(tmp_path, suffix):
    torch.manual_seed(0)
    stages = [
        part
        for inputs in (1, 16, 16)
        for part in (nn.Conv2d(inputs, 16, 3, 2), nn.ReLU(), nn.BatchNorm2d(16))
    ]
    net = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    x, y = read_gray(PICTURES[28])
    train(net, 2 * x - 1, y, 4, 3e-3)
    path = tmp_path / f"net{suffix}"
    (torch.save if suffix == ".pt" else save_file)(net.state_dict(), path)
    with torch.no_grad():
        check_scores(read_network(path), net(2 * x - 1), 28)


class Block(nn.Module):
    """A residual block with the names of torchvision's."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs)
        if inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )


class ResNet(nn.Module):
    """The layers and names of torchvision's ResNet."""

    def __init__(self, *widths: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 7, bias=False), nn.BatchNorm2d(widths[0])
        for i, (inputs, outputs) in enumerate(zip((widths[0], *widths), widths, strict=False), start=1):
            self.add_module(f"layer{i}", nn.Sequential(Block(inputs, outputs), Block(outputs, outputs)))
        self.fc = nn.Linear(widths[-1], 10)


def cnn(*middle: nn.Module, inputs: int = 16) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 16, 3, 2), *middle, nn.Linear(inputs, 10))


UNREADABLE = {
    "oblong flattening": (cnn(inputs=96), r"flattening \(of 6 pixels\)"),
    "transformer": (
        nn.ModuleDict({"attn": nn.MultiheadAttention(8, 2), "norm": nn.LayerNorm(8)}),
        "transformer: it holds 'attn.in_proj_.*attention",
    ),
    "LSTM": (nn.LSTM(4, 8), "recurrent network .*'weight_[ih]h_l0'"),
    "layer norm": (cnn(nn.GroupNorm(4, 16)), "'1.(weight|bias)'.*"),
    "1D convolution": (nn.Sequential(nn.Conv1d(1, 8, 3), nn.Linear(8, 10)), "1D convolution"),
    "transposed": (cnn(nn.ConvTranspose2d(16, 4, 2)), "'1.weight'.*like a transposed convolution"),
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("net", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_networks_are_named_with_what_would_be_needed(tmp_path, net, words, suffix):
    path = tmp_path / f"net{suffix}"
    (torch.save if suffix == ".pt" else save_file)(net.state_dict(), path)
    with pytest.raises(NetworkFileError, match=words) as caught:
        read_network(path)
    assert len(str(caught.value)) < 600


WIRED = {
    "ResNet": ResNet(8, 16),
    "ResNet of one width": ResNet(8, 8),
    "LeNet": nn.Sequential(nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(400, 84), nn.Linear(84, 10)),
    "PReLU": cnn(nn.PReLU(16)),
    "depthwise": cnn(nn.Conv2d(16, 16, 3, groups=16)),
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("net", WIRED.values(), ids=WIRED)
def test_a_network_that_is_not_a_chain_is_read_with_its_candidate_wirings(tmp_path, net, suffix):
    path = tmp_path / f"net{suffix}"
    (torch.save if suffix == ".pt" else save_file)(net.state_dict(), path)
    network = read_network(path)
    assert network.kind == "classifier" and network.chain is None and network.proposal is not None
    assert network.proposal.classes == 10
    expected = {name: tensor for name, tensor in net.state_dict().items() if tensor.dim()}
    assert network.stored.keys() == expected.keys()
    assert all(torch.equal(network.stored[name], tensor) for name, tensor in expected.items())
    with pytest.raises(ValueError, match="are not one chain"):
        _ = network.features


def test_colour_networks_and_other_kernels_are_read(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.Conv2d(8, 8, 3, 2), nn.Linear(8, 10))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert read_network(tmp_path / "net.pt").spec.get_io() == (3, 10)
