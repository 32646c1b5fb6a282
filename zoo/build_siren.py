"""Build a collection of SIRENs: one network per image and copy, in shards that are built independently."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from nfn.features import WeightSpaceFeatures
from nfn.siren import FitRecipe, fit_sirens
from zoo.errors import ZooError
from zoo.images import find_image_set, load_images, split_size, to_float
from zoo.shards import Shard, shard_numbers

SHARD = 500
GROUP = 50
RECIPES = ("fixed", "varied", "quick")
TENSOR_NAMES = tuple((f"net.{stem}.weight", f"net.{stem}.bias") for stem in ("0.linear", "1.linear", "2"))
"""As Sitzmann's code saves a SIREN of three layers."""


@dataclass(frozen=True)
class SirenBuild:
    """Settings of a build: `count` images starting at row `first`, with `copies` random initialisations of each.

    `recipe` is `fixed` (Adam 4e-3, 100 steps: 34 dB), `quick` (1e-2, 50 steps: as good on digits in half the time, 31
    dB on CIFAR-10) or `varied`: each group of 50 networks draws a learning rate from 5e-4..5e-3 (log-uniform) and
    100..500 steps, because uploaded SIRENs do not follow our recipe.
    """

    images: str
    split: str = "test"
    count: int = 1000
    first: int = 0
    copies: int = 1
    recipe: str = "fixed"
    seed: int = 0
    shard_size: int = SHARD

    @property
    def total(self) -> int:
        return self.count * self.copies

    def check(self) -> None:
        """Raise ZooError unless the recipe exists and the split has all the images that the build names."""
        if self.recipe not in RECIPES:
            raise ZooError(f"Unknown recipe {self.recipe!r}: choose one of {', '.join(RECIPES)}.")
        if self.count < 1 or self.copies < 1 or self.first < 0 or self.seed < 0:
            raise ZooError("Count and copies must be at least 1, the first row and the seed at least 0.")
        size = split_size(self.images, self.split)
        if self.first + self.count > size:
            raise ZooError(
                f"The {self.split} split of {self.images} has {size} images; rows {self.first} to "
                f"{self.first + self.count - 1} were requested. Lower --count or --first."
            )

    def make_shard(self, shard: int, device: str, on_fit: Callable[[int], None]) -> Shard:
        """Fit the networks of one shard."""
        numbers = shard_numbers(self, shard)
        image_rows = [self.first + number // self.copies for number in numbers]
        images, labels = load_images(self.images, self.split, image_rows)
        generator = torch.Generator().manual_seed((self.seed << 20) + shard)
        parts, rows = [], []
        for at in range(0, len(numbers), GROUP):
            group = slice(at, at + GROUP)
            recipe = draw_recipe(self.recipe, generator)
            chunk = 16 if device == "cpu" else GROUP
            fitted, psnr = fit_sirens(to_float(images[group]), recipe, generator, device, chunk)
            parts.append(fitted)
            rows += [
                {"split": self.split, "label": int(label), "image_row": row, "copy": number % self.copies,
                 "psnr": round(float(p), 3), "learning_rate": recipe.learning_rate, "steps": recipe.steps}
                for number, row, label, p in zip(
                    numbers[group], image_rows[group], labels[group], psnr, strict=True)
            ]  # fmt: skip
            on_fit(len(psnr))
        return Shard(WeightSpaceFeatures.cat(parts), rows, TENSOR_NAMES)

    def describe(self) -> dict:
        """The content of `spec.json`: architecture, convention, tensor names, settings, source of the images."""
        image_set = find_image_set(self.images)
        return {
            "format": 1,
            "title": f"{image_set.title} as SIRENs",
            "kind": "siren",
            "layers": [2, 32, 32, image_set.channels],
            "activation": "sine",
            "siren": {
                "first_omega": 30.0,
                "hidden_omega": 30.0,
                "low": -1.0,
                "high": 1.0,
                "coordinates": "row_col",
            },
            "tensor_names": TENSOR_NAMES,
            "images": image_set.facts(),
            "labels": list(image_set.labels),
            "build": asdict(self),
        }


def draw_recipe(name: str, generator: torch.Generator) -> FitRecipe:
    """Return the fixed recipe, the quick one, or draw a random one."""
    if name not in RECIPES:
        raise ValueError(f"Unknown recipe {name!r}: choose one of {', '.join(RECIPES)}.")
    if name != "varied":
        return FitRecipe() if name == "fixed" else FitRecipe(learning_rate=1e-2, steps=50)
    rate, steps = torch.rand(2, generator=generator).tolist()
    return FitRecipe(learning_rate=5e-4 * 10**rate, steps=100 + round(400 * steps))
