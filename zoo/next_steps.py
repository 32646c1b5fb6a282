"""Find out which predictors can read a checkpoint file, or why none can."""

from dataclasses import dataclass
from pathlib import Path

from nfn.network import Network
from nfn.reader import NetworkFileError, read_network


@dataclass(frozen=True)
class NextSteps:
    """`network` is what the reader makes of the file; if it cannot read it, `why` is the reason."""

    network: Network | None
    why: str = ""


def next_steps(path: Path) -> NextSteps:
    """Find what can be done with a file next; OSError if it cannot be opened."""
    try:
        return NextSteps(read_network(path))
    except NetworkFileError as error:
        return NextSteps(None, str(error))
