"""Measure how a weights-only reader of numbers improves with the number of training runs, for its card.

    python -m bench.reader_curve COLLECTION --folder zoo/embedded/predictors/reader-cifar10-cnns

With the reader's own recipe, on the first runs of the collection and all their checkpoints; each time measured on the
same held-out networks. The figures are the `learning_curve` of the reader's `training.json`, from which
`python -m zoo evaluate reader` writes the card and draws the curve.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn.weight_reader import WeightReader
from zoo.collection import Collection
from zoo.commands.train import TRAINING_FILE
from zoo.evaluate_reader import number_row
from zoo.files import read_json, write_json
from zoo.train_reader import (
    ReaderRecipe,
    ReaderSize,
    prepare,
    read_examples,
    reader_config,
    split_rows,
    train_step,
)


def main() -> None:
    """Train on ever more runs, print the figures, and store them beside the reader."""
    options = parse_options()
    training = read_json(options.folder / TRAINING_FILE)
    channels = WeightReader.load(options.folder).config.channels
    collection, recipe = Collection(options.collection), ReaderRecipe(**training["recipe"])
    rows = []
    for runs in options.runs:
        rows.append(measure(collection, runs, training["task"], channels, recipe))
        print(rows[-1], flush=True)
    write_json(options.folder / TRAINING_FILE, {**training, "learning_curve": rows})


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="folder of the reader")
    parser.add_argument("--runs", type=int, nargs="+", default=[64, 128, 256, 512])
    return parser.parse_args()


def measure(
    collection: Collection, runs: int, task: str, channels: int, recipe: ReaderRecipe
) -> dict[str, Any]:
    """Train a reader on the first `runs` training runs; the figures of the held-out networks."""
    train = rows_of_runs(collection, runs)
    torch.manual_seed(recipe.seed)
    model = WeightReader(reader_config(task, [collection], ReaderSize(channels)))
    (examples,) = read_examples(model, [collection])
    sets = [replace(examples, train=train)]
    prepare(model, sets)
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    model.train()
    for i in range(recipe.steps):
        train_step(model, optimizer, sets, recipe, i)
    figures = number_row(model.eval(), collection)
    return {"runs": runs, "networks": len(train), "tau": figures["tau"], "error": figures["error"]}


def rows_of_runs(collection: Collection, runs: int) -> Tensor:
    """The training rows of the first `runs` runs; SystemExit if there are fewer."""
    run_of, (train, _) = collection.rows["run"].to_pylist(), split_rows(collection)
    names = list(dict.fromkeys(run_of[row] for row in train.tolist()))
    if runs > len(names):
        raise SystemExit(
            f"{collection.folder.name} has {len(names)} training runs, and {runs} were requested."
        )
    chosen = set(names[:runs])
    return torch.tensor([row for row in train.tolist() if run_of[row] in chosen])


if __name__ == "__main__":
    main()
