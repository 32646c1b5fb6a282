"""Weight spaces for any labelling of axes: they permute tensors together, and refuse what does not fit."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nfn_cases import SPECS, every_spec, random_features, seeds
from torch.nn import functional as F

from nfn.permutation import permute, random_permutations
from nfn.space import TensorSpec, WeightSpace, as_space
from nfn.spec import ANY, ArraySpec, NetworkSpec

PICTURE, STREAM, INNER, CLASSES = range(4)
RESNET = WeightSpace(
    (
        TensorSpec("stem.weight", (5, 2, 3, 3), (STREAM, PICTURE, None, None)),
        TensorSpec("stem.bias", (5,), (STREAM,)),
        TensorSpec("conv1.weight", (4, 5, 3, 3), (INNER, STREAM, None, None)),
        TensorSpec("conv1.bias", (4,), (INNER,)),
        TensorSpec("conv2.weight", (5, 4, 3, 3), (STREAM, INNER, None, None)),
        TensorSpec("conv2.bias", (5,), (STREAM,)),
        TensorSpec("fc.weight", (3, 5, 4), (CLASSES, STREAM, None)),
        TensorSpec("fc.bias", (3,), (CLASSES,)),
    ),
    groups=(2, 5, 4, 3),
    permuting=frozenset({STREAM, INNER}),
)


def run(tensors: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """A residual block between a stem and a linear layer behind a flatten, in plain torch."""
    stem, stem_bias, first, first_bias, second, second_bias, linear, linear_bias = tensors
    x = F.conv2d(x, stem, stem_bias, padding=1).relu()
    x = x + F.conv2d(F.conv2d(x, first, first_bias, padding=1).relu(), second, second_bias, padding=1)
    return F.linear(F.avg_pool2d(x, 2).flatten(1), linear.flatten(1), linear_bias)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(seeds, st.booleans())
def test_permuting_groups_keeps_the_function(seed, ends):
    generator = torch.Generator().manual_seed(seed)
    tensors = [torch.randn(t.shape, dtype=torch.float64, generator=generator) for t in RESNET.tensors]
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, generator=generator)
    orders = RESNET.random_permutations(generator, ends=ends)
    got, want = run(RESNET.permute(tensors, orders), x[:, orders.get(PICTURE, slice(None))]), run(tensors, x)
    torch.testing.assert_close(got, want[:, orders.get(CLASSES, slice(None))])


def test_one_axis_alone_changes_the_function():
    tensors = [torch.randn(t.shape) for t in RESNET.tensors]
    x = torch.randn(1, 2, 4, 4)
    for place in RESNET.places(STREAM):
        moved = RESNET.permute_axes(tensors, {place: torch.arange(5).roll(1)})
        assert not torch.allclose(run(moved, x), run(tensors, x), rtol=1e-3)


@every_spec
def test_a_chain_permutes_by_position(spec):
    space = WeightSpace.of_spec(spec)
    features = random_features(spec, 2)
    orders = random_permutations(spec, torch.Generator().manual_seed(0), ends=True)
    want = [x for pair in permute(features, orders) for x in pair]
    got = space.permute([x for pair in features for x in pair], dict(enumerate(orders)))
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    assert space.get_num_params() == spec.get_num_params() and as_space(spec) == space == as_space(space)
    assert space.ends == (0, len(spec)) and space.layers == tuple(str(i) for i in range(len(spec)))


def test_it_knows_places_ends_layers_and_weights():
    assert RESNET.places(STREAM) == ((0, 0), (1, 0), (2, 1), (4, 0), (5, 0), (6, 1))
    assert RESNET.ends == (PICTURE, CLASSES) and RESNET.layers == ("stem", "conv1", "conv2", "fc")
    assert [t.is_weight for t in RESNET.tensors] == [True, False] * 4
    assert RESNET.get_num_params() == 90 + 5 + 180 + 4 + 180 + 5 + 60 + 3


def test_permutations_are_seeded_and_of_the_right_groups():
    draw = [RESNET.random_permutations(torch.Generator().manual_seed(3)) for _ in range(2)]
    assert {g: sorted(p.tolist()) for g, p in draw[0].items()} == {
        STREAM: [0, 1, 2, 3, 4],
        INNER: [0, 1, 2, 3],
    }
    assert all(torch.equal(draw[0][g], draw[1][g]) for g in draw[0])
    assert sorted(RESNET.random_permutations(ends=True)) == [PICTURE, STREAM, INNER, CLASSES]


OPEN = WeightSpace.of_spec(
    NetworkSpec((ArraySpec((ANY, 2)), ArraySpec((1, ANY))), (ArraySpec((ANY,)), ArraySpec((1,))))
)
VECTOR = TensorSpec("a.bias", (3,), (0,))
ERRORS = {
    "axes": (lambda: TensorSpec("a.weight", (3, 4), (0,)), r"'a.weight' has shape \(3, 4\) and axes \(0,\)"),
    "none": (lambda: WeightSpace((), (), frozenset()), "at least one tensor"),
    "names": (lambda: WeightSpace((VECTOR, VECTOR), (3,), frozenset()), "same name"),
    "size": (lambda: WeightSpace((VECTOR,), (4,), frozenset()), "'a.bias' has size 3, but its group 0 has 4"),
    "group": (lambda: WeightSpace((VECTOR,), (), frozenset()), "over group 0, but there are only 0 groups"),
    "permuting": (lambda: WeightSpace((VECTOR,), (3,), frozenset({1})), r"Groups \[1\] permute"),
    "contradiction": (
        lambda: WeightSpace.of_spec(
            NetworkSpec((ArraySpec((4, 2)), ArraySpec((1, 5))), (ArraySpec((4,)), ArraySpec((1,))))
        ),
        "'0.weight' has size 4, but its group 1 has 5",
    ),
    "count": (lambda: OPEN.get_num_params(), "'0.weight' has an unknown size"),
    "open draw": (lambda: OPEN.random_permutations(), r"groups \[1\] are unknown"),
    "number": (lambda: RESNET.permute([], {}), "Got 0 tensors for a weight space of 8"),
    "unknown group": (lambda: RESNET.permute([torch.zeros(1)] * 8, {7: torch.arange(2)}), r"groups \[7\]"),
    "order": (
        lambda: RESNET.permute([torch.zeros(t.shape) for t in RESNET.tensors], {INNER: torch.arange(3)}),
        "A permutation of 3 for axis 0 of 'conv1.weight', which is .4, 5, 3, 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, words", ERRORS.values(), ids=ERRORS)
def test_errors_say_where_and_what(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        WeightSpace.of_spec(SPECS["siren"]).groups = ()  # pyright: ignore[reportAttributeAccessIssue]
