"""Strategies: ``strategies``, ``new``, ``check``."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from forcedflow.cli.shell import Json, Set, app, new_app, print_json, print_table, progress_bar, read_setting
from forcedflow.errors import SettingsError, StrategyError

__all__ = ["check", "new_strategy", "strategies"]


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
            print_json({"strategies": about})
        else:
            print_table(("strategy", "what it does"), list(about.items()))
        return
    kind = find_strategy(name)
    hears = [heard.title for heard in kind.hears()]
    contrasts = dict(CONTRASTS) if kind.is_plan() else {}
    if as_json:
        facts = {"form": "plan" if kind.is_plan() else "handlers", "hears": hears, "contrasts": list(contrasts)}
        schema = kind.model_json_schema()["properties"]
        print_json({"strategy": name, "doc": inspect.getdoc(kind), **facts, "parameters": schema})
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
        print_table(("parameter", "default", "bounds", "meaning and unit"), own)
    print_table(("of the account", "default", "bounds", "what it does with its orders"), policy)


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
    with progress_bar("checks", quiet=True):
        from forcedflow.conformance import check_strategy  # noqa: PLC0415

        params = {}
        for where, key, value in map(read_setting, settings or ()):
            if where != "params":
                raise SettingsError(f"a check has its own {where}; --set takes parameters only, was {where}.{key}")
            params[key] = value
        report = check_strategy(strategy, params, seed=seed, raises=False)
    findings = [(f.check, f.status, f.reason) for f in report.findings]
    if as_json:
        rows = [{"check": name, "status": status, "reason": reason} for name, status, reason in findings]
        print_json({"strategy": strategy, "passed": report.passed, "findings": rows})
    elif report.passed:
        print_table(("check", "result", "what was found"), findings)
    if not report.passed:
        raise StrategyError("; ".join(f"{strategy} fails {f.check!r}: {f.reason}" for f in report.failed))


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bounds(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("type") == "boolean":
        return "true | false"
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    return ", ".join(f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field)
