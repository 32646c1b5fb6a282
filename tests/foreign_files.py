"""Networks and files for `foreign_ways`: by plain torch and NumPy, as public code makes them."""

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune

State = dict[str, torch.Tensor]


def mlp(*widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    sizes = widths or (4, 8, 8, 3)
    layers = [part for i in range(len(sizes) - 1) for part in (nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def cnn() -> nn.Sequential:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4, eps=1e-3),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(6, 10),
    )
    net.state_dict()["1.running_mean"].normal_()
    net.state_dict()["1.running_var"].uniform_(0.5, 2)
    return net


def state(net: nn.Module | None = None) -> State:
    return dict((net or mlp()).state_dict())


def torch_zip(value: object, **how: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(value, buffer, **how)
    return buffer.getvalue()


def legacy(value: object) -> bytes:
    return torch_zip(value, _use_new_zipfile_serialization=False)


def npz(arrays: dict[str, np.ndarray], save: Callable = np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def npy(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(value, dtype=object), allow_pickle=True)
    return buffer.getvalue()


def arrays(tensors: State | None = None) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in (tensors or state()).items()}


def renamed(prefix: str, tensors: State | None = None) -> State:
    return {prefix + name: tensor for name, tensor in (tensors or state()).items()}


def turned(tensor: torch.Tensor) -> np.ndarray:
    """A weight in the layout of Flax and Keras; a bias as it is."""
    array = tensor.numpy()
    return np.ascontiguousarray(
        array.T if array.ndim == 2 else np.transpose(array, (2, 3, 1, 0)) if array.ndim == 4 else array
    )


def layers(tensors: State | None = None) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias of each layer."""
    values = list((tensors or state()).values())
    return list(zip(values[::2], values[1::2], strict=True))


class AttributeDict(dict):
    """The kind of dict that Lightning and many configs are."""

    def __getattr__(self, key: str) -> object:
        return self[key]


class Settings:
    """An object with attributes, as OmegaConf's nodes are."""

    def __init__(self, **attributes: object):
        self.__dict__.update(attributes)


class Sine(nn.Module):
    def __init__(self, inputs: int, outputs: int, omega: float):
        super().__init__()
        self.omega_0 = omega
        self.linear = nn.Linear(inputs, outputs)


class LightningLike(nn.Module):
    """A training module: the network, a criterion, metrics, and statistics of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(3))
        self.val_acc = nn.Module()
        self.val_acc.register_buffer("confmat", torch.zeros(3, 3))
        self.val_acc.register_buffer("total", torch.tensor(5))


def flax() -> dict:
    s = flax_state()
    norm = {word: s[f"BatchNorm_0.{ours}"].numpy() for word, ours in (("scale", "weight"), ("bias", "bias"))}
    return {
        "params": {
            "Conv_0": {"kernel": turned(s["Conv_0.weight"]), "bias": s["Conv_0.bias"].numpy()},
            "BatchNorm_0": norm,
            "Dense_0": {"kernel": turned(s["Dense_0.weight"]), "bias": s["Dense_0.bias"].numpy()},
        },
        "batch_stats": {
            "BatchNorm_0": {
                "mean": s["BatchNorm_0.running_mean"].numpy(),
                "var": s["BatchNorm_0.running_var"].numpy(),
            }
        },
    }


def flax_state() -> State:
    s = state(cnn())
    parts = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}
    norm = {f"BatchNorm_0.{ours}": s[f"1.{theirs}"] for ours, theirs in parts.items()}
    dense = {"Dense_0.weight": s["8.weight"][:, :4], "Dense_0.bias": s["8.bias"]}
    return {"Conv_0.weight": s["0.weight"], "Conv_0.bias": s["0.bias"], **norm, **dense}


def numbered() -> State:
    """The names of tensors that come without one."""
    return {
        f"{i}.{part}": pair[j] for i, pair in enumerate(layers()) for j, part in enumerate(("weight", "bias"))
    }


def keras_names(kernel: str = "kernel") -> dict[str, np.ndarray]:
    stems = ("sequential/dense", "sequential/dense_1", "sequential/dense_2")
    return {
        f"{stem}/{word}": turned(tensor)
        for stem, pair in zip(stems, layers(), strict=True)
        for word, tensor in zip((kernel, "bias"), pair, strict=True)
    }


def keras_state() -> State:
    names = [f"sequential/dense{end}" for end in ("", "_1", "_2")]
    return {
        f"{n}/{word}": t
        for n, pair in zip(names, layers(), strict=True)
        for word, t in zip(("weight", "bias"), pair, strict=True)
    }


def reparametrized(wrap: Callable, **how: object) -> nn.Sequential:
    net = mlp()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*weight_norm. is deprecated")  # it is in many files
        for i in (0, 2):
            wrap(net[i], **how)
    return net


def effective(net: nn.Sequential) -> State:
    """The weights that the forward pass uses."""
    net.eval()
    net(torch.rand(2, 4))
    return {f"{i}.{part}": getattr(net[i], part).detach() for i in (0, 2, 4) for part in ("weight", "bias")}


def pruned(value: float = 0.5) -> nn.Sequential:
    net = mlp()
    for i in (0, 2):
        prune.l1_unstructured(net[i], "weight", value)
    return net


def siren_state(**more: torch.Tensor) -> State:
    return {**state(mlp(2, 8, 8, 1)), **more}


def grid(indexing: str) -> torch.Tensor:
    axes = torch.meshgrid(torch.linspace(0, 1, 5), torch.linspace(0, 1, 4), indexing="ij")
    return torch.stack(axes if indexing == "ij" else axes[::-1], -1).reshape(-1, 2)


def actor_critic() -> State:
    return {**renamed("actor.net."), **renamed("critic.net.", state(mlp(4, 8, 8, 1)))}


def with_(more: dict) -> Callable[[], bytes]:
    return lambda: torch_zip({**state(), **more})


def siren_with_omegas(omegas: tuple[float, ...]) -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(Sine(2, 8, omegas[0]), Sine(8, 8, omegas[1]), nn.Linear(8, 1))


def omega_buffers(first: float = 30.0, hidden: float = 10.0) -> State:
    s = state(siren_with_omegas((first, hidden)))
    return {**s, "0.omega_0": torch.tensor(first), "1.omega_0": torch.tensor([hidden])}


def per_row(values: torch.Tensor) -> State:
    s = state(siren_with_omegas((30.0, 30.0)))
    return {**s, "0.omega_0_scale": torch.full((8, 1), 30.0), "1.omega_0_scale": values}


def folded_rows(values: torch.Tensor) -> State:
    s = state(siren_with_omegas((30.0, 30.0)))
    factor = values / values.median()
    return {
        **s,
        "1.linear.weight": s["1.linear.weight"] * factor,
        "1.linear.bias": s["1.linear.bias"] * factor[:, 0],
    }
