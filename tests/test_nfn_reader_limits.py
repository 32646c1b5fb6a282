"""Why the reader needs no process of its own: the worst files take less than 2 s and three times the largest file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from worst_files import FACTOR, SECONDS, WORST

from nfn.reader import limits


@pytest.fixture(scope="module")
def costs() -> dict[str, dict]:
    """The cost of every worst file, measured in processes with a hard limit on memory."""
    script = Path(__file__).with_name("worst_files.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return {cost.pop("name"): cost for cost in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_files_are_read_or_refused_within_the_limits(costs, name):
    cost = costs[name]
    assert cost["seconds"] < SECONDS
    assert cost["mib"] < FACTOR * limits.FILE_BYTES / limits.MIB
    for answer in cost["answers"]:
        assert answer in ("Network", "list") or answer.endswith("."), answer


def test_the_largest_files_reach_the_caps(costs):
    """Worst files that no longer reach what they are to try would prove nothing."""
    assert all(
        costs[name]["answers"][0] == "Network" for name in WORST if name.startswith(("largest", "batch"))
    )
    assert all(costs[name]["answers"] == ["list"] for name in WORST if name.startswith("stack"))
    assert costs["largest layer, float32"]["file"] > 19 and costs["pickle of wide text"]["file"] > 18
    assert max(cost["mib"] for cost in costs.values()) > 2 * limits.FILE_BYTES / limits.MIB
