"""Graphs as tf2onnx and Keras write them: channels last, Transpose, `(in, out)`; ONNX's evaluator is the judge."""

import numpy as np
import pytest
import torch
from onnx_files import check, graph_file, kinds, node, norm, weights

from nfn.architecture.ops import Flatten, Linear
from nfn.onnx_reader import read_onnx


def keras_cnn(size=9, batch="unk__1"):
    """Keras: channels last, a Transpose in front, SAME padding that is uneven, batch norm after the activation,
    a Transpose and a Reshape before a matrix `(in, out)`, softmax."""
    half = -(-size // 2)
    tensors = {
        "w1": weights(6, 3, 3, 3),
        "b1": weights(6),
        "w2": weights(4, 6, 2, 2),
        **norm(6),
        "shape": np.array([-1, 4 * half * half]),
        "w3": weights(4 * half * half, 7),
        "b3": weights(7),
        "w4": weights(7, 5),
        "b4": weights(5),
    }
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node(
            "Conv",
            ["t", "w1", "b1"],
            ["c1"],
            strides=[2, 2],
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1] if size % 2 else [0, 0, 1, 1],
        ),
        node("Relu", ["c1"], ["r1"]),
        node("BatchNormalization", ["r1", "gamma", "beta", "mean", "var"], ["n"], epsilon=1e-3),
        node("Conv", ["n", "w2"], ["c2"], pads=[0, 0, 1, 1]),
        node("Relu", ["c2"], ["r2"]),
        node("Transpose", ["r2"], ["back"], perm=[0, 2, 3, 1]),
        node("Reshape", ["back", "shape"], ["flat"]),
        node("MatMul", ["flat", "w3"], ["m3"]),
        node("Add", ["m3", "b3"], ["a3"]),
        node("Relu", ["a3"], ["r3"]),
        node("MatMul", ["r3", "w4"], ["m4"]),
        node("Add", ["b4", "m4"], ["a4"]),
        node("Softmax", ["a4"], ["y"]),
    ]
    return graph_file(nodes, tensors, [batch, size, size, 3], [batch, 5])


@pytest.mark.parametrize("size", [8, 9])
def test_a_keras_network_with_channels_last(size):
    model = check(keras_cnn(size), channels_last=True)
    assert model.architecture.input_shape == (3, size, size)
    assert model.notes == (
        f"The file's pictures have their channels last, (?, {size}, {size}, 3); here they are (3, {size}, {size}).",
    )
    flatten = next(op for op in model.architecture.ops if isinstance(op, Flatten))
    assert flatten.order == "hwc"
    linears = [op for op in model.architecture.ops if isinstance(op, Linear)]
    assert [(op.weight, op.bias, op.transposed) for op in linears] == [("w3", "b3", True), ("w4", "b4", True)]


def test_a_keras_network_of_gray_pictures():
    """tf2onnx turns pictures of one channel by a Reshape."""
    tensors = {
        "to": np.array([-1, 1, 6, 6]),
        "w": weights(4, 1, 3, 3),
        "b": weights(4),
        "flat": np.array([-1, 64]),
        "m": weights(64, 3),
    }
    nodes = [
        node("Reshape", ["x", "to"], ["t"]),
        node("Conv", ["t", "w", "b"], ["c"]),
        node("Sigmoid", ["c"], ["s"]),
        node("Transpose", ["s"], ["back"], perm=[0, 2, 3, 1]),
        node("Reshape", ["back", "flat"], ["f"]),
        node("MatMul", ["f", "m"], ["y"]),
    ]
    model = check(graph_file(nodes, tensors, ["N", 6, 6, 1], ["N", 3]), channels_last=True)
    assert model.architecture.input_shape == (1, 6, 6)


def test_a_keras_mlp_on_pictures_without_a_channel():
    tensors = {"flat": np.array([-1, 20]), "m": weights(20, 3)}
    nodes = [node("Reshape", ["x", "flat"], ["f"]), node("MatMul", ["f", "m"], ["y"])]
    data = graph_file(nodes, tensors, [None, 5, 4], [None, 3])
    model = read_onnx(data)
    assert model.architecture.input_shape == (1, 5, 4) and "one channel" in model.notes[0]
    x = torch.randn(2, 1, 5, 4)
    torch.testing.assert_close(model.architecture.run(model.tensors, x), x.flatten(1) @ model.tensors["m"])


def test_channels_last_all_the_way():
    """Constants along the last axis, pooling by ReduceMean over axes 1 and 2, squeeze and excitation, zeros around."""
    tensors = {
        "mean": weights(3),
        "w": weights(5, 3, 3, 3),
        "b": weights(5),
        "gain": weights(5),
        "axes": np.array([1, 2]),
        "se": weights(5, 5, 1, 1),
        "pads": np.array([0, 1, 0, 0, 0, 0, 2, 0]),
        "m": weights(5, 2),
    }
    nodes = [
        node("Sub", ["x", "mean"], ["centred"]),
        node("Pad", ["centred", "pads"], ["padded"]),
        node("Transpose", ["padded"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], ["c"]),
        node("Transpose", ["c"], ["back"], perm=[0, 2, 3, 1]),
        node("Add", ["back", "b"], ["cb"]),
        node("Mul", ["cb", "gain"], ["g"]),
        node("ReduceMean", ["g"], ["pooled"], axes=[1, 2], keepdims=1),
        node("Transpose", ["pooled"], ["pt"], perm=[0, 3, 1, 2]),
        node("Conv", ["pt", "se"], ["s"]),
        node("Sigmoid", ["s"], ["sig"]),
        node("Transpose", ["sig"], ["st"], perm=[0, 2, 3, 1]),
        node("Mul", ["g", "st"], ["excited"]),
        node("Slice", ["excited", "starts", "ends", "places", "steps"], ["every"]),
        node("ReduceMean", ["every"], ["p"], axes=[1, 2], keepdims=0),
        node("MatMul", ["p", "m"], ["y"]),
    ]
    tensors |= {
        "starts": np.array([0, 0]),
        "ends": np.array([2**63 - 1, 99]),
        "places": np.array([1, 2]),
        "steps": np.array([2, 3]),
    }
    model = check(graph_file(nodes, tensors, [1, 7, 6, 3], [1, 2], opset=13), count=1, channels_last=True)
    assert (
        kinds(model)[:2] == ["scale", "conv"] and "multiply" in kinds(model) and "subsample" in kinds(model)
    )


@pytest.mark.parametrize(("height", "width"), [(1, 2), (3, 1), (3, 2)])
def test_pictures_of_one_row_or_column(height, width):
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], ["c"]),
        node("Tanh", ["c"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1]),
        node("Flatten", ["b"], ["f"]),
        node("Gemm", ["f", "m"], ["y"]),
    ]
    tensors = {"w": weights(4, 3, 1, 1), "m": weights(4 * height * width, 2)}
    check(graph_file(nodes, tensors, [1, height, width, 3], [1, 2]), count=1, channels_last=True)
