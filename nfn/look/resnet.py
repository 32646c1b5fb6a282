"""ResNets as torchvision and timm name them (arXiv:1512.03385), wide (1605.07146) and ResNeXt (1611.05431) ones too.

Names with `shortcut` and `linear` are those of kuangliu/pytorch-cifar, whose first convolution is 3×3.
"""

from nfn.look.families import Architecture, Shape, Shapes, compare, compared, norm, parts, without_counters

_DEPTHS: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "ResNet-18",
    ("basic", (3, 4, 6, 3)): "ResNet-34",
    ("bottleneck", (3, 4, 6, 3)): "ResNet-50",
    ("bottleneck", (3, 4, 23, 3)): "ResNet-101",
    ("bottleneck", (3, 8, 36, 3)): "ResNet-152",
}
_WIDTHS = {
    (64, 1): "",
    (128, 1): "Wide ",
    (128, 32): "ResNeXt 32×4d",
    (256, 32): "ResNeXt 32×8d",
    (256, 64): "ResNeXt 64×4d",
}
"""ResNet variants, by the width of the first bottleneck and the groups of its 3×3 convolution."""


def find_resnet(shapes: Shapes) -> Architecture | None:
    """A ResNet whose tensors all match the architecture."""
    for part in parts(without_counters(shapes), "layer1.0.conv1.weight"):
        architecture = _match(part.shapes, len(part.beside))
        if architecture:
            return architecture
    return None


def _match(shapes: Shapes, beside: int) -> Architecture | None:
    counts = tuple(_count(shapes, f"layer{stage}") for stage in (1, 2, 3, 4))
    kind = "bottleneck" if "layer1.0.conv3.weight" in shapes else "basic"
    shortcut, head = ("shortcut", "linear") if "linear.weight" in shapes else ("downsample", "fc")
    stem, middle = shapes.get("conv1.weight", ()), shapes.get("layer1.0.conv2.weight", ())
    name = _DEPTHS.get((kind, counts))
    if beside or name is None or len(stem) != 4 or len(middle) != 4:
        return None
    width, groups = (middle[0], middle[0] // middle[1]) if kind == "bottleneck" else (64, 1)
    grown = _WIDTHS.get((width, groups))
    expected = _tensors(kind, counts, stem, width, groups, shortcut)
    last = 2048 if kind == "bottleneck" else 512
    classes = shapes.get(f"{head}.weight", (0,))[0]
    if classes:
        expected |= {f"{head}.weight": (classes, last), f"{head}.bias": (classes,)}
    if grown is None or not compare(shapes, expected):
        return None
    return _describe(_named(name, grown), stem, classes, len(expected), shortcut)


def _describe(name: str, stem: Shape, classes: int, count: int, shortcut: str) -> Architecture:
    small = ", with a 3×3 stem as for CIFAR" if stem[2:] == (3, 3) else ""
    whose = "torchvision's and timm's ResNet" if shortcut == "downsample" else "pytorch-cifar's ResNet"
    colours = {3: "RGB pictures of any size", 1: "gray pictures of any size"}
    return Architecture(
        f"{name}{small}",
        compared(count, whose),
        (("head", "a linear classifier" if classes else "none: a backbone for features"),),
        colours.get(stem[1], f"pictures of {stem[1]} channels"),
        classes or None,
    )


def _named(name: str, grown: str) -> str:
    if grown == "Wide ":
        return f"Wide {name}-2"
    return name if not grown else f"ResNeXt-{name.partition('-')[2]} {grown.partition(' ')[2]}"


def _count(shapes: Shapes, stage: str) -> int:
    return sum(f"{stage}.{i}.conv1.weight" in shapes for i in range(64))


def _tensors(
    kind: str, counts: tuple[int, ...], stem: Shape, width: int, groups: int, shortcut: str
) -> dict[str, Shape]:
    """All tensors except the head's."""
    size = stem[2] if stem[2] in (3, 7) else 7
    tensors = {"conv1.weight": (64, stem[1], size, size), **norm("bn1", 64)}
    taken = 64
    for stage, count in enumerate(counts):
        out = (64 << stage) * (4 if kind == "bottleneck" else 1)
        for i in range(count):
            inner = width << stage
            at = f"layer{stage + 1}.{i}"
            tensors |= (
                _bottleneck(at, taken, inner, out, groups) if kind == "bottleneck" else _basic(at, taken, out)
            )
            if taken != out:
                tensors |= {
                    f"{at}.{shortcut}.0.weight": (out, taken, 1, 1),
                    **norm(f"{at}.{shortcut}.1", out),
                }
            taken = out
    return tensors


def _basic(at: str, taken: int, out: int) -> dict[str, Shape]:
    convs: dict[str, Shape] = {
        f"{at}.conv1.weight": (out, taken, 3, 3),
        f"{at}.conv2.weight": (out, out, 3, 3),
    }
    return {**convs, **norm(f"{at}.bn1", out), **norm(f"{at}.bn2", out)}


def _bottleneck(at: str, taken: int, inner: int, out: int, groups: int) -> dict[str, Shape]:
    convs: dict[str, Shape] = {
        f"{at}.conv1.weight": (inner, taken, 1, 1),
        f"{at}.conv2.weight": (inner, inner // groups, 3, 3),
        f"{at}.conv3.weight": (out, inner, 1, 1),
    }
    return {**convs, **norm(f"{at}.bn1", inner), **norm(f"{at}.bn2", inner), **norm(f"{at}.bn3", out)}
