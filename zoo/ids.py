"""The names of networks: `collection/split/number`."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from zoo.errors import ZooError, did_you_mean, shorten

NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""The name of a collection or a predictor."""
SPLITS = ("train", "validation", "test", "unseen")
"""The splits; `unseen` are held-out networks of families of architectures of which no network is in `train`."""
WHOLE_ID = re.compile(rf"({NAME.pattern})/({'|'.join(SPLITS)})/(0|[1-9][0-9]{{0,8}})", re.ASCII)


@dataclass(frozen=True)
class ZooId:
    """The name of one network: `collection/split/index`, such as `mnist-sirens/test/17`."""

    collection: str
    split: str
    index: int

    def __str__(self) -> str:
        return f"{self.collection}/{self.network_id}"

    @property
    def network_id(self) -> str:
        """The id inside the collection: `split/index`."""
        return f"{self.split}/{self.index}"


def parse_zoo_id(text: str) -> ZooId:
    """Parse `collection/split/index`; ZooError suggests the correct spelling if it is recognisable.

    >>> parse_zoo_id("mnist-sirens/test/17")
    ZooId(collection='mnist-sirens', split='test', index=17)
    """
    match = WHOLE_ID.fullmatch(text)
    if match:
        return ZooId(match[1], match[2], int(match[3]))
    raise ZooError(
        f"{shorten(text)} is not a zoo id: expected collection/split/number, such as mnist-sirens/test/17."
        + did_you_mean(_respell(text))
    )


def _respell(text: str) -> list[str]:
    """Correct the case, spaces, underscores, slashes, leading zeros or the split of an id."""
    parts = [
        part for part in re.split(r"[/\\]", re.sub(r"\s", "", text[:200]).lower().replace("_", "-")) if part
    ]
    if len(parts) != 3 or not re.fullmatch(r"[0-9]{1,9}", parts[2], re.ASCII):
        return []
    splits = get_close_matches(parts[1], SPLITS, n=1, cutoff=0.3)
    corrected = "/".join([parts[0], *splits, str(int(parts[2]))])
    return [corrected] if WHOLE_ID.fullmatch(corrected) else []
