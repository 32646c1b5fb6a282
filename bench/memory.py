"""The peak memory of this process."""

from pathlib import Path


def peak_mib() -> float:
    """The largest resident memory so far, in MiB (Linux; `ru_maxrss` would start at that of the parent)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
