"""A smaller collection out of larger ones: what ships with the app, what a test needs."""

from collections.abc import Sequence
from pathlib import Path

import torch

from nfn.features import WeightSpaceFeatures
from nfn.reader import write_network
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.files import read_json
from zoo.shards import Shard, Writable, complete
from zoo.tickets import TicketShard

EXAMPLE = "example.safetensors"


def sample_collection(
    sources: Sequence[Path], out: Path, split: str, count: int, final_only: bool = False, seed: int = 0
) -> None:
    """Write `count` random networks of a split of `sources`, collections of one kind and shape, as one collection.

    `final_only` leaves out the checkpoints along training. ZooError where there are too few.
    """
    opened = [Collection(source) for source in sources]
    wanted = [
        (collection, place, row)
        for collection in opened
        for place, row in enumerate(collection.rows.to_pylist())
        if row["split"] == split and (not final_only or row["final"])
    ]
    if len(wanted) < count:
        raise ZooError(f"There are {len(wanted)} such networks; {count} were asked for.")
    order = torch.randperm(len(wanted), generator=torch.Generator().manual_seed(seed))
    chosen = [wanted[i] for i in sorted(order[:count].tolist())]
    facts = [{k: v for k, v in row.items() if k not in ("id", "shard", "row")} for _, _, row in chosen]
    spec = read_json(opened[0].folder / "spec.json")
    build = {"split": split, "count": count, "final_only": final_only, "seed": seed,
             "sample_of": [collection.spec.build for collection in opened]}  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    places = [(collection, place) for collection, place, _ in chosen]
    _shard(places, facts, spec).write(out, 0)
    complete(out, 1, {**spec, "build": build})
    if spec["kind"] == "init":
        _write_example(out)


def _shard(places: Sequence[tuple[Collection, int]], facts: list[dict], spec: dict) -> Writable:
    """The networks at these places, in the form that their kind is kept in."""
    if spec["kind"] == "init":
        masks = [collection.masks([place]) for collection, place in places]
        joined = [torch.cat(layer) for layer in zip(*masks, strict=True)]
        return TicketShard(joined, facts, [weight for weight, _ in spec["tensor_names"]])
    features = WeightSpaceFeatures.cat([collection.features([place]) for collection, place in places])
    return Shard(features, facts, spec["tensor_names"])


def _write_example(folder: Path) -> None:
    """One initialization as a file, for all others are kept as seeds: whoever reads these can check that they agree."""
    collection = Collection(folder)
    write_network(collection.network(collection.rows["id"][0].as_py()), folder / EXAMPLE)
