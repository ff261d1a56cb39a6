"""Many settings: ``sweep``, ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forcedflow.cli.shell import (
    Json,
    Repair,
    Set,
    app,
    check_out,
    new_folder,
    print_blocks,
    print_json,
    print_table,
    progress_bar,
    read_setting,
)
from forcedflow.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["compare", "sweep"]


@app.command()
def sweep(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Names of datasets, or paths of their TOML files.")
    ] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="Name or path of a strategy; may be repeated.")] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K=VALUES", help="1,2,3 or 0.1:0.5:9 or 1:100:5:log or 4h,1d (bars) or 2bps; may be repeated."
        ),
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help='Constraint, such as "hold >= expiry"; may be repeated.')
    ] = None,
    settings: Set = None,
    sample: Annotated[
        tuple[str, int] | None,
        typer.Option(metavar="random|sobol N", help="So many points in place of the whole grid."),
    ] = None,
    search: Annotated[str | None, typer.Option(help="optuna: points chosen by what the ones before scored.")] = None,
    trials: Annotated[int, typer.Option(help="Points of a search.")] = 100,
    score: Annotated[str, typer.Option(help="Measure to choose by; -NAME where less is better.")] = "sharpe",
    walk_forward: Annotated[
        str | None,
        typer.Option(
            metavar="train=D,test=D[,...]",
            help="Choose on one span, trade the next; also mode=anchored, purge=D, embargo=D, choose=best.",
        ),
    ] = None,
    level: Annotated[str, typer.Option(help="score, compact (daily equity too) or audit (whole records).")] = "compact",
    start: Annotated[str | None, typer.Option("--from", help="First time, ISO, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last time, ISO, UTC.")] = None,
    seed: Annotated[int, typer.Option(help="Of samples and searches.")] = 0,
    repair: Repair = None,
    jobs: Annotated[int, typer.Option(help="Local worker processes.")] = 1,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler in place of them.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; one that holds this sweep is gone on with.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of a sweep to go on with, as it was begun.")] = None,
    as_json: Json = False,
) -> None:
    """Trade many settings, with one market pass for each market setting; kept, and resumable, in a folder."""
    with progress_bar("sweep", quiet=as_json, unit="settings") as progress:
        from forcedflow.settings import parse  # noqa: PLC0415
        from forcedflow.study.sweeps.config import SweepConfig  # noqa: PLC0415
        from forcedflow.study.sweeps.store import Store  # noqa: PLC0415
        from forcedflow.study.sweeps.sweep import run_sweep  # noqa: PLC0415

        if resume is not None:
            values: dict[str, Any] = Store(resume).manifest["config"]
        else:
            values = {
                "datasets": datasets or ["simulated"],
                "strategies": strategy or ["zone_entry"],
                "grid": dict(_pair(text, "--grid") for text in grid or ()),
                "where": where or (),
                "search": search,
                "trials": trials,
                "score": score,
                "walk_forward": _walk_forward(walk_forward),
                "level": level,
                "start": start,
                "end": end,
                "seed": seed,
                "repair": repair or (),
            }
            values |= {} if sample is None else {"sample": sample[0], "points": sample[1]}
            for place, key, value in map(read_setting, settings or ()):
                values[place] = {**values.get(place, {}), key: value}
        config = parse(SweepConfig, values, "sweep")
        folder = resume or out or new_folder(config.datasets[0], f"sweep-{config.strategies[0]}")
        try:
            done = run_sweep(config, jobs=jobs, cluster=cluster, out=folder, progress=progress)
        except KeyboardInterrupt:
            typer.echo(f"forcedflow: interrupted; go on with: forcedflow sweep --resume {folder}", err=True)
            raise typer.Exit(130) from None
    _show_comparison([folder], as_json, {"sweep": str(folder), "settings": done.manifest["settings"]})


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs and sweeps.")],
    score: Annotated[str | None, typer.Option(help="Measure to read sweeps by, in place of their own.")] = None,
    query: Annotated[str | None, typer.Option(metavar="SQL", help="Ask one sweep's table `results`.")] = None,
    out: Annotated[Path | None, typer.Option(help="FILE.html: the same as a page with figures.")] = None,
    as_json: Json = False,
) -> None:
    """Show runs and sweeps side by side: the best plateau beside the best point, and how much of either to believe."""
    if out is not None:
        check_out(out, (".html",))
        if query is not None:
            raise SettingsError("--query answers with a table; leave out --out")
    if query is None:
        _show_comparison(folders, as_json, {}, score, out)
        return
    from forcedflow.study.sweeps import store  # noqa: PLC0415

    if len(folders) != 1:
        raise SettingsError(f"--query asks one sweep, was given {len(folders)} folders")
    answer = store.query(folders[0], query)
    if as_json:
        print_json({"rows": answer.to_pylist()})
    else:
        print_table(tuple(answer.column_names), [tuple(map(str, row.values())) for row in answer.to_pylist()])


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise SettingsError(f"{option} needs name=values, was {text!r}")
    return name.strip(), value.strip()


def _walk_forward(text: str | None) -> dict[str, str] | None:
    return None if text is None else dict(_pair(part, "--walk-forward") for part in text.split(","))


def _show_comparison(
    folders: Sequence[Path],
    as_json: bool,
    facts: dict[str, Any],
    score: str | None = None,
    out: Path | None = None,
) -> None:
    from forcedflow.study.sweeps.compare import compare as read_all  # noqa: PLC0415

    found = read_all(folders, score)
    if out is not None:
        try:
            found.page(out)
        except OSError as error:
            raise SettingsError(f"--out: cannot write {out}: {error}") from error
        facts = {**facts, "page": str(out)}
    if as_json:
        print_json(facts | found.plain())
        return
    print_blocks(found.blocks())
    for folder, _ in found.sources:
        typer.echo(folder)
    if out is not None:
        typer.echo(str(out))
