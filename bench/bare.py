"""The embedded zoo's wild networks as bare state_dicts: `python -m bench.bare` writes docs/bare.md.

Their graphs are taken away, and the wiring has to be found. They combine kernels, strides and pooling at random, as
hardly anybody does, so this is harder than files that people upload (`bench.foreign`).
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from rich.progress import track
from safetensors.torch import save_file

from bench.foreign import NEAR, ROOT
from nfn.network import Network
from zoo.card import percent, table
from zoo.catalog import Zoo
from zoo.classifiers import AccuracyPredictors, accuracy_predictors
from zoo.families.wild import FAMILY
from zoo.small_cnns import predict_file

VERDICTS = {"inside": "inside the interval", "near": f"within {percent(NEAR)}", "wrong": "**wrong and typical**",
            "none": "no number to rely on"}  # fmt: skip
GROUPS = ("final", "early")
WRONG = {"network": "network", "truth": "true accuracy", "predicted": "predicted", "interval": "interval"}


@dataclass(frozen=True)
class Outcome:
    """The answer for a network: one of `VERDICTS`; accuracies from 0 to 1."""

    network: str
    group: str
    verdict: str
    truth: float
    predicted: float = 0.0
    low: float = 0.0
    high: float = 1.0


@cache
def predictors() -> AccuracyPredictors:
    """The predictors of the embedded zoo, on one thread."""
    torch.set_num_threads(1)
    return accuracy_predictors(Zoo())


def outcome(zoo_id: str) -> Outcome:
    """The answer for one network, without its graph."""
    zoo = Zoo()
    row = zoo.row(zoo_id)
    truth, group = row["test_accuracy"], GROUPS[not row["final"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.safetensors")
        save_bare(zoo.network(zoo_id), path)
        (answer,) = predict_file(predictors(), path)
    result = answer.result
    if result is None or not result.typical:
        return Outcome(zoo_id, group, "none", truth)
    inside, near = result.low <= truth <= result.high, abs(result.test_accuracy - truth) <= NEAR
    verdict = "inside" if inside else "near" if near else "wrong"
    return Outcome(zoo_id, group, verdict, truth, result.test_accuracy, result.low, result.high)


def save_bare(network: Network, path: Path) -> None:
    """Write the tensors alone, in the order of the layers."""
    assert network.graph is not None, "wild networks have their graphs"
    save_file({name: tensor.float().contiguous() for name, tensor in network.graph.tensors.items()}, path)


def wild_ids() -> Iterator[str]:
    """The wild networks of the embedded zoo."""
    zoo = Zoo()
    for info in zoo.collections():
        if info.kind == FAMILY.kind:
            yield from (row["id"] for row in zoo.rows(info.name))


def report(outcomes: list[Outcome]) -> str:
    """The report, as Markdown."""
    counts = [
        {"which": which, **{key: f"{found[key]} of {sum(found.values())}" for key in VERDICTS}}
        for which in GROUPS
        for found in [Counter(one.verdict for one in outcomes if one.group == which)]
    ]
    wrong = [
        {"network": one.network, "truth": percent(one.truth), "predicted": percent(one.predicted),
         "interval": f"{percent(one.low)} to {percent(one.high)}"}
        for one in outcomes if one.verdict == "wrong"
    ]  # fmt: skip
    return f"""# Wild networks without their graphs

Written by `python -m bench.bare`. The {len(outcomes)} wild networks of the embedded zoo as bare state_dicts: wiring,
activation, input normalisation and image set are searched. They combine kernels, strides and pooling at random, and
more than half of them were stored early in training. Those near chance get no number, as nothing tells their readings
apart.

{table(counts, {"which": "at the end of training, or early", **VERDICTS})}

## Wrong and typical

{table(wrong, WRONG) if wrong else "None."}
"""


if __name__ == "__main__":
    ids = list(wild_ids())
    with ProcessPoolExecutor(2) as pool:
        found = list(track(pool.map(outcome, ids), "reading", len(ids)))
    (ROOT / "docs" / "bare.md").write_text(report(found))
