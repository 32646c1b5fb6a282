"""State dicts saved in either format, and the slow twin that runs what was read of them."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from nfn.network import Network

SIREN_WIDTHS = (2, 8, 8, 1)


def forward(network: Network, x: torch.Tensor, activation) -> torch.Tensor:
    """The slow, obvious twin: run the features layer by layer."""
    last = len(network.features) - 1
    for i, (weight, bias) in enumerate(network.features):
        weight, bias = weight[0, 0].to(x.dtype), bias[0, 0].to(x.dtype)
        if weight.dim() == 2 and x.dim() == 4:
            x = x.mean((2, 3))
        x = nn.functional.conv2d(x, weight, bias) if weight.dim() == 4 else x @ weight.T + bias
        x = activation(x) if i < last else x
    return x


def save(state: dict, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    return path
