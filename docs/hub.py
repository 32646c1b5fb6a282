"""Write the transcript in `hub.md`: push and pull of the embedded zoo against the small Hub of the tests.

`python -m docs.hub`
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "hub.md"
BEGIN, END = "<!-- transcript: written by python -m docs.hub -->", "<!-- end of transcript -->"
SHOWN = 16
"""The number of output lines that are kept at each end."""
COMMANDS = (
    "push zoo/embedded someone/zoo --dry-run",
    "push zoo/embedded someone/zoo",
    "push zoo/embedded someone/zoo",
    "list --zoo someone/zoo",
    "show mnist-sirens/test/17 --zoo someone/zoo",
    "pull someone/zoo FOLDER",
    "list --zoo someone/nothing",
)


def write_transcript() -> None:
    """Run the commands, and replace their output between the page's markers."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "tests/loopback_hub.py"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None, "stdout is a pipe"
            variables = dict(re.findall(r"(\w+)=(\S+)", server.stdout.readline()))
            lines = [run(command, variables, Path(folder)) for command in COMMANDS]
        finally:
            server.terminate()
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n```console\n{''.join(lines)}```\n\n{END}{after}")


def run(command: str, variables: dict[str, str], folder: Path) -> str:
    """A command and its output, without this machine's paths and ports."""
    environment = {**os.environ, **variables, "WEIGHTSCOPE_CACHE": str(folder / "cache"), "COLUMNS": "150",
                   "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
    arguments = command.replace("FOLDER", str(folder / "back")).split()
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "zoo", *arguments], cwd=ROOT, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    output = done.stdout.replace(str(folder / "back"), "FOLDER")
    output = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", output)
    lines = [line.rstrip() for line in output.splitlines()]
    if len(lines) > SHOWN:
        lines = [*lines[: SHOWN // 2], "...", *lines[-SHOWN // 2 :]]
    return f"$ python -m zoo {command}\n" + "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    write_transcript()
