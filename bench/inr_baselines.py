"""Weights-only baselines for the classifier's card: NF-layers, ours or the published ones, on the same networks.

    python -m bench.inr_baselines train.safetensors test.safetensors --package published

Files hold stacked tensors `(n, ...)` under `net.0.linear.weight`, ... and `labels`, in half precision. The row of
figures is added to `baselines.json` of the classifier. The published package is read from `.bench/nfn-0.1.2`, where
`make bench` installs it; the model and its training are the same code for both.
"""

import argparse
import itertools
import math
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from bench.record import record

STEMS = ("net.0.linear", "net.1.linear", "net.2")


def main() -> None:
    """Train one baseline, print and record its accuracy."""
    options = parse_options()
    if options.package == "published":
        sys.path.insert(0, str(Path(".bench/nfn-0.1.2").resolve()))

    torch.manual_seed(options.seed)
    train, test = load(options.train), load(options.test)
    model = build(train[0], options)
    start = time.time()
    fit(model, *train, options)
    seconds = time.time() - start
    row = {
        "model": f"{options.package}: 3 x {options.layer.upper()}Linear, {options.channels} channels" + extras(options),
        "train": f"{len(train[1]):,} MNIST SIRENs", "test": f"{len(test[1]):,} of held-out images",
        "epochs": options.epochs, "accuracy": round(accuracy(model, *test), 4), "seconds": round(seconds),
        "device": f"CPU, {torch.get_num_threads()} threads",
    }  # fmt: skip
    print(row)
    record(options.out, row, ("model",))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--package", choices=("ours", "published"), required=True)
    parser.add_argument(
        "--canonical-signs", action="store_true", help="flip neurons to one sign first (ours only)"
    )
    parser.add_argument("--layer", choices=("np", "hnp"), default="np")
    parser.add_argument("--norm", action="store_true", help="layer norm after each linear layer")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument(
        "--fourier", type=int, default=32, help="frequencies of the weights' Fourier features"
    )
    parser.add_argument("--fourier-scale", type=float, default=3.0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("zoo/embedded/predictors/inr-classifier/baselines.json")
    )
    return parser.parse_args()


def extras(options: argparse.Namespace) -> str:
    """The model's options beyond the plain stack."""
    chosen = {"layer norm": options.norm, "canonical signs": options.canonical_signs}
    return ", ".join([f", {options.fourier} frequencies", *(name for name, used in chosen.items() if used)])


def load(path: Path):
    """Features and labels."""
    from nfn.common import WeightSpaceFeatures

    tensors = load_file(path)
    pairs = [(tensors[f"{s}.weight"].float()[:, None], tensors[f"{s}.bias"].float()[:, None]) for s in STEMS]
    return WeightSpaceFeatures.from_zipped(pairs), tensors["labels"].long()


def build(features, options: argparse.Namespace) -> nn.Module:
    """The paper's classifier (appendix D.3, with its code's Fourier features), small: three layers, pool, head."""
    from nfn import layers as nf
    from nfn.common import network_spec_from_wsfeat

    spec = network_spec_from_wsfeat(features)
    linear, pool = (nf.NPLinear, nf.NPPool) if options.layer == "np" else (nf.HNPLinear, nf.HNPPool)
    fourier = nf.GaussianFourierFeatureTransform(spec, 1, options.fourier, options.fourier_scale)
    encoding = nf.IOSinusoidalEncoding(spec)
    widths = [encoding.num_out_chan(fourier.out_channels)] + [options.channels] * 3
    modules: list[nn.Module] = [CanonicalSigns()] if options.canonical_signs else []
    modules += [fourier, encoding]
    for before, after in itertools.pairwise(widths):
        modules += [linear(spec, before, after)]
        modules += [nf.SimpleLayerNorm(spec, after)] if options.norm else []
        modules += [nf.TupleOp(nn.ReLU())]
    pooled = options.channels * pool.get_num_outs(spec)
    return nn.Sequential(
        *modules, pool(spec), nn.Flatten(), nn.Linear(pooled, 256), nn.ReLU(), nn.Linear(256, 10)
    )


class CanonicalSigns(nn.Module):
    """Flip the hidden neurons of sine networks to one sign, which does not change the computed function."""

    def forward(self, features):
        """Features to features of the same shape."""
        from nfn.siren import apply_signs, canonical_signs

        return apply_signs(features, canonical_signs(features))


def fit(
    model: nn.Module, features, labels: torch.Tensor, options: argparse.Namespace, batch: int = 32
) -> None:
    """Train with Adam, a one-cycle rate up to 2e-3, and cross entropy."""
    optimizer, per_epoch = torch.optim.Adam(model.parameters()), math.ceil(len(labels) / batch)
    total_steps = options.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps, pct_start=0.2)
    for epoch in range(options.epochs):
        total = 0.0
        for index in torch.randperm(len(labels)).split(batch):
            loss = nn.functional.cross_entropy(model(features.map(lambda x, i=index: x[i])), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}/{options.epochs}: loss {total / per_epoch:.3f}", flush=True)


@torch.no_grad()
def accuracy(model: nn.Module, features, labels: torch.Tensor) -> float:
    """Top-1 accuracy."""
    parts = [model(features.map(lambda x, i=index: x[i])) for index in torch.arange(len(labels)).split(200)]
    return float((torch.cat(parts).argmax(1) == labels).float().mean())


if __name__ == "__main__":
    main()
