"""Activations that ONNX writes in steps, in every way that exporters know; ONNX's evaluator is the judge."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx_files import check, constant, kinds, linear_file, node, weights

from nfn.architecture.ops import Activation

EXPRESSIONS = {
    "silu": ([node("Sigmoid", ["h"], ["s"]), node("Mul", ["s", "h"], ["z"])], "silu", 1.0),
    "gelu by erf": (
        [
            constant("r", 2**0.5),
            constant("one", 1),
            constant("half", 0.5),
            node("Div", ["h", "r"], ["d"]),
            node("Erf", ["d"], ["e"]),
            node("Add", ["e", "one"], ["a"]),
            node("Mul", ["h", "a"], ["m"]),
            node("Mul", ["m", "half"], ["z"]),
        ],
        "gelu",
        1.0,
    ),
    "gelu by erf, half first": (
        [
            constant("r", 0.5**0.5),
            constant("one", 1),
            constant("half", 0.5),
            node("Mul", ["h", "r"], ["d"]),
            node("Erf", ["d"], ["e"]),
            node("Add", ["one", "e"], ["a"]),
            node("Mul", ["half", "a"], ["m"]),
            node("Mul", ["m", "h"], ["z"]),
        ],
        "gelu",
        1.0,
    ),
    "gelu by tanh": (
        [
            constant("three", 3),
            constant("k", 0.044715),
            constant("c", (2 / np.pi) ** 0.5),
            constant("one", 1),
            constant("half", 0.5),
            node("Pow", ["h", "three"], ["p"]),
            node("Mul", ["p", "k"], ["pk"]),
            node("Add", ["h", "pk"], ["s"]),
            node("Mul", ["s", "c"], ["sc"]),
            node("Tanh", ["sc"], ["t"]),
            node("Add", ["t", "one"], ["a"]),
            node("Mul", ["h", "half"], ["hh"]),
            node("Mul", ["hh", "a"], ["z"]),
        ],
        "gelu_tanh",
        1.0,
    ),
    "mish": (
        [node("Softplus", ["h"], ["s"]), node("Tanh", ["s"], ["t"]), node("Mul", ["h", "t"], ["z"])],
        "mish",
        1.0,
    ),
    "softplus by hand": (
        [
            constant("one", 1),
            node("Exp", ["h"], ["e"]),
            node("Add", ["e", "one"], ["a"]),
            node("Log", ["a"], ["z"]),
        ],
        "softplus",
        1.0,
    ),
    "sigmoid by hand": (
        [
            constant("one", 1),
            node("Neg", ["h"], ["n"]),
            node("Exp", ["n"], ["e"]),
            node("Add", ["e", "one"], ["a"]),
            node("Reciprocal", ["a"], ["z"]),
        ],
        "sigmoid",
        1.0,
    ),
    "hard swish in steps": (
        [
            constant("three", 3),
            constant("zero", 0),
            constant("six", 6),
            node("Add", ["h", "three"], ["a"]),
            node("Clip", ["a", "zero", "six"], ["c"]),
            node("Div", ["c", "six"], ["d"]),
            node("Mul", ["h", "d"], ["z"]),
        ],
        "hardswish",
        1.0,
    ),
    "leaky relu by max": (
        [constant("k", 0.1), node("Mul", ["h", "k"], ["m"]), node("Max", ["h", "m"], ["z"])],
        "leaky_relu",
        0.1,
    ),
    "relu by max": ([constant("zero", 0), node("Max", ["zero", "h"], ["z"])], "relu", 1.0),
    "relu by clip": ([constant("zero", 0), node("Clip", ["h", "zero"], ["z"])], "relu", 1.0),
    "relu by where": (
        [
            constant("zero", 0),
            node("Greater", ["h", "zero"], ["g"]),
            node("Where", ["g", "h", "zero"], ["z"]),
        ],
        "relu",
        1.0,
    ),
    "sine": ([constant("w", 30), node("Mul", ["w", "h"], ["m"]), node("Sin", ["m"], ["z"])], "sine", 30.0),
    "square": ([constant("two", 2), node("Pow", ["h", "two"], ["z"])], "square", 1.0),
    "square by itself": ([node("Mul", ["h", "h"], ["z"])], "square", 1.0),
    "elu by where": (
        [
            constant("zero", 0),
            constant("one", 1),
            node("Exp", ["h"], ["e"]),
            node("Sub", ["e", "one"], ["s"]),
            node("LessOrEqual", ["h", "zero"], ["l"]),
            node("Where", ["l", "s", "h"], ["z"]),
        ],
        "elu",
        1.0,
    ),
    "swish": ([node("Swish", ["h"], ["z"], alpha=1.0)], "silu", 1.0),
    "thresholded relu at 0": ([node("ThresholdedRelu", ["h"], ["z"], alpha=0.0)], "relu", 1.0),
    "doubled negation": (
        [node("Neg", ["h"], ["n"]), node("Neg", ["n"], ["nn"]), node("Tanh", ["nn"], ["z"])],
        "tanh",
        1.0,
    ),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_activation_in_steps_is_found_by_its_values(name):
    nodes, function, parameter = EXPRESSIONS[name]
    model = check(linear_file(nodes, opset=24 if name == "swish" else 17))
    assert kinds(model) == ["linear", "activation", "linear"]
    activation = model.architecture.ops[1]
    assert isinstance(activation, Activation)
    assert (activation.function, activation.parameter) == (function, parameter)


STEPS = {
    "clip between other bounds": [
        constant("a", -0.3),
        constant("b", 0.8),
        node("Clip", ["h", "a", "b"], ["z"]),
    ],
    "clip from below": [constant("a", -0.3), node("Clip", ["h", "a"], ["z"])],
    "clip from above": [constant("b", 0.4), node("Clip", ["h", "", "b"], ["z"])],
    "maximum, then minimum": [
        constant("a", -1),
        constant("b", 0.4),
        node("Max", ["h", "a"], ["m"]),
        node("Min", ["m", "b"], ["z"]),
    ],
    "keras hard sigmoid": [node("HardSigmoid", ["h"], ["z"])],
    "power of 3": [constant("three", 3), node("Pow", ["h", "three"], ["z"])],
    "sine with a phase": [
        constant("w", 3),
        constant("p", 0.4),
        node("Mul", ["h", "w"], ["m"]),
        node("Add", ["m", "p"], ["a"]),
        node("Sin", ["a"], ["z"]),
    ],
    "one minus": [constant("one", 1), node("Tanh", ["h"], ["t"]), node("Sub", ["one", "t"], ["z"])],
    "silu twice": [
        node("Sigmoid", ["h"], ["s"]),
        node("Mul", ["s", "h"], ["u"]),
        node("Sigmoid", ["u"], ["v"]),
        node("Mul", ["v", "u"], ["z"]),
    ],
    "quick gelu": [
        constant("k", 1.702),
        node("Mul", ["h", "k"], ["m"]),
        node("Sigmoid", ["m"], ["s"]),
        node("Mul", ["s", "h"], ["z"]),
    ],
    "mean of two": [node("Tanh", ["h"], ["t"]), node("Mean", ["h", "t"], ["z"])],
    "difference of two": [node("Tanh", ["h"], ["t"]), node("Sub", ["t", "h"], ["z"])],
    "sum of three": [
        node("Tanh", ["h"], ["t"]),
        node("Relu", ["h"], ["r"]),
        node("Sum", ["h", "t", "r"], ["z"]),
    ],
    "a skip and a layer": [
        node("Gemm", ["h", "w1b"], ["g"]),
        node("Relu", ["g"], ["r"]),
        node("Sub", ["h", "r"], ["z"]),
    ],
    "steps without effect": [
        constant("one", 1),
        constant("zero", 0),
        node("Mul", ["h", "one"], ["a"]),
        node("Add", ["zero", "a"], ["b"]),
        node("Identity", ["b"], ["c"]),
        node("Dropout", ["c"], ["d"]),
        node("Cast", ["d"], ["z"], to=TensorProto.FLOAT),
    ],
    "a long chain of functions": [
        *(node("Tanh", [f"h{i}" if i else "h"], [f"h{i + 1}"]) for i in range(60)),
        node("Identity", ["h60"], ["z"]),
    ],
    "a function that meets itself again and again": [
        *(
            n
            for i in range(20)
            for n in (
                node("Sigmoid", [f"h{i}" if i else "h"], [f"s{i}"]),
                node("Add", [f"h{i}" if i else "h", f"s{i}"], [f"h{i + 1}"]),
            )
        ),
        node("Identity", ["h20"], ["z"]),
    ],
    "selu with other numbers": [node("Selu", ["h"], ["z"], alpha=1.5, gamma=1.1)],
}


@pytest.mark.parametrize("name", STEPS)
def test_other_functions_in_steps(name):
    model = check(linear_file(STEPS[name], {"w1b": weights(5, 5)}))
    if name == "silu twice":
        assert [op.function for op in model.architecture.ops if isinstance(op, Activation)] == [
            "silu",
            "silu",
        ]
    if name == "steps without effect":
        assert kinds(model) == ["linear", "linear"]
