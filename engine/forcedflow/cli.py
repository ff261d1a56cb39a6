"""The command line: ``forcedflow run | evidence | map | liqprice | strategies | new | check | data``.

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

    from forcedflow.record import Run

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
        from forcedflow.study.evidence import EvidenceSettings, evidence, report  # noqa: PLC0415
        from forcedflow.study.hypothesis import hypothesis_names  # noqa: PLC0415
        from forcedflow.study.registry import Registry  # noqa: PLC0415

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
        plot.heatmap_png(tape.snapshots, data.bars.columns(), out, title=data.title, notes=tape.notes)
    else:
        plot.map_html(tape.snapshots, data.bars.columns(), out, title=data.title, notes=tape.notes)
    typer.echo(str(out))


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
        TextColumn("{task.completed:,.0f} " + unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


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
        "scorecard": result.scorecard,
        "blind": result.blind,
        "market_pass_s": result.timings["market_pass_s"],
        "trade_pass_s": result.timings["trade_pass_s"],
    }


def _print_run(result: Run, folder: Path) -> None:
    from forcedflow.report.tearsheet import summary_rows, verdict  # noqa: PLC0415

    summary = result.summary
    typer.echo(f"{result.config['strategy']} on {summary['title']}")
    typer.echo(f"{summary['from']} to {summary['to']}, {summary['bars']:,} bars")
    for warning in summary["warnings"]:
        typer.echo(f"! {warning}")
    _table(("measure", "value"), summary_rows(result))
    for name in ("placement", "selection"):
        typer.echo(verdict(name, result.blind.get(name)))
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


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for title in header:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table)


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, allow_nan=False, default=lambda number: number.item()))
