"""The zoo's classifiers with their predictions, for the table and the plot of the Accuracy tab. No gradio."""

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from threading import Lock, Thread

from app.networks.zoos import zoo_at
from app.tabs.generalization.actions import classifier_collections
from zoo.score import scores_of


@dataclass(frozen=True)
class ZooPoint:
    """A network of the zoo: measured and predicted test accuracy (0 to 1), and its table row."""

    zoo_id: str
    images: str
    measured: float
    predicted: float
    low: float
    high: float
    typical: bool
    row: dict


_PREDICTION_LOCKS: defaultdict[str, Lock] = defaultdict(Lock)
"""By collection: concurrent requests wait for one prediction of it."""


def predict_zoo_in_background() -> None:
    """Predict the zoo's classifiers in a background thread at startup, which takes seconds."""
    Thread(target=zoo_points, name="predict the zoo").start()


def zoo_points(images: str | None = None) -> list[ZooPoint]:
    """Every classifier of the zoo, or those on one image set; each collection is predicted once, in a batch."""
    names = [info.name for info in classifier_collections()]
    selected = [name for name in names if images in (None, zoo_at().collection(name).images)]
    return [point for name in selected for point in _points_once(name)]


def _points_once(collection: str) -> list[ZooPoint]:
    with _PREDICTION_LOCKS[collection]:
        return _points(collection)


@cache
def _points(collection: str) -> list[ZooPoint]:
    images, scores = zoo_at().collection(collection).images, scores_of(zoo_at(), collection)
    return [
        ZooPoint(
            zoo_id=row["id"],
            images=images,
            measured=row["test_accuracy"],
            predicted=math.nan if score["prediction"] is None else score["prediction"],
            low=score["low"],
            high=score["high"],
            typical=score["typical"],
            row=row,
        )
        for row, score in zip(zoo_at().rows(collection), scores, strict=True)
    ]
