"""Fit SIRENs to test images in twelve conventions of public code and store them, stacked, in half precision.

    python tests/make_foreign_sirens.py             # a few minutes of one core; files that exist are kept

Writes tests/data/foreign_sirens/CONVENTION.safetensors and index.json. Plain autograd on batched matrices, nothing
of the library: these networks stand for what other people fitted with other code.
"""

import argparse
import json
import math
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from foreign_images import DATA, read_images
from safetensors.torch import save_file

OUT = Path(__file__).parent / "data" / "foreign_sirens"
SIREN = dict(
    omega_first=30.0,
    omega_hidden=30.0,
    order="row, col",
    low=-1.0,
    high=1.0,
    centres=False,  # True: pixel centres; False: linspace, the ends on the first and last pixel
    init="siren",
    end="linear",  # linear | sigmoid | sine
    offset=0.0,  # what the network's forward adds to the last layer's output
    pixels="[-1, 1]",  # [-1, 1] | [0, 1] | mean/std
    rate=5e-4,  # Adam's; networks with small omegas move slowly and get a larger one
    one_layer_rate=1e-2,  # for networks with a single hidden layer
)
# What differs from vsitzmann/siren's own explore_siren notebook.
CONVENTIONS = {
    "siren_notebook": SIREN,
    "siren_pytorch": SIREN | dict(omega_hidden=1.0, init="siren with biases", pixels="[0, 1]", rate=3e-3),
    "dws": SIREN | dict(order="x, y", init="dws", offset=0.5, pixels="[0, 1]", rate=5e-3, one_layer_rate=0.1),
    "xy": SIREN | dict(order="x, y"),
    "xy_unit_pixels": SIREN | dict(order="x, y", pixels="[0, 1]"),
    "omega_10": SIREN | dict(omega_first=10.0, omega_hidden=10.0, rate=2e-3, one_layer_rate=0.1),
    "omega_60": SIREN | dict(omega_first=60.0, omega_hidden=60.0, rate=2e-4),
    "unit_coordinates": SIREN | dict(low=0.0, pixels="[0, 1]", rate=1e-3, one_layer_rate=0.1),
    "pi_coordinates": SIREN
    | dict(omega_first=1.0, omega_hidden=1.0, low=-math.pi, high=math.pi, init="wide first layer", rate=3e-3),
    "sigmoid_end": SIREN | dict(end="sigmoid", pixels="[0, 1]"),
    "sine_end": SIREN | dict(end="sine", one_layer_rate=1e-3),
    "standardised_pixels": SIREN | dict(centres=True, pixels="mean/std"),
}
MEAN_STD = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530), "cifar10": (0.4734, 0.2515)}
# image set, colour, hidden layers, width, networks
GROUPS = [
    ("mnist", False, 2, 32, 17),
    ("mnist", False, 1, 128, 1),
    ("mnist", False, 3, 32, 1),
    ("mnist", False, 5, 24, 1),
    ("fashion_mnist", False, 2, 32, 10),
    ("cifar10", False, 2, 32, 8),
    ("cifar10", True, 2, 32, 2),
]
ENOUGH = 28.0  # dB, of the half precision network
ONE_LAYER_ENOUGH = 24.0  # a single layer of sines draws no sharp edge; digits are plain to read at this


def grid(side, convention):
    """Coordinates of all pixels, row by row: (side * side, 2)."""
    low, high = convention["low"], convention["high"]
    ticks = torch.linspace(low, high, side)
    if convention["centres"]:
        ticks = low + (high - low) * (torch.arange(side) + 0.5) / side
    rows, cols = torch.meshgrid(ticks, ticks, indexing="ij")
    pair = (rows, cols) if convention["order"] == "row, col" else (cols, rows)
    return torch.stack(pair, -1).reshape(-1, 2)


def first_weights(convention, sizes, n, generator):
    """Random weights and biases [(n, out, in), (n, out), ...], as the convention's code draws them."""
    params = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        first, last = k == 0, k == len(sizes) - 2
        bound = 1 / n_in if first else math.sqrt(6 / n_in) / convention["omega_hidden"]
        bias_bound = 1 / math.sqrt(n_in)  # nn.Linear's own
        if convention["init"] == "siren with biases":
            bias_bound = bound
        elif convention["init"] == "dws":
            bound = 1 / math.sqrt(n_in) if last else math.sqrt(6 / n_in) / 30
            bias_bound = bias_bound if last else 0.0
        elif convention["init"] == "wide first layer" and first:
            bound, bias_bound = 5.0, math.pi
        params.append((torch.rand(n, n_out, n_in, generator=generator) * 2 - 1) * bound)
        params.append((torch.rand(n, n_out, generator=generator) * 2 - 1) * bias_bound)
    return params


def forward(params, x, convention):
    """All networks at the coordinates x (pixels, 2): (n, pixels, channels)."""
    x = x.expand(len(params[0]), -1, -1)
    for k in range(0, len(params), 2):
        x = torch.baddbmm(params[k + 1].unsqueeze(1), x, params[k].transpose(1, 2))
        if k < len(params) - 2 or convention["end"] == "sine":
            x = torch.sin((convention["omega_first"] if k == 0 else convention["omega_hidden"]) * x)
    return (torch.sigmoid(x) if convention["end"] == "sigmoid" else x) + convention["offset"]


def to_pixels(images, convention, name):
    """Images in [0, 1] to what the network is fitted to."""
    if convention["pixels"] == "mean/std":
        mean, std = MEAN_STD[name]
        return (images - mean) / std
    return images * 2 - 1 if convention["pixels"] == "[-1, 1]" else images


def from_pixels(values, convention, name):
    """The inverse of to_pixels, kept within [0, 1]."""
    if convention["pixels"] == "mean/std":
        mean, std = MEAN_STD[name]
        values = values * std + mean
    elif convention["pixels"] == "[-1, 1]":
        values = (values + 1) / 2
    return values.clamp(0, 1)


def psnr(params, x, images, convention, name):
    """dB of every network, after rounding its weights to half precision."""
    with torch.no_grad():
        drawn = from_pixels(forward([p.half().float() for p in params], x, convention), convention, name)
    return -10 * torch.log10((drawn - images).square().mean((1, 2)))


def fit(params, x, images, convention, name, steps, rate, want):
    """Adam on all networks together; stops when `want` of them have reached ENOUGH and half a decibel more."""
    target = to_pixels(images, convention, name)
    params = [p.requires_grad_() for p in params]
    optimiser = torch.optim.Adam(params, lr=rate)
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, 2.0 - 1.9 * step / steps)
        loss = (forward(params, x, convention) - target).square().mean((1, 2)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 0 and (psnr(params, x, images, convention, name) >= ENOUGH + 0.5).sum() >= want:
            break
    return [p.detach() for p in params], step


def load_group(name, colour, rows, data):
    """Test images in [0, 1] as (n, pixels, channels) and their labels."""
    images, labels = read_images(name, "test", rows, data)
    images = torch.from_numpy(images).float() / 255
    if name == "cifar10" and not colour:
        images = images @ torch.tensor([0.299, 0.587, 0.114])
    return images.reshape(len(rows), -1, 3 if colour else 1), labels


def make_group(convention, group, seed, args):
    """Fit a few more networks than asked for and keep the first that are good enough."""
    name, colour, hidden, width, count = group
    spare, steps, rate, enough = max(2, count // 5), args.steps, convention["rate"], ENOUGH
    if hidden == 1:
        spare, steps, rate, enough = 5, 1500, convention["one_layer_rate"], ONE_LAYER_ENOUGH
    rows = np.random.default_rng(seed).choice(5000, count + spare, replace=False)
    images, labels = load_group(name, colour, rows, args.data)
    x = grid(math.isqrt(images.shape[1]), convention)
    sizes = [2] + [width] * hidden + [images.shape[2]]
    params = first_weights(convention, sizes, len(rows), torch.Generator().manual_seed(seed))
    began = time.time()
    params, steps = fit(params, x, images, convention, name, steps, rate, count)
    reached = psnr(params, x, images, convention, name)
    keep = (reached >= enough).nonzero().flatten()[:count].numpy()
    print(f"  {group}: {steps} steps, {time.time() - began:.0f} s, {len(keep)} kept,", end=" ")
    print("dB", " ".join(f"{value:.1f}" for value in reached), flush=True)
    if len(keep) < count:
        raise SystemExit(f"only {len(keep)} of {count} networks reached {enough} dB; raise --steps")
    about: dict = dict(images=name, colour=colour, hidden_layers=hidden, width=width, steps=steps)
    about["row"] = rows[keep].tolist()
    about["label"] = labels[keep].tolist()
    about["psnr"] = [round(value, 2) for value in reached[keep].tolist()]
    return [p[keep].half() for p in params], about


def make_convention(number, label, args):
    """One file, and its entry in the index: tensor G holds group G's networks, each flat, layer after layer."""
    convention, tensors, groups = CONVENTIONS[label], {}, []
    for g, group in enumerate(GROUPS):
        params, about = make_group(convention, group, 1000 * number + g, args)
        groups.append(about)
        tensors[str(g)] = torch.cat([p.flatten(1) for p in params], 1)
    save_file(tensors, OUT / f"{label}.safetensors")
    write_index(label, convention | dict(groups=groups))


def write_index(label, entry):
    """Add a convention to index.json, one line each."""
    path = OUT / "index.json"
    index = json.loads(path.read_text()) if path.exists() else {}
    index[label] = entry
    lines = ",\n".join(f'"{key}": {json.dumps(index[key])}' for key in CONVENTIONS if key in index)
    path.write_text("{" + lines + "}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=list(CONVENTIONS))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--data", default=DATA)
    args = parser.parse_args()
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for number, label in enumerate(CONVENTIONS):
        if label in args.only and not (OUT / f"{label}.safetensors").exists():
            print(label, flush=True)
            make_convention(number, label, args)


if __name__ == "__main__":
    main()
