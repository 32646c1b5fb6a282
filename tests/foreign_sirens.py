"""SIRENs in twelve conventions of public code: one file each, as a person would save it, and what it draws.

The networks lie stacked in tests/data/foreign_sirens (make_foreign_sirens.py fitted them, in half precision). In
every convention networks 0-19 draw MNIST test images, 20-29 Fashion-MNIST, 30-39 CIFAR-10 (30-37 gray, 38-39 in
colour). 0-16 and 20-39 have two hidden layers of 32, 17 has one of 128, 18 has three of 32, 19 has five of 24.
Nothing here comes from the library, and the files hold no metadata.
"""

import json
import math
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent / "data" / "foreign_sirens"
CONVENTIONS = json.loads((HERE / "index.json").read_text())
NETWORKS = 40  # in every convention
MEAN_STD = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530), "cifar10": (0.4734, 0.2515)}


@lru_cache(maxsize=12)
def _stacked(convention):
    return load_file(HERE / f"{convention}.safetensors")


def _place(convention, i):
    """Group and position in it of network i."""
    if not 0 <= i < NETWORKS:
        raise IndexError(f"network {i} of {convention}: there are {NETWORKS}")
    for g, group in enumerate(CONVENTIONS[convention]["groups"]):
        if i < len(group["label"]):
            return g, i
        i -= len(group["label"])
    raise IndexError(f"{convention} holds fewer networks than {NETWORKS}")


def describe(convention, i):
    """What is true of network i: images, colour, hidden_layers, width, row of the test split, label, psnr."""
    g, place = _place(convention, i)
    group = CONVENTIONS[convention]["groups"][g]
    return {key: value[place] if isinstance(value, list) else value for key, value in group.items()}


def parameters(convention, i):
    """[(weight (out, in), bias (out,)), ...] in float32."""
    g, place = _place(convention, i)
    about, layers = describe(convention, i), []
    numbers = _stacked(convention)[str(g)][place].float()
    sizes = [2] + [about["width"]] * about["hidden_layers"] + [3 if about["colour"] else 1]
    for n_in, n_out in pairwise(sizes):
        weight, bias, numbers = numbers.split([n_in * n_out, n_out, len(numbers) - n_in * n_out - n_out])
        layers.append((weight.reshape(n_out, n_in), bias))
    return layers


def coordinates(convention, side):
    """What the network is given for every pixel, row by row: (side * side, 2)."""
    how = CONVENTIONS[convention]
    ticks = torch.linspace(how["low"], how["high"], side)
    if how["centres"]:
        ticks = how["low"] + (how["high"] - how["low"]) * (torch.arange(side) + 0.5) / side
    rows, cols = ticks.repeat_interleave(side), ticks.repeat(side)
    return torch.stack((rows, cols) if how["order"] == "row, col" else (cols, rows), 1)


def draw(convention, i, side=None):
    """The picture, values in [0, 1]: (channels, side, side); side is by default that of the images fitted."""
    how, about = CONVENTIONS[convention], describe(convention, i)
    side = side or (32 if about["images"] == "cifar10" else 28)
    x = coordinates(convention, side)
    layers = parameters(convention, i)
    for k, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if k < len(layers) - 1 or how["end"] == "sine":
            x = torch.sin(x * (how["omega_hidden"] if k else how["omega_first"]))
    x = (x.sigmoid() if how["end"] == "sigmoid" else x) + how["offset"]
    if how["pixels"] == "mean/std":
        mean, std = MEAN_STD[about["images"]]
        x = x * std + mean
    elif how["pixels"] == "[-1, 1]":
        x = (x + 1) / 2
    return x.clamp(0, 1).T.reshape(-1, side, side)


def _numbered(pattern, last=None):
    """Names of layer k of n: the pattern's, for the last layer perhaps another one."""
    return lambda k, n: (last if last and k == n - 1 else pattern).format(k=k, twice=2 * k, one=k + 1)


# How the layers are called, after the repositories (or the habits) that the conventions come from.
NAMES = {
    "siren_notebook": _numbered("net.{k}.linear", "net.{k}"),  # vsitzmann/siren, explore_siren.ipynb
    "siren_pytorch": _numbered("layers.{k}", "last_layer"),  # lucidrains/siren-pytorch, SirenNet
    "dws": _numbered("seq.{k}"),  # AvivNavon/DWSNets, INR
    "xy": _numbered("net.net.{k}.0"),  # vsitzmann/siren, modules.SingleBVPNet
    "xy_unit_pixels": _numbered("fc{one}"),
    "omega_10": _numbered("layers.{k}.linear", "final_linear"),
    "omega_60": _numbered("{twice}"),  # nn.Sequential(Linear, Sine, Linear, Sine, Linear)
    "unit_coordinates": _numbered("model.net.{k}.linear", "model.net.{k}"),
    "pi_coordinates": _numbered("hidden.{k}", "output"),
    "sigmoid_end": _numbered("module.net.{k}.linear", "module.net.{k}"),  # DataParallel
    "sine_end": _numbered("net.{k}.linear"),  # the notebook's outermost_linear=False
    "standardised_pixels": _numbered("mlp.{k}"),
}


def state_dict(convention, i):
    """Network i under the tensor names of its convention, float32."""
    layers, tensors = parameters(convention, i), {}
    for k, (weight, bias) in enumerate(layers):
        name = NAMES[convention](k, len(layers))
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight, bias
    if convention == "siren_pytorch" and i % 2:  # saved with its SirenWrapper
        side = math.isqrt(draw(convention, i)[0].numel())
        tensors = {"grid": coordinates(convention, side)} | {f"net.{key}": tensors[key] for key in tensors}
    return tensors


def write_state_dict(convention, i, path):
    """Write network i as a person would: .safetensors by that suffix, else torch.save; no metadata, no hints."""
    tensors = state_dict(convention, i)
    if str(path).endswith(".safetensors"):
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    elif convention == "unit_coordinates":
        torch.save({"epoch": 1500, "model_state_dict": tensors, "loss": 0.0012}, path)
    else:
        torch.save(tensors, path)
    return path
