"""A smaller collection out of larger ones: what ships with the app, what a test needs."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from nfn.features import WeightSpaceFeatures
from zoo.collection import Collection
from zoo.errors import ZooError
from zoo.files import read_json, write_json, write_whole
from zoo.shards import number_by_split


def sample_collection(
    sources: Sequence[Path], out: Path, split: str, count: int, final_only: bool = False, seed: int = 0
) -> None:
    """Write `count` random networks of a split of `sources`, collections of one kind and shape, as one collection.

    `final_only` leaves out the checkpoints along training. ZooError where there are too few.
    """
    opened = [Collection(source) for source in sources]
    table = pa.concat_tables([_with_source(c, number) for number, c in enumerate(opened)])
    wanted = [
        i for i, row in enumerate(table.select(_facts(table, final_only)).to_pylist())
        if row["split"] == split and (not final_only or row["final"])
    ]  # fmt: skip
    if len(wanted) < count:
        raise ZooError(f"There are {len(wanted)} such networks; {count} were asked for.")
    generator = torch.Generator().manual_seed(seed)
    chosen = sorted(wanted[i] for i in torch.randperm(len(wanted), generator=generator)[:count].tolist())
    rows = table.take(chosen).to_pylist()
    parts = [opened[row["source"]].features([row["place"]]) for row in rows]
    facts = {"split": split, "count": count, "final_only": final_only, "seed": seed,
             "sample_of": [c.spec.build for c in opened]}  # fmt: skip
    _write(out, opened[0], WeightSpaceFeatures.cat(parts), rows, facts)


def _with_source(collection: Collection, number: int) -> pa.Table:
    table = collection.rows
    table = table.append_column("source", pa.array([number] * len(table)))
    return table.append_column("place", pa.array(range(len(table))))


def _facts(table: pa.Table, final_only: bool) -> list[str]:
    return ["split", "final"] if final_only else [name for name in table.schema.names if name == "split"]


def _write(out: Path, like: Collection, features: WeightSpaceFeatures, rows: list[dict], build: dict) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    for names, (weight, bias) in zip(like.spec.names, features, strict=True):
        assert names.bias is not None, "Collections name every bias."
        tensors[names.weight], tensors[names.bias] = weight[:, 0].contiguous(), bias[:, 0].contiguous()
    ids = number_by_split([row["split"] for row in rows])
    kept = [{k: v for k, v in row.items() if k not in ("source", "place")} for row in rows]
    facts = [{**row, "id": i, "shard": 0, "row": n} for n, (row, i) in enumerate(zip(kept, ids, strict=True))]
    write_whole(out / "weights-00000.safetensors", lambda part: save_file(tensors, part))
    write_whole(out / "networks.parquet", lambda part: pq.write_table(pa.Table.from_pylist(facts), part))
    write_json(out / "spec.json", {**read_json(like.folder / "spec.json"), "build": build})
