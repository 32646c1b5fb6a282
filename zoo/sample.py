"""Sample a smaller collection from larger ones, for the app or for a test."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.files import read_json
from zoo.shards import Shard, complete

Candidate = tuple[Collection, int, dict[str, Any]]
"""A network of a source: its collection, its place in the table, and its row."""


@dataclass(frozen=True)
class Sample:
    """Which networks to take: `count` of these splits.

    They are random or, if `smallest`, those with the fewest weights, at least one of each of the family's groups.
    `final_only` leaves out earlier checkpoints of a training. `half` stores weights in half precision.
    """

    split: tuple[str, ...] = ("test",)
    count: int = 100
    final_only: bool = False
    smallest: bool = False
    half: bool = False
    seed: int = 0


def sample_collection(sources: Sequence[Path], out: Path, sample: Sample) -> None:
    """Write networks of `sources`, collections of one kind, image set and shape, as one collection.

    Raises ZooError if there are too few networks, or the sources differ.
    """
    opened = [Collection(source) for source in sources]
    _check_alike(opened)
    candidates = [
        (collection, row_index, row)
        for collection in opened
        for row_index, row in enumerate(collection.rows.to_pylist())
        if row["split"] in sample.split and (not sample.final_only or row["final"])
    ]
    if len(candidates) < sample.count:
        raise ZooError(f"There are only {len(candidates)} such networks; {sample.count} were requested.")
    chosen = _smallest(candidates) if sample.smallest else _shuffled(candidates, sample.seed)
    sampled = [candidates[i] for i in sorted(chosen[: sample.count])]
    facts = [{k: v for k, v in row.items() if k not in ("id", "shard", "row")} for _, _, row in sampled]
    spec = read_json(opened[0].folder / "spec.json")
    build = {**asdict(sample), "sample_of": [collection.spec.build for collection in opened]}
    out.mkdir(parents=True, exist_ok=True)
    locations = [(collection, row_index) for collection, row_index, _ in sampled]
    family = opened[0].spec.family
    shard = family.shard(locations, facts, spec.get("tensor_names", ()))
    if sample.half:
        if not isinstance(shard, Shard):
            raise ZooError(
                f"Half precision is for collections of networks of one shape; {family.kind} is none of them."
            )
        shard = shard.half()
    shard.write(out, 0)
    complete(out, 1, {**spec, "build": build})


def _check_alike(opened: Sequence[Collection]) -> None:
    kinds = {(collection.spec.kind, collection.images) for collection in opened}
    if len(kinds) > 1:
        listed = ", ".join(f"{kind} on {images}" for kind, images in sorted(kinds))
        raise ZooError(f"The sources differ ({listed}): sample from collections of one kind and image set.")


def _shuffled(candidates: Sequence[Candidate], seed: int) -> list[int]:
    return torch.randperm(len(candidates), generator=torch.Generator().manual_seed(seed)).tolist()


def _smallest(candidates: Sequence[Candidate]) -> list[int]:
    """The indices by number of weights, the smallest of each group before all others."""
    sizes = [collection.parameters(row) for collection, _, row in candidates]
    ordered = sorted(range(len(candidates)), key=sizes.__getitem__)
    group = candidates[0][0].spec.family.group
    firsts = {candidates[i][2][group]: i for i in reversed(ordered)}.values()
    return [*firsts, *(i for i in ordered if i not in firsts)]
