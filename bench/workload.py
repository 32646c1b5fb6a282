"""The requests of the load test: about networks of the zoo, and about uploaded files that are written for it.

Files of classifiers declare what they compute, as files written by `nfn.save` do; those of `SEARCHED` do not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nfn.network import Network
from nfn.permutation import permute, random_permutations
from nfn.reader import write_network
from zoo.catalog import Zoo
from zoo.classifiers import zoo_classifier

SEARCHED = "predict_generalization, a bare state_dict"
"""Requests whose answer takes a search for the wiring."""


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


def searched(folder: Path, count: int) -> list[Request]:
    """Requests about classifiers of the zoo as bare state_dicts."""
    zoo, paths = Zoo(), [folder / f"bare-{i}.safetensors" for i in range(count)]
    for i, path in enumerate(paths):
        write_network(zoo.network(f"cifar10-cnns/test/{i}"), path)
    return [Request(SEARCHED, "predict_generalization", [None, None], path) for path in paths]


def _with_file(zoo: Zoo, request: Request, folder: Path, number: int) -> Request:
    """The same request for a different file: permuted neurons, or for odd numbers slightly changed weights."""
    path = folder / f"{request.endpoint}-{number}.safetensors"
    generator = torch.Generator().manual_seed(number)
    change = _changed if number % 2 else _permuted
    network = change(zoo.network(request.arguments[1]), generator)
    write_network(_declared(network) if request.endpoint == "predict_generalization" else network, path)
    return Request(f"{request.kind}, a file", request.endpoint, [None, None, *request.arguments[2:]], path)


def _declared(network: Network) -> Network:
    """The same small CNN with its graph and its pixel normalization, from -1 to 1."""
    graph = zoo_classifier(network, "cifar10", 32).graph
    return replace(
        network,
        chain=None,
        graph=graph,
        convention=replace(network.classifier, pixel_mean=0.5, pixel_std=0.5),
    )


def _permuted(network: Network, generator: torch.Generator) -> Network:
    return replace(network, chain=permute(network.features, random_permutations(network.spec, generator)))


def _changed(network: Network, generator: torch.Generator) -> Network:
    change: Callable = lambda x: x * (1 + 0.01 * torch.randn(x.shape, generator=generator))  # noqa: E731
    return replace(network, chain=network.features.map(change))
