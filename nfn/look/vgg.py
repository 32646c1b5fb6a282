"""VGG (arXiv:1409.1556), AlexNet (1404.5997) and LeNet-5: chains of convolutions with a head."""

from nfn.look.families import Architecture, Shape, Shapes, compare, compared, norm, parts, without_counters

_LETTERS: dict[str, list[int | str]] = {
    "VGG-11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "VGG-13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "VGG-16": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
    "VGG-19": [
        64,
        64,
        "M",
        128,
        128,
        "M",
        256,
        256,
        256,
        256,
        "M",
        512,
        512,
        512,
        512,
        "M",
        512,
        512,
        512,
        512,
        "M",
    ],
}
"""Widths of the convolutions; "M" is a pooling, which counts in torchvision's numbering."""


def find_vgg(shapes: Shapes) -> Architecture | None:
    """VGG as in torchvision, with or without batch norm."""
    for part in parts(without_counters(shapes), "features.0.weight"):
        head = _head(part.shapes, 512 * 49, 4096, (0, 3, 6))
        for name, letters in _LETTERS.items():
            for normed in (False, True):
                expected = {**_features(letters, normed), **head}
                if head and not part.beside and compare(part.shapes, expected):
                    full = f"{name} with batch norm" if normed else name
                    return _found(
                        full, len(expected), "torchvision's VGG", part.shapes["classifier.6.weight"][0]
                    )
    return None


def find_alexnet(shapes: Shapes) -> Architecture | None:
    """AlexNet as in torchvision."""
    for part in parts(shapes, "features.10.weight"):
        convs = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
        expected: dict[str, Shape] = {f"features.{i}.weight": (o, c, k, k) for i, (o, c, k) in convs.items()}
        expected |= {f"features.{i}.bias": (o,) for i, (o, _, _) in convs.items()}
        expected |= _head(part.shapes, 256 * 36, 4096, (1, 4, 6))
        if not part.beside and "classifier.6.weight" in part.shapes and compare(part.shapes, expected):
            return _found(
                "AlexNet", len(expected), "torchvision's AlexNet", part.shapes["classifier.6.weight"][0]
            )
    return None


def find_lenet(shapes: Shapes) -> Architecture | None:
    """LeNet-5 (LeCun et al. 1998) by the shapes of its five layers, under any names."""
    weights = [shape for name, shape in shapes.items() if len(shape) > 1]
    biases = [shape[0] for shape in shapes.values() if len(shape) == 1]
    if [len(shape) for shape in weights] != [4, 4, 2, 2, 2] or len(shapes) != len(weights) + len(biases):
        return None
    first, second, third, fourth, fifth = weights
    if first[0] != 6 or first[1] not in (1, 3) or first[2:] != (5, 5) or second != (16, 6, 5, 5):
        return None
    if third not in ((120, 400), (120, 256)) or fourth != (84, 120) or fifth[1:] != (84,):
        return None
    if biases not in ([6, 16, 120, 84, fifth[0]], []):
        return None
    evidence = "Two 5×5 convolutions of 6 and 16 channels, then layers of 120 and 84: the widths of LeNet-5."
    colours = "RGB" if first[1] == 3 else "gray"
    return Architecture("LeNet-5", evidence, (), f"{colours} pictures", fifth[0])


def _found(name: str, count: int, whose: str, classes: int) -> Architecture:
    return Architecture(name, compared(count, whose), (), "RGB pictures of 224 × 224", classes)


def _features(letters: list[int | str], normed: bool) -> dict[str, Shape]:
    tensors: dict[str, Shape] = {}
    place, taken = 0, 3
    for letter in letters:
        if isinstance(letter, str):
            place += 1
            continue
        tensors |= {f"features.{place}.weight": (letter, taken, 3, 3), f"features.{place}.bias": (letter,)}
        if normed:
            tensors |= norm(f"features.{place + 1}", letter)
        place, taken = place + (3 if normed else 2), letter
    return tensors


def _head(shapes: Shapes, taken: int, width: int, places: tuple[int, int, int]) -> dict[str, Shape]:
    classes = shapes.get("classifier.6.weight", (0,))[0]
    if not classes:
        return {}
    tensors: dict[str, Shape] = {}
    for place, (out, size) in zip(places, ((width, taken), (width, width), (classes, width)), strict=True):
        tensors |= {f"classifier.{place}.weight": (out, size), f"classifier.{place}.bias": (out,)}
    return tensors
