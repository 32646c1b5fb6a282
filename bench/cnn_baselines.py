"""Baselines for the card of the generalization predictor: StatNN and the paper's NP and HNP models, same networks.

    python -m bench.cnn_baselines COLLECTION... --model hnp

The models are those of arXiv:2302.14040, D.1: 3 NF-layers of 16, 16, 5 channels, mean pool, MLP of 1,000 units. NP is
as in its code: standardised inputs, and learned embeddings of inputs and outputs in every layer. Sinusoidal encodings
there hide the differences between networks: NP and HNP give all the same answer (tests/test_bench_baselines.py). StatNN
is mean, variance and quartiles, standardised, and the same MLP. Binary cross entropy, Adam 1e-3, batch 8 there, an
option here; gradients are clipped at norm 1. The epoch with the best validation tau is used. A row of figures for each
image set is added to `baselines.json` of the predictor.
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.record import record
from nfn.features import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import HNPLinear, HNPPool, NPLinear, NPPool, StatFeaturizer, TupleOp
from nfn.spec import NetworkSpec
from zoo.catalog import EMBEDDED
from zoo.collection import Collection
from zoo.evaluate_generalization import kendall_tau

CHANNELS = (16, 16, 5)


def main() -> None:
    """Train one baseline on all image sets together, print and record its figures."""
    options = parse_options()
    torch.manual_seed(options.seed)
    opened = [Collection(path) for path in options.collections]
    features = WeightSpaceFeatures.cat([collection.features() for collection in opened])
    facts = [{**row, "images": c.images} for c in opened for row in c.rows.to_pylist()]
    truth = torch.tensor([fact["test_accuracy"] for fact in facts])
    model = Baseline(options.model, features.select(rows_of(facts, "train")))
    start = time.time()
    epoch = fit(model, features, truth, facts, options)
    for images in dict.fromkeys(fact["images"] for fact in facts):
        chosen = [i for i in rows_of(facts, "test") if facts[i]["final"] and facts[i]["images"] == images]
        predicted = predict(model, features.select(chosen))
        row = {
            "model": options.model, "images": images, "networks": len(chosen),
            "tau": round(kendall_tau(predicted, truth[chosen]), 4),
            "mae": round(float((predicted - truth[chosen]).abs().mean()), 4),
            "trained_on": f"{len(rows_of(facts, 'train')):,} networks and checkpoints of all sets",
            "epochs": f"{epoch} of {options.epochs}", "seconds": round(time.time() - start),
            "device": f"CPU, {torch.get_num_threads()} threads",
        }  # fmt: skip
        print(row)
        record(options.out, row, ("model", "images"))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collections", type=Path, nargs="+")
    parser.add_argument("--model", choices=("statnn", "np", "hnp"), required=True)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    out = EMBEDDED / "predictors" / "generalization" / "baselines.json"
    parser.add_argument("--out", type=Path, default=out)
    return parser.parse_args()


def rows_of(facts: list[dict[str, Any]], split: str) -> list[int]:
    """The row numbers of a split."""
    return [i for i, fact in enumerate(facts) if fact["split"] == split]


class Baseline(nn.Module):
    """StatNN, or a stack of NF-layers, on networks standardised by `training`."""

    def __init__(self, kind: str, training: WeightSpaceFeatures):
        super().__init__()
        spec = network_spec_from_wsfeat(training)
        self.moments = [(x.mean(), x.std()) for x in training.tensors] if kind == "np" else None
        self.body = build_body(kind, spec)
        self.norm = nn.LazyBatchNorm1d(affine=False) if kind == "statnn" else nn.Identity()
        self.head = nn.Sequential(nn.LazyLinear(1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU(),
                                  nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 1))  # fmt: skip
        self.head(self.read(training.select(slice(0, 2))))

    def read(self, features: WeightSpaceFeatures) -> Tensor:
        """The input of the head."""
        if self.moments is not None:
            standard = (
                (x - mean) / std for x, (mean, std) in zip(features.tensors, self.moments, strict=True)
            )
            features = features.with_tensors(standard)
        return self.norm(self.body(features).flatten(1))

    def forward(self, features: WeightSpaceFeatures) -> Tensor:
        """Logits of the accuracy `(n,)`."""
        return self.head(self.read(features))[:, 0]


def build_body(kind: str, spec: NetworkSpec) -> nn.Module:
    """A module from networks to one vector each."""
    if kind == "statnn":
        return StatFeaturizer()
    modules: list[nn.Module] = []
    for before, after in itertools.pairwise((1, *CHANNELS)):
        linear = (
            NPLinear(spec, before, after, io_embed=True) if kind == "np" else HNPLinear(spec, before, after)
        )
        modules += [linear, TupleOp(nn.ReLU())]
    return nn.Sequential(*modules, NPPool(spec) if kind == "np" else HNPPool(spec))


def fit(
    model: Baseline, features: WeightSpaceFeatures, truth: Tensor, facts: list[dict[str, Any]], options
) -> int:
    """Train; return the epoch whose weights are used."""
    train, validation = rows_of(facts, "train"), rows_of(facts, "validation")
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(options.seed)
    best, kept, state = -1.0, 0, {}
    for epoch in range(1, options.epochs + 1):
        order = torch.randperm(len(train), generator=generator).tolist()
        loss = torch.tensor(0.0)
        model.train()
        for at in range(0, len(order), options.batch):
            chosen = [train[i] for i in order[at : at + options.batch]]
            loss = F.binary_cross_entropy_with_logits(model(features.select(chosen)), truth[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        predicted = predict(model, features.select(validation))
        stop_if_constant(predicted)
        tau = kendall_tau(predicted, truth[validation])
        print(f"epoch {epoch}/{options.epochs} loss {loss.item():.4f} validation tau {tau:.4f}", flush=True)
        if tau > best:
            best, kept, state = tau, epoch, {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return kept


def stop_if_constant(predicted: Tensor) -> None:
    """Raise SystemExit if all networks get the same answer, because training cannot recover from there."""
    if not predicted.isfinite().all():
        raise SystemExit("The model's outputs are no longer finite: lower the learning rate.")
    if len(predicted) > 1 and predicted.std() < 1e-6:
        raise SystemExit(
            f"The model predicts {predicted[0]:.4f} for every network: it has collapsed to a constant."
        )


@torch.no_grad()
def predict(model: Baseline, features: WeightSpaceFeatures) -> Tensor:
    """Accuracies `(n,)`."""
    model.eval()
    count = len(features.weights[0])
    return torch.cat([model(features.select(slice(i, i + 256))).sigmoid() for i in range(0, count, 256)])


if __name__ == "__main__":
    main()
