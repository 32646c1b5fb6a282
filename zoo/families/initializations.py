"""Untrained networks with their winning tickets: a seed for the weights, and a mask of those worth training."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import torch
import typer
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.spec import NetworkSpec
from zoo.build_ticket import TicketBuild
from zoo.families.building import Device, Out, Ray, Seed, console, run
from zoo.families.drawing import mosaic
from zoo.families.family import Family, Measure
from zoo.shards import Writable
from zoo.tickets import TicketShard, regenerate

if TYPE_CHECKING:
    from zoo.collection import Collection

ACCURACIES = ("dense_accuracy", "ticket_accuracy")


def first_masks(collection: "Collection", rows: range) -> Iterator[Tensor]:
    """The first layer's winning ticket; for a linear layer, the number of kept weights of each pixel."""
    for mask in collection.masks(rows)[0][:, 0].float():
        kept = mask.mean(0, keepdim=True) if mask.dim() == 2 else mask
        yield mosaic(2 * kept / kept.max().clamp_min(1e-12) - 1)


def describe(collection: "Collection") -> dict[str, Any]:
    """Images, the number of networks in each split, and mean accuracies of the held-out ones."""
    splits = collection.rows["split"].to_numpy()
    test = np.flatnonzero(splits == "test")
    means = {name: float(collection.rows[name].take(test).to_numpy().mean()) for name in ACCURACIES}
    return {
        "images": collection.images,
        **{name: int((splits == name).sum()) for name in ("train", "test")},
        **means,
    }


def regenerate_rows(spec: NetworkSpec, rows: pa.Table) -> WeightSpaceFeatures:
    """The weights of the rows' seeds, with the checksums that the table has."""
    return regenerate(spec, rows["init_seed"].to_pylist(), rows["init_sha256"].to_pylist())


def masks_shard(
    networks: Sequence[tuple["Collection", int]], facts: list[dict], names: Sequence[tuple[str, str]]
) -> Writable:
    """The winning tickets of networks, given as rows of collections, as a shard."""
    masks = [collection.masks([row]) for collection, row in networks]
    joined = [torch.cat(layer) for layer in zip(*masks, strict=True)]
    return TicketShard(joined, facts, [weight for weight, _ in names])


def build(
    images: Annotated[str, typer.Option(help="mnist (an MLP) or cifar10 (a CNN)")],
    out: Out,
    count: Annotated[int, typer.Option(help="how many pairs; the last 50 are held out")] = 450,
    sparsity: Annotated[float, typer.Option(help="fraction of the weights to prune")] = 0.95,
    rounds: Annotated[int, typer.Option(help="rounds of training and pruning; 1 as in the paper")] = 1,
    measure_all: Annotated[bool, typer.Option(help="train every ticket, not only held-out ones")] = True,
    seed: Seed = 0,
    device: Device = "auto",
    ray: Ray = None,
) -> None:
    """Find winning tickets: train initializations, prune by magnitude, train again under the mask."""
    rows, seconds = run(TicketBuild(images, count, sparsity, rounds, seed, measure_all), out, device, ray)
    dense, ticket = (np.nanmean(rows[name].to_numpy()) for name in ACCURACIES)
    console.print(
        f"{len(rows)} pairs in {out}: {dense:.1%} dense, {ticket:.1%} as tickets of {1 - sparsity:.0%} of the weights; "
        f"{seconds:.1f} s. Next: python -m zoo train tickets {out} --out work/tickets/predictor --work work/tickets"
    )


FAMILY = Family(
    kind="init",
    title="Untrained networks",
    network="classifier",
    columns={
        "init_seed": pa.int64(), "init_sha256": pa.string(), "dense_accuracy": pa.float64(),
        "ticket_accuracy": pa.float64(),
    },
    group="split",
    measure=Measure("ticket_accuracy", "Accuracy of the known ticket"),
    hub_task="graph-ml",
    draw=first_masks,
    describe=describe,
    command="ticket",
    build=build,
    regenerate=regenerate_rows,
    shard=masks_shard,
)  # fmt: skip
