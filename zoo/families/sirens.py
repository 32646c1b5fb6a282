"""SIRENs: each is the picture that it was fitted to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import torch
import typer
from torch import Tensor

from nfn.siren import NATIVE_SIZES, render
from zoo.build import grow
from zoo.build_siren import SirenBuild
from zoo.families.building import Device, Out, Ray, Seed, console, run
from zoo.families.family import Family, Measure

if TYPE_CHECKING:
    from zoo.collection import Collection


@torch.no_grad()
def siren_pictures(
    collection: "Collection", rows: Sequence[int] | slice = slice(None), zoom: int = 1
) -> Tensor:
    """What SIRENs show: pictures `(n, c, H, W)` in [-1, 1] at `zoom` times their native size."""
    siren = collection.spec.siren
    size = zoom * NATIVE_SIZES[collection.spec.network.get_io()[1]]
    return siren.pixels(render(siren.normalize(collection.features(rows)), size, size)).clamp(-1, 1)


def describe(collection: "Collection") -> dict[str, Any]:
    """Images, recipe, number and mean PSNR."""
    build = collection.spec.build
    return {
        "collection": collection.folder.name,
        "images": collection.images,
        "split": build["split"],
        "recipe": build["recipe"],
        "networks": len(collection),
        "psnr": round(float(collection.rows["psnr"].to_numpy().mean()), 1),
    }


def build(
    images: Annotated[str, typer.Option(help="mnist, fashion_mnist or cifar10")],
    out: Out,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    count: Annotated[
        int, typer.Option(help="how many images; a larger count extends an existing folder")
    ] = 1000,
    first: Annotated[int, typer.Option(help="first image row of the split")] = 0,
    copies: Annotated[int, typer.Option(help="random initialisations of each image")] = 1,
    recipe: Annotated[
        str,
        typer.Option(help="fixed, quick (half the steps), or varied (random learning rate and steps)"),
    ] = "fixed",
    seed: Seed = 0,
    device: Device = "auto",
    ray: Ray = None,
) -> None:
    """Fit one SIREN to each image and copy."""
    job = SirenBuild(images, split, count, first, copies, recipe, seed)
    grow(job, out)
    rows, seconds = run(job, out, device, ray)
    psnr = rows["psnr"].to_numpy()
    next_command = (
        f"train reader {out} --out work/reader/predictor"
        if split == "train"
        else f"evaluate inr-classifier {out} --folder FOLDER"
    )
    console.print(
        f"{len(psnr)} SIRENs in {out}: PSNR {psnr.mean():.1f} dB on average, {psnr.min():.1f} dB at least; "
        f"{seconds:.1f} s. Next: python -m zoo {next_command}"
    )


FAMILY = Family(
    kind="siren",
    title="Pictures (SIRENs)",
    network="siren",
    columns={"label": pa.int64(), "psnr": pa.float64()},
    group="label",
    measure=Measure("psnr", "PSNR", " dB", 1.0),
    hub_task="image-classification",
    draw=siren_pictures,
    describe=describe,
    command="siren",
    build=build,
)
