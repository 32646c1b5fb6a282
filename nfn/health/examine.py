"""`examine`: a checkpoint's health, tensor by tensor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nfn.checkpoint.listing import Checkpoint, TensorInfo
from nfn.health import rules
from nfn.health.findings import Finding
from nfn.health.initial import initial_scheme
from nfn.health.measure import Measured, floats, measure, typical
from nfn.reader.errors import NetworkFileError

Progress = Callable[[int, int], object]
"""Told how many bytes were read, and of how many."""


@dataclass(frozen=True)
class Health:
    """`findings`, the gravest first; `read` and `skipped` count tensors whose values were and were not looked at."""

    findings: tuple[Finding, ...]
    read: int
    skipped: int

    @property
    def verdict(self) -> str:
        """The gravest severity, or "healthy" where nothing was found."""
        return self.findings[0].severity if self.findings else "healthy"


def examine(checkpoint: Checkpoint, progress: Progress = lambda done, of: None) -> Health:
    """Read every tensor of floats once and say what is wrong with it; memory holds one block at a time.

    Integers, quantised tensors and those whose bytes are missing are skipped and counted.

    Example: `examine(open_checkpoint("model.safetensors")).verdict` is "healthy".
    """
    findings = [
        Finding("damaged", "broken", (), text) for text in (*checkpoint.broken, *_checksums(checkpoint))
    ]
    wanted = list(floats(checkpoint)) if checkpoint.blocks is not None else []
    of, done = sum(info.nbytes for info in wanted), 0
    measured: dict[str, Measured] = {}
    for info in wanted:
        try:
            measured[info.name] = _measured(checkpoint, info)
        except NetworkFileError as error:
            findings.append(Finding("damaged", "broken", (info.name,), str(error)))
            continue
        findings += rules.one_tensor(measured[info.name])
        done += info.nbytes
        checkpoint.release()
        progress(done, of)
    findings += rules.all_tensors(measured)
    order = ("broken", "warning", "note")
    findings = sorted(_joined(findings), key=lambda one: order.index(one.severity))
    return Health(tuple(findings), len(measured), len(checkpoint.tensors) - len(measured))


def _checksums(checkpoint: Checkpoint) -> Iterator[str]:
    try:
        if checkpoint.verify is not None:
            checkpoint.verify(checkpoint.release)
    except NetworkFileError as error:
        yield str(error)


def _measured(checkpoint: Checkpoint, info: TensorInfo) -> Measured:
    """The samples of weights are not kept: all together they would not be flat memory."""
    measured = measure(checkpoint, info)
    if len(info.shape) > 1:
        measured.scheme, measured.typical = initial_scheme(measured), typical(measured.sample)
        measured.sample = measured.sample[:0].copy()
    return measured


def _joined(findings: list[Finding]) -> list[Finding]:
    """Findings of one kind and severity in several tensors become one."""
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
