"""Read `networks.parquet`, which may be untrusted, with bounded memory."""

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.errors import ZooError, shorten
from zoo.files import short_name
from zoo.limits import TRUSTED, ZooLimits

CODECS = {"UNCOMPRESSED", "SNAPPY"}
"""Codecs whose expansion is limited to about twenty times; pyarrow writes SNAPPY by default."""
TYPES = (pa.types.is_null, pa.types.is_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
"""The supported column types. All but text take as much memory as their type says; text is read as a dictionary, in
which a repeated value counts once."""
MAX_COLUMNS, MAX_FOOTER = 200, 2**20
"""The largest footer of a parquet file: the description of its columns and pieces, which is read first."""
MAGIC, LAST_BYTES, CELL_BYTES = b"PAR1", 8, 8
PARTS, SMALLEST_PART = 100, 256
"""A table is read in about this many parts, of at least this many rows."""


def count_rows(path: Path) -> int:
    """The number of rows of a parquet file, from its footer; ZooError if it is not one."""
    check_footer(path)
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        raise ZooError(f"{short_name(path)} is damaged: it is not a parquet file.") from error


def read_rows(path: Path, rows: range, limits: ZooLimits = TRUSTED) -> pa.Table:
    """Some rows of a parquet file, whose row groups are read one by one; the last two are cached."""
    parts, start = [], 0
    for group, stop in enumerate(_row_group_ends(path)):
        if start < rows.stop and rows.start < stop:
            first = max(rows.start, start)
            table = _read_group(path, path.stat().st_mtime_ns, group, limits)
            parts.append(table.slice(first - start, min(rows.stop, stop) - first))
        start = stop
    return pa.concat_tables(parts)


def _row_group_ends(path: Path) -> Iterator[int]:
    metadata = pq.read_metadata(path)
    return itertools.accumulate(
        metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)
    )


@lru_cache(2)
def _read_group(path: Path, modified: int, group: int, limits: ZooLimits) -> pa.Table:
    return _read_groups(path, [group], limits)


def read_table(path: Path, limits: ZooLimits = TRUSTED) -> pa.Table:
    """Read a parquet file of numbers, text and booleans. ZooError if it is not one or would grow too large."""
    if path.stat().st_size > limits.table_bytes:
        raise ZooError(f"{short_name(path)} is too large: at most {limits.table_bytes >> 20} MiB.")
    return _read_groups(path, None, limits)


def _read_groups(path: Path, groups: Sequence[int] | None, limits: ZooLimits) -> pa.Table:
    """Read row groups, by default all, within the limits on rows, cells and text."""
    check_footer(path)
    try:
        with pq.ParquetFile(path) as file:
            groups = range(file.metadata.num_row_groups) if groups is None else groups
            _check_columns(file.metadata, file.schema_arrow, path)
            _check_size(file.metadata, groups, path, limits)
            texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            return _plain(_read(file, groups, path, limits))
    except (pa.ArrowException, OSError) as error:
        raise ZooError(f"{short_name(path)} is damaged: it is not a parquet file.") from error


def check_footer(path: Path) -> None:
    """Raise ZooError if the footer of a parquet file is too large; other faults are left to the reader."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST_BYTES))
        footer, magic = int.from_bytes(file.read(4), "little"), file.read(4)
    if magic == MAGIC and footer > MAX_FOOTER:
        raise ZooError(
            f"{short_name(path)} is too large: the description of its columns may take {MAX_FOOTER >> 20} MiB."
        )


def _check_columns(metadata: pq.FileMetaData, schema: pa.Schema, path: Path) -> None:
    if metadata.num_columns > MAX_COLUMNS:
        raise ZooError(f"{short_name(path)} is too large: at most {MAX_COLUMNS} columns.")
    if len(set(schema.names)) < len(schema.names):
        twice = next(name for name in schema.names if schema.names.count(name) > 1)
        raise ZooError(f"{short_name(path)} is damaged: it has two columns {shorten(twice)}.")
    for field in schema:
        if not any(check(field.type) for check in TYPES):
            raise ZooError(
                f"{short_name(path)}: column {shorten(field.name)} holds {shorten(str(field.type))}, expected plain "
                "values: text, integers, floats or booleans."
            )


def _check_size(metadata: pq.FileMetaData, groups: Sequence[int], path: Path, limits: ZooLimits) -> None:
    pieces = [
        metadata.row_group(group).column(column) for group in groups for column in range(metadata.num_columns)
    ]
    codecs = {piece.compression for piece in pieces}
    if not codecs <= CODECS:
        raise ZooError(
            f"{short_name(path)} is compressed with {', '.join(sorted(codecs - CODECS))}: use snappy."
        )
    rows = sum(metadata.row_group(group).num_rows for group in groups)
    cells = rows * metadata.num_columns
    if rows > limits.rows or cells > limits.cells:
        raise ZooError(
            f"{short_name(path)} is too large: at most {limits.rows:,} networks and {limits.cells:,} cells."
        )
    if sum(piece.total_uncompressed_size for piece in pieces) > limits.text + CELL_BYTES * limits.cells:
        raise ZooError(f"{short_name(path)} is too large: at most {limits.text >> 20} MiB of text.")


def _read(file: pq.ParquetFile, groups: Sequence[int], path: Path, limits: ZooLimits) -> pa.Table:
    """Read the table in parts, because the sizes that a file states need not be true."""
    parts, length = [], 0
    for part in file.iter_batches(
        max(SMALLEST_PART, file.metadata.num_rows // PARTS), row_groups=list(groups)
    ):
        length += sum(_text_length(column) for column in part.columns if pa.types.is_dictionary(column.type))
        if length > limits.text:
            raise ZooError(f"{short_name(path)} is too large: at most {limits.text >> 20} MiB of text.")
        parts.append(part)
    return pa.Table.from_batches(parts) if parts else file.read_row_groups(list(groups))


def _plain(table: pa.Table) -> pa.Table:
    """Text is read as dictionaries, in which a repeated value counts once; expanded, each row counts."""
    for number, name in enumerate(table.schema.names):
        if pa.types.is_dictionary(table.column(number).type):
            table = table.set_column(number, name, table.column(number).cast(pa.string()))
    return table


def _text_length(part: pa.DictionaryArray) -> int:
    lengths = np.array([len(text) for text in part.dictionary.to_pylist()] or [0])
    return int(lengths[part.indices.drop_null().to_numpy()].sum())
