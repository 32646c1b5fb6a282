"""Plain PyTorch networks of the architectures that people make, for tests that read them back in one way or another.

`ZOO[name]` is a `Case`: how to build the module, and the shape of one input. `build(name)` gives the module as after
training (batch norm's statistics are not those of initialisation), in evaluation. Nothing here knows the library.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LeNet5(nn.Module):
    """LeNet-5 as its paper: tanh, average pooling, flattening by `view`."""

    def __init__(self, channels: int = 1, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2)
        x = x.view(-1, 400)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))


class MnistExample(nn.Module):
    """PyTorch's MNIST example: max pooling, dropout of two kinds, log-softmax."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)
        self.dropout1, self.dropout2 = nn.Dropout2d(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(2304, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = torch.flatten(self.dropout1(F.max_pool2d(x, 2)), 1)
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


def vgg(norm: bool, widths: tuple[int, ...] = (8, 8, 16, 16, 24), classes: int = 10) -> nn.Sequential:
    """Blocks of a 3x3 convolution, batch norm if wanted, ReLU and max pooling; two linear layers with dropout."""
    layers: list[nn.Module] = []
    for before, width in itertools.pairwise((3, *widths)):
        layers.append(nn.Conv2d(before, width, 3, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)]
    head = [nn.Flatten(), nn.Linear(widths[-1], 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, classes)]
    return nn.Sequential(*layers, *head)


def convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, 1, bias=False)


class CifarBlock(nn.Module):
    """Two convolutions and a shortcut without parameters: every second pixel, zeros as new channels (option A)."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = convolution(before, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width), nn.BatchNorm2d(width)
        self.stride, self.added = stride, width - before

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.added:
            half = self.added // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.added - half))
        return F.relu(y + x)


class ResNet20(nn.Module):
    """The ResNet-20 for CIFAR-10 of arXiv:1512.03385, with shortcuts of kind A."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.conv1, self.bn1 = convolution(3, width), nn.BatchNorm2d(width)
        blocks = []
        for stage, before in enumerate((width, width, 2 * width)):
            after, stride = width << stage, 1 if stage == 0 else 2
            rest = [CifarBlock(after, after, 1) for _ in range(2)]
            blocks.append(nn.Sequential(CifarBlock(before, after, stride), *rest))
        self.layer1, self.layer2, self.layer3 = blocks
        self.linear = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, x.size()[3])
        return self.linear(x.view(x.size(0), -1))


class BasicBlock(nn.Module):
    """torchvision's `BasicBlock`, under its names."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = convolution(before, width, stride), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = convolution(width, width), nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or before != width:
            shortcut = nn.Conv2d(before, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet18(nn.Module):
    """torchvision's `resnet18`, under its names; 64 channels at first there, fewer here to be quick."""

    def __init__(self, width: int = 8, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = [
            nn.Sequential(
                BasicBlock(width if stage == 0 else width << stage - 1, width << stage, 2 if stage else 1),
                BasicBlock(width << stage, width << stage, 1),
            )
            for stage in range(4)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class PreActivation(nn.Module):
    """A residual network that normalises before it convolves (arXiv:1603.05027)."""

    def __init__(self):
        super().__init__()
        self.stem = convolution(3, 8)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(5))
        self.convs = nn.ModuleList(convolution(8, 8) for _ in range(4))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i in (0, 2):
            y = self.convs[i](F.relu(self.norms[i](x)))
            x = x + self.convs[i + 1](F.relu(self.norms[i + 1](y)))
        return self.head(F.relu(self.norms[4](x)).mean((2, 3)))


def depthwise_separable() -> nn.Sequential:
    """MobileNet (arXiv:1704.04861) in small."""
    layers: list[nn.Module] = [convolution(3, 8, 2), nn.BatchNorm2d(8), nn.ReLU()]
    for before, after, stride in ((8, 16, 1), (16, 16, 2), (16, 24, 1)):
        layers += [nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False), nn.BatchNorm2d(before)]
        layers += [nn.ReLU(), nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))


class InvertedResidual(nn.Module):
    """MobileNetV2's block (arXiv:1801.04381): ReLU6, a skip between the narrow ends."""

    def __init__(self, width: int, stride: int):
        super().__init__()
        self.skip = stride == 1
        self.conv = nn.Sequential(
            nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width), nn.ReLU6(inplace=True),
            nn.Conv2d(4 * width, 4 * width, 3, stride, 1, groups=4 * width, bias=False), nn.BatchNorm2d(4 * width),
            nn.ReLU6(inplace=True), nn.Conv2d(4 * width, width, 1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.skip else self.conv(x)


def mobilenet_v2() -> nn.Sequential:
    blocks = [InvertedResidual(8, stride) for stride in (1, 2, 1)]
    stem = [convolution(3, 8, 2), nn.BatchNorm2d(8), nn.ReLU6()]
    return nn.Sequential(
        *stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 10)
    )


class DenseNet(nn.Module):
    """What came before is concatenated (arXiv:1608.06993); between the blocks a narrow convolution and pooling."""

    def __init__(self, growth: int = 6):
        super().__init__()
        self.stem, width = convolution(3, 2 * growth), 2 * growth
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        for _ in range(2):
            block = nn.ModuleList(self._layer(width + i * growth, growth) for i in range(3))
            joined, width = width + 3 * growth, (width + 3 * growth) // 2
            self.blocks.append(block)
            self.transitions.append(nn.Sequential(nn.Conv2d(joined, width, 1), nn.AvgPool2d(2)))
        self.norm, self.classifier = nn.BatchNorm2d(width), nn.Linear(width, 10)

    @staticmethod
    def _layer(width: int, growth: int) -> nn.Sequential:
        return nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block, transition in zip(self.blocks, self.transitions, strict=True):
            for layer in block:  # type: ignore[attr-defined]
                x = torch.cat([x, layer(x)], 1)
            x = transition(x)
        x = F.adaptive_avg_pool2d(F.relu(self.norm(x)), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class SqueezeExcitation(nn.Module):
    """Channels weighed by a small network of their means (arXiv:1709.01507), SiLU around it."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, width, 3, 2), nn.Conv2d(width, width, 3)
        self.down, self.up, self.head = nn.Linear(width, 4), nn.Linear(4, width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.conv1(x))
        weights = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        x = F.silu(self.conv2(x * weights[:, :, None, None]))
        return self.head(x.mean((2, 3)))


def all_convolutional() -> nn.Sequential:
    """No linear layer and no pooling but the last (arXiv:1412.6806)."""
    layers: list[nn.Module] = []
    for before, after, stride in ((1, 8, 1), (8, 8, 2), (8, 16, 1), (16, 16, 2)):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Inception(nn.Module):
    """Branches of several kernels, joined; max pooling with ceil_mode, average pooling with padding."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 4, 2)
        self.one, self.three, self.five = (
            nn.Conv2d(8, 4, 1),
            nn.Conv2d(8, 6, 3, padding=1),
            nn.Conv2d(8, 4, 5, padding=2),
        )
        self.pool, self.narrow = nn.MaxPool2d(3, 1, 1), nn.Conv2d(8, 4, 1)
        self.ceil, self.average = nn.MaxPool2d(2, 2, ceil_mode=True), nn.AvgPool2d(3, 2, 1)
        self.fair, self.head = nn.AvgPool2d(2, 2, 1, count_include_pad=False), nn.Linear(18 * 9, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ceil(F.relu(self.stem(x)))
        x = torch.cat([self.one(x), self.three(x), self.five(x), self.narrow(self.pool(x))], 1)
        x = self.fair(self.average(F.relu(x)))
        return self.head(x.flatten(1))


def mlp(
    widths: tuple[int, ...], activation: Callable[[], nn.Module] = nn.ReLU, norm: bool = False
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if norm else []), activation()]
    return nn.Sequential(*layers[: -1 - norm])


def image_mlp(
    shape: tuple[int, ...], hidden: tuple[int, ...], activation: Callable[[], nn.Module]
) -> nn.Sequential:
    """A multi-layer perceptron that flattens its image."""
    return nn.Sequential(nn.Flatten(), *mlp((math.prod(shape), *hidden, 10), activation))


class Sine(nn.Module):
    """`sin(omega W x + omega b)`, with the initialisation of arXiv:2006.09661."""

    def __init__(self, before: int, after: int, omega: float, first: bool):
        super().__init__()
        self.omega, self.linear = omega, nn.Linear(before, after)
        bound = 1 / before if first else math.sqrt(6 / before) / omega
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega * self.linear(x))


def siren(
    hidden: int, outputs: int = 1, first_omega: float = 30.0, omega: float = 30.0, width: int = 16
) -> nn.Sequential:
    """A picture as a function of coordinates: `hidden` layers of sines, then a linear one."""
    layers = [Sine(width if i else 2, width, omega if i else first_omega, i == 0) for i in range(hidden)]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def wide_activations() -> nn.Sequential:
    """Every activation of a convolutional network that ONNX has to take apart."""
    activations = (
        nn.LeakyReLU(0.1), nn.GELU(), nn.GELU(approximate="tanh"), nn.SiLU(), nn.ELU(0.8), nn.Hardswish(),
        nn.PReLU(), nn.PReLU(6), nn.Softplus(), nn.Softplus(2.0), nn.Mish(), nn.Hardsigmoid(), nn.Hardtanh(-1.5, 2),
        nn.SELU(), nn.CELU(1.2), nn.Softsign(), nn.ReLU6(), nn.Hardtanh(),
    )  # fmt: skip
    layers: list[nn.Module] = [nn.Conv2d(1, 6, 3)]
    for activation in activations:
        layers += [activation, nn.Conv2d(6, 6, 1)]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten())


class Normalised(nn.Module):
    """Means and deviations of the input as buffers, batch norm after the activation, a learned gain, softmax."""

    mean: Tensor
    std: Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.49, 0.48, 0.45]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.25, 0.24, 0.26]).view(1, 3, 1, 1))
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12)
        self.gain, self.head = nn.Parameter(torch.full((12, 1, 1), 0.7)), nn.Linear(12 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        x = F.max_pool2d(self.bn1(F.relu(self.conv1(x))), 2)
        x = self.bn2(F.relu(self.conv2(x))) * self.gain
        return F.softmax(self.head(torch.flatten(x, start_dim=1)), dim=-1)


@dataclass(frozen=True)
class Case:
    """A network to build, and the shape of one input."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]


def _mlps() -> dict[str, Case]:
    acts = (nn.ReLU, nn.ReLU, nn.Tanh, nn.GELU, nn.LeakyReLU, nn.Sigmoid)
    hidden = (48, 40, 32, 24, 16)
    return {
        f"mlp-{n}": Case(partial(image_mlp, (1, 28, 28), hidden[: n - 1], act), (1, 28, 28))
        for n, act in enumerate(acts, 1)
    }


def _sirens() -> dict[str, Case]:
    settings = ((1, 1, 30, 30), (2, 1, 30, 30), (3, 3, 30, 30), (4, 1, 30, 1), (5, 3, 60, 10), (6, 1, 1, 1))
    return {f"siren-{n}": Case(partial(siren, n, out, first, rest), (2,)) for n, out, first, rest in settings}


ZOO: dict[str, Case] = {
    "lenet5": Case(LeNet5, (1, 28, 28)),
    "mnist-example": Case(MnistExample, (1, 28, 28)),
    "vgg": Case(partial(vgg, False), (3, 32, 32)),
    "vgg-bn": Case(partial(vgg, True), (3, 32, 32)),
    "resnet20": Case(partial(ResNet20, 8), (3, 32, 32)),
    "resnet18": Case(ResNet18, (3, 64, 64)),
    "pre-activation": Case(PreActivation, (3, 32, 32)),
    "depthwise-separable": Case(depthwise_separable, (3, 32, 32)),
    "mobilenet-v2": Case(mobilenet_v2, (3, 64, 64)),
    "densenet": Case(DenseNet, (3, 32, 32)),
    "squeeze-excitation": Case(SqueezeExcitation, (3, 32, 32)),
    "all-convolutional": Case(all_convolutional, (1, 28, 28)),
    "inception": Case(Inception, (1, 28, 28)),
    "activations": Case(wide_activations, (1, 28, 28)),
    "normalised": Case(Normalised, (3, 32, 32)),
    "vector-mlp": Case(partial(mlp, (7, 12, 12, 3), nn.SiLU, True), (7,)),
    **_mlps(),
    **_sirens(),
}


def build(name: str, seed: int = 0) -> nn.Module:
    """The module in evaluation, with batch norm as after training."""
    torch.manual_seed(seed)
    module = ZOO[name].make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean = 0.3 * torch.randn(part.num_features)
            part.running_var = torch.rand(part.num_features) + 0.5
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.2)
    return module


def inputs(name: str, count: int = 4, seed: int = 1) -> Tensor:
    """Random inputs `(count, *shape)`; coordinates in [-1, 1] for two inputs."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *ZOO[name].shape)
    if ZOO[name].shape == (2,):
        return 2 * torch.rand(shape, generator=generator) - 1
    return torch.randn(shape, generator=generator)
