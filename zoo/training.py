"""The training loop of every predictor: seeded, resumable, with progress and speed."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

STDERR = Console(stderr=True)
"""Progress and logs go to stderr, so that a command's output can be piped."""
log = logging.getLogger(__name__)


def run_steps(
    step: Callable[[int], float], steps: int, parts: Mapping[str, Any], folder: Path, save_every: int = 250
) -> None:
    """Call `step(i)`, which returns a loss, for i up to `steps`, starting from the last checkpoint in `folder`.

    `parts` are the objects with a `state_dict` that make up the state (model, optimizer, schedule). Draw all
    randomness of step `i` from `step_generator(seed, i)`: then an interrupted run gives the same result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    start = _restore(checkpoint, parts)
    with progress_bar() as bar:
        task = bar.add_task("training", total=steps, completed=start)
        smooth = None
        for i in range(start, steps):
            loss = step(i)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            bar.update(task, completed=i + 1, description=f"loss {smooth:.4f}")
            if (i + 1) % save_every == 0 or i + 1 == steps:
                _save(checkpoint, parts, i + 1)
                log.info("step %d/%d loss %.4f", i + 1, steps, smooth)


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random generator of one step."""
    return torch.Generator().manual_seed((seed << 32) + step)


def low_precision(device: str) -> torch.autocast:
    """Products in bfloat16 where that is fast: on GPUs, and CPUs with AVX-512. Elsewhere in float32.

    Without AVX-512 a CPU converts every operand first: a convolution and its gradient take ten times as long.
    """
    fast = device != "cpu" or "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.autocast(device, torch.bfloat16, enabled=fast)


class RateColumn(ProgressColumn):
    """A progress column with steps or networks per second."""

    def render(self, task: Task) -> Text:
        """The speed of one task."""
        return Text(f"{task.finished_speed or task.speed or 0:.1f}/s")


def progress_bar() -> Progress:
    """A bar with counts, speed, elapsed and remaining time; none if only errors are logged."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), console=STDERR, disable=log.getEffectiveLevel() >= logging.ERROR,
    )  # fmt: skip


def _restore(checkpoint: Path, parts: Mapping[str, Any]) -> int:
    if not checkpoint.exists():
        return 0
    saved = torch.load(checkpoint, weights_only=True)  # our own file, never an upload
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return saved["step"]


def _save(checkpoint: Path, parts: Mapping[str, Any], step: int) -> None:
    torch.save(
        {"step": step, **{name: part.state_dict() for name, part in parts.items()}}, f"{checkpoint}.part"
    )
    os.replace(f"{checkpoint}.part", checkpoint)
