"""`examine`: check the values of a checkpoint, tensor by tensor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.health import rules
from nfn.health.findings import Finding
from nfn.health.initial import initial_scheme
from nfn.health.measure import Measured, floats, measure, typical
from nfn.reader.errors import NetworkFileError

Progress = Callable[[int, int], object]
"""A callback with the number of bytes read, and of all bytes."""


@dataclass(frozen=True)
class Health:
    """`findings`, the most severe first; `read` and `skipped` count tensors whose values were and were not read."""

    findings: tuple[Finding, ...]
    read: int
    skipped: int

    @property
    def verdict(self) -> str:
        """The highest severity, or "healthy" if there are no findings."""
        return self.findings[0].severity if self.findings else "healthy"


def examine(checkpoint: Checkpoint, progress: Progress = lambda done, of: None) -> Health:
    """Read every tensor of floats once and say what is wrong with it; memory holds one block at a time.

    Integers, quantised tensors and those whose bytes are missing are skipped and counted.

    Example: `examine(open_checkpoint("model.safetensors")).verdict` is "healthy".
    """
    report = None
    for done, of, health in examine_in_steps(checkpoint):
        report = health
        if report is None:
            progress(done, of)
    assert report is not None, "the last step has the report"
    return report


def examine_in_steps(checkpoint: Checkpoint) -> Iterator[tuple[int, int, Health | None]]:
    """As `examine`: yield the bytes read and of all after each tensor, and in the last step the report."""
    findings = [
        Finding("damaged", "broken", (), text) for text in (*checkpoint.broken, *_checksums(checkpoint))
    ]
    expected = list(floats(checkpoint)) if checkpoint.blocks is not None else []
    of, done = sum(info.nbytes for info in expected), 0
    measured: dict[str, Measured] = {}
    for info in expected:
        try:
            measured[info.name] = _measured(checkpoint, info)
        except NetworkFileError as error:
            findings.append(Finding("damaged", "broken", (info.name,), str(error)))
            continue
        findings += rules.one_tensor(measured[info.name])
        done += info.nbytes
        checkpoint.release()
        yield done, of, None
    findings += rules.all_tensors(measured)
    order = ("broken", "warning", "note")
    findings = sorted(_joined(findings), key=lambda one: order.index(one.severity))
    yield done, of, Health(tuple(findings), len(measured), len(checkpoint.tensors) - len(measured))


def _checksums(checkpoint: Checkpoint) -> Iterator[str]:
    try:
        if checkpoint.verify is not None:
            checkpoint.verify(checkpoint.release)
    except NetworkFileError as error:
        yield str(error)


def _measured(checkpoint: Checkpoint, info: TensorInfo) -> Measured:
    """Drop the samples of weights, whose total size is not bounded."""
    measured = measure(checkpoint, info)
    if len(info.shape) > 1:
        measured.scheme, measured.typical = initial_scheme(measured), typical(measured.sample)
        measured.sample = measured.sample[:0].copy()
    return measured


def _joined(findings: list[Finding]) -> list[Finding]:
    """Merge findings of the same kind and severity."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        alone = finding.kind in ("damaged", "still at its initialization", "scale imbalance")
        key = (finding.kind, finding.seen if alone else finding.severity)
        groups.setdefault(key, []).append(finding)
    return [_join(group) for group in groups.values()]


def _join(group: list[Finding]) -> Finding:
    first = group[0]
    if len(group) == 1:
        return first
    names = tuple(name for finding in group for name in finding.tensors)
    return Finding(first.kind, first.severity, names, f"{len(names):,} tensors; in the first, {first.seen}")
