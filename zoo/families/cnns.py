"""Small CNNs, trained to classify images: checkpoints of accuracies from chance up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer
from torch import Tensor

from zoo.build import grow
from zoo.build_cnn import CnnBuild
from zoo.families.building import Device, Out, Ray, Seed, accuracy_summary, console, run
from zoo.families.drawing import mosaic
from zoo.families.family import Family, Measure

if TYPE_CHECKING:
    from zoo.collection import Collection


def first_layers(collection: "Collection", rows: range) -> Iterator[Tensor]:
    """The first layer's weights; black is the most negative and white the most positive."""
    for weight in collection.first_weights(rows):
        yield mosaic(weight / weight.abs().max().clamp_min(1e-12))


def describe(collection: "Collection") -> dict[str, Any]:
    """Images, and the numbers of networks and of training runs in each split."""
    rows = collection.rows.select(["split", "run"]).to_pylist()
    runs = {(row["split"], row["run"]) for row in rows}
    counts = [sum(split == name for split, _ in runs) for name in ("train", "validation", "test")]
    return {"collection": collection.folder.name, "images": collection.images, "networks": len(rows),
            "runs": len(runs), "split": ", ".join(map(str, counts))}  # fmt: skip


def build(
    images: Annotated[str, typer.Option(help="cifar10 (made gray), fashion_mnist or mnist")],
    out: Out,
    count: Annotated[
        int, typer.Option(help="how many networks to train; a larger count extends an existing folder")
    ] = 1000,
    min_steps: Annotated[int, typer.Option(help="fewest training steps of a network")] = 150,
    max_steps: Annotated[int, typer.Option(help="most training steps of a network")] = 8000,
    seed: Seed = 0,
    device: Device = "auto",
    ray: Ray = None,
) -> None:
    """Train small CNNs with random hyperparameters, and measure each."""
    job = CnnBuild(images, count, seed, min_steps, max_steps)
    grow(job, out)
    rows, seconds = run(job, out, device, ray)
    console.print(
        f"{len(rows)} networks in {out}: {accuracy_summary(rows)}; {seconds:.1f} s. "
        f"Next: python -m zoo train generalization {out}"
    )


FAMILY = Family(
    kind="classifier",
    title="Image classifiers (CNNs)",
    network="classifier",
    columns={"activation": pa.string(), "test_accuracy": pa.float64(), "final": pa.bool_()},
    group="activation",
    measure=Measure("test_accuracy", "Test accuracy"),
    hub_task="graph-ml",
    draw=first_layers,
    describe=describe,
    command="cnn",
    build=build,
)
