"""Wild classifiers: image classifiers of random architectures, each trained with a random recipe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer

from nfn.network import Graph
from zoo.build import grow
from zoo.build_wild import WildBuild
from zoo.families.building import Out, Ray, Seed, accuracy_summary, console, run
from zoo.families.cnns import first_layers
from zoo.families.family import TEST_ACCURACY, Family, Measure
from zoo.own_architectures import ARCHITECTURE, GraphShard
from zoo.shards import Writable

if TYPE_CHECKING:
    from zoo.collection import Collection

RECIPES = ("recipe", "training")
"""Columns that only training a predictor needs, which a sample leaves out."""


def describe(collection: "Collection") -> dict[str, Any]:
    """Images, and the numbers of networks, in all and of each family of architectures."""
    families = collection.rows["family"].value_counts().to_pylist()
    counts = ", ".join(f"{count['counts']} {count['values']}" for count in families)
    return {
        "collection": collection.folder.name,
        "images": collection.images,
        "networks": len(collection),
        "families": counts,
    }


def graphs_shard(
    networks: Sequence[tuple["Collection", int]], facts: list[dict], names: Sequence[tuple[str, str]]
) -> Writable:
    """Networks, given as rows of collections, as a shard in half precision."""
    ids = [collection.rows["id"][row].as_py() for collection, row in networks]
    opened = [
        collection.network(network_id) for (collection, _), network_id in zip(networks, ids, strict=True)
    ]
    graphs: list[Graph] = [network.graph for network in opened if network.graph is not None]
    rows = [{key: value for key, value in row.items() if key not in RECIPES} for row in facts]
    return GraphShard(graphs, rows)


def build(
    images: Annotated[str, typer.Option(help="mnist, fashion_mnist, cifar10 or cifar10-gray")],
    out: Out,
    count: Annotated[
        int, typer.Option(help="number of training runs; a larger count extends an existing folder")
    ] = 100,
    effort: Annotated[
        float, typer.Option(help="multiplies training length; 1 is 1 to 20 s of one core")
    ] = 1.0,
    by_heart: Annotated[
        float, typer.Option(help="fraction of runs that train on the first few thousand pictures only")
    ] = 0.0,
    usual: Annotated[
        float,
        typer.Option(help="fraction of the other runs that train for a few epochs with good settings"),
    ] = 0.0,
    seed: Seed = 0,
    ray: Ray = None,
) -> None:
    """Train image classifiers of random architectures with random recipes, and measure their checkpoints."""
    job = WildBuild(images, count, seed, effort, by_heart, usual)
    grow(job, out)
    rows, seconds = run(job, out, "cpu", ray)
    console.print(
        f"{len(rows)} networks of {count} runs in {out}: {accuracy_summary(rows)}; {seconds:.1f} s. "
        f"Next: python -m zoo train accuracy {out}"
    )


FAMILY = Family(
    kind="wild",
    title="Image classifiers (many architectures)",
    network="classifier",
    columns={**ARCHITECTURE, "family": pa.string(), TEST_ACCURACY: pa.float64(), "final": pa.bool_()},
    group="family",
    measure=Measure(TEST_ACCURACY, "Test accuracy"),
    hub_task="graph-ml",
    draw=first_layers,
    describe=describe,
    command="wild",
    build=build,
    own_architectures=True,
    shard=graphs_shard,
)
