"""Findings as sentences, not escaped."""

from collections.abc import Iterator

from nfn.health.examine import Health
from nfn.health.findings import Finding

SHOWN = 5
"""The most tensors that are named in a finding."""


def sentences(health: Health) -> Iterator[str]:
    """Each finding with its evidence, meaning and remedy."""
    for finding in health.findings:
        where = f" ({names(finding)})" if finding.tensors else ""
        yield f"{finding.kind}: {finding.seen}{where}. {finding.means} {finding.advice}"


def names(finding: Finding, most: int = SHOWN) -> str:
    """The names of a finding's first tensors, and the number of others."""
    shown = ", ".join(name[:80] for name in finding.tensors[:most])
    more = len(finding.tensors) - most
    return f"{shown} and {more:,} more" if more > 0 else shown
