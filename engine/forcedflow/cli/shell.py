"""What every command needs: the application, shared options, settings from text, progress, tables and JSON."""

from __future__ import annotations

import json
import sys
import tomllib
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forcedflow.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from forcedflow.report.told import Block

__all__ = [
    "Json",
    "Repair",
    "Set",
    "app",
    "check_out",
    "data_app",
    "market_setting",
    "new_app",
    "new_folder",
    "print_blocks",
    "print_json",
    "print_table",
    "progress_bar",
    "read_config",
    "read_setting",
]

app = typer.Typer(
    name="forcedflow",
    help="Backtest strategies against an evolving map of where leveraged traders must trade.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(help="Datasets: what there is, and whether it can be trusted.", no_args_is_help=True)
app.add_typer(data_app, name="data")
new_app = typer.Typer(help="Begin something of your own.", no_args_is_help=True)
app.add_typer(new_app, name="new")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Repair = Annotated[list[str] | None, typer.Option("--repair", help="Named mend of bad bars; may be repeated.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="[market.|account.]K=V", help="A parameter or setting; may be repeated."),
]


def check_out(out: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a file that cannot be written, before the work is done."""
    if out.suffix not in suffixes:
        raise SettingsError(f"--out must end in {', '.join(suffixes)}, was {out}")
    if not out.parent.is_dir():
        raise SettingsError(f"--out: there is no folder {out.parent}; make it first")


def read_setting(text: str) -> tuple[str, str, Any]:
    """Read ``[market.|account.]key=value``; values as in TOML, anything else as a plain word."""
    key, equals, raw = text.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set needs key=value, was {text!r}")
    where, dot, name = key.partition(".")
    if not dot:
        where, name = "params", key
    if where not in {"params", "market", "account"}:
        hint = did_you_mean(where, ("market", "account"))
        raise SettingsError(f"--set knows parameters, market.K and account.K, was {key!r}{hint}")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    return where, name, value


def market_setting(text: str) -> tuple[str, Any]:
    """Read ``market.key=value``, the only kind that a map has."""
    where, name, value = read_setting(text)
    if where != "market":
        raise SettingsError(f"a map has market settings only, such as --set market.bin_bps=5; was {text!r}")
    return name, value


def read_config(path: Path) -> dict[str, Any]:
    """Read settings from TOML or JSON."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold a table of settings, holds a {type(values).__name__}")
    return values


def new_folder(dataset: str, strategy: str) -> Path:
    """Return a folder under ./results that does not exist yet, named by what ran and when."""
    from datetime import UTC, datetime  # noqa: PLC0415

    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{Path(dataset).stem}-{Path(strategy).stem}"
    folder, number = Path("results") / stem, 2
    while folder.exists():
        folder, number = Path("results") / f"{stem}-{number}", number + 1
    return folder


@contextmanager
def progress_bar(what: str, *, quiet: bool, unit: str = "bars") -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal, and say what makes a first run slow."""
    from forcedflow.kernels import CACHE_DIR, CACHE_NOTE, telling_of_compiling  # noqa: PLC0415

    if CACHE_NOTE:
        typer.echo(f"forcedflow: {CACHE_NOTE}", err=True)
    compiled = any(CACHE_DIR.rglob("market_pass.advance-*.nbi"))
    if not compiled:  # it may be a worker that does it, of which nothing is heard here
        _say_compiling()
    heard = telling_of_compiling(_say_compiling) if compiled else nullcontext()
    with heard, _bar(what, quiet=quiet, unit=unit) as progress:
        yield progress


def _say_compiling() -> None:
    typer.echo("forcedflow: compiling kernels, once; later runs start at once", err=True)


@contextmanager
def _bar(what: str, *, quiet: bool, unit: str) -> Iterator[Callable[[int, int], None]]:
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:,.0f}} {unit}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], wraps: str | None = None) -> None:
    """Print a table; where it is too wide, the column ``wraps`` is folded, or all of them."""
    from rich.console import Console  # noqa: PLC0415

    from forcedflow.report.told import rich_table  # noqa: PLC0415

    Console(markup=False).print(rich_table(header, rows, wraps))


def print_blocks(blocks: Iterable[Block]) -> None:
    """Print lines and tables."""
    for block in blocks:
        for line in block.lines:
            typer.echo(line)
        if block.rows:
            print_table(block.header, block.rows, block.wraps)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object; numbers of numpy as plain ones."""
    typer.echo(json.dumps(value, allow_nan=False, default=lambda number: number.item()))
