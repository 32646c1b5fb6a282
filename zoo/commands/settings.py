"""The options before any command: `--version`, and the log level on stderr."""

import logging
from typing import Annotated

import typer
from rich.logging import RichHandler

from nfn import __version__
from zoo.training import STDERR

OURS = __name__.removesuffix(".commands.settings")
"""Parent of our loggers: `zoo` in a checkout, `weightscope.zoo` installed."""


def _print_version(requested: bool) -> None:
    if requested:
        print(f"weightscope {__version__}")
        raise typer.Exit


def settings(
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="log files, library calls and times")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="log errors only, without progress bars")
    ] = False,
) -> None:
    if verbose and quiet:
        raise ValueError("Choose --verbose or --quiet, not both.")
    handler = RichHandler(console=STDERR, show_time=verbose, show_level=verbose, show_path=False)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        handlers=[handler],
        format="%(message)s",
        force=True,
    )
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO
    logging.getLogger(OURS).setLevel(level)
