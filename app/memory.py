"""Give back to the system what large tensors held: otherwise malloc keeps what the busiest moment took. No gradio."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE = 2**23
"""Bytes from which on a tensor gets pages of its own, which go back when it goes."""
KEPT = 2**25
"""Bytes at the end of the heap that malloc keeps for what comes next: giving them back each time costs more than to run
a small network."""


def give_back_large_tensors() -> None:
    """Fix glibc's thresholds for that, which by themselves grow with what was freed (mallopt(3)); nothing elsewhere."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
