"""ONNX files that lie, bloat, or hold what is not read: each is refused by one sentence that names what and where."""

import re
import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_bytes import model_of, protobuf
from onnx_files import constant, conv_file, graph_file, linear_file, node, weights
from refusals import peak_memory

from nfn.onnx_reader import OnnxError, read_onnx
from nfn.reader import NetworkFileError, limits, read_network

GEMM = node("Gemm", ["x", "w"], ["y"], transB=1)
WEIGHT = {"w": weights(2, 4)}


def valid():
    return graph_file([GEMM], WEIGHT, ["N", 4], ["N", 2])


def changed(change):
    """A small sound file after `change(model)`."""
    model = onnx.ModelProto.FromString(valid())
    change(model)
    return model.SerializeToString()


def with_tensor(**fields):
    """The file with other fields in its one tensor."""

    def change(model):
        tensor = model.graph.initializer[0]
        for name, value in fields.items():
            tensor.ClearField(name)
            if isinstance(value, list | tuple):
                getattr(tensor, name).extend(value)
            elif value is not None:
                setattr(tensor, name, value)

    return changed(change)


def external(model):
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")


def subgraph(op):
    branch = helper.make_graph(
        [], "branch", [], [helper.make_tensor_value_info("h", TensorProto.FLOAT, None)]
    )
    names = {"If": ["then_branch", "else_branch"], "Loop": ["body"], "Scan": ["body"]}[op]
    extra: dict[str, Any] = {"num_scan_inputs": 1} if op == "Scan" else {}
    inputs = ["c"] if op == "If" else ["", "", "h"] if op == "Loop" else ["h"]
    return linear_file(
        [node(op, inputs, ["z"], "branching", **dict.fromkeys(names, branch), **extra)], {"c": np.array(True)}
    )


def functions(model):
    model.functions.append(
        helper.make_function("local", "Mine", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [])
    )


def cycle():
    return linear_file(
        [node("Add", ["h", "b"], ["a"]), node("Tanh", ["a"], ["b"]), node("Identity", ["b"], ["z"])]
    )


def two_inputs():
    model = onnx.ModelProto.FromString(
        linear_file([node("Add", ["h", "other"], ["z"])], {"other": weights(5)})
    )
    model.graph.initializer.remove(next(t for t in model.graph.initializer if t.name == "other"))
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 5]))
    return model.SerializeToString()


def nested(depth=3000):
    """A graph in a node's attribute in a graph, and so on."""
    graph = b""
    for _ in range(depth):
        inside = (
            protobuf(1, b"then_branch") + b"\xa0\x01\x05" + protobuf(6, graph)
        )  # an attribute that holds a graph
        graph = protobuf(1, protobuf(2, b"y") + protobuf(4, b"If") + protobuf(5, inside))
    return model_of(graph)


def packed(count):
    """A node with an attribute of so many integers, a byte each in the file and eight in memory."""
    return model_of(
        protobuf(
            1,
            protobuf(4, b"Relu")
            + protobuf(2, b"y")
            + protobuf(5, protobuf(1, b"ints") + b"\xa0\x01\x07" + protobuf(8, bytes(count))),
        )
    )


def nodes_without_end():
    return linear_file(
        [*(node("Relu", [f"h{i}" if i else "h"], [f"h{i + 1}"]) for i in range(limits.ONNX_NODES))]
    )


def duplicated_attribute():
    model = onnx.ModelProto.FromString(valid())
    model.graph.node[0].attribute.append(model.graph.node[0].attribute[0])
    return model.SerializeToString()


def huge_constant():
    nodes = [
        node("ConstantOfShape", ["big"], ["c"]),
        node("ReduceSum", ["c"], ["s"]),
        node("Mul", ["h", "s"], ["z"]),
    ]
    return linear_file(nodes, {"big": np.array([2**31, 2**31])})


def doubling(times=60):
    """Each node makes twice the values of the one before."""
    pairs = [node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(times)]
    return linear_file(
        [
            constant("c0", [1.0]),
            *pairs,
            node("ReduceSum", [f"c{times}"], ["s"]),
            node("Mul", ["h", "s"], ["z"]),
        ]
    )


def many_passes():
    """A large tensor, worked through again and again."""
    steps = [node("Abs", [f"c{i}"], [f"c{i + 1}"]) for i in range(2000)]
    return linear_file(
        [*steps, node("ReduceSum", ["c2000"], ["s"]), node("Mul", ["h", "s"], ["z"])],
        {"c0": weights(400_000)},
    )


def open_size():
    return graph_file([node("GlobalAveragePool", ["x"], ["y"])], {}, ["N", 3, "height", "width"], None)


def quantised():
    nodes = [node("DequantizeLinear", ["q", "scale"], ["w"]), node("Gemm", ["h", "w"], ["z"], transB=1)]
    return linear_file(nodes, {"q": np.ones((5, 5), np.int8), "scale": np.float32(0.1)})


def conv(**attributes):
    return conv_file(
        [node("Conv", ["h", "w2"], ["y"], "conv2", **attributes)],
        {"w2": weights(4, 4, 3, 3)},
        (4, None, None),
    )


def pool(**attributes):
    return conv_file(
        [node("MaxPool", ["h"], ["y"], "pool1", **{"kernel_shape": [2, 2], **attributes})],
        {},
        (4, None, None),
    )


def reshaped(*shape):
    return conv_file([node("Reshape", ["h", "to"], ["y"])], {"to": np.array(shape)}, (None,))


def one(op, tensors=None, inputs=("h",), **attributes):
    return linear_file([node(op, [*inputs], ["z"], "here", **attributes)], tensors)


HOSTILE = {
    "external data": (changed(external), "'w' lies in another file"),
    "if": (subgraph("If"), "node 2, If 'branching'.*graph of its own"),
    "loop": (subgraph("Loop"), "node 2, Loop 'branching'.*graph of its own"),
    "scan": (subgraph("Scan"), "node 2, Scan 'branching'.*graph of its own"),
    "local functions": (changed(functions), "functions of its own .'Mine'"),
    "custom domain": (one("Thing", domain="com.example"), "node 2, Thing 'here'.*operator of 'com.example'"),
    "unknown operator": (one("Frobnicate"), "node 2, Frobnicate 'here'.*no operator of opset 17"),
    "an operator that is not known here": (one("Det"), "node 2, Det 'here'.*none of those that are known"),
    "old opset": (graph_file([GEMM], WEIGHT, ["N", 4], opset=6), "opset 6; 7 to 26"),
    "new opset": (graph_file([GEMM], WEIGHT, ["N", 4], opset=99), "opset 99; 7 to 26"),
    "no opset": (changed(lambda m: m.ClearField("opset_import")), "0 versions of ONNX's operators"),
    "two opsets": (changed(lambda m: m.opset_import.add(version=9)), "2 versions"),
    "no graph": (changed(lambda m: m.ClearField("graph")), "no graph"),
    "no output": (changed(lambda m: m.graph.ClearField("output")), "no output"),
    "no input": (changed(lambda m: m.graph.ClearField("input")), "takes 'x', which nothing makes"),
    "two inputs": (two_inputs(), "2 inputs .'x', 'other'"),
    "output without node": (changed(lambda m: m.graph.ClearField("node")), "not depend on"),
    "output is the input": (
        graph_file([node("Identity", ["x"], ["y"])], {}, ["N", 4], ["N", 4]),
        "output is its input",
    ),
    "output of constants": (graph_file([node("Abs", ["w"], ["y"])], WEIGHT, ["N", 4]), "does not depend on"),
    "cycle": (cycle(), "takes 'b', which node 3, Tanh 'b' makes only later"),
    "a value from nowhere": (one("Add", inputs=("h", "ghost")), "takes 'ghost', which nothing makes"),
    "a value made twice": (
        linear_file([node("Relu", ["h"], ["z"]), node("Tanh", ["h"], ["z"])]),
        "makes 'z', which is there already",
    ),
    "a tensor twice": (
        changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        "two tensors are called 'w'",
    ),
    "an attribute twice": (duplicated_attribute(), "'transB' stands there twice"),
    "an attribute of another operator": (
        one("Relu", alpha=1.0),
        "attribute 'alpha', which this operator does not have",
    ),
    "an attribute of another kind": (one("LeakyRelu", alpha=[1, 2]), "'alpha' is of another kind"),
    "too many inputs": (one("Relu", inputs=("h", "h")), "2 inputs; expected 1"),
    "a required attribute is missing": (
        conv_file([node("MaxPool", ["h"], ["y"])], {}, (4, 8, 8)),
        "lacks the attribute 'kernel_shape'",
    ),
    "sparse": (
        changed(lambda m: m.graph.sparse_initializer.add().values.CopyFrom(m.graph.initializer[0])),
        "'w' is sparse",
    ),
    "too short": (with_tensor(raw_data=bytes(12)), "'w' .*asks for 32 bytes; 12 are there"),
    "too long": (with_tensor(raw_data=bytes(4096)), "'w' .*asks for 32 bytes; 4,096 are there"),
    "larger shape": (with_tensor(dims=[2000, 4000]), "asks for 32,000,000 bytes"),
    "absurd shape": (with_tensor(dims=[2**40, 2**40]), "'w' .*has the shape"),
    "absurd product": (with_tensor(dims=[2**30, 2**30, 2**30]), "'w' .*has more than|'w' .*has 1,237"),
    "negative shape": (with_tensor(dims=[-2, -4]), "has the shape .-2, -4"),
    "many dimensions": (with_tensor(dims=[1] * 500 + [2, 4]), "has the shape"),
    "values twice": (with_tensor(float_data=[1.0] * 8), "'w' .*values twice"),
    "values of another type": (
        with_tensor(raw_data=None, int64_data=[1] * 8),
        "type FLOAT and has its values as int64_data",
    ),
    "too few values": (
        with_tensor(raw_data=None, float_data=[1.0] * 7),
        "has the shape .2, 4., and 7 values",
    ),
    "text": (with_tensor(raw_data=None, data_type=8, string_data=[b"a"] * 8), "'w' .*type 'STRING'"),
    "unknown type": (with_tensor(data_type=77), "'w' .*type 'number 77'"),
    "complex": (with_tensor(data_type=14), "'w' .*type 'COMPLEX64'"),
    "integers for weights": (with_tensor(data_type=6), "'w' .*int64"),
    "segment": (
        changed(lambda m: m.graph.initializer[0].segment.CopyFrom(TensorProto.Segment(begin=0, end=4))),
        "segments",
    ),
    "nan": (
        with_tensor(raw_data=np.full(8, np.nan, np.float32).tobytes()),
        "'w' has NaN or infinity in 8 of 8",
    ),
    "infinity": (with_tensor(raw_data=np.full(8, np.inf, np.float32).tobytes()), "'w' has NaN or infinity"),
    "too large for float32": (
        with_tensor(data_type=11, raw_data=np.full(8, 1e300).tobytes()),
        "'w' has values beyond",
    ),
    "too many weights": (with_tensor(dims=[20_000, 20_000]), "'w' .*400,000,000 values"),
    "too many integers": (
        conv_file([node("Reshape", ["h", "to"], ["y"])], {"to": np.ones(200_000, np.int64)}),
        "200,000 values.*quantised",
    ),
    "lying output": (
        graph_file([GEMM], WEIGHT, ["N", 4], ["N", 3]),
        "output 'y' has the shape .., 3., and computes .batch, 2.",
    ),
    "lying input": (
        graph_file([GEMM], WEIGHT, ["N", 5], ["N", 2]),
        "node 1, Gemm 'y'.*takes 4 features, and 5 arrive",
    ),
    "open sizes": (open_size(), "sizes left open; expected .*torch.onnx.export"),
    "no input shape": (
        changed(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
        "input 'x' has no shape",
    ),
    "five dimensions": (graph_file([GEMM], WEIGHT, ["N", 1, 1, 1, 4]), "input 'x' has the shape"),
    "absurd input": (
        graph_file([node("Flatten", ["x"], ["y"])], {}, [1, 2**20, 2**20, 2**20]),
        "more than 50,000,000",
    ),
    "absurd input, one op": (
        graph_file([node("Relu", ["x"], ["y"])], {}, [1, 2**20, 2**20, 2**20]),
        "more than 50,000,000",
    ),
    "words": (
        changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7)),
        "values of type INT64",
    ),
    "a size above 32 bits": (
        changed(lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 2**40)),
        "'x' has the size",
    ),
    "stride 0": (conv(strides=[0, 1]), "'conv2'.*strides are .0, 1"),
    "huge stride": (conv(strides=[2**40, 1]), "'conv2'.*strides are"),
    "negative padding": (conv(pads=[-1, 0, 0, 0]), "'conv2'.*pads are"),
    "huge padding": (conv(pads=[2**30] * 4), "'conv2'.*padding"),
    "huge dilation": (conv(dilations=[2**30, 1]), "'conv2'.*too small for a window"),
    "no groups": (conv(group=0), "'conv2'.*group is 0"),
    "many groups": (conv(group=2**30), "'conv2'.*groups"),
    "a kernel that is another": (conv(kernel_shape=[5, 5]), "'conv2'.*kernel_shape is .5, 5"),
    "one stride for two": (conv(strides=[1]), "'conv2'.*expected 2 whole numbers"),
    "unknown padding": (conv(auto_pad="SAME_MIDDLE"), "'conv2'.*SAME_MIDDLE"),
    "huge window": (pool(kernel_shape=[2**31 - 1] * 2), "'pool1'.*too small for a window"),
    "padding alone in a window": (pool(pads=[2, 2, 2, 2]), "'pool1'.*as large as the window"),
    "1D convolution": (
        conv_file([node("Conv", ["h", "w3"], ["y"])], {"w3": weights(4, 4, 3)}),
        "only 2D convolutions",
    ),
    "reshape to nothing": (reshaped(0, 0), "node 2, Reshape"),
    "reshape with two unknown": (reshaped(-1, -1), "cannot become .-1, -1"),
    "reshape to another size": (reshaped(-1, 7), "node 2, Reshape"),
    "reshape to a negative size": (reshaped(-5, 3), "cannot become .-5, 3"),
    "reshape of the batch": (reshaped(256, -1), "not one result for each input|cannot become"),
    "reshape that mixes inputs": (reshaped(-1, 512), "node 2, Reshape"),
    "reshape by the input": (
        linear_file([node("Cast", ["h"], ["i"], to=7), node("Reshape", ["h", "i"], ["z"])]),
        "makes INT64",
    ),
    "a permutation that is none": (one("Transpose", perm=[0, 0]), "expected an order of 2 axes"),
    "the batch is moved": (one("Transpose", perm=[1, 0]), "moves the axis of the batch"),
    "an axis that is not there": (one("Softmax", axis=7), "names axis 7 of 2"),
    "softmax over the batch": (one("Softmax", axis=0), "across the inputs of a batch"),
    "concat over the batch": (one("Concat", inputs=("h", "h"), axis=0), "across the inputs of a batch"),
    "mean over the batch": (one("ReduceMean", axes=[0], keepdims=1), "across the inputs of a batch"),
    "mean over everything": (one("ReduceMean"), "across the inputs of a batch"),
    "attention": (
        linear_file([node("Transpose", ["h"], ["t"], perm=[1, 0]), node("MatMul", ["h", "t"], ["z"])]),
        "axis of the batch",
    ),
    "a product of two values": (one("MatMul", inputs=("h", "h")), "the matrix depends on the input"),
    "a filter from the input": (
        conv_file([node("Conv", ["h", "h"], ["y"])], {}, (4, 1, 1)),
        "the weight depends on the input",
    ),
    "quantised": (quantised(), "node 2, DequantizeLinear.*quantised"),
    "layer norm": (
        one("LayerNormalization", {"g": weights(5)}, ("h", "g")),
        "normalises each input by its own mean",
    ),
    "batch norm in training": (
        linear_file(
            [node("BatchNormalization", ["h", "b1", "b1", "b1", "b1"], ["z", "m", "v"], training_mode=1)]
        ),
        "model.eval",
    ),
    "dropout in training": (
        one("Dropout", {"r": np.float32(0.5), "t": np.array(True)}, ("h", "r", "t")),
        "model.eval",
    ),
    "the second result": (
        linear_file([node("Dropout", ["h"], ["d", "mask"]), node("Add", ["d", "mask"], ["z"])]),
        "'mask', which is not the first",
    ),
    "a constant for each pixel": (
        conv_file([node("Add", ["h", "c"], ["y"])], {"c": weights(4, 8, 8)}, (4, 8, 8)),
        "one number, or one for each channel",
    ),
    "a constant that is larger": (
        one("Add", {"c": weights(7, 5)}, ("h", "c")),
        "a constant of shape .7, 5. meets",
    ),
    "one number in too many dimensions": (
        one("Add", {"c": weights(1, 1, 1, 1)}, ("h", "c")),
        "a constant of shape .1, 1, 1, 1. meets",
    ),
    "a division by zeros": (one("Div", {"c": np.zeros(5, np.float32)}, ("h", "c")), "'c', which has zeros"),
    "a division by zero": (one("Div", {"c": np.float32(0)}, ("h", "c")), "node"),
    "a value divided by another": (
        linear_file([node("Gemm", ["h", "v"], ["g"]), node("Div", ["h", "g"], ["z"])], {"v": weights(5, 5)}),
        "div of two different values",
    ),
    "factors without end": (
        linear_file(
            [
                constant("c", 1e20),
                *(node("Mul", [f"h{i}" if i else "h", "c"], [f"h{i + 1}"]) for i in range(3)),
                node("Identity", ["h3"], ["z"]),
            ]
        ),
        "multiplies by 1e.60",
    ),
    "bounds that cross": (one("Clip", {"a": np.float32(2), "b": np.float32(-2)}, ("h", "a", "b")), "node"),
    "an activation that is none": (one("Sqrt"), "node 2, Sqrt 'here'.*sqrt is not known as an activation"),
    "a constant of every size": (huge_constant(), "ConstantOfShape.*values are computed from constants"),
    "constants that double": (doubling(), "Concat.*values are computed from constants"),
    "constants worked through for long": (many_passes(), "values are computed from constants"),
    "constants that do not fit": (
        linear_file(
            [node("Add", ["b1", "odd"], ["c"]), node("Add", ["h", "c"], ["z"])], {"odd": weights(3, 7)}
        ),
        "of the shapes .*5.*3, 7.*do not fit together",
    ),
    "a division of shapes by zero": (
        linear_file(
            [
                node("Shape", ["h"], ["s"]),
                node("Div", ["s", "none"], ["d"]),
                node("Reshape", ["h", "d"], ["z"]),
            ],
            {"none": np.array([0])},
        ),
        "Div.*divides whole numbers by zero",
    ),
    "what depends on the batch": (
        linear_file(
            [
                node("Shape", ["h"], ["s"]),
                node("Gather", ["s", "zero"], ["n"]),
                node("Cast", ["n"], ["f"], to=1),
                node("Div", ["h", "f"], ["z"]),
            ],
            {"zero": np.array(0)},
        ),
        "depends on the size of the batch",
    ),
    "places of another axis": (
        one("Slice", {"a": np.array([0]), "b": np.array([1]), "c": np.array([9])}, ("h", "a", "b", "c")),
        "node 2, Slice",
    ),
    "steps of 0": (
        one(
            "Slice",
            {"a": np.array([0]), "b": np.array([9]), "c": np.array([1]), "d": np.array([0])},
            ("h", "a", "b", "c", "d"),
        ),
        "steps of 0",
    ),
    "cut out": (
        one("Slice", {"a": np.array([1]), "b": np.array([3]), "c": np.array([1])}, ("h", "a", "b", "c")),
        "a part is cut out",
    ),
    "deep inside of a subgraph": (nested(), "graph of its own"),
    "messages without end": (model_of(protobuf(1, b"") * 3_000_000), "more than 300,000 entries"),
    "too many nodes": (nodes_without_end(), "nodes; at most 10,000"),
    "packed integers": (packed(3_000_000), "3,000,000 numbers"),
    "packed integers without end": (packed(90_000_000), "more than 4,000,000 numbers one by one"),
    "a name without end": (
        changed(lambda m: m.graph.node[0].output.insert(0, "y" * 5000)),
        "5,000 characters",
    ),
    "a name of nothing": (
        changed(lambda m: setattr(m.graph.initializer[0], "name", "")),
        "name of a tensor is empty",
    ),
    "a name that is no text": (valid().replace(b"Gemm", b"\xff\xfem\xff"), "a name is no text"),
    "a second graph": (valid() + protobuf(7, b""), "'graph' stands there a second time"),
    "a group": (model_of(b"\x0b\x0c"), "no protobuf message"),
    "an integer for a text": (model_of(b"\x08\x01"), "not written as ONNX writes it"),
    "an integer without end": (b"\x08" + b"\xff" * 30, "no protobuf message"),
    "a list that is cut": (
        with_tensor(raw_data=None, float_data=[1.0] * 8).replace(b"\x22\x20", b"\x22\x1f"),
        "byte",
    ),
    "computing with a comparison": (
        linear_file([node("Greater", ["h", "b1"], ["g"]), node("Elu", ["g"], ["z"])]),
        "node 2, Greater|comparison",
    ),
    "computing with a comparison of numbers": (
        linear_file([constant("c", 0), node("Greater", ["h", "c"], ["g"]), node("Elu", ["g"], ["z"])]),
        "Elu 'z'.*result of a comparison",
    ),
    "a comparison at the end": (
        linear_file([constant("c", 0), node("Greater", ["h", "c"], ["z"])]),
        "Greater 'z'.*not known as an activation",
    ),
    "an input left out": (one("Add", inputs=("h", "")), "its input 2 .B. is missing"),
    "one of many left out": (one("Concat", inputs=("h", ""), axis=1), "its input 2 .inputs. is missing"),
    "cut short": (valid()[:-9], "claims|incomplete|no protobuf"),
    "rubbish at the end": (valid() + b"\xff\xff\xff", "no protobuf message"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_onnx_file_is_refused_with_the_right_error(name):
    data, words = HOSTILE[name]
    start = time.process_time()
    with pytest.raises(NetworkFileError) as refused:
        read_onnx(data)
    text = str(refused.value)
    assert re.search(words, text), text
    assert text.isprintable() and len(text) < 800
    assert time.process_time() - start < 20, "a refusal takes seconds at most"


def test_the_sound_files_are_read():
    """Else the tests above would refuse for another reason."""
    for data in (
        valid(),
        conv(),
        pool(),
        reshaped(0, -1),
        one("Relu"),
        linear_file([node("Identity", ["h"], ["z"])]),
    ):
        assert read_onnx(data).tensors


@pytest.mark.parametrize(
    "name",
    [
        "messages without end",
        "packed integers without end",
        "packed integers",
        "constants that double",
        "deep inside of a subgraph",
    ],
)
def test_files_that_expand_take_little_memory(name):
    data, _ = HOSTILE[name]

    def refused():
        with pytest.raises(OnnxError):
            read_onnx(data)

    peak = peak_memory(refused)
    assert peak < 2 * limits.FILE_BYTES, f"{peak / 1e6:.0f} MB for a file of {len(data) / 1e6:.0f} MB"


def test_read_network_says_the_same(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(quantised())
    with pytest.raises(NetworkFileError, match="quantised"):
        read_network(path)
