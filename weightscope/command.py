"""The command `weightscope`: what `python -m zoo` does in a checkout, and `run`, which serves the app."""

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from zoo.__main__ import commands, run_command
from zoo.commands.browse import ZooOption
from zoo.commands.settings import settings

app = typer.Typer(help="Networks that read and edit other networks' weights.", no_args_is_help=True)
app.callback()(settings)
app.add_typer(commands)


@app.command("run")
def run(
    port: Annotated[int, typer.Option(envvar="GRADIO_SERVER_PORT", help="where it is served")] = 7860,
    zoo: ZooOption = None,
) -> None:
    """Serve the app, until Ctrl-C."""
    if find_spec("gradio") is None:
        raise ValueError('The app needs Gradio: run pip install ".[app]" in a checkout of Weightscope.')
    os.environ["GRADIO_SERVER_PORT"] = str(port)
    if zoo is not None:
        os.environ["WEIGHTSCOPE_ZOO"] = zoo
    from app.run import run
    from app.ui import build_app

    run(build_app())


def main() -> None:
    """Run the command that was typed."""
    run_command(app, "weightscope")
