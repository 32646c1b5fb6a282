"""How much is read of a zoo at most: of a zoo of strangers, and of one that the person at the keyboard named."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ZooLimits:
    """Caps on a table (bytes of its file, rows, cells, bytes of text), on the weights and biases of the networks of one
    read, and on the collections that are kept open."""

    table_bytes: int
    rows: int
    cells: int
    text: int
    values: int
    opened: int


OWN = ZooLimits(table_bytes=2**26, rows=10**7, cells=2 * 10**7, text=2**27, values=2**40, opened=1000)
"""For zoos that were built here, or named by the operator."""
STRANGERS = ZooLimits(table_bytes=2**24, rows=10**5, cells=2 * 10**6, text=2**24, values=2**25, opened=3)
"""For zoos whose names visitors type: 128 MiB of float32 for one read, and some 50 MiB for each table."""
