"""Rules from measurements to findings, for single tensors and for all tensors together."""

import math
import re
from collections.abc import Callable, Iterator, Mapping

from nfn.health.findings import Finding
from nfn.health.initial import is_initial_bias
from nfn.health.measure import Measured

HALF = 65_504
"""The largest float16."""
_EMBEDDING = re.compile(
    r"(?i)(?:.*[._])?(?:\w*emb(?:ed(?:ding)?s?|edder)?\w*|wte|wpe|shared|lm_head|tokens?)(?:\.|$).*"
)
LEAST_ROW = 4
"""The least values of a row for which equal rows are not chance."""
IMBALANCE = 1_000.0
"""Times the gain (99th percentile of magnitudes times √fan_in) of one layer that another may have."""


def one_tensor(measured: Measured) -> Iterator[Finding]:
    """Findings in one tensor."""
    for rule in RULES:
        finding = rule(measured)
        if finding is not None:
            yield finding
            if finding.kind in ("not finite", "all zero", "constant"):
                return


def _not_finite(m: Measured) -> Finding | None:
    if m.finite == m.count:
        return None
    seen = f"{m.nan:,} NaN and {m.infinite:,} infinite of {m.count:,} values"
    return Finding("not finite", "broken", (m.name,), seen)


def _flat(m: Measured) -> Finding | None:
    """Only weights count, as many vectors are constant by initialization or design."""
    if len(m.info.shape) < 2 or m.count < 2 or m.low != m.high or m.info.shape[0] < 2:
        return None
    if m.high == 0:
        return Finding("all zero", "warning", (m.name,), f"all {m.count:,} values are 0")
    return Finding("constant", "warning", (m.name,), f"all {m.count:,} values are {m.high:.6g}")


def _dead(m: Measured) -> Finding | None:
    allowed = 1 if is_embedding(m.name) else 0  # the row of the padding token
    if m.zero_rows <= allowed:
        return None
    share = m.zero_rows / m.rows
    seen = f"{m.zero_rows:,} of {m.rows:,} rows ({share:.1%}) are zero"
    return Finding("dead units", "warning" if share > 0.5 else "note", (m.name,), seen)


def _equal(m: Measured) -> Finding | None:
    if not m.equal_rows or math.prod(m.info.shape[1:]) < LEAST_ROW:
        return None
    seen = f"{m.equal_rows:,} of {m.rows:,} rows repeat another one"
    return Finding("duplicate units", "note" if is_embedding(m.name) else "warning", (m.name,), seen)


def _half(m: Measured) -> Finding | None:
    if m.largest > HALF and m.info.dtype != "float16":
        return Finding("beyond float16", "warning", (m.name,), f"largest magnitude {m.largest:.4g}")
    if m.tiny > 0.01 * m.count:
        return Finding(
            "lost in float16", "note", (m.name,), f"{m.tiny:,} of {m.count:,} values ({m.tiny / m.count:.1%})"
        )
    return None


RULES: tuple[Callable[[Measured], Finding | None], ...] = (_not_finite, _flat, _dead, _equal, _half)


def is_embedding(name: str) -> bool:
    """Whether a tensor is an embedding table, by its name, so that its rows are not units."""
    return _EMBEDDING.fullmatch(name[:300]) is not None


def all_tensors(measured: Mapping[str, Measured]) -> Iterator[Finding]:
    """Findings from comparing tensors."""
    yield from _initial(measured)
    yield from _norms(measured)
    yield from _scales(measured)


def _initial(measured: Mapping[str, Measured]) -> Iterator[Finding]:
    found: dict[str, list[str]] = {}
    tested = 0
    for name, weight in measured.items():
        if len(weight.info.shape) < 2 or name.endswith("lora_B.weight"):
            continue
        tested += 1
        bias = measured.get(f"{name.removesuffix('weight')}bias")
        if weight.scheme and is_initial_bias(weight, bias):
            found.setdefault(weight.scheme, []).append(name)
    for scheme, names in found.items():
        seen = f"{len(names):,} of {tested:,} weights are distributed as {scheme}"
        yield Finding("still at its initialization", "note", tuple(names), seen)


def _norms(measured: Mapping[str, Measured]) -> Iterator[Finding]:
    fresh = [
        name
        for name, mean in measured.items()
        if name.endswith("running_mean")
        and mean.low == mean.high == 0
        and (var := measured.get(name.removesuffix("mean") + "var")) is not None
        and var.low == var.high == 1
    ]
    if fresh:
        yield Finding("untrained statistics", "warning", tuple(fresh), f"{len(fresh):,} batch norms")


def _scales(measured: Mapping[str, Measured]) -> Iterator[Finding]:
    gains = {
        name: m.typical * math.sqrt(math.prod(m.info.shape[1:]))
        for name, m in measured.items()
        if len(m.info.shape) > 1 and m.typical > 0 and not is_embedding(name)
    }
    if len(gains) < 2:
        return
    low, high = min(gains, key=gains.__getitem__), max(gains, key=gains.__getitem__)
    if gains[high] > IMBALANCE * gains[low]:
        seen = f"gains (99th percentile × √fan_in) from {gains[low]:.3g} to {gains[high]:.3g}"
        yield Finding("scale imbalance", "warning", (low, high), seen)
