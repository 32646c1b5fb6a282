"""Candidate geometries of a chain of convolutions: strides, poolings and paddings."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from nfn.wiring.chain import Down, Head, Wiring
from nfn.wiring.modules import Layer
from nfn.wiring.skips import inside_skips

MAX, STRIDE, AVERAGE, OVERLAPPING = Down("max"), Down("stride"), Down("average"), Down("max", 3, 2, 1)
STEM = replace(OVERLAPPING, own=2)
"""A stride and pooling at once, as ResNets begin."""
EVERYWHERE = (MAX, STRIDE, AVERAGE, OVERLAPPING, Down("max", 3, 2), Down("max", 2, 1), Down("max", 3, 3),
              Down("average", 3, 2, 1))  # fmt: skip
"""Ways to make a picture smaller that are the same at all convolutions, the usual first."""
MIXED = (
    (STRIDE, MAX),
    (MAX, STRIDE),
    (STEM, MAX),
    (STEM, STRIDE),
    (replace(MAX, own=2), MAX),
    (STRIDE, AVERAGE),
)
"""Those that differ between the first convolution and the others, the usual first."""
HALVING = (MAX, STRIDE, AVERAGE, OVERLAPPING)
"""Ways to halve a picture that may stand for each other."""
LARGE_KERNEL = 7
"""A first kernel from which a `STEM` is likelier than anything else."""
FREE = 6
"""The most convolutions for which all sets of downsampling convolutions are tried."""


def geometries(
    convolutions: Sequence[Layer],
    size: int,
    area: int | None,
    declared: Sequence[tuple[int, int]] | None = None,
) -> list[Wiring]:
    """Wirings of the convolutions for pictures of `size` pixels a side, the most usual first.

    `area` is the number of places per channel that the first linear layer takes: only what ends in it fits. None:
    global pooling, average or maximum, and so whatever leaves a picture. `declared` has stride and padding of each
    convolution where the file tells them.
    """
    ranks: dict[Wiring, int] = {}
    rows = itertools.product(
        enumerate(
            _paddings(convolutions) if declared is None else [tuple(padding for _, padding in declared)]
        ),
        enumerate(_patterns(convolutions[0], declared is not None)),
        enumerate(_places(convolutions, area is not None)),
    )
    for (p, padding), (d, (first, others)), (n, places) in rows:
        downs: tuple[Down | None, ...] = tuple(
            (others if i else first) if i in places else None for i in range(len(convolutions))
        )
        strided = [downs] if declared is None else _with_strides(downs, [stride for stride, _ in declared])
        for s, downs in enumerate(strided):
            side = side_after(convolutions, padding, downs, size)
            if side is not None and (area is None or side * side == area):
                for h, head in enumerate(_heads(area, side)):
                    ranks.setdefault(Wiring(padding=padding, down=downs, head=head), p + d + n + h + s)
    return sorted(ranks, key=lambda wiring: ranks[wiring])


def _patterns(first: Layer, strides_are_known: bool) -> list[tuple[Down, Down]]:
    """Ways to make pictures smaller at the first convolution and at the others, the usual first."""
    same = [(down, down) for down in EVERYWHERE]
    if strides_are_known:
        return [pair for pair in same if pair != (STRIDE, STRIDE)]
    mixed, stems = list(MIXED), [pair for pair in MIXED if pair[0] == STEM]
    usual = [*same[:3], *mixed[:2], same[3], *mixed[2:], *same[4:]]
    return list(dict.fromkeys([*stems, *usual])) if max(first.shape[2:]) >= LARGE_KERNEL else usual


def _with_strides(downs: Sequence[Down | None], strides: Sequence[int]) -> list[tuple[Down | None, ...]]:
    """Pooling behind the convolutions of stride 1 only, and behind all."""
    pairs = list(zip(downs, strides, strict=True))
    unpooled = tuple(Down("stride", stride, stride) if stride > 1 else down for down, stride in pairs)
    pooled = tuple(
        replace(down, own=stride) if down and stride > 1 else other
        for (down, stride), other in zip(pairs, unpooled, strict=True)
    )
    return [unpooled, pooled]


def other_downs(downs: tuple[Down | None, ...], strides_are_known: bool) -> Iterator[tuple[Down | None, ...]]:
    """Another way to halve the picture at one of the convolutions, or one of them moved to the convolution beside it.

    Strides that are known stay where they are.
    """
    for i, down in enumerate(downs):
        for other in HALVING if down is not None and down.stride == 2 and down.own == 1 else ():
            if other != down and not (strides_are_known and STRIDE in (other, down)):
                yield (*downs[:i], other, *downs[i + 1 :])
    for i, (one, other) in enumerate(itertools.pairwise(downs)):
        if (one is None) != (other is None) and not strides_are_known:
            yield (*downs[:i], other, one, *downs[i + 2 :])


def side_after(
    convolutions: Sequence[Layer], padding: Sequence[int], downs: Sequence[Down | None], size: int
) -> int | None:
    """Pixels a side behind the last convolution and its pooling; None where the picture is too small."""
    for layer, pad, down in zip(convolutions, padding, downs, strict=True):
        size = (size + 2 * pad - max(layer.shape[2:])) // (down.convolution_stride if down else 1) + 1
        if down and down.mode != "stride":
            size = (size + 2 * down.padding - down.kernel) // down.stride + 1
        if size < 1:
            return None
    return size


def _heads(area: int | None, side: int) -> tuple[Head, ...]:
    if area is not None:
        return ("flatten",)
    return ("average", "max") if side > 1 else ("flatten",)


def _paddings(convolutions: Sequence[Layer]) -> list[tuple[int, ...]]:
    """Candidate paddings: same, none, same at the first convolution only, 1 everywhere, and same except the first."""
    same = tuple(max(layer.shape[2:]) // 2 for layer in convolutions)
    none = (0,) * len(same)
    one = tuple(min(1, half) for half in same)
    return list(dict.fromkeys([same, none, (same[0], *none[1:]), one, (*none[:1], *same[1:])]))


def _places(convolutions: Sequence[Layer], flattened: bool) -> Iterator[frozenset[int]]:
    """Candidate sets of convolutions with downsampling."""
    count = len(convolutions)
    wide = [i for i, layer in enumerate(convolutions) if max(layer.shape[2:]) > 1] or list(range(count))
    grows = [i for i in range(1, count) if convolutions[i].shape[0] > convolutions[i - 1].shape[0]]
    ends = [i - 1 for i in grows] + [count - 1]
    usual = [wide, wide[1:], wide[:-1], wide[1::2], wide[::2], ends, ends[:-1], grows, [], wide[-1:], wide[:1],
             wide[:2], wide[2::3], [i for i in range(count) if i in grows and i in wide]]  # fmt: skip
    blocks = [i - 1 for i in wide[1:]] + [count - 1]
    usual += [blocks, blocks[1:], blocks[:-1]] if blocks != wide else []
    usual.append([0, *grows])  # a stem, and wherever there are more channels
    inside = inside_skips(convolutions)
    outside = [i for i in wide if not inside[i]]
    usual = [outside[1:], outside, *usual] if outside else usual
    seen = dict.fromkeys(frozenset(places) for places in usual)
    if flattened and count <= FREE:
        chosen = itertools.chain.from_iterable(
            itertools.combinations(range(count), n) for n in range(count + 1)
        )
        seen |= dict.fromkeys(frozenset(places) for places in chosen)
    yield from seen
