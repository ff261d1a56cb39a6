"""The command line: ``forcedflow`` with its commands, which ``--help`` lists.

The only module that prints. Results go to stdout, everything else to stderr. Whatever a user can mend is one line
and exit code 2; a traceback only with ``--debug``. The engine is imported inside the commands: ``--help`` is quick.
"""

from __future__ import annotations

import inspect
import json
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forcedflow.errors import ForcedFlowError, SettingsError, StrategyError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forcedflow.data.series import Dataset
    from forcedflow.record import Run
    from forcedflow.study.calibration.flow_score import FlowScore
    from forcedflow.study.calibration.forecasts import Gain
    from forcedflow.study.calibration.map_score import MapScore

__all__ = ["app", "main"]

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


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    """Hold the options of every command; ``--debug`` is read by :func:`main`."""
    del debug


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
    out: Annotated[Path | None, typer.Option(help="Folder of the record; must not exist.")] = None,
    as_json: Json = False,
) -> None:
    """Replay a dataset (the bundled simulated one if left out), trade a strategy, write the record and tearsheet."""
    with _progress("market pass", quiet=as_json) as progress:
        from forcedflow.backtest import RunConfig, run_config, save  # noqa: PLC0415
        from forcedflow.record import refuse_existing  # noqa: PLC0415

        values = _read_config(config) if config else {}
        given = {"dataset": dataset, "strategy": strategy, "start": start, "end": end, "seed": seed, "repair": repair}
        given["trials"] = trials
        values |= {name: value for name, value in given.items() if value is not None}
        for where, key, value in map(_setting, settings or ()):
            before = values.get(where, {})
            values[where] = {**before, key: value} if isinstance(before, dict) else before
        chosen = RunConfig.of(values)
        folder = out or _new_folder(chosen.dataset, chosen.strategy)
        refuse_existing(folder)  # before the work, not after it
        result = run_config(chosen, progress)
        folder = save(result, folder)
    for fact in ("data_hash", "strategy_hash", "versions", "cpu"):
        if values.get(fact, result.config[fact]) != result.config[fact]:
            typer.echo(f"forcedflow: not a repetition of {config}: another {fact}", err=True)
    if as_json:
        _print_json(_run_json(result, folder))
    else:
        _print_run(result, folder)


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
    with _progress("sweep", quiet=as_json, unit="settings") as progress:
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
            for place, key, value in map(_setting, settings or ()):
                values[place] = {**values.get(place, {}), key: value}
        config = parse(SweepConfig, values, "sweep")
        folder = resume or out or _new_folder(config.datasets[0], f"sweep-{config.strategies[0]}")
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
    as_json: Json = False,
) -> None:
    """Show runs and sweeps side by side: the best plateau beside the best point, and how much of either to believe."""
    if query is None:
        _show_comparison(folders, as_json, {}, score)
        return
    from forcedflow.study.sweeps import store  # noqa: PLC0415

    if len(folders) != 1:
        raise SettingsError(f"--query asks one sweep, was given {len(folders)} folders")
    answer = store.query(folders[0], query)
    if as_json:
        _print_json({"rows": answer.to_pylist()})
    else:
        _table(tuple(answer.column_names), [tuple(map(str, row.values())) for row in answer.to_pylist()])


@app.command()
def watch(
    target: Annotated[str, typer.Argument(help="Folder of a run, name of a dataset, or path of its TOML file.")],
    settings: Set = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Play a run or a dataset in a browser, bar by bar: the map evolves, zones are swept, orders fill."""
    with _progress("market pass", quiet=True):
        from forcedflow.report.film import Film  # noqa: PLC0415
        from forcedflow.report.watch import serve  # noqa: PLC0415

        chosen = dict(map(_market_setting, settings or ()))
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


@app.command()
def evidence(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    hypothesis: Annotated[
        list[str] | None,
        typer.Option(help="Name of a hypothesis, or path of its TOML file; may be repeated; else all."),
    ] = None,
    null: Annotated[
        list[str] | None, typer.Option(help="In place of those that the hypothesis names; may be repeated.")
    ] = None,
    placebos: Annotated[int, typer.Option(help="Placebo paths.")] = 200,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; must not exist.")] = None,
    as_json: Json = False,
) -> None:
    """Tell whether a claim about the map holds on a dataset, or is what chance makes."""
    with _progress("replays", quiet=as_json, unit="replays") as progress:
        from forcedflow.data import load_dataset  # noqa: PLC0415
        from forcedflow.record import refuse_existing  # noqa: PLC0415
        from forcedflow.report.evidence_page import evidence_page  # noqa: PLC0415
        from forcedflow.settings import parse  # noqa: PLC0415
        from forcedflow.study.evidence.evidence import EvidenceSettings, evidence, report  # noqa: PLC0415
        from forcedflow.study.evidence.hypothesis import hypothesis_names  # noqa: PLC0415
        from forcedflow.study.evidence.registry import Registry  # noqa: PLC0415

        asked = hypothesis or list(hypothesis_names())
        folder = out or _new_folder(dataset, "evidence" if len(asked) > 1 else asked[0])
        refuse_existing(folder)
        chosen = parse(EvidenceSettings, {"placebos": placebos, "seed": seed, "jobs": jobs}, "evidence")
        data = load_dataset(dataset)
        market = dict(map(_market_setting, settings or ()))
        found = evidence(
            data, asked, nulls=null or (), market=market, settings=chosen, registry=Registry(), progress=progress
        )
        told = report(data, found, " ".join(["forcedflow", *sys.argv[1:]]))
        folder.mkdir(parents=True)
        (folder / "evidence.json").write_text(json.dumps(told, allow_nan=False, indent=1), encoding="utf-8")
        (folder / "evidence.html").write_text(evidence_page(told), encoding="utf-8")
    if as_json:
        _print_json({"report": str(folder / "evidence.html"), **told})
        return
    typer.echo(f"{data.title}\n")
    for finding in told["findings"]:
        typer.echo(f"{finding['title']}.\n{finding['sentence']}")
        for caveat in finding["caveats"]:
            typer.echo(f"! {caveat}")
        _table(("null", "effect", "95% interval", "p", "events", "days"), list(map(_test_row, finding["tests"])))
    typer.echo(str(folder / "evidence.html"))


@app.command("map")
def draw_map(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    out: Annotated[Path, typer.Option(help="FILE.html, FILE.png or FILE.parquet.")],
    at: Annotated[str | None, typer.Option(help="Time of the map, ISO, UTC; the last bar if left out.")] = None,
    settings: Set = None,
    repair: Repair = None,
) -> None:
    """Write the liquidation map up to a time: as a page, as a picture, or its bins as a table."""
    suffixes = (".html", ".png", ".parquet")
    if out.suffix not in suffixes:
        raise SettingsError(f"--out must end in {', '.join(suffixes)}, was {out}")
    if not out.parent.is_dir():
        raise SettingsError(f"--out: there is no folder {out.parent}; make it first")
    with _progress("market pass", quiet=False) as progress:
        from forcedflow.data import load_dataset  # noqa: PLC0415
        from forcedflow.market.tape import make_tape  # noqa: PLC0415
        from forcedflow.settings import MarketSettings, parse  # noqa: PLC0415

        chosen = dict(map(_market_setting, settings or ()))
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
def simulate(
    market: Annotated[
        str, typer.Argument(help="bundled, coupled, null, walk, magnet or void: which truth the market has.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the dataset; must not exist.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="A setting of the market; may be repeated.")
    ] = None,
    bars: Annotated[int | None, typer.Option(help="Bars that are kept.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides all chance.")] = None,
    as_json: Json = False,
) -> None:
    """Make a market whose truth is known, and write it as a dataset with its true map."""
    from forcedflow.data.simulated import write_dataset  # noqa: PLC0415
    from forcedflow.data.simulation import simulate  # noqa: PLC0415
    from forcedflow.record import refuse_existing  # noqa: PLC0415

    refuse_existing(out)
    changes = dict(map(_plain_setting, settings or ()))
    changes |= {key: value for key, value in (("bars", bars), ("seed", seed)) if value is not None}
    made = simulate(market, **changes)
    path = write_dataset(made, out)
    days = len(made.ts) * made.interval / 86_400e9
    rate = float((made.long_liquidated + made.short_liquidated).sum() / 2 / made.open_interest.mean() / days)
    if as_json:
        _print_json(
            {
                "dataset": str(path),
                "bars": len(made.ts),
                "exogenous": made.settings.exogenous,
                "liquidated_per_day": rate,
            }
        )
        return
    moved = "no agent's order moves price" if made.settings.exogenous else "orders move price"
    typer.echo(f"{len(made.ts):,} bars, {moved}; {rate:.2%} of open interest is liquidated a day")
    typer.echo(str(path))


@app.command()
def calibrate(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    out: Annotated[Path | None, typer.Option(help="TOML file that the fitted profile is written to.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Fit before this time, score from it on; ISO, UTC; the middle if left out.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[market.]K=V", help="A calibration or market setting; may be repeated."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="First time, ISO, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last time, ISO, UTC.")] = None,
    as_json: Json = False,
) -> None:
    """Fit holders to realised liquidations, or falls of open interest, and score them against the shipped profiles."""
    from forcedflow.data import load_dataset  # noqa: PLC0415
    from forcedflow.settings import MarketSettings, parse  # noqa: PLC0415
    from forcedflow.study.calibration.fit import CalibrationSettings, compare, rows_of  # noqa: PLC0415
    from forcedflow.study.calibration.fit import calibrate as fit  # noqa: PLC0415
    from forcedflow.venues import dump_profile  # noqa: PLC0415

    if out is not None and out.exists():
        raise SettingsError(f"--out: {out} exists; choose another file or remove it first")
    given = [_setting(text) for text in settings or ()]
    chosen = parse(CalibrationSettings, {k: v for where, k, v in given if where == "params"}, "calibration")
    market = parse(MarketSettings, {k: v for where, k, v in given if where == "market"}, "market")
    data = load_dataset(dataset, start, end)
    at = _split_bar(data, split)
    fitted = fit(data.between(None, int(data.bars.ts[at])), chosen, market)
    contenders = compare(
        data,
        at,
        {"calibrated": (fitted.profile, fitted.hazard_per_hour)},
        market,
        target=fitted.target,
        group_minutes=chosen.group_minutes,
    )
    if out is not None:
        out.write_text(dump_profile(fitted.profile), encoding="utf-8")
    if as_json:
        _print_json(
            {
                "target": fitted.target,
                "hazard_per_hour": fitted.hazard_per_hour,
                "weights": [
                    dict(zip(("offset", "weight", "low", "high"), row, strict=True)) for row in rows_of(fitted)
                ],
                "scores": {c.name: _score_json(c.score) if c.score else {"why_not": c.why_not} for c in contenders},
            }
        )
        return
    typer.echo(
        f"fitted to {fitted.target.replace('_', ' ')}, {fitted.rows:,} rows; hazard {fitted.hazard_per_hour:g}/h"
    )
    weights = [(name, f"{weight:.3f}", f"{low:.3f} to {high:.3f}") for name, weight, low, high in rows_of(fitted)]
    _table(("holders", "weight", f"{chosen.level:.0%} band"), weights)
    header = ("out of sample", "R2 of controls", "gain", "R2 as it is", "rank corr.", "timing", "nats over distance")
    _table(header, [(c.name, *_score_cells(c.score)) if c.score else (c.name, c.why_not) for c in contenders])
    if out is not None:
        typer.echo(f"market.hazard_per_hour={fitted.hazard_per_hour:g} market.profile={out}")


@app.command("score-map")
def score_map(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    split: Annotated[
        str | None, typer.Option(help="Coefficients before this time, figures from it on; the middle if left out.")
    ] = None,
    settings: Set = None,
    minutes: Annotated[int, typer.Option(help="Flow is summed over so long.")] = 60,
    as_json: Json = False,
) -> None:
    """Score the map against what was liquidated, and against the true map where the market is simulated."""
    from forcedflow.data import load_dataset  # noqa: PLC0415
    from forcedflow.data.simulated import find_true_map, read_true_map  # noqa: PLC0415
    from forcedflow.market.tape import make_tape  # noqa: PLC0415
    from forcedflow.settings import MarketSettings, parse  # noqa: PLC0415
    from forcedflow.study.calibration.flow_score import flow_rows, score_flow  # noqa: PLC0415
    from forcedflow.study.calibration.map_score import score_snapshots  # noqa: PLC0415

    market = parse(MarketSettings, dict(map(_market_setting, settings or ())), "market")
    data = load_dataset(dataset)
    tape = make_tape(data, market, snapshots=0)
    located = int((tape.market_bars["coverage_long"] >= 0.5).argmax())
    rows = flow_rows(data, group=max(minutes * 60_000_000_000 // data.bars.interval, 1), first=located)
    flow = score_flow(tape, rows, _split_bar(data, split))
    path = find_true_map(dataset)
    true = None if path is None else score_snapshots(data, market, read_true_map(path, data.bars))
    if as_json:
        _print_json({"flow": _score_json(flow), "map": None if true is None else _score_json(true)})
        return
    typer.echo(f"against {flow.target.replace('_', ' ')}, {flow.rows:,} rows out of sample")
    header = ("R2 of controls", "gain", "R2 as it is", "rank corr.", "timing", "nats over distance")
    _table(header, [_score_cells(flow)])
    if true is None:
        return
    typer.echo(f"against the true map, {true.closes:,} closes out of sample; slope {true.slope:.2f}")
    bands = [
        (f"{b.near:.1%} to {b.far:.1%}", f"{b.truth_share:.1%}", _gain(b.distance), f"{b.rank_correlation:.2f}")
        for b in true.bands
    ]
    overall = [(f"all, over {name}", "", _gain(getattr(true, name)), "") for name in ("distance", "spot", "average")]
    _table(("distance from price", "of true mass", "nats", "rank corr."), [*overall, *bands])


@app.command()
def liqprice(
    venue: Annotated[str, typer.Option(help="Such as binance-um.")],
    symbol: Annotated[str, typer.Option(help="Such as BTCUSDT.")],
    side: Annotated[str, typer.Option(help="long or short.")],
    entry: Annotated[float, typer.Option(help="Entry price, quote currency.")],
    qty: Annotated[float, typer.Option(help="Base units; contracts of an inverse contract.")],
    leverage: Annotated[float, typer.Option(help="Notional over margin at entry.")],
    at: Annotated[
        str | None, typer.Option(help="Margin rules as of this time, ISO, UTC; the newest if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell where an isolated position is liquidated."""
    from forcedflow.tables import Side  # noqa: PLC0415
    from forcedflow.venues import liquidation_price  # noqa: PLC0415

    sides = {"long": Side.LONG, "short": Side.SHORT}
    if side not in sides:
        raise SettingsError(f"--side must be long or short, was {side!r}")
    found = liquidation_price(venue, symbol, sides[side], entry, qty, leverage, at)
    facts = {
        "liquidation_price": found.price,
        "bankruptcy_price": found.bankruptcy_price,
        "venue": found.venue,
        "symbol": found.symbol,
        "contract": found.contract,
        "side": side,
        "bracket": found.bracket.model_dump(mode="json"),
        "effective_from": found.effective_from.isoformat(),
        "assumed": found.assumed,
        "source": found.source,
    }
    if as_json:
        _print_json(facts)
        return
    price = "never" if found.price is None else f"{found.price:,.4f}"
    typer.echo(f"liquidation price  {price}{'  (assumed bracket)' if found.assumed else ''}")
    typer.echo(
        f"bankruptcy price   {found.bankruptcy_price:,.4f}" if found.bankruptcy_price else "bankruptcy price   none"
    )
    typer.echo(f"bracket            {found.bracket.rate:.2%} maintenance, amount {found.bracket.amount:,.2f}")
    typer.echo(f"rules              {found.venue} from {found.effective_from:%Y-%m-%d}: {found.source}")


@app.command()
def strategies(
    name: Annotated[
        str | None, typer.Argument(help="Show this one: what it does, its parameters, their bounds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the strategies in ./strategies and the shipped ones, or show one."""
    from forcedflow.trading.blind import CONTRASTS  # noqa: PLC0415
    from forcedflow.trading.orders import Policy  # noqa: PLC0415
    from forcedflow.trading.strategy import find_strategy, strategy_names  # noqa: PLC0415

    if name is None:
        about = {known: (inspect.getdoc(find_strategy(known)) or "").partition("\n")[0] for known in strategy_names()}
        if as_json:
            _print_json({"strategies": about})
        else:
            _table(("strategy", "what it does"), list(about.items()))
        return
    kind = find_strategy(name)
    hears = [heard.title for heard in kind.hears()]
    contrasts = dict(CONTRASTS) if kind.is_plan() else {}
    if as_json:
        facts = {"form": "plan" if kind.is_plan() else "handlers", "hears": hears, "contrasts": list(contrasts)}
        schema = kind.model_json_schema()["properties"]
        _print_json({"strategy": name, "doc": inspect.getdoc(kind), **facts, "parameters": schema})
        return
    typer.echo(f"{inspect.getdoc(kind)}\n")
    typer.echo(f"Hears {', '.join(hears)}; of the {'plan' if kind.is_plan() else 'handler'} form.")
    if contrasts:
        typer.echo("Blind contrasts of each run, itself without the map:")
        for contrast, what in contrasts.items():
            typer.echo(f"  {contrast}: {what}")
    else:
        typer.echo("No blind contrasts: handlers cannot be dealt other stops and entries.")
    own: list[tuple[str, ...]] = []
    policy: list[tuple[str, ...]] = []
    for key, field in kind.model_json_schema()["properties"].items():
        row = (key, _word(field.get("default")), _bounds(field), field.get("description", ""))
        (policy if key in Policy.model_fields else own).append(row)
    if own:
        _table(("parameter", "default", "bounds", "meaning and unit"), own)
    _table(("of the account", "default", "bounds", "what it does with its orders"), policy)


@new_app.command("strategy")
def new_strategy(
    name: Annotated[str, typer.Argument(help="Name of the strategy and its file, such as fade_flow.")],
    form: Annotated[
        str, typer.Option(help="plan (columns of events to orders) or handlers (a method an event).")
    ] = "plan",
    folder: Annotated[Path, typer.Option("--dir", help="Folder of the new file; made where it is missing.")] = Path(
        "strategies"
    ),
) -> None:
    """Write a commented strategy that runs at once, to be changed into your own."""
    from forcedflow.trading.strategy import write_template  # noqa: PLC0415

    path = write_template(name, form, folder)
    ref = name if folder == Path("strategies") else path
    typer.echo(f"{path}\n\nforcedflow check {ref}\nforcedflow run --strategy {ref}")


@app.command()
def check(
    strategy: Annotated[str, typer.Argument(help="Name of a strategy, or path of its file.")],
    settings: Set = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    as_json: Json = False,
) -> None:
    """Put a strategy through the checks: whether what a backtest says of it can be believed, not whether it is good."""
    with _progress("checks", quiet=True):
        from forcedflow.conformance import check_strategy  # noqa: PLC0415

        params = {}
        for where, key, value in map(_setting, settings or ()):
            if where != "params":
                raise SettingsError(f"a check has its own {where}; --set takes parameters only, was {where}.{key}")
            params[key] = value
        report = check_strategy(strategy, params, seed=seed, raises=False)
    findings = [(f.check, f.status, f.reason) for f in report.findings]
    if as_json:
        rows = [{"check": name, "status": status, "reason": reason} for name, status, reason in findings]
        _print_json({"strategy": strategy, "passed": report.passed, "findings": rows})
    elif report.passed:
        _table(("check", "result", "what was found"), findings)
    if not report.passed:
        raise StrategyError("; ".join(f"{strategy} fails {f.check!r}: {f.reason}" for f in report.failed))


@app.command()
def measures(as_json: Json = False) -> None:
    """Explain every measure of the scorecard: definition, unit, formula, how to read it, source (Markdown)."""
    from dataclasses import asdict  # noqa: PLC0415

    from forcedflow.report.definitions import MEASURES, markdown  # noqa: PLC0415

    if as_json:
        _print_json({"measures": [asdict(measure) for measure in MEASURES]})
    else:
        typer.echo(markdown(), nl=False)


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the datasets of the catalog."""
    from forcedflow.data import dataset_names, describe  # noqa: PLC0415

    titles = {name: describe(name).title for name in dataset_names()}
    if as_json:
        _print_json({"datasets": titles})
    else:
        _table(("dataset", "what it is"), list(titles.items()))


@data_app.command("check")
def data_check(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")], as_json: Json = False
) -> None:
    """Load a dataset with every check, and tell what was found."""
    from forcedflow.data import check_dataset  # noqa: PLC0415

    findings = check_dataset(dataset)
    if as_json:
        _print_json({"dataset": dataset, "findings": [list(finding) for finding in findings]})
    else:
        _table(("what", "finding"), findings)


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


def _setting(text: str) -> tuple[str, str, Any]:
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


def _market_setting(text: str) -> tuple[str, Any]:
    where, name, value = _setting(text)
    if where != "market":
        raise SettingsError(f"a map has market settings only, such as --set market.bin_bps=5; was {text!r}")
    return name, value


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise SettingsError(f"{option} needs name=values, was {text!r}")
    return name.strip(), value.strip()


def _walk_forward(text: str | None) -> dict[str, str] | None:
    return None if text is None else dict(_pair(part, "--walk-forward") for part in text.split(","))


def _plain_setting(text: str) -> tuple[str, Any]:
    where, name, value = _setting(text)
    if where != "params":
        raise SettingsError(f"a simulated market has settings of its own only, such as --set impact=0; was {text!r}")
    return name, value


def _split_bar(data: Dataset, split: str | None) -> int:
    """Return the first bar of the second part: of ``split``, or the middle."""
    from forcedflow.data import instant_ns  # noqa: PLC0415

    if split is None:
        return len(data.bars) // 2
    at = int(data.bars.ts.searchsorted(instant_ns(split)))
    if not 0 < at < len(data.bars):
        raise SettingsError(f"--split: {split} is not within the bars")
    return at


def _score_json(score: FlowScore | MapScore) -> dict[str, Any]:
    """Return a score's figures; undefined ones as null."""
    from dataclasses import asdict  # noqa: PLC0415

    def defined(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: defined(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [defined(inner) for inner in value]
        return None if isinstance(value, float) and value != value else value  # noqa: PLR0124  (NaN)

    figures: dict[str, Any] = defined(asdict(score))
    return figures


def _score_cells(score: FlowScore) -> tuple[str, ...]:
    return (
        f"{score.r2_controls:.3f}",
        f"{score.r2_gain:+.4f} (se {score.gain_error:.4f})",
        f"{score.r2_level:.2f}",
        f"{score.rank_correlation:.3f}",
        f"{score.timing:.3f}",
        _gain(score.distance),
    )


def _gain(gain: Gain) -> str:
    return f"{gain.nats:+.4f} (se {gain.error:.4f})"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold a table of settings, holds a {type(values).__name__}")
    return values


def _new_folder(dataset: str, strategy: str) -> Path:
    """Return a folder under ./results that does not exist yet, named by what ran and when."""
    from datetime import UTC, datetime  # noqa: PLC0415

    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{Path(dataset).stem}-{Path(strategy).stem}"
    folder, number = Path("results") / stem, 2
    while folder.exists():
        folder, number = Path("results") / f"{stem}-{number}", number + 1
    return folder


@contextmanager
def _progress(what: str, *, quiet: bool, unit: str = "bars") -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal, and say what makes a first run slow."""
    from forcedflow.kernels import CACHE_DIR, CACHE_NOTE  # noqa: PLC0415

    if CACHE_NOTE:
        typer.echo(f"forcedflow: {CACHE_NOTE}", err=True)
    if not all(any(CACHE_DIR.rglob(f"{kernel}.advance-*.nbi")) for kernel in ("market_pass", "account")):
        typer.echo("forcedflow: compiling kernels, once; later runs start at once", err=True)
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


def _show_comparison(folders: Sequence[Path], as_json: bool, facts: dict[str, Any], score: str | None = None) -> None:
    from forcedflow.study.sweeps.compare import compare as read_all  # noqa: PLC0415
    from forcedflow.study.sweeps.reading import plain  # noqa: PLC0415
    from forcedflow.study.sweeps.text import comparison_blocks  # noqa: PLC0415

    found = read_all(folders, score)
    if as_json:
        _print_json(facts | {"table": plain(found.rows())} | plain(found))
        return
    for block in comparison_blocks(found):
        for line in block.lines:
            typer.echo(line)
        if block.rows:
            _table(block.header, list(block.rows), block.wraps)
    for folder, _ in found.sources:
        typer.echo(folder)


def _run_json(result: Run, folder: Path) -> dict[str, Any]:
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


def _trials(result: Run) -> int:
    """Count the settings that were tried on the files of a run."""
    from forcedflow.backtest import tried_on  # noqa: PLC0415
    from forcedflow.ledger import count_trials  # noqa: PLC0415

    return count_trials(*tried_on(result)).files


def _print_run(result: Run, folder: Path) -> None:
    from forcedflow.report.words import contribution, summary_rows, verdict  # noqa: PLC0415

    summary = result.summary
    typer.echo(f"{result.config['strategy']} on {summary['title']}")
    typer.echo(f"{summary['from']} to {summary['to']}, {summary['bars']:,} bars")
    for warning in summary["warnings"]:
        typer.echo(f"! {warning}")
    _table(("measure", "value"), summary_rows(result))
    typer.echo(contribution(result.blind))
    for name in ("placement", "selection"):
        typer.echo(verdict(name, result.blind.get(name)))
    typer.echo(f"settings tried on this data so far: {_trials(result)}")
    typer.echo(f"\n{folder / 'tearsheet.html'}")


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _test_row(test: dict[str, Any]) -> tuple[str, ...]:
    if test["effect"] is None:
        return (test["null"], "too few events", "", "", "", "")
    interval = f"{test['low']:+.3g} to {test['high']:+.3g}"
    return (test["null"], f"{test['effect']:+.3g}", interval, f"{test['p']:.3f}", str(test["n"]), str(test["days"]))


def _bounds(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("type") == "boolean":
        return "true | false"
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    return ", ".join(f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], wraps: str | None = None) -> None:
    """Print a table; where it is too wide, the column ``wraps`` is folded, or all of them."""
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for title in header:
        table.add_column(title, overflow="fold", no_wrap=wraps is not None and title != wraps)
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table)


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, allow_nan=False, default=lambda number: number.item()))
