"""The command line: ``forcedflow`` with its commands, which ``--help`` lists.

The only package that prints. Results go to stdout, everything else to stderr. Whatever a user can mend is one line
and exit code 2; a traceback only with ``--debug``. The engine is imported inside the commands: ``--help`` is quick.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from forcedflow.cli import run, sweep, evidence, calibrate, strategies, facts  # isort: skip  (the order of --help)
from forcedflow.cli.shell import app
from forcedflow.errors import ForcedFlowError

__all__ = ["app", "calibrate", "evidence", "facts", "main", "run", "strategies", "sweep"]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    """Hold the options of every command; ``--debug`` is read by :func:`main`."""
    del debug


def main() -> None:
    """Run the command line; exit code 2 and one line for whatever the user can mend."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, standalone_mode=True)
    except ForcedFlowError as error:
        if debug:
            raise
        message = " ".join(str(error).split())
        typer.echo(f"forcedflow: {message}", err=True)
        sys.exit(2)
    except OSError as error:
        if debug:
            raise
        typer.echo(f"forcedflow: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("forcedflow: interrupted, nothing was written", err=True)
        sys.exit(130)
