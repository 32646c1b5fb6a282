"""The record of a collection family: what its networks are, how they are built, measured, drawn and described."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from torch import Tensor

from nfn.features import WeightSpaceFeatures
from nfn.network import Kind
from nfn.spec import NetworkSpec
from zoo.shards import Shard, Writable

if TYPE_CHECKING:
    from zoo.collection import Collection

HubTask = Literal["image-classification", "image-to-image", "graph-ml"]
"""The tasks of the Hub that are closest to ours."""
TEST_ACCURACY = "test_accuracy"
"""The column that measures image classifiers, 0 to 1."""


@dataclass(frozen=True)
class Measure:
    """The column that says how good a network is; `scale` converts its values to `unit`."""

    column: str
    title: str
    unit: str = "%"
    scale: float = 100.0

    def text(self, value: float) -> str:
        """A value with its unit, such as 97.3%."""
        return f"{self.scale * value:.1f}{self.unit}"


def weights_shard(
    networks: Sequence[tuple["Collection", int]], facts: list[dict], names: Sequence[tuple[str, str]]
) -> Writable:
    """Networks, given as rows of collections, as a shard of stacked weights."""
    return Shard(WeightSpaceFeatures.cat([one.features([row]) for one, row in networks]), facts, names)


@dataclass(frozen=True)
class Family:
    """All that the rest of the zoo and the app know about a family of collections; `zoo.families.FAMILIES` lists them.

    `kind` is its name in `spec.json` and `catalog.json`, `title` the heading of its collections, `network` what each of
    its networks is. `columns` are those that `networks.parquet` must have besides `zoo.collection.COLUMNS`: one to
    filter by (`group`) and one that measures quality (`measure`) among them. `hub_task` is the Hub's name for what the
    networks are for.

    `draw` makes a picture `(c, H, W)` in [-1, 1] of each of the networks in some rows, `describe` the facts of a
    collection for a model card. `build` is the function of `python -m zoo build COMMAND`.

    `own_architectures`: the networks differ in architecture; see `zoo.own_architectures`.

    Only for families whose shards do not hold the weights: `regenerate` computes the weights `(n, 1, ...)` of rows of
    the table, and `shard` makes a shard like `weights_shard`.
    """

    kind: str
    title: str
    network: Kind
    columns: Mapping[str, pa.DataType]
    group: str
    measure: Measure
    hub_task: HubTask
    draw: Callable[["Collection", range], Iterable[Tensor]]
    describe: Callable[["Collection"], dict[str, Any]]
    command: str
    build: Callable[..., None]
    own_architectures: bool = False
    regenerate: Callable[[NetworkSpec, pa.Table], WeightSpaceFeatures] | None = None
    shard: Callable[[Sequence[tuple["Collection", int]], list[dict], Sequence[tuple[str, str]]], Writable] = (
        weights_shard
    )

    @property
    def classifies(self) -> bool:
        """Whether its networks are trained image classifiers, whose test accuracy is known."""
        return self.network == "classifier" and self.measure.column == TEST_ACCURACY
