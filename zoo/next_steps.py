"""What can be done here with a file that was looked at: which predictors take it, or why none does."""

from dataclasses import dataclass
from pathlib import Path

from nfn.network import Network
from nfn.reader import NetworkFileError, read_network


@dataclass(frozen=True)
class NextSteps:
    """`network` is the one that the reader makes of the file; where it makes none, `why` says so."""

    network: Network | None
    why: str = ""

    @property
    def kind(self) -> str:
        """What the network is read as: siren, classifier, or "" where it is not read."""
        return "" if self.network is None else self.network.kind


def next_steps(path: Path) -> NextSteps:
    """What can be done with a file next; OSError where it cannot be opened."""
    try:
        return NextSteps(read_network(path))
    except NetworkFileError as error:
        return NextSteps(None, str(error))
