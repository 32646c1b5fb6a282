"""Builds and scores on a real Ray cluster of three nodes: the bytes of one process, also when workers and nodes die.

Runs where Ray is installed: pip install '.[ray]'.
"""

import importlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from zoo import images
from zoo.build import run_build
from zoo.build_siren import SirenBuild
from zoo.errors import ZooError
from zoo.executor import Executor
from zoo.files import sha256
from zoo.score import Score, find_score, run_score

ray = pytest.importorskip("ray")
CONNECT = socket.socket.connect
"""As it is before tests are kept off the network: nodes of a cluster talk over an address of this machine."""
DATA = Path(__file__).parent / "data" / "images"
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def cluster():
    cluster_utils = importlib.import_module("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(images.IMAGES_FOLDER_VARIABLE, str(DATA))
        patch.setattr(socket.socket, "connect", CONNECT)
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
        nodes = cluster_utils.Cluster(True, head_node_args=NODE)
        for _ in range(2):
            nodes.add_node(**NODE)
        yield nodes
        ray.shutdown()
        nodes.shutdown()


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in folder.iterdir()}


class Accident:
    """Progress that lets something happen once, after the first finished task."""

    def __init__(self, happen):
        self.happen, self.count = happen, 0

    def __call__(self, count: int) -> None:
        self.count += count
        if count and self.happen:
            happen, self.happen = self.happen, None
            happen()


def kill_the_workers() -> None:
    """Kill the processes that run tasks, as the system does when memory runs out."""
    deadline, running = time.monotonic() + 20, []
    while not running and time.monotonic() < deadline:
        running = [pid for pid in Path("/proc").glob("[0-9]*") if b"ray::make_alone" in command_line(pid)]
    assert running
    for pid in running:
        os.kill(int(pid.name), signal.SIGKILL)


def command_line(process: Path) -> bytes:
    """The command of a process, which may have ended meanwhile."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_build_whose_workers_are_killed_has_the_bytes_of_one_process(cluster, tmp_path):
    build = SirenBuild("mnist", "test", 12, copies=16, recipe="quick", shard_size=16)
    run_build(build, tmp_path / "alone", "cpu", 1, lambda count: None)
    accident = Accident(kill_the_workers)
    run_build(build, tmp_path / "ray", "cpu", 1, accident, cluster.address)
    assert accident.happen is None and accident.count == 192
    assert checksums(tmp_path / "ray") == checksums(tmp_path / "alone")


def test_a_score_that_loses_a_node_has_the_bytes_of_one_process(cluster, tmp_path):
    job = find_score("cifar10-cnns")
    run_score(job, tmp_path / "alone.parquet", Executor(), lambda count: None)
    accident = Accident(lambda: cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False))
    run_score(job, tmp_path / "ray.parquet", Executor(ray=cluster.address), accident)
    assert accident.happen is None and accident.count == 180
    assert sha256(tmp_path / "ray.parquet") == sha256(tmp_path / "alone.parquet")


def test_an_error_in_a_task_and_a_cluster_that_is_not_there_are_said(cluster, tmp_path):
    with pytest.raises(ZooError, match=r"no spec\.json here"):
        Executor(ray=cluster.address).run(Score("gone", str(tmp_path)), tmp_path, [0], print)
    with pytest.raises(ZooError, match=r"No Ray cluster answers at '127\.0\.0\.1:1'"):
        run_score(find_score("mnist-sirens"), tmp_path / "none", Executor(ray="127.0.0.1:1"), print)
