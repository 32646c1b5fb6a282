"""The requests of the load test: about networks of the zoo, and about uploaded files that are written for it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nfn.network import Network
from nfn.permutation import permute, random_permutations
from nfn.reader import write_network
from zoo.catalog import Zoo


@dataclass(frozen=True)
class Request:
    """An endpoint and its arguments; if there is a `file`, its upload replaces the first argument."""

    kind: str
    endpoint: str
    arguments: list
    file: Path | None = None


def workload(folder: Path, count: int) -> dict[str, list[Request]]:
    """Make `count` different requests of each kind; their files are written into `folder`."""
    zoo = Zoo()
    arguments_of = {
        "classify_inr": lambda i: [None, f"mnist-sirens/test/{i}", "auto"],
        "edit_inr": lambda i: [None, f"fashion-mnist-sirens/test/{i}", "dilate", 1.0],
        "predict_generalization": lambda i: [None, f"cifar10-cnns/test/{i}", "auto", "auto"],
        "winning_ticket": lambda i: [None, f"mnist-inits/test/{i}", 0.95],
        "list_networks": lambda i: ["cifar10-sirens", 1 + i],
    }
    requests = {
        name: [Request(name, name, make(i)) for i in range(count)] for name, make in arguments_of.items()
    }
    for name in list(arguments_of)[:4]:
        requests[f"{name}, a file"] = [_with_file(zoo, requests[name][i], folder, i) for i in range(count)]
    return requests


def _with_file(zoo: Zoo, request: Request, folder: Path, number: int) -> Request:
    """The same request for a different file: permuted neurons, or for odd numbers slightly changed weights."""
    path = folder / f"{request.endpoint}-{number}.safetensors"
    generator = torch.Generator().manual_seed(number)
    change = _changed if number % 2 else _permuted
    write_network(change(zoo.network(request.arguments[1]), generator), path)
    return Request(f"{request.kind}, a file", request.endpoint, [None, None, *request.arguments[2:]], path)


def _permuted(network: Network, generator: torch.Generator) -> Network:
    return replace(network, features=permute(network.features, random_permutations(network.spec, generator)))


def _changed(network: Network, generator: torch.Generator) -> Network:
    change: Callable = lambda x: x * (1 + 0.01 * torch.randn(x.shape, generator=generator))  # noqa: E731
    return replace(network, features=network.features.map(change))
