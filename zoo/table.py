"""Reading `networks.parquet`, which may come from strangers, without being made to fill the memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.errors import ZooError
from zoo.files import short_name

CODECS = {"UNCOMPRESSED", "SNAPPY"}
"""Codecs that expand no more than some twenty times; pyarrow writes SNAPPY unless told otherwise."""
MAX_BYTES, MAX_CELLS, MAX_TEXT = 2**26, 2 * 10**7, 2**27


def read_table(path: Path) -> pa.Table:
    """A parquet file of numbers, texts and truth values. ZooError where it is none or would grow too large."""
    if path.stat().st_size > MAX_BYTES:
        raise ZooError(f"{short_name(path)} is too large: at most {MAX_BYTES >> 20} MiB.")
    try:
        with pq.ParquetFile(path) as file:
            _check_size(file.metadata, path)
            texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        table = pq.read_table(path, read_dictionary=texts)
        return _plain(table, path)
    except (pa.ArrowException, OSError) as error:
        raise ZooError(f"{short_name(path)} is damaged: it is not a parquet file.") from error


def _check_size(metadata: pq.FileMetaData, path: Path) -> None:
    codecs = {
        metadata.row_group(group).column(column).compression
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    }
    if not codecs <= CODECS:
        raise ZooError(
            f"{short_name(path)} is compressed by {', '.join(sorted(codecs - CODECS))}: use snappy."
        )
    if metadata.num_rows * metadata.num_columns > MAX_CELLS:
        raise ZooError(f"{short_name(path)} is too large: at most {MAX_CELLS:,} cells.")


def _plain(table: pa.Table, path: Path) -> pa.Table:
    """Texts were read as dictionaries, in which a long one counts once; written out, each row would count."""
    length = 0
    for number, name in enumerate(table.schema.names):
        column = table.column(number)
        if pa.types.is_nested(column.type):
            raise ZooError(
                f"{short_name(path)}: column {name!r} holds lists or structures, wanted plain values."
            )
        if pa.types.is_dictionary(column.type):
            length += sum(_text_length(chunk) for chunk in column.chunks)
            if length > MAX_TEXT:
                raise ZooError(f"{short_name(path)} is too large: at most {MAX_TEXT >> 20} MiB of text.")
            table = table.set_column(number, name, column.cast(pa.string()))
    return table


def _text_length(chunk: pa.DictionaryArray) -> int:
    lengths = np.array([len(text) for text in chunk.dictionary.to_pylist()] or [0])
    return int(lengths[chunk.indices.drop_null().to_numpy()].sum())
