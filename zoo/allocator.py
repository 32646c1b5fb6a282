"""Malloc settings that return the memory of large tensors to the system. No gradio."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MMAP_BYTES = 2**23
"""Tensors of at least this many bytes get their own pages, which are released with the tensor."""
TRIM_BYTES = 2**25
"""Free bytes that malloc keeps at the end of the heap: releasing them each time costs more than a small network."""


def set_malloc_thresholds() -> None:
    """Fix glibc's thresholds, which otherwise grow with what was freed (mallopt(3)); no effect elsewhere."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
