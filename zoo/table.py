"""Reading `networks.parquet`, which may come from strangers, without being made to fill the memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.errors import ZooError, shorten
from zoo.files import short_name
from zoo.limits import OWN, ZooLimits

CODECS = {"UNCOMPRESSED", "SNAPPY"}
"""Codecs that expand no more than some twenty times; pyarrow writes SNAPPY unless told otherwise."""
TYPES = (pa.types.is_null, pa.types.is_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
"""What a column may hold. All but text is as large in memory as its type says; text is read as a dictionary, in which
one that is repeated counts once."""
MAX_COLUMNS, MAX_FOOTER = 200, 2**20
"""A parquet file ends with a description of its columns and pieces, which is read before anything else."""
MAGIC, LAST_BYTES, CELL_BYTES = b"PAR1", 8, 8
PARTS, SMALLEST_PART = 100, 256
"""A table is read in about so many parts, of no fewer rows than that."""


def read_table(path: Path, limits: ZooLimits = OWN) -> pa.Table:
    """A parquet file of numbers, texts and truth values. ZooError where it is none or would grow too large."""
    if path.stat().st_size > limits.table_bytes:
        raise ZooError(f"{short_name(path)} is too large: at most {limits.table_bytes >> 20} MiB.")
    _check_footer(path)
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.metadata, file.schema_arrow, path)
            _check_size(file.metadata, path, limits)
            texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            return _plain(_read(file, path, limits))
    except (pa.ArrowException, OSError) as error:
        raise ZooError(f"{short_name(path)} is damaged: it is not a parquet file.") from error


def _check_footer(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST_BYTES))
        footer, magic = int.from_bytes(file.read(4), "little"), file.read(4)
    if magic == MAGIC and footer > MAX_FOOTER:
        raise ZooError(
            f"{short_name(path)} is too large: at most {MAX_FOOTER >> 20} MiB describe its columns."
        )


def _check_columns(metadata: pq.FileMetaData, schema: pa.Schema, path: Path) -> None:
    if metadata.num_columns > MAX_COLUMNS:
        raise ZooError(f"{short_name(path)} is too large: at most {MAX_COLUMNS} columns.")
    for field in schema:
        if not any(check(field.type) for check in TYPES):
            raise ZooError(
                f"{short_name(path)}: column {shorten(field.name)} holds {shorten(str(field.type))}, wanted plain "
                "values: text, whole numbers, floats or truth values."
            )


def _check_size(metadata: pq.FileMetaData, path: Path, limits: ZooLimits) -> None:
    pieces = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    codecs = {piece.compression for piece in pieces}
    if not codecs <= CODECS:
        raise ZooError(
            f"{short_name(path)} is compressed by {', '.join(sorted(codecs - CODECS))}: use snappy."
        )
    cells = metadata.num_rows * metadata.num_columns
    if metadata.num_rows > limits.rows or cells > limits.cells:
        raise ZooError(
            f"{short_name(path)} is too large: at most {limits.rows:,} networks and {limits.cells:,} cells."
        )
    if sum(piece.total_uncompressed_size for piece in pieces) > limits.text + CELL_BYTES * limits.cells:
        raise ZooError(f"{short_name(path)} is too large: at most {limits.text >> 20} MiB of text.")


def _read(file: pq.ParquetFile, path: Path, limits: ZooLimits) -> pa.Table:
    """The table, a part at a time: what a file says of its sizes need not be true."""
    parts, length = [], 0
    for part in file.iter_batches(max(SMALLEST_PART, file.metadata.num_rows // PARTS)):
        length += sum(_text_length(column) for column in part.columns if pa.types.is_dictionary(column.type))
        if length > limits.text:
            raise ZooError(f"{short_name(path)} is too large: at most {limits.text >> 20} MiB of text.")
        parts.append(part)
    return pa.Table.from_batches(parts) if parts else file.read()


def _plain(table: pa.Table) -> pa.Table:
    """Texts were read as dictionaries, in which a long one counts once; written out, each row counts."""
    for number, name in enumerate(table.schema.names):
        if pa.types.is_dictionary(table.column(number).type):
            table = table.set_column(number, name, table.column(number).cast(pa.string()))
    return table


def _text_length(part: pa.DictionaryArray) -> int:
    lengths = np.array([len(text) for text in part.dictionary.to_pylist()] or [0])
    return int(lengths[part.indices.drop_null().to_numpy()].sum())
