"""Measure how long a weights-only reader trains until it classifies 90% of held-out MNIST SIRENs correctly.

    python -m bench.reader train.safetensors test.safetensors

Files hold stacked tensors as for `bench.inr_baselines`. The test networks are also used to stop the training, so the
time is slightly optimistic; shipped readers are measured on other networks.
"""

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from nfn.augment import Moves
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.weight_reader import WeightReader, WeightReaderConfig
from zoo.build_siren import TENSOR_NAMES
from zoo.train_reader import VIEWS, Examples, ReaderRecipe, run_batched, train_step


def main() -> None:
    """Train until the target accuracy, and print the duration."""
    options = parse_options()
    torch.manual_seed(options.seed)
    networks, test = load(options.train, options.networks), load(options.test)
    spec = network_spec_from_wsfeat(networks.features, set_all_dims=True)
    shapes = tuple(weight.shape for weight in spec.weight_spec)
    model = WeightReader(
        WeightReaderConfig(shapes, labels={"mnist": [str(i) for i in range(10)]}, views=VIEWS)
    )
    model.measure(networks.features.select(slice(0, 2000)))
    recipe = ReaderRecipe(samples=options.samples, seed=options.seed)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay, fused=True)
    start, cpu, accuracy, cpu_seconds = time.perf_counter(), time.process_time(), 0.0, 0.0
    for i in range(recipe.steps):
        train_step(model.train(), optimizer, [networks], recipe, i)
        if (i + 1) % options.every == 0:
            accuracy = float(
                (run_batched(model.eval().read, test.features).argmax(1) == test.targets).float().mean()
            )
            cpu_seconds = time.process_time() - cpu
            print(
                f"{(i + 1) * recipe.batch:,} networks seen: {accuracy:.1%}, {cpu_seconds:.0f} s of CPU",
                flush=True,
            )
            if accuracy >= options.until:
                break
    print(
        f"{accuracy:.1%} after {time.perf_counter() - start:.0f} s, {cpu_seconds:.0f} s of CPU, "
        f"{torch.get_num_threads()} threads"
    )


def load(path: Path, count: int | None = None) -> Examples:
    """The first `count` networks and labels."""
    stored = {name: tensor[:count] for name, tensor in load_file(path).items()}
    pairs = [
        (stored[weight].float()[:, None], stored[bias].float()[:, None]) for weight, bias in TENSOR_NAMES
    ]
    rows = torch.arange(len(stored["labels"]))
    return Examples(WeightSpaceFeatures.from_zipped(pairs), stored["labels"].long(), rows, rows, Moves())


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--networks", type=int, default=None, help="train on at most this many")
    parser.add_argument("--until", type=float, default=0.9)
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--every", type=int, default=1250)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
