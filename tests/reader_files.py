"""Files for the reader's tests: plain networks, and checkpoints and archives made by hand."""

import io
import itertools
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._utils import _rebuild_tensor_v2


class Sine(nn.Module):
    """`sin(omega * (W x + b))`, with its linear layer under the name `linear`."""

    def __init__(self, inputs: int, outputs: int, omega: float = 30.0):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.omega = omega

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(self.omega * self.linear(x))


def make_siren(*widths: int) -> nn.Sequential:
    hidden = [Sine(n, m) for n, m in itertools.pairwise(widths[:-1])]
    return nn.Sequential(*hidden, nn.Linear(widths[-2], widths[-1]))


def make_cnn(bias: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=bias),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, bias=bias),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 10),
    )


class Storage:
    """A storage in a handmade pickle: class name, member key, number of values."""

    def __init__(self, kind: str = "FloatStorage", key: Any = "0", numel: Any = 1):
        self.kind, self.key, self.numel = kind, key, numel


class Call:
    """An object that the pickle makes by calling `function(*arguments)` and setting `state`."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self):
        return (self.function, self.arguments, self.state)


def tensor_call(
    shape: Sequence[int], strides: Sequence[int], storage: Storage | None = None, offset: int = 0
) -> Call:
    storage = storage or Storage()
    return Call(_rebuild_tensor_v2, storage, offset, tuple(shape), tuple(strides), False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return ("storage", getattr(torch, obj.kind), obj.key, "cpu", obj.numel)
        return None


def to_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump(value)
    return buffer.getvalue()


def write_members(path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_checkpoint(path: Path, pickled: bytes, storages: Mapping[str, bytes] | None = None) -> Path:
    """An archive as `torch.save` lays it out, around any pickle."""
    storages = {"0": struct.pack("<f", 1.0)} if storages is None else storages
    members = {"net/data.pkl": pickled, "net/byteorder": b"little", "net/version": b"3\n"}
    members |= {f"net/data/{key}": data for key, data in storages.items()}
    return write_members(path, members)


def write_safetensors(path: Path, header: Any, body: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file with any header, of any claimed length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)
    return path


def float_entries(shapes: Mapping[str, Sequence[int]]) -> tuple[dict[str, Any], bytes]:
    """Header entries and body of float32 tensors of the value 0.5."""
    header, body = {}, b""
    for name, shape in shapes.items():
        data = struct.pack("<f", 0.5) * math.prod(shape)
        header[name] = {
            "dtype": "F32",
            "shape": list(shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    return header, body
