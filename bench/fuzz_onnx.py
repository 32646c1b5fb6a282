"""Fuzz the ONNX reader: valid files with changed bytes, numbers, names, operators or nodes.

    nice -n 19 python -m bench.fuzz_onnx 600          # seconds; a seed may follow

Every file must either be refused quickly in one sentence, or become a network that computes what ONNX's evaluator does.
"""

import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nfn.onnx_reader import OnnxModel, read_onnx
from nfn.reader import NetworkFileError

SECONDS = 5.0
"""The limit of CPU time to read or refuse a file."""
LEAST_LOG = -87.0
"""ONNX's evaluator takes the logarithm of a softmax, which in float32 loses its digits below this."""
node = helper.make_node


def seed_files() -> list[bytes]:
    """Valid files that together have every kind of node."""
    return [_cnn(), _channels_last(), _residual(), _mlp(), _siren()]


def _file(
    nodes: list[Any], tensors: dict[str, Any], dims: list[Any], out: list[Any], opset: int = 17
) -> bytes:
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    arrays = {name: a.astype(np.float32) if a.dtype.kind == "f" else a for name, a in arrays.items()}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9
    ).SerializeToString()


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape) / 2


def _cnn() -> bytes:
    norm = {name: _weights(4) for name in ("gamma", "beta", "mean")} | {"var": np.full(4, 0.7)}
    nodes = [
        node("Sub", ["x", "centre"], ["s"]),
        node("Conv", ["s", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], strides=[1, 1]),
        node("BatchNormalization", ["c1", "gamma", "beta", "mean", "var"], ["n"]),
        node("LeakyRelu", ["n"], ["r"], alpha=0.1),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("Conv", ["p", "w2"], ["c2"], group=2, auto_pad="SAME_UPPER", dilations=[1, 1]),
        node("PRelu", ["c2", "slope"], ["pr"]),
        node("AveragePool", ["pr"], ["a"], kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=0),
        node("Shape", ["a"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "first"], ["batch1"]),
        node("Concat", ["batch1", "rest"], ["to"], axis=0),
        node("Reshape", ["a", "to"], ["f"]),
        node("Gemm", ["f", "w3", "b3"], ["g"], transB=1, alpha=0.5, beta=2.0),
        node("LogSoftmax", ["g"], ["y"], axis=1),
    ]
    tensors = {
        "centre": _weights(2, 1, 1),
        "w1": _weights(4, 2, 3, 3),
        "b1": _weights(4),
        "w2": _weights(4, 2, 2, 2),
        "slope": _weights(4, 1, 1),
        "zero": 0,
        "first": [0],
        "rest": [-1],
        "w3": _weights(3, 36),
        "b3": _weights(3),
        **norm,
    }
    return _file(nodes, tensors, ["N", 2, 6, 6], ["N", 3])


def _channels_last() -> bytes:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node("Pad", ["t", "pads"], ["padded"]),
        node("Conv", ["padded", "w1"], ["c"], strides=[2, 2]),
        node("Clip", ["c", "low", "high"], ["r"]),
        node("Transpose", ["r"], ["back"], perm=[0, 2, 3, 1]),
        node("Add", ["back", "b1"], ["ab"]),
        node("ReduceMean", ["ab"], ["m"], axes=[1], keepdims=1),
        node("Reshape", ["m", "flat"], ["f"]),
        node("MatMul", ["f", "w2"], ["mm"]),
        node("Add", ["mm", "b2"], ["ma"]),
        node("Softmax", ["ma"], ["y"]),
    ]
    tensors = {
        "pads": [0, 0, 0, 1, 0, 0, 1, 0],
        "w1": _weights(4, 3, 3, 3),
        "low": np.float32(0),
        "high": np.float32(6),
        "b1": _weights(4),
        "flat": [-1, 12],
        "w2": _weights(12, 5),
        "b2": _weights(5),
    }
    return _file(nodes, tensors, ["N", 6, 6, 3], ["N", 5])


def _residual() -> bytes:
    nodes = [
        node("Conv", ["x", "w1"], ["c"], pads=[1, 1, 1, 1]),
        node("Sigmoid", ["c"], ["s"]),
        node("Mul", ["c", "s"], ["h"]),
        node("Slice", ["h", "from", "to", "axes", "steps"], ["half"]),
        node("Pad", ["half", "pads"], ["wide"]),
        node("Conv", ["h", "w2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Add", ["c2", "wide"], ["sum"]),
        node("GlobalAveragePool", ["sum"], ["p"]),
        node("Conv", ["p", "w3"], ["c3"]),
        node("HardSigmoid", ["c3"], ["e"]),
        node("Mul", ["e", "sum"], ["m"]),
        node("Concat", ["m", "c2"], ["j"], axis=1),
        node("ReduceMax", ["j"], ["r"], axes=[2, 3], keepdims=0),
        node("Gemm", ["r", "w4"], ["y"]),
    ]
    tensors = {
        "w1": _weights(4, 1, 3, 3),
        "from": [0, 0],
        "to": [99, 2**62],
        "axes": [2, 3],
        "steps": [2, 2],
        "pads": [0, 1, 0, 0, 0, 1, 0, 0],
        "w2": _weights(6, 4, 3, 3),
        "w3": _weights(6, 6, 1, 1),
        "w4": _weights(12, 3),
    }
    return _file(nodes, tensors, [2, 1, 5, 5], [2, 3])


def _mlp() -> bytes:
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("ReduceL2", ["v"], ["length"], axes=[1], keepdims=1),
        node("Div", ["v", "length"], ["unit"]),
        node("Transpose", ["unit"], ["w1"], perm=[1, 0]),
        node("MatMul", ["f", "w1"], ["m"]),
        node("Div", ["m", "root"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["e", "one"], ["e1"]),
        node("Mul", ["m", "e1"], ["g"]),
        node("Mul", ["g", "half"], ["gelu"]),
        node("Gemm", ["gelu", "w2"], ["h"], transB=1),
        node("Tanh", ["h"], ["th"]),
        node("Sub", ["one", "th"], ["o"]),
        node("Unsqueeze", ["o", "last"], ["u"]),
        node("Squeeze", ["u", "last"], ["sq"]),
        node("Greater", ["sq", "zero"], ["gt"]),
        node("Where", ["gt", "sq", "zero"], ["y"]),
    ]
    tensors = {
        "v": _weights(6, 12),
        "root": np.float32(2**0.5),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "zero": np.float32(0),
        "w2": _weights(3, 6),
        "last": [2],
    }
    return _file(nodes, tensors, ["N", 1, 3, 4], ["N", 3])


def _siren() -> bytes:
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["g1"], transB=1),
        node("Mul", ["g1", "omega"], ["o1"]),
        node("Sin", ["o1"], ["s1"]),
        node("MatMul", ["s1", "w2"], ["g2"]),
        node("Add", ["g2", "b2"], ["o2"]),
        node("Cos", ["o2"], ["s2"]),
        node("Gemm", ["s2", "w3"], ["y"]),
    ]
    tensors = {
        "w1": _weights(5, 2),
        "b1": _weights(5),
        "omega": np.float32(30),
        "w2": _weights(5, 5),
        "b2": _weights(5),
        "w3": _weights(5, 1),
    }
    return _file(nodes, tensors, ["N", 2], ["N", 1])


OPERATORS = (
    "Relu",
    "Tanh",
    "Sigmoid",
    "Identity",
    "Sin",
    "Exp",
    "Abs",
    "Neg",
    "Sqrt",
    "Log",
    "Erf",
    "Softplus",
    "Elu",
    "Selu",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Max",
    "Min",
    "Pow",
    "Concat",
    "Transpose",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
    "AveragePool",
    "ReduceMean",
    "ReduceSum",
    "ReduceMax",
    "Softmax",
    "Conv",
    "Gemm",
    "MatMul",
    "Shape",
    "Gather",
    "Expand",
    "Slice",
    "Pad",
    "Where",
    "Cast",
    "Dropout",
    "Clip",
)
NUMBERS = (-3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 12, 36, 2**31, 2**62, -(2**63))


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """The file with one to three changes, or many."""
    if random.random() < 0.3:
        return _mutate_bytes(bytearray(data), random)
    model = onnx.ModelProto.FromString(data)
    for _ in range(random.integers(1, 4) if random.random() < 0.8 else random.integers(4, 40)):
        change = CHANGES[random.integers(len(CHANGES))]
        change(model, random)
    return model.SerializeToString()


def _mutate_bytes(data: bytearray, random: np.random.Generator) -> bytes:
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(len(data)))
        cut = int(random.choice([0, 1, 1, 1, 2, 8, 40]))
        data[at : at + cut] = random.bytes(int(random.choice([0, 1, 1, 1, 2, 8])))
        if len(data) < 2:
            break
    return bytes(data)


def _pick(items: Any, random: np.random.Generator) -> Any:
    return items[int(random.integers(len(items)))]


def _rename_input(model: Any, random: np.random.Generator) -> None:
    """Give a node another input."""
    names = (
        [t.name for t in model.graph.initializer]
        + [n.output[0] for n in model.graph.node if n.output]
        + ["x", ""]
    )
    chosen = _pick(model.graph.node, random)
    if chosen.input:
        chosen.input[int(random.integers(len(chosen.input)))] = _pick(names, random)


def _change_operator(model: Any, random: np.random.Generator) -> None:
    _pick(model.graph.node, random).op_type = _pick(OPERATORS, random)


def _change_attribute(model: Any, random: np.random.Generator) -> None:
    having = [n for n in model.graph.node if n.attribute]
    if not having:
        return
    attribute = _pick(_pick(having, random).attribute, random)
    if attribute.ints and random.random() < 0.8:
        attribute.ints[int(random.integers(len(attribute.ints)))] = int(_pick(NUMBERS, random))
    elif attribute.HasField("f"):
        attribute.f = float(_pick((0.0, -1.0, 0.5, 1.0, 2.0, 1e30, np.inf, np.nan), random))
    elif attribute.HasField("i"):
        attribute.i = int(_pick(NUMBERS, random))
    else:
        attribute.name = _pick(("axis", "axes", "perm", "pads", "strides", "keepdims", "to"), random)


def _drop_attribute(model: Any, random: np.random.Generator) -> None:
    having = [n for n in model.graph.node if n.attribute]
    if having:
        chosen = _pick(having, random)
        del chosen.attribute[int(random.integers(len(chosen.attribute)))]


def _change_numbers(model: Any, random: np.random.Generator) -> None:
    """Change a number in a list of axes or sizes."""
    whole = [t for t in model.graph.initializer if t.data_type == TensorProto.INT64]
    if whole:
        tensor = _pick(whole, random)
        array = numpy_helper.to_array(tensor).copy().reshape(-1)
        array[int(random.integers(len(array)))] = _pick(NUMBERS, random)
        tensor.raw_data = array.tobytes()


def _change_shape(model: Any, random: np.random.Generator) -> None:
    """Permute a tensor's sizes, or add an axis."""
    tensor = _pick(model.graph.initializer, random)
    sizes = [int(n) for n in random.permutation(list(tensor.dims))]
    del tensor.dims[:]
    tensor.dims.extend([1, *sizes] if random.random() < 0.3 else sizes)


def _change_input(model: Any, random: np.random.Generator) -> None:
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dim = _pick(dims, random)
    if random.random() < 0.2:
        dim.dim_param = "open"
    else:
        dim.dim_value = int(_pick((1, 2, 3, 4, 5, 6, 7, 0, -1, 2**40), random))


def _drop_node(model: Any, random: np.random.Generator) -> None:
    at = int(random.integers(len(model.graph.node)))
    gone = model.graph.node[at]
    for other in model.graph.node:
        for i, name in enumerate(other.input):
            if name in gone.output and gone.input:
                other.input[i] = gone.input[0]
    if len(model.graph.node) > 1:
        del model.graph.node[at]


def _insert_node(model: Any, random: np.random.Generator) -> None:
    """Insert a function between two nodes."""
    if len(model.graph.node) < 2:
        return
    at = int(random.integers(1, len(model.graph.node)))
    before = model.graph.node[at - 1].output[0]
    new = node(str(_pick(OPERATORS[:14], random)), [before], [f"{before}'"])
    for other in list(model.graph.node)[at:]:
        for i, name in enumerate(other.input):
            other.input[i] = f"{before}'" if name == before else name
    model.graph.node.insert(at, new)


def _change_opset(model: Any, random: np.random.Generator) -> None:
    model.opset_import[0].version = int(random.integers(5, 29))


CHANGES = (
    _rename_input,
    _change_operator,
    _change_attribute,
    _drop_attribute,
    _change_numbers,
    _change_shape,
    _change_input,
    _drop_node,
    _insert_node,
    _insert_node,
    _rename_input,
    _change_attribute,
    _change_numbers,
    _change_opset,
)


def outcome(data: bytes) -> str:
    """The outcome of a file: "refused", "read", or "agrees" if ONNX's evaluator ran it; AssertionError otherwise."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = read_onnx(data)
    except NetworkFileError as error:
        assert str(error).isprintable() and len(str(error)) < 800, str(error)
        return "refused"
    finally:
        assert time.process_time() - start < SECONDS, "too slow"
    assert all(bool(tensor.isfinite().all()) for tensor in model.tensors.values())
    if model.architecture.multiplications > 1e7 or model.architecture.peak > 1e6:
        return "read"
    return _compare(data, model)


def _compare(data: bytes, model: OnnxModel) -> str:
    """Both outputs for the same random inputs."""
    dims = onnx.ModelProto.FromString(data).graph.input[0].type.tensor_type.shape.dim
    x = torch.randn(dims[0].dim_value if dims[0].dim_value > 0 else 2, *model.architecture.input_shape)
    actual = model.architecture.run(model.tensors, x).numpy()
    exact = model.architecture.run(
        {name: t.double() for name, t in model.tensors.items()}, x.double()
    ).numpy()
    assert actual.shape[1:] == model.architecture.output_shape
    given = x.movedim(1, -1) if any("channels last" in note for note in model.notes) else x
    if len(dims) != given.dim() or any("The output" in note for note in model.notes) or _is_misjudged(data):
        return "read"
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            evaluator = ReferenceEvaluator(onnx.ModelProto.FromString(data))
            expected: Any = evaluator.run(None, {evaluator.input_names[0]: given.numpy()})[0]  # pyright: ignore
    except Exception:  # it runs anything, and fails in its own ways
        return "read"
    assert actual.shape == expected.shape, f"{actual.shape} for {expected.shape}"
    scale = 1 + np.abs(exact[np.isfinite(exact)]).max(initial=0)
    with np.errstate(invalid="ignore"):
        distance = np.abs(actual - expected)
    certain = np.isfinite(exact) & np.isfinite(expected) & (np.abs(exact) < 1e6)
    certain &= np.abs(actual - exact) < 1e-5 * scale  # sin(exp(30 x)) is not
    if any(n.op_type == "LogSoftmax" for n in onnx.ModelProto.FromString(data).graph.node):
        certain &= expected > LEAST_LOG
    assert bool((distance[certain] <= 1e-3 * scale).all()), (
        f"{actual.reshape(-1)[:4]} of shape {actual.shape} for {expected.reshape(-1)[:4]} of shape {expected.shape}"
    )
    return "agrees"


def _is_misjudged(data: bytes) -> bool:
    """ONNX's evaluator normalises each batch by its own mean before opset 14, which is wrong."""
    model = onnx.ModelProto.FromString(data)
    return model.opset_import[0].version < 14 and any(
        n.op_type == "BatchNormalization" for n in model.graph.node
    )


def main(seconds: float, seed: int = 0) -> None:
    """Mutate and read until the time is over; write failing files to the folder."""
    files, counts, end = seed_files(), Counter[str](), time.monotonic() + seconds
    assert [outcome(data) for data in files] == ["agrees"] * len(files)
    while time.monotonic() < end:
        data = mutate(_pick(files, np.random.default_rng([seed, 0])), np.random.default_rng([seed, 1]))
        try:
            counts[outcome(data)] += 1
        except Exception as error:
            counts["failed"] += 1
            Path(f"fuzzed-{seed}.onnx").write_bytes(data)
            print(f"fuzzed-{seed}.onnx: {error!r:.300}")
        seed += 1
    print(f"{sum(counts.values()):,} files in {seconds:.0f} s: {dict(counts)}")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
