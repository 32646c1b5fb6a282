"""Build a collection of SIRENs: one network per image and copy, in shards that can be made one by one."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from nfn.features import WeightSpaceFeatures
from nfn.siren import FitRecipe, fit_sirens
from zoo.files import write_json, write_whole
from zoo.images import find_image_set, load_images, to_pixels

SHARD = 500
GROUP = 50
RECIPES = ("fixed", "varied")


@dataclass(frozen=True)
class SirenBuild:
    """What to build. `count` images from `first` on, `copies` random initialisations of each.

    `recipe` is `fixed` (Adam 4e-3, 100 steps: 34 dB) or `varied`: each 50 networks draw a learning rate from
    5e-4..5e-3 (log-uniform) and 100..500 steps, because visitors' SIRENs do not follow our recipe.
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

    @property
    def shards(self) -> int:
        return math.ceil(self.total / self.shard_size)

    def numbers(self, shard: int) -> range:
        """Which networks of the build a shard holds."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.total))


def build_shard(
    build: SirenBuild, shard: int, folder: Path, device: str, on_fit: Callable[[int], None]
) -> None:
    """Make one shard, a pure function of (build, shard number); a finished shard is left alone.

    `on_fit` hears how many networks each step adds.
    """
    numbers = build.numbers(shard)
    if is_built(folder, shard):
        return on_fit(len(numbers))
    image_rows = [build.first + number // build.copies for number in numbers]
    images, labels = load_images(build.images, build.split, image_rows)
    generator = torch.Generator().manual_seed((build.seed << 20) + shard)
    parts, rows = [], []
    for at in range(0, len(numbers), GROUP):
        group = slice(at, at + GROUP)
        recipe = draw_recipe(build.recipe, generator)
        chunk = 16 if device == "cpu" else GROUP
        fitted, psnr = fit_sirens(to_pixels(images[group]), recipe, generator, device, chunk)
        parts.append(fitted)
        rows += [
            {"split": build.split, "label": int(label), "image_row": row, "copy": number % build.copies,
             "psnr": round(float(p), 3), "learning_rate": recipe.learning_rate, "steps": recipe.steps,
             "shard": shard, "row": number - numbers.start}
            for number, row, label, p in zip(
                numbers[group], image_rows[group], labels[group], psnr, strict=True)
        ]  # fmt: skip
        on_fit(len(psnr))
    write_shard(WeightSpaceFeatures.cat(parts), rows, *shard_paths(folder, shard))


def draw_recipe(name: str, generator: torch.Generator) -> FitRecipe:
    """The fixed recipe, or a random one for visitors' sake."""
    if name not in RECIPES:
        raise ValueError(f"Unknown recipe {name!r}: choose {' or '.join(RECIPES)}.")
    if name == "fixed":
        return FitRecipe()
    rate, steps = torch.rand(2, generator=generator).tolist()
    return FitRecipe(learning_rate=5e-4 * 10**rate, steps=100 + round(400 * steps))


def shard_paths(folder: Path, shard: int) -> tuple[Path, Path]:
    """Where a shard's stacked tensors and its rows of facts go."""
    return folder / f"weights-{shard:05d}.safetensors", folder / f"networks-{shard:05d}.parquet"


def is_built(folder: Path, shard: int) -> bool:
    """Whether a shard is there; its files are written whole or not at all."""
    return all(path.exists() for path in shard_paths(folder, shard))


def write_shard(features: WeightSpaceFeatures, rows: list[dict], weights_path: Path, rows_path: Path) -> None:
    """Write one stacked tensor `(n, ...)` per parameter, then the rows."""
    tensors: dict[str, torch.Tensor] = {}
    for (weight_name, bias_name), (weight, bias) in zip(tensor_names(len(features)), features, strict=True):
        tensors[weight_name], tensors[bias_name] = weight[:, 0].contiguous(), bias[:, 0].contiguous()
    table = pa.Table.from_pylist(rows)
    write_whole(weights_path, lambda part: save_file(tensors, part))
    write_whole(rows_path, lambda part: pq.write_table(table, part))


def tensor_names(layers: int) -> list[tuple[str, str]]:
    """The names under which Sitzmann's code saves a SIREN: `net.0.linear.weight`, ..., `net.2.weight`."""
    stems = [f"net.{i}.linear" for i in range(layers - 1)] + [f"net.{layers - 1}"]
    return [(f"{stem}.weight", f"{stem}.bias") for stem in stems]


def finish(build: SirenBuild, folder: Path) -> None:
    """Join the rows of all shards and write `spec.json` last: where it is, the collection is complete."""
    parts = [shard_paths(folder, shard)[1] for shard in range(build.shards)]
    table = pa.concat_tables([pq.read_table(part) for part in parts])
    ids = pa.array([f"{build.split}/{i}" for i in range(len(table))])
    table = table.add_column(0, "id", ids)
    write_whole(folder / "networks.parquet", lambda part: pq.write_table(table, part))
    write_json(folder / "spec.json", describe(build))
    for part in parts:
        part.unlink()


def describe(build: SirenBuild) -> dict:
    """The facts of a collection: architecture, convention, tensor names, settings, source of the images."""
    image_set = find_image_set(build.images)
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
        "tensor_names": tensor_names(3),
        "images": {
            "name": image_set.name,
            "repo": image_set.repo,
            "size": image_set.size,
            "licence": image_set.licence,
        },
        "labels": list(image_set.labels),
        "build": asdict(build),
    }
