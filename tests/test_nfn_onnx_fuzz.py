"""Whatever the bytes of an ONNX file, it is refused in one sentence or read as what ONNX's own evaluator computes.

`python -m bench.fuzz_onnx 600` does the same for longer.
"""

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.fuzz_onnx import mutate, outcome, seed_files

FILES = seed_files()
HEAD = b"\x08\x08\x3a"
fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_the_files_to_be_mutated_are_read_and_agree():
    assert [outcome(data) for data in FILES] == ["agrees"] * len(FILES)


def test_logarithms_of_tiny_probabilities_are_not_compared():
    """ONNX's evaluator takes the logarithm of the probability 1.4e-45 where the exact one is 1.7e-45."""
    model = onnx.ModelProto.FromString(FILES[0])
    for tensor in model.graph.initializer:
        if tensor.name in ("w3", "b3"):
            values = (
                np.array([0, -51.2, 0], np.float32)
                if tensor.name == "b3"
                else np.zeros(tuple(tensor.dims), np.float32)
            )
            tensor.raw_data = values.tobytes()
    assert outcome(model.SerializeToString()) == "agrees"


@settings(fuzz, max_examples=150)
@given(st.sampled_from(FILES), st.integers(0, 2**32 - 1))
def test_files_with_changes(data, seed):
    outcome(mutate(data, np.random.default_rng(seed)))


@settings(fuzz, max_examples=150)
@given(st.binary(max_size=200), st.sampled_from([b"", HEAD, FILES[0][:60], FILES[4][:200]]))
def test_random_bytes(data, prefix):
    assert outcome(prefix + data) == "refused"


@settings(fuzz, max_examples=100)
@given(st.sampled_from(FILES), st.data())
def test_files_cut_short_or_with_something_put_in(data, drawn):
    at = drawn.draw(st.integers(0, len(data)))
    outcome(data[:at])
    outcome(data[:at] + drawn.draw(st.binary(max_size=8)) + data[at:])
