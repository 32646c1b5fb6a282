"""The front matter of cards: what the Hub displays, searches and filters by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo import hub
from zoo.families import FAMILIES
from zoo.families.family import HubTask
from zoo.images import IMAGE_SETS
from zoo.index import CollectionInfo
from zoo.viewer import viewer_path

METRICS = {"accuracy": "accuracy", "kendall-tau": "Kendall's tau"}


@dataclass(frozen=True)
class Result:
    """A result in a model-index: on which networks (`name`), of which images and recipe, on the test split."""

    name: str
    images: str
    value: float
    recipe: str = ""
    metric: str = "accuracy"

    def entry(self, task: HubTask) -> dict[str, Any]:
        """The result in the Hub's format."""
        recipe = {"config": self.recipe} if self.recipe else {}
        return {
            "task": {"type": task},
            "dataset": {"name": self.name, "type": self.images, **recipe, "split": "test"},
            "metrics": [{"type": self.metric, "name": METRICS[self.metric], "value": self.value}],
        }


def model_header(
    title: str, task: HubTask, tags: Sequence[str], images: Sequence[str], results: Sequence[Result]
) -> str:
    """The front matter of a predictor's card; `images` are the image sets that it was trained on."""
    entries = [result.entry(task) for result in results]
    return hub.front_matter({
        "license": "mit",
        "library_name": "weightscope",
        "pipeline_tag": task,
        "datasets": sorted({IMAGE_SETS[name].repo for name in images}),
        "tags": ["weight-space-learning", *tags],
        **({"model-index": [{"name": title, "results": entries}]} if entries else {"model_name": title}),
    })  # fmt: skip


def dataset_header(title: str, infos: Sequence[CollectionInfo]) -> str:
    """The front matter of a zoo's card: a configuration for each collection, with a file for each split."""
    configs = [
        {
            "config_name": info.name,
            "data_files": [{"split": split, "path": viewer_path(info.name, split)} for split in info.splits],
        }
        for info in infos
    ]
    return hub.front_matter({
        "license": sorted({info.licence.lower() for info in infos}),
        "pretty_name": title,
        "task_categories": sorted({FAMILIES[info.kind].hub_task for info in infos}),
        "size_categories": [size_category(sum(info.count for info in infos))],
        "tags": ["weight-space-learning", "model-zoo"],
        "configs": configs,
    })  # fmt: skip


def size_category(count: int) -> str:
    """The Hub's size category for a number of rows."""
    bounds = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6))
    return next((name for name, most in bounds if count < most), "1M<n<10M")
