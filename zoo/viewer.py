"""A zoo's networks for the Hub's dataset viewer and `datasets`: a table per collection and split, with pictures."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zoo.catalog import Zoo
from zoo.thumbnails import thumbnails

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
FEATURES = {"info": {"features": {"picture": {"_type": "Image"}}}}
"""The schema metadata in which `datasets` and the viewer find the picture columns."""


def viewer_path(collection: str, split: str) -> str:
    """The path of a table in the repository."""
    return f"data/{collection}/{split}.parquet"


def viewer_tables(zoo: Zoo) -> dict[str, bytes]:
    """Every table as Parquet, by its path in the repository."""
    written = {}
    for info in zoo.collections():
        table = viewer_table(zoo, info.name)
        for split in info.splits:
            file = io.BytesIO()
            pq.write_table(table.filter(pc.field("split") == split), file)
            written[viewer_path(info.name, split)] = file.getvalue()
    return written


def viewer_table(zoo: Zoo, collection: str) -> pa.Table:
    """A row per network: its picture, its zoo id, its facts, and the file and the row of its weights."""
    opened = zoo.collection(collection)
    places = opened.rows.select(["shard", "row"]).to_pylist()
    together = zip(thumbnails(opened), zoo.rows(collection), places, strict=True)
    table = pa.Table.from_pylist([_row(*parts, collection) for parts in together])
    number = table.schema.get_field_index("picture")
    table = table.set_column(number, pa.field("picture", IMAGE), table["picture"].cast(IMAGE))
    return table.replace_schema_metadata({"huggingface": json.dumps(FEATURES)})


def _row(picture: bytes, facts: dict[str, Any], place: dict[str, Any], collection: str) -> dict[str, Any]:
    shard = f"collections/{collection}/weights-{place['shard']:05d}.safetensors"
    return {"picture": {"bytes": picture, "path": None}, **facts, "weights": shard, "row": place["row"]}
