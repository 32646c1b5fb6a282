"""Limits on how much is read of a zoo: of an untrusted one, and of one that the operator chose."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ZooLimits:
    """Limits on a table (bytes of its file, rows, cells, bytes of text), on the parameters of the networks of one read,
    and on the number of collections that are kept open."""

    table_bytes: int
    rows: int
    cells: int
    text: int
    values: int
    opened: int


TRUSTED = ZooLimits(table_bytes=2**26, rows=10**7, cells=2 * 10**7, text=2**27, values=2**40, opened=1000)
"""For zoos that were built here, or chosen by the operator."""
UNTRUSTED = ZooLimits(table_bytes=2**24, rows=10**5, cells=2 * 10**6, text=2**24, values=2**25, opened=3)
"""For zoos that visitors choose: 128 MiB of float32 for one read, and about 50 MiB for each table."""
