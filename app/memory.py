"""Give back to the system what large tensors held: otherwise malloc keeps what the busiest moment took. No gradio."""

import ctypes
import platform

M_MMAP_THRESHOLD = -3
LARGE = 2**20
"""Bytes from which on a tensor gets pages of its own, which go back when it goes."""


def give_back_large_tensors() -> None:
    """Fix glibc's threshold for that, which by itself grows with what was freed (mallopt(3)); nothing elsewhere."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
