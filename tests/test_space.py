"""The app as a Space: its front matter, what it installs, and that it starts where a Space's variables are set."""

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml
from waiting import free_port, wait_for

from app.runtime import device as gpu
from app.server.serving import launch_options
from app.ui import TABS

ROOT = Path(__file__).parent.parent
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def front() -> dict:
    return yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])


def requirements() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().split()
    return {re.split(r"[\[=><]", line)[0]: line for line in lines}


def test_front_matter(front):
    assert front["sdk"] == "gradio" and (ROOT / front["app_file"]).is_file()
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert len(front["short_description"]) <= 60
    assert isinstance(front["python_version"], str)
    assert re.search(
        rf"gradio\[mcp\]=={front['sdk_version'].rpartition('.')[0]}\.\*", requirements()["gradio"]
    )


def test_every_requirement_but_gradio_is_a_lower_bound_that_the_tested_versions_meet():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    for name, line in requirements().items():
        if name != "gradio":
            low = line.partition(">=")[2]
            numbers = [[int(n) for n in re.findall(r"\d+", v)[:2]] for v in (low, pinned[name])]
            assert low and numbers[0] <= numbers[1], line


def test_torch_of_zero_gpu_is_allowed():
    assert requirements()["torch"] == "torch>=2.8"


def test_nothing_is_recorded_or_reported():
    options = launch_options(TABS)
    assert options["run_history"] is False and options["enable_monitoring"] is False
    assert options["ssr_mode"] is False


def test_the_app_starts_as_a_space(tmp_path):
    port = free_port()
    space = {"SYSTEM": "spaces", "SPACE_ID": "owner/weightscope", "SPACE_HOST": f"127.0.0.1:{port}",
             "SPACE_AUTHOR_NAME": "owner", "SPACE_REPO_NAME": "weightscope", "ACCELERATOR": "none", "CPU_CORES": "2",
             "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_TEMP_DIR": str(tmp_path),
             "HF_HUB_OFFLINE": "1"}  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **space}, stdout=subprocess.DEVNULL
    )
    try:
        config = json.loads(wait_for(f"http://127.0.0.1:{port}/config", process, seconds=240))
        page = wait_for(f"http://127.0.0.1:{port}/", process, seconds=20)
    finally:
        process.terminate()
        process.wait(20)
    assert config["title"] == "Weightscope" and "Weightscope" in page
    assert {"zoo-view", "source"} <= {component["props"].get("elem_id") for component in config["components"]}


def test_without_zero_gpu_a_function_stays_itself(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert gpu.on_gpu(seconds=5)(len) is len


def test_on_zero_gpu_a_call_borrows_and_the_app_stays_on_the_cpu(monkeypatch):
    spaces = types.SimpleNamespace(GPU=lambda duration: lambda function: ("lent", duration, function))
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert gpu.on_gpu(seconds=5)(len) == ("lent", 5, len)
    assert gpu.device.__wrapped__().type == "cpu" and gpu.gpu_call_device().type == "cuda"
