"""What visitors ask in the load test: about networks of the zoo, and about files of their own, written on the fly."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nfn.network import Network
from nfn.permutation import permute, random_permutations
from nfn.reader import write_network
from zoo.catalog import Zoo


@dataclass(frozen=True)
class Question:
    """An endpoint and its arguments; the first is to be the upload of `file`, where there is one."""

    kind: str
    endpoint: str
    arguments: list
    file: Path | None = None


def questions(folder: Path, count: int) -> dict[str, list[Question]]:
    """`count` different questions of each kind; their files go into `folder`."""
    zoo = Zoo()
    asked = {
        "classify_inr": lambda i: [None, f"mnist-sirens/test/{i}", "auto"],
        "edit_inr": lambda i: [None, f"fashion-mnist-sirens/test/{i}", "dilate", 1.0],
        "predict_generalization": lambda i: [None, f"cifar10-cnns/test/{i}", "auto", "auto"],
        "winning_ticket": lambda i: [None, f"mnist-inits/test/{i}", 0.95],
        "list_networks": lambda i: ["cifar10-sirens", 1 + i],
    }
    found = {name: [Question(name, name, make(i)) for i in range(count)] for name, make in asked.items()}
    for name in list(asked)[:4]:
        found[f"{name}, a file"] = [_with_file(zoo, found[name][i], folder, i) for i in range(count)]
    return found


def _with_file(zoo: Zoo, question: Question, folder: Path, number: int) -> Question:
    """The same of a copy in another order: permuted, or for every second one with every weight changed a little."""
    path = folder / f"{question.endpoint}-{number}.safetensors"
    generator = torch.Generator().manual_seed(number)
    change = _changed if number % 2 else _permuted
    write_network(change(zoo.network(question.arguments[1]), generator), path)
    return Question(
        f"{question.kind}, a file", question.endpoint, [None, None, *question.arguments[2:]], path
    )


def _permuted(network: Network, generator: torch.Generator) -> Network:
    return replace(network, features=permute(network.features, random_permutations(network.spec, generator)))


def _changed(network: Network, generator: torch.Generator) -> Network:
    change: Callable = lambda x: x * (1 + 0.01 * torch.randn(x.shape, generator=generator))  # noqa: E731
    return replace(network, features=network.features.map(change))
