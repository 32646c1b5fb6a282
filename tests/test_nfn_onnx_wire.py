"""The protobuf decoder: its table is onnx.proto's, and it gives what protobuf gives."""

import numpy as np
import onnx
import pytest
from architecture_zoo import build, inputs
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_files import export, weights

from bench.fuzz_onnx import seed_files
from nfn.onnx_reader.tensors import TYPES, check_tensor, describe, to_array
from nfn.onnx_reader.wire import MODEL, Message, decode

KINDS = {
    1: "double",
    2: "float",
    3: "integer",
    4: "integer",
    5: "integer",
    9: "text",
    12: "bytes",
    14: "integer",
}
"""Ours by the number of a type in protobuf's `FieldDescriptor`."""


def check_table(schema, descriptor):
    for number, known in schema.items():
        there = descriptor.fields_by_number[number]
        assert (there.name, there.is_repeated) == (known.name, known.repeated)
        if known.inside is not None:
            check_table(known.inside, there.message_type)
        elif there.message_type is None:
            assert KINDS[there.type] == known.kind, known.name
        else:
            assert known.kind == "bytes", f"{known.name} is not looked into"


def test_the_fields_are_those_of_onnx():
    check_table(MODEL, onnx.ModelProto.DESCRIPTOR)
    known = {number: name for name, number in TensorProto.DataType.items() if name != "UNDEFINED"}
    assert all(known[number] == name for number, name in TYPES.items())


def check_same(ours: Message, theirs, schema):
    """Every field of the table, on both sides."""
    for known in schema.values():
        value = getattr(theirs, known.name)
        if known.inside is not None:
            pairs = (
                zip(ours.messages(known.name), value, strict=True)
                if known.repeated
                else [(ours.message(known.name), value)]
            )
            for mine, other in pairs:
                check_same(mine, other, known.inside)
        elif known.repeated and known.kind == "text":
            assert ours.texts(known.name) == list(value)
        elif known.repeated and known.kind != "bytes":
            assert ours.numbers(known.name).tolist() == list(value), known.name
        elif not known.repeated and known.kind == "bytes":
            there = value.SerializeToString() if hasattr(value, "SerializeToString") else value
            assert bytes(ours.raw(known.name)) == there
        elif not known.repeated:
            got = {"text": ours.text, "integer": ours.integer}.get(known.kind, ours.real)(known.name)
            assert got == value, known.name


@pytest.mark.parametrize("data", [*seed_files(), "resnet20", "activations"])
def test_a_file_is_decoded_as_protobuf_decodes_it(data):
    data = export(build(data), inputs(data, 1), dynamo=False) if isinstance(data, str) else data
    check_same(decode(data), onnx.ModelProto.FromString(data), MODEL)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), st.booleans())
def test_integers_packed_and_one_by_one(numbers, packed):
    tensor = TensorProto(dims=numbers if packed else [], int64_data=numbers, data_type=-1 if packed else 7)
    model = onnx.ModelProto()
    model.graph.initializer.append(tensor)
    (ours,) = decode(model.SerializeToString()).message("graph").messages("initializer")
    assert ours.numbers("int64_data").tolist() == numbers
    assert ours.numbers("dims").tolist() == list(tensor.dims)
    assert ours.integer("data_type") == tensor.data_type


ARRAYS = {
    "float16": weights(2, 3).astype(np.float16),
    "float32": weights(2, 3).astype(np.float32),
    "float64": weights(2, 3),
    "int64": np.array([[-1, 2**62, 0]]),
    "int32": np.array([[-1, 2**31 - 1, 0]], np.int32),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.array([0, 255], np.uint8),
    "uint32": np.array([0, 2**32 - 1], np.uint32),
    "bool": np.array([True, False]),
    "nothing": np.zeros((0,), np.float32),
    "one": np.float32(3),
}


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("name", ARRAYS)
def test_tensors_of_every_type(name, raw):
    array = np.asarray(ARRAYS[name])
    tensor = numpy_helper.from_array(array, "t")
    if not raw:
        tensor = helper.make_tensor("t", tensor.data_type, array.shape, array.reshape(-1).tolist())
    model = onnx.ModelProto()
    model.graph.initializer.append(tensor)
    (ours,) = decode(model.SerializeToString()).message("graph").messages("initializer")
    check_tensor("t", describe(ours))
    got = to_array(describe(ours))
    assert got.shape == array.shape and got.dtype in (np.float32, np.float64, np.int64, np.bool_)
    np.testing.assert_array_equal(got, array.astype(got.dtype))
