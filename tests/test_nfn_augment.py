"""Moves in weight space are moves of the picture, exactly."""

import pytest
import torch
from nfn_cases import random_features

from nfn.augment import (
    Moves,
    change_values,
    jitter,
    mirror_columns,
    move_coordinates,
    moving_matrix,
    random_moves,
)
from nfn.siren import coordinate_grid, evaluate
from nfn.spec import NetworkSpec

SIRENS = random_features(NetworkSpec.mlp(2, 6, 5, 3), 1).map(lambda x: x * 0.2)
GRID = coordinate_grid(5, 7, dtype=torch.float64)


def test_a_moved_network_shows_the_moved_picture():
    matrix, shift = torch.randn(3, 2, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    moved = move_coordinates(SIRENS, matrix, shift)
    points = GRID @ matrix.transpose(1, 2) + shift[:, None]
    torch.testing.assert_close(evaluate(moved, GRID), evaluate(SIRENS, points))


def test_changed_values_are_those_of_the_picture():
    factor, shift = torch.rand(3, 3, dtype=torch.float64), torch.rand(3, 1, dtype=torch.float64)
    changed = evaluate(change_values(SIRENS, factor, shift), GRID)
    torch.testing.assert_close(changed, evaluate(SIRENS, GRID) * factor[:, :, None] + shift[:, :, None])


def test_matrices_rotate_scale_and_shear():
    angle, zero = torch.tensor([torch.pi / 2]), torch.zeros(1)
    torch.testing.assert_close(moving_matrix(angle, torch.ones(1, 2), zero)[0] @ torch.tensor([1.0, 0.0]),
                               torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)  # fmt: skip
    stretched = moving_matrix(zero, torch.tensor([[2.0, 3.0]]), torch.tensor([0.5]))
    torch.testing.assert_close(stretched[0], torch.tensor([[2.0, 0.5], [0.0, 3.0]]))


def test_random_moves_stay_within_their_reach_and_depend_on_the_seed_alone():
    still = Moves(0, 0, 0, 0)
    torch.testing.assert_close(
        evaluate(random_moves(SIRENS, still, torch.Generator()), GRID), evaluate(SIRENS, GRID)
    )
    moves = Moves(mirror=True, contrast=0.2, brightness=0.1)
    first, second = (random_moves(SIRENS, moves, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, second.tensors, strict=True))
    assert not torch.equal(first.tensors[0], SIRENS.tensors[0])


def test_a_mirrored_picture_is_reversed():
    mirrored = random_moves(SIRENS, Moves(0, 0, 0, 0, mirror=True), torch.Generator().manual_seed(0))
    before, after = (evaluate(x, GRID).unflatten(2, (5, 7)) for x in (SIRENS, mirrored))
    sides = [torch.allclose(a, b.flip(2)) for a, b in zip(after, before, strict=True)]
    same = [torch.allclose(a, b) for a, b in zip(after, before, strict=True)]
    assert all(a != b for a, b in zip(sides, same, strict=True)) and any(sides)


def test_mirrored_columns_are_those_of_the_picture():
    before, after = (evaluate(x, GRID).unflatten(2, (5, 7)) for x in (SIRENS, mirror_columns(SIRENS)))
    torch.testing.assert_close(after, before.flip(3))


def test_jitter_has_the_stated_size():
    shaken = jitter(SIRENS, 0.1, torch.Generator().manual_seed(0))
    for x, y in zip(SIRENS.tensors, shaken.tensors, strict=True):
        size = ((y - x).square().mean() / x.square().mean()).sqrt()
        assert 0.02 < size < 0.3 and y.dtype == x.dtype


def test_networks_of_other_inputs_are_refused():
    with pytest.raises(ValueError, match="takes 3 inputs, the matrix 2"):
        move_coordinates(random_features(NetworkSpec.mlp(3, 4, 1), 1), torch.eye(2)[None], torch.zeros(1, 2))
