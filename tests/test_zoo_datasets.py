"""`datasets` on a pushed zoo and on the embedded one: the loader of docs/hub.md, as a program of its own."""

import os
import re
import subprocess
import sys

from hub_zoo import NAME, ROOT

LOADER = re.search(r"```python\n(from datasets .*?)```", (ROOT / "docs" / "hub.md").read_text(), re.S)
REST = f"""
streamed = next(iter(load_dataset("{NAME}", "tiny-sirens", split="test", streaming=True)))
print(len(networks), streamed["id"], streamed["picture"].size, networks[11]["picture"].size)
print(weights(networks[11])["net.1.linear.weight"].shape)
print(load_dataset("zoo/embedded", "mnist-sirens").num_rows)
"""


def test_the_loader_of_the_page_reads_a_pushed_zoo(pushed, tmp_path):
    assert LOADER
    program = LOADER[1].replace("owner/name", NAME).replace("mnist-sirens", "tiny-sirens") + REST
    facts = {"HF_ENDPOINT": pushed.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0",
             "HF_HUB_DISABLE_XET": "1"}  # fmt: skip
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, cwd=ROOT, env={**os.environ, **facts}, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [
        "12 tiny-sirens/test/0 (28, 28) (28, 28)",
        "torch.Size([32, 32])",
        "{'test': 120}",
    ]
