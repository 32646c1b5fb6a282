"""Image classifiers as people write them in plain PyTorch scripts; the modules behind tests/data/foreign_cnns.

The names of the attributes are those of the tutorials and repositories that the nets are taken after, because they
become the names in the files. Nothing here comes from the library.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class MnistExample(nn.Module):
    """pytorch/examples mnist/main.py: there 32 and 64 channels and 128 hidden units."""

    def __init__(self, c1=32, c2=64, hidden=128):
        super().__init__()
        self.conv1 = nn.Conv2d(1, c1, 3, 1)
        self.conv2 = nn.Conv2d(c1, c2, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(c2 * 144, hidden)
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = torch.flatten(x, 1)
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


class CifarTutorial(nn.Module):
    """The LeNet of "Training a Classifier" in PyTorch's 60 minute blitz."""

    def __init__(self, channels=3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class LeNet5(nn.Module):
    """LeNet-5 as in the books: tanh, average pooling, 32 x 32 pixels."""

    def __init__(self):
        super().__init__()
        self.feature_extractor = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)
        )
        self.classifier = nn.Sequential(
            nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)
        )

    def forward(self, x):
        return self.classifier(self.feature_extractor(x).flatten(1))


class Quickstart(nn.Module):
    """The network of PyTorch's quickstart: there 784-512-512-10."""

    def __init__(self, a=512, b=512):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 10)
        )

    def forward(self, x):
        return self.linear_relu_stack(self.flatten(x))


class LeNet300(nn.Module):
    """LeNet-300-100 of the pruning papers."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def forward(self, x):
        x = F.relu(self.fc1(x.view(-1, 784)))
        return self.fc3(F.relu(self.fc2(x)))


class MLP(nn.Module):
    """Linear layers in a ModuleList, one activation between them, perhaps batch norm and dropout."""

    def __init__(self, sizes, act: Callable[[], nn.Module] = nn.ReLU, batch_norm=False, dropout=0.0):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        if batch_norm:
            self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in sizes[1:-1])
        self.act, self.batch_norm, self.drop = act(), batch_norm, nn.Dropout(dropout)

    def forward(self, x):
        x = x.flatten(1)
        for i, layer in enumerate(self.layers[:-1]):
            x = layer(x)
            if self.batch_norm:
                x = self.norms[i](x)
            x = self.drop(self.act(x))
        return self.layers[-1](x)


class ThreeConv(nn.Module):
    """Convolution, ReLU, max pooling, three times; flatten; linear."""

    def __init__(self, channels=1, widths=(16, 32, 32), side=3, hidden=0):
        super().__init__()
        parts, before = [], channels
        for width in widths:
            parts += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            before = width
        self.features = nn.Sequential(*parts)
        flat = before * side * side
        self.classifier = nn.Linear(flat, 10)
        if hidden:
            self.classifier = nn.Sequential(nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class SmallCNN(nn.Module):
    """Three 3 x 3 convolutions and a linear layer on a global pool, in every wiring that such a net comes in.

    norm: None, "before" or "after" the activation. pool: a module put behind each activation, or None.
    end: "mean" or "max" over the picture. skip: the second convolution adds its input.
    """

    def __init__(
        self,
        act: Callable[[], nn.Module] = nn.ReLU,
        pad=0,
        stride=2,
        norm=None,
        pool=None,
        end="mean",
        skip=False,
        widths=(16, 16, 16),
    ):
        super().__init__()
        a, b, c = widths
        self.conv1 = nn.Conv2d(1, a, 3, stride=stride, padding=pad)
        self.conv2 = nn.Conv2d(a, b, 3, stride=1 if skip else stride, padding=pad)
        self.conv3 = nn.Conv2d(b, c, 3, stride=stride, padding=pad)
        if norm:
            self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(a), nn.BatchNorm2d(b), nn.BatchNorm2d(c)
        self.act, self.pool = act(), pool or nn.Identity()
        self.fc = nn.Linear(c, 10)
        self.norm, self.end, self.skip = norm, end, skip

    def block(self, x, number):
        y = getattr(self, f"conv{number}")(x)
        if self.norm == "before":
            y = getattr(self, f"bn{number}")(y)
        y = self.act(y)
        if self.norm == "after":
            y = getattr(self, f"bn{number}")(y)
        if self.skip and number == 2:
            y = y + x
        return self.pool(y)

    def forward(self, x):
        for number in (1, 2, 3):
            x = self.block(x, number)
        x = x.amax((2, 3)) if self.end == "max" else x.mean((2, 3))
        return self.fc(x)


def sequential(
    act: Callable[[], nn.Module] = nn.ReLU,
    pad=0,
    stride=2,
    norm=None,
    pool=None,
    end="mean",
    widths=(16, 16, 16),
    channels=1,
):
    """The same nets by people who write one nn.Sequential."""
    parts, before = [], channels
    for width in widths:
        parts.append(nn.Conv2d(before, width, 3, stride=stride, padding=pad))
        parts += [nn.BatchNorm2d(width)] if norm == "before" else []
        parts.append(act())
        parts += [nn.BatchNorm2d(width)] if norm == "after" else []
        parts += [pool] if pool else []
        before = width
    parts += [nn.AdaptiveMaxPool2d(1) if end == "max" else nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(before, 10))


class LitModel(nn.Module):
    """What stands in a LightningModule's self.model: colour, batch norm after the ReLU, max pooling, 512 features."""

    def __init__(self, channels=3, widths=(16, 32, 32)):
        super().__init__()
        parts, before = [], channels
        for width in widths:
            parts += [
                nn.Conv2d(before, width, 3, padding=1),
                nn.ReLU(),
                nn.BatchNorm2d(width),
                nn.MaxPool2d(2),
            ]
            before = width
        self.model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(512, 10))

    def forward(self, x):
        return self.model(x)


class BasicBlock(nn.Module):
    """torchvision.models.resnet.BasicBlock."""

    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A small ResNet for small pictures under torchvision's names."""

    def __init__(self, channels=3, widths=(8, 16, 32), blocks=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        before = widths[0]
        for i, width in enumerate(widths, 1):
            layers = [BasicBlock(before, width, 1 if i == 1 else 2)]
            layers += [BasicBlock(width, width) for _ in range(blocks - 1)]
            setattr(self, f"layer{i}", nn.Sequential(*layers))
            before = width
        self.stages = len(widths)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, 10)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        for i in range(1, self.stages + 1):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class PlainResNet(nn.Module):
    """A residual net without batch norm by somebody's own names; the skip comes after the ReLU."""

    def __init__(self, channels=1, width=16):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.res1 = nn.Conv2d(width, width, 3, padding=1)
        self.res2 = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = x + F.relu(self.res1(x))
        x = F.max_pool2d(x, 2)
        x = x + F.relu(self.res2(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


def conv_dw(inp, oup, stride):
    """Depthwise convolution, then pointwise, as in the MobileNet repositories."""
    return nn.Sequential(
        nn.Conv2d(inp, inp, 3, stride, 1, groups=inp, bias=False),
        nn.BatchNorm2d(inp),
        nn.ReLU(inplace=True),
        nn.Conv2d(inp, oup, 1, 1, 0, bias=False),
        nn.BatchNorm2d(oup),
        nn.ReLU(inplace=True),
    )


class MobileNet(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(conv_dw(16, 32, 2), conv_dw(32, 64, 2), conv_dw(64, 64, 1))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean([2, 3]))


class VGG(nn.Module):
    """VGG for small pictures: torchvision's make_layers, a flat classifier."""

    def __init__(self, cfg=(16, "M", 32, "M", 32, 32, "M"), batch_norm=False, channels=3, side=4):
        super().__init__()
        layers, before = [], channels
        for v in cfg:
            if v == "M":
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
                continue
            layers.append(nn.Conv2d(before, v, kernel_size=3, padding=1))
            layers += [nn.BatchNorm2d(v)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            before = v
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(before * side * side, 32), nn.ReLU(True), nn.Dropout(0.3), nn.Linear(32, 10)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class AllConv(nn.Module):
    """All convolutional: strides for pooling, a 1 x 1 convolution with one channel a class, global average."""

    def __init__(self, channels=3, width=24):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.conv4 = nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1)
        self.class_conv = nn.Conv2d(2 * width, 10, 1)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(conv(x))
        return F.adaptive_avg_pool2d(self.class_conv(x), 1).reshape(-1, 10)


class DenseNet(nn.Module):
    """Two dense blocks with concatenation and a transition between them."""

    def __init__(self, channels=1, growth=8):
        super().__init__()
        self.conv0 = nn.Conv2d(channels, 16, 3, stride=2, padding=1)
        self.dense1 = nn.Conv2d(16, growth, 3, padding=1)
        self.dense2 = nn.Conv2d(16 + growth, growth, 3, padding=1)
        self.transition = nn.Conv2d(16 + 2 * growth, 16, 1)
        self.dense3 = nn.Conv2d(16, growth, 3, padding=1)
        self.dense4 = nn.Conv2d(16 + growth, growth, 3, padding=1)
        self.classifier = nn.Linear(16 + 2 * growth, 10)

    def forward(self, x):
        x = F.relu(self.conv0(x))
        x = torch.cat([x, F.relu(self.dense1(x))], 1)
        x = torch.cat([x, F.relu(self.dense2(x))], 1)
        x = F.avg_pool2d(F.relu(self.transition(x)), 2)
        x = torch.cat([x, F.relu(self.dense3(x))], 1)
        x = torch.cat([x, F.relu(self.dense4(x))], 1)
        return self.classifier(x.mean(dim=(2, 3)))


def with_dropout(channels, side, widths, dropout, before_pooling=False):
    """Convolution, batch norm, ReLU, max pooling and dropout, a few times, and a flat classifier."""
    layers, before = [], channels
    for width in widths:
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [dropout(), nn.MaxPool2d(2)] if before_pooling else [nn.MaxPool2d(2), dropout()]
        before, side = width, side // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side * side, 10))


class ResNet9(nn.Module):
    """The ResNet-9 of many CIFAR-10 tutorials: residual parts of two convolutions, added to activations."""

    def __init__(self, channels=3, width=4):
        super().__init__()
        self.conv1 = conv_block(channels, width)
        self.conv2 = conv_block(width, 2 * width, pool=True)
        self.res1 = nn.Sequential(conv_block(2 * width, 2 * width), conv_block(2 * width, 2 * width))
        self.conv3 = conv_block(2 * width, 4 * width, pool=True)
        self.conv4 = conv_block(4 * width, 8 * width, pool=True)
        self.res2 = nn.Sequential(conv_block(8 * width, 8 * width), conv_block(8 * width, 8 * width))
        self.classifier = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(8 * width, 10))

    def forward(self, x):
        x = self.conv2(self.conv1(x))
        x = self.res1(x) + x
        x = self.conv4(self.conv3(x))
        return self.classifier(self.res2(x) + x)


def conv_block(channels, width, pool=False):
    """Convolution, batch norm and ReLU, and pooling."""
    layers = [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2)) if pool else nn.Sequential(*layers)


class SameBlock(nn.Module):
    """A block of two convolutions of one width; its input is added before the last ReLU."""

    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class OwnBlocks(nn.Module):
    """Residual blocks by somebody's own names, with strided convolutions between them."""

    def __init__(self, channels=1, width=8):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.block1 = SameBlock(width)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.block2 = SameBlock(2 * width)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x):
        x = self.block1(F.relu(self.stem(x)))
        x = self.block2(F.relu(self.down(x)))
        return self.head(x.mean(dim=(2, 3)))
