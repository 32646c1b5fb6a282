"""ONNX files for tests: exported by PyTorch, or put together node by node; and ONNX's own evaluator as the judge."""

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from nfn.architecture import Architecture, axes_of
from nfn.onnx_reader import OnnxModel, read_onnx


def export(module: nn.Module, x: torch.Tensor, dynamo: bool, **settings: Any) -> bytes:
    """What `torch.onnx.export` writes, with its weights inside."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        if dynamo:
            keep_registry()
            settings = {"external_data": False, "verbose": False, **settings}
        path = Path(folder, "net.onnx")
        torch.onnx.export(module.eval(), (x,), path, dynamo=dynamo, **settings)
        return path.read_bytes()


@cache
def keep_registry() -> None:
    """Let torch gather its 500 ONNX functions once; it does so for each export, which takes half of the time."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))


def graph_file(
    nodes: Sequence[onnx.NodeProto],
    tensors: Mapping[str, Any],
    input_dims: Sequence[int | str | None],
    output_dims: Sequence[int | str | None] | None = None,
    opset: int = 17,
    **changes: Any,
) -> bytes:
    """A file with the input "x" and the output "y"; arrays are float32 unless they are of integers."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_dims)],
        [numpy_helper.from_array(_array(value), name) for name, value in tensors.items()],
    )
    settings = {"opset_imports": [helper.make_opsetid("", opset)], "ir_version": 9, **changes}
    return helper.make_model(graph, **settings).SerializeToString()


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" and array.dtype != np.float16 else array


node = helper.make_node
RANDOM = np.random.default_rng(0)


def judged(data: bytes, x: np.ndarray) -> np.ndarray:
    """The output by ONNX's reference evaluator, which shares nothing with the library."""
    proto = onnx.ModelProto.FromString(data)
    outputs: Any = ReferenceEvaluator(proto).run(None, {"x": x})
    return np.asarray(outputs[0])


def check(data: bytes, count: int = 3, channels_last: bool = False, tolerance: float = 1e-5) -> OnnxModel:
    """Read a file, and compare it with ONNX's evaluator on random inputs; then again with all hidden units permuted."""
    model = read_onnx(data)
    shape = model.architecture.input_shape
    x = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
    given = x.movedim(1, -1) if channels_last else x
    wanted = torch.from_numpy(judged(data, given.numpy()).copy()).float()
    check_function(model, x, wanted, tolerance)
    return model


def check_function(model: OnnxModel, x: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-5) -> None:
    """The architecture, also from its JSON, gives `wanted`, as it is and with every hidden group permuted."""
    architecture = Architecture.from_json(model.architecture.to_json())
    axes = axes_of(architecture)
    permuted = axes.permute(model.tensors, axes.random_permutations(torch.Generator().manual_seed(1)))
    for tensors in (model.tensors, permuted):
        torch.testing.assert_close(architecture.run(tensors, x), wanted, atol=tolerance, rtol=0)


def weights(*shape: int) -> np.ndarray:
    """Random numbers of the size that weights have."""
    return RANDOM.normal(size=shape, scale=1 / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 4))


def norm(channels: int) -> dict[str, np.ndarray]:
    """What a batch norm holds."""
    variance = RANDOM.uniform(0.5, 2, channels)
    return {
        "gamma": 1 + weights(channels) / 3,
        "beta": weights(channels),
        "mean": weights(channels),
        "var": variance,
    }


def constant(name: str, value: Any) -> onnx.NodeProto:
    """A node that holds a float32 constant."""
    return node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value, np.float32), name))


def linear_file(
    nodes: Sequence[onnx.NodeProto], tensors: Mapping[str, Any] | None = None, opset: int = 17
) -> bytes:
    """A linear layer from 4 features to "h" with 5, `nodes` from there to "z", and a linear layer to 2."""
    layers = {"w1": weights(5, 4), "b1": weights(5), "w2": weights(2, 5), "b2": weights(2)}
    first = node("Gemm", ["x", "w1", "b1"], ["h"], transB=1)
    last = node("Gemm", ["z", "w2", "b2"], ["y"], transB=1)
    return graph_file([first, *nodes, last], layers | dict(tensors or {}), ["N", 4], ["N", 2], opset)


def conv_file(
    nodes: Sequence[onnx.NodeProto],
    tensors: Mapping[str, Any] | None = None,
    out: Sequence[int | None] = (2,),
    opset: int = 17,
    size: int = 8,
) -> bytes:
    """A convolution from 2 channels to "h" with 4, and `nodes` from there to "y" of the shape `(N, *out)`."""
    layers = {"w": weights(4, 2, 3, 3), "b": weights(4)}
    first = node("Conv", ["x", "w", "b"], ["h"], pads=[1, 1, 1, 1])
    return graph_file([first, *nodes], layers | dict(tensors or {}), ["N", 2, size, size], ["N", *out], opset)


def kinds(model: OnnxModel) -> list[str]:
    """The ops of an architecture by their kinds."""
    return [op.kind for op in model.architecture.ops]
