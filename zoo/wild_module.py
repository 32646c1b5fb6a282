"""Build the torch modules of wild recipes, in common PyTorch style."""

from collections import OrderedDict

from torch import Tensor, nn

from zoo.wild_recipe import Stage, WildRecipe, picture_sizes

CLASSES = 10


def build_module(recipe: WildRecipe) -> nn.Module:
    """Build a recipe's network with default initialisation: pictures `(N, c, h, w)` to class scores `(N, 10)`."""
    if not recipe.stages:
        features = recipe.channels * recipe.size**2
        return nn.Sequential(nn.Flatten(), *_linear_layers(recipe, features, norms=True))
    width = recipe.stages[-1].width
    features = width * picture_sizes(recipe)[-1] ** 2 if recipe.head == "flatten" else width
    pools = {"flatten": [], "average": [nn.AdaptiveAvgPool2d(1)], "max": [nn.AdaptiveMaxPool2d(1)]}
    return nn.Sequential(
        OrderedDict(
            features=_features(recipe),
            pool=nn.Sequential(*pools[recipe.head], nn.Flatten()),
            classifier=nn.Sequential(*_linear_layers(recipe, features, norms=False)),
        )
    )


def activation(recipe: WildRecipe) -> nn.Module:
    """A new activation module."""
    makers = {
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "elu": nn.ELU,
        "sigmoid": nn.Sigmoid,
    }
    return nn.LeakyReLU(recipe.slope) if recipe.activation == "leaky_relu" else makers[recipe.activation]()


class ResidualBlock(nn.Module):
    """Two convolutions and a skip connection, a 1x1 convolution if shapes differ (arXiv:1512.03385)."""

    def __init__(self, recipe: WildRecipe, inputs: int, stage: Stage):
        super().__init__()
        norm = recipe.norm == "before"
        self.conv1 = nn.Conv2d(inputs, stage.width, 3, stage.stride, 1, bias=not norm)
        self.bn1 = nn.BatchNorm2d(stage.width) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(stage.width, stage.width, 3, 1, 1, bias=not norm)
        self.bn2 = nn.BatchNorm2d(stage.width) if norm else nn.Identity()
        self.act = activation(recipe)
        same = inputs == stage.width and stage.stride == 1
        self.downsample = None if same else _downsample(inputs, stage, norm)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, c, h, w)` to `(N, width, h / stride, w / stride)`."""
        skip = x if self.downsample is None else self.downsample(x)
        x = self.act(self.bn1(self.conv1(x)))
        return self.act(self.bn2(self.conv2(x)) + skip)


def _downsample(inputs: int, stage: Stage, norm: bool) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, stage.width, 1, stage.stride, bias=not norm)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(stage.width)] if norm else []))


def _features(recipe: WildRecipe) -> nn.Sequential:
    parts: list[nn.Module] = []
    inputs = recipe.channels
    for number, stage in enumerate(recipe.stages):
        if recipe.family == "resnet" and number > 0:
            parts.append(ResidualBlock(recipe, inputs, stage))
        elif recipe.family == "depthwise" and number > 0:
            spread = nn.Conv2d(inputs, inputs, 3, stage.stride, 1, groups=inputs, bias=recipe.bias)
            parts += _normed(recipe, spread, inputs)
            parts += _normed(recipe, nn.Conv2d(inputs, stage.width, 1, bias=recipe.bias), stage.width)
        else:
            layer = nn.Conv2d(
                inputs, stage.width, stage.kernel, stage.stride, stage.padding, bias=recipe.bias
            )
            parts += _normed(recipe, layer, stage.width)
        if stage.pool != "none":
            pool = nn.MaxPool2d if stage.pool == "max" else nn.AvgPool2d
            parts.append(pool(stage.pool_kernel, stage.pool_stride))
        inputs = stage.width
    return nn.Sequential(*parts)


def _normed(recipe: WildRecipe, layer: nn.Module, width: int) -> list[nn.Module]:
    """A layer, its activation, and batch norm between or after them."""
    norm = nn.BatchNorm1d if isinstance(layer, nn.Linear) else nn.BatchNorm2d
    parts = {"none": [activation(recipe)], "before": [norm(width), activation(recipe)],
             "after": [activation(recipe), norm(width)]}  # fmt: skip
    return [layer, *parts[recipe.norm]]


def _linear_layers(recipe: WildRecipe, features: int, norms: bool) -> list[nn.Module]:
    """Hidden linear layers with dropout, and the last one; batch norm between them only in MLPs."""
    parts: list[nn.Module] = []
    drop = recipe.dropout > 0
    for width in recipe.linear:
        layer = nn.Linear(features, width, bias=recipe.bias)
        parts += _normed(recipe, layer, width) if norms else [layer, activation(recipe)]
        parts += [nn.Dropout(recipe.dropout)] if drop else []
        features = width
    if drop and not recipe.linear and not norms:
        parts.append(nn.Dropout(recipe.dropout))
    return [*parts, nn.Linear(features, CLASSES, bias=recipe.bias)]
