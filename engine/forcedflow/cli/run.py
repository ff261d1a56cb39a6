"""Replay, draw and watch a market: ``run``, ``map``, ``watch``."""

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
    market_setting,
    new_folder,
    print_json,
    print_table,
    progress_bar,
    read_config,
    read_setting,
)
from forcedflow.errors import SettingsError

if TYPE_CHECKING:
    from forcedflow.record import Result

__all__ = ["draw_map", "events", "run", "watch"]


@app.command()
def run(
    dataset: Annotated[str | None, typer.Argument(help="Name of a dataset, or path of its TOML file.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Name of a strategy, or path of its file.")] = None,
    settings: Set = None,
    config: Annotated[Path | None, typer.Option(help="TOML file, or the run.json of a record to repeat.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First time, ISO, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last time, ISO, UTC.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of random deals in the contrasts.")] = None,
    trials: Annotated[int | None, typer.Option(help="Settings tried so far: deflates the Sharpe ratio.")] = None,
    repair: Repair = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the record; must not exist, but for --resume.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="In constant memory, for bars of any number.")] = False,
    chunk: Annotated[int, typer.Option(min=1, help="Of a stream: bars in memory at a time.")] = 250_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stream where it was stopped.")] = False,
    as_json: Json = False,
) -> None:
    """Replay a dataset (the bundled simulated one if left out), trade a strategy, write the record and tearsheet."""
    if resume and not (stream and out):
        raise SettingsError("--resume goes on with a stream: it needs --stream and --out")
    with progress_bar("market pass", quiet=as_json) as progress:
        from forcedflow.backtest import RunConfig, run_config  # noqa: PLC0415
        from forcedflow.streamed import run_streamed  # noqa: PLC0415

        values = read_config(config) if config else {}
        given = {"dataset": dataset, "strategy": strategy, "start": start, "end": end, "seed": seed, "repair": repair}
        given["trials"] = trials
        values |= {name: value for name, value in given.items() if value is not None}
        for where, key, value in map(read_setting, settings or ()):
            before = values.get(where, {})
            values[where] = {**before, key: value} if isinstance(before, dict) else before
        chosen = RunConfig.of(values)
        folder = out or new_folder(chosen.dataset, chosen.strategy)
        if stream:
            try:
                result = run_streamed(chosen, folder, chunk=chunk, resume=resume, progress=progress)
            except KeyboardInterrupt:
                typer.echo(f"forcedflow: interrupted; --resume goes on with {folder}", err=True)
                raise typer.Exit(130) from None
        else:
            folder = folder.absolute()
            result = run_config(chosen, progress, folder=folder)
    for fact in ("data_hash", "strategy_hash", "versions", "cpu"):
        if values.get(fact, result.config[fact]) != result.config[fact]:
            typer.echo(f"forcedflow: not a repetition of {config}: another {fact}", err=True)
    if as_json:
        print_json(_run_json(result, folder))
    else:
        _print_run(result, folder)


@app.command("map")
def draw_map(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    out: Annotated[Path, typer.Option(help="FILE.html, FILE.png or FILE.parquet.")],
    at: Annotated[str | None, typer.Option(help="Time of the map, ISO, UTC; the last bar if left out.")] = None,
    settings: Set = None,
    repair: Repair = None,
) -> None:
    """Write the liquidation map up to a time: as a page, as a picture, or its bins as a table."""
    check_out(out, (".html", ".png", ".parquet"))
    with progress_bar("market pass", quiet=False) as progress:
        from forcedflow.data import load_dataset  # noqa: PLC0415
        from forcedflow.market.tape import make_tape  # noqa: PLC0415
        from forcedflow.settings import MarketSettings, parse  # noqa: PLC0415

        chosen = dict(map(market_setting, settings or ()))
        data = load_dataset(dataset, None, at, repair or ())
        total = len(data.bars)
        tape = make_tape(data, parse(MarketSettings, chosen, "market"), progress=lambda done: progress(done, total))
    from forcedflow.report import plot  # noqa: PLC0415

    if out.suffix == ".parquet":
        plot.map_table(tape.snapshots, out, notes=tape.notes)
    elif out.suffix == ".png":
        plot.heatmap(tape.snapshots, data.bars.columns(), out, title=data.title, notes=tape.notes)
    else:
        plot.map_html(tape.snapshots, data.bars.columns(), out, title=data.title, notes=tape.notes)
    typer.echo(str(out))


@app.command()
def events(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file; its files are Parquet.")],
    out: Annotated[Path, typer.Option(help="Folder of the parts; must not exist, but for --resume.")],
    settings: Set = None,
    chunk: Annotated[int, typer.Option(min=1, help="Bars of a part: what is in memory at a time.")] = 250_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a job was stopped, or with new bars.")] = False,
    as_json: Json = False,
) -> None:
    """Write the events of a tape of any length as Parquet parts, in constant memory; a killed job can go on."""
    with progress_bar("market pass", quiet=as_json) as progress:
        from forcedflow.parts import write_events  # noqa: PLC0415
        from forcedflow.settings import MarketSettings, parse  # noqa: PLC0415

        market = parse(MarketSettings, dict(map(market_setting, settings or ())), "market")
        try:
            done = write_events(dataset, out, market, chunk=chunk, resume=resume, progress=progress)
        except KeyboardInterrupt:
            typer.echo(f"forcedflow: interrupted; --resume goes on with {out}", err=True)
            raise typer.Exit(130) from None
    if as_json:
        facts = {"begin": done.begin, "bars": done.bars, "events": done.events, "notes": list(done.notes)}
        print_json({"folder": str(done.folder)} | facts)
        return
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in done.events.items()) or "no events"
    typer.echo(f"bars {done.begin:,} to {done.bars:,}: {counts}")
    typer.echo(str(done.folder))


@app.command()
def watch(
    target: Annotated[str, typer.Argument(help="Folder of a run, name of a dataset, or path of its TOML file.")],
    settings: Set = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Play a run or a dataset in a browser, bar by bar: the map evolves, zones are swept, orders fill."""
    with progress_bar("market pass", quiet=True):
        from forcedflow.report.film import Film  # noqa: PLC0415
        from forcedflow.report.watch import serve  # noqa: PLC0415

        chosen = dict(map(market_setting, settings or ()))
        recorded = (Path(target) / "run.json").is_file()
        if recorded and chosen:
            raise SettingsError("--set changes the map of a dataset; a run is watched as it was")
        film = Film.of_run(target) if recorded else Film.of_dataset(target, chosen)

    def ready(address: str) -> None:
        typer.echo(address)
        typer.echo("forcedflow: press Ctrl-C to end", err=True)
        if show:
            import webbrowser  # noqa: PLC0415

            webbrowser.open(address)

    serve(film, port, ready)


def _run_json(result: Result, folder: Path) -> dict[str, Any]:
    summary = result.summary
    return {
        "run": str(folder),
        "dataset": result.config["dataset"],
        "strategy": result.config["strategy"],
        "data_hash": result.config["data_hash"],
        "bars": summary["bars"],
        "coverage": summary["coverage"],
        "implied_liquidation_rate": summary["implied_liquidation_rate"],
        "reopened_share": summary["reopened_share"],
        "events": summary["events"],
        "trades": summary["trades"],
        "ambiguous_bars": summary["ambiguous_bars"],
        "warnings": summary["warnings"],
        "trials": _trials(result),
        "scorecard": result.scorecard,
        "blind": result.blind,
        "market_pass_s": result.timings["market_pass_s"],
        "trade_pass_s": result.timings["trade_pass_s"],
    }


def _trials(result: Result) -> int:
    """Count the settings that were tried on the files of a run."""
    from forcedflow.backtest import tried_on  # noqa: PLC0415
    from forcedflow.ledger import count_trials  # noqa: PLC0415

    return count_trials(*tried_on(result)).files


def _print_run(result: Result, folder: Path) -> None:
    from forcedflow.report.words import contribution, summary_rows, verdict  # noqa: PLC0415

    summary = result.summary
    typer.echo(f"{result.config['strategy']} on {summary['title']}")
    typer.echo(f"{summary['from']} to {summary['to']}, {summary['bars']:,} bars")
    for warning in summary["warnings"]:
        typer.echo(f"! {warning}")
    print_table(("measure", "value"), summary_rows(result))
    typer.echo(contribution(result.blind))
    for name in ("placement", "selection"):
        typer.echo(verdict(name, result.blind.get(name)))
    typer.echo(f"settings tried on this data so far: {_trials(result)}")
    page = folder / "tearsheet.html"
    typer.echo(f"\n{page if page.exists() else folder}")
