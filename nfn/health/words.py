"""Findings in sentences. Nothing here is escaped."""

from collections.abc import Iterator

from nfn.health.examine import Health
from nfn.health.findings import Finding

SHOWN = 5
"""Tensors that are named of a finding."""


def sentences(health: Health) -> Iterator[str]:
    """Each finding with its evidence, what it means and what to do."""
    for finding in health.findings:
        where = f" ({names(finding)})" if finding.tensors else ""
        yield f"{finding.kind}: {finding.seen}{where}. {finding.means} {finding.advice}"


def names(finding: Finding, most: int = SHOWN) -> str:
    """The first tensors of a finding by name, and how many more there are."""
    shown = ", ".join(name[:80] for name in finding.tensors[:most])
    more = len(finding.tensors) - most
    return f"{shown} and {more:,} more" if more > 0 else shown
