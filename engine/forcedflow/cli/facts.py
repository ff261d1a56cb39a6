"""Facts and definitions: ``liqprice``, ``measures``, ``data``."""

from __future__ import annotations

from typing import Annotated

import typer

from forcedflow.cli.shell import Json, app, data_app, print_json, print_table
from forcedflow.errors import SettingsError

__all__ = ["data_check", "data_list", "liqprice", "measures"]


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
        print_json(facts)
        return
    price = "never" if found.price is None else f"{found.price:,.4f}"
    typer.echo(f"liquidation price  {price}{'  (assumed bracket)' if found.assumed else ''}")
    typer.echo(
        f"bankruptcy price   {found.bankruptcy_price:,.4f}" if found.bankruptcy_price else "bankruptcy price   none"
    )
    typer.echo(f"bracket            {found.bracket.rate:.2%} maintenance, amount {found.bracket.amount:,.2f}")
    typer.echo(f"rules              {found.venue} from {found.effective_from:%Y-%m-%d}: {found.source}")


@app.command()
def measures(as_json: Json = False) -> None:
    """Explain every measure of the scorecard: definition, unit, formula, how to read it, source (Markdown)."""
    from dataclasses import asdict  # noqa: PLC0415

    from forcedflow.report.definitions import MEASURES, markdown  # noqa: PLC0415

    if as_json:
        print_json({"measures": [asdict(measure) for measure in MEASURES]})
    else:
        typer.echo(markdown(), nl=False)


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the datasets of the catalog."""
    from forcedflow.data import dataset_names, describe  # noqa: PLC0415

    titles = {name: describe(name).title for name in dataset_names()}
    if as_json:
        print_json({"datasets": titles})
    else:
        print_table(("dataset", "what it is"), list(titles.items()))


@data_app.command("check")
def data_check(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")], as_json: Json = False
) -> None:
    """Load a dataset with every check, and tell what was found."""
    from forcedflow.data import check_dataset  # noqa: PLC0415

    findings = check_dataset(dataset)
    if as_json:
        print_json({"dataset": dataset, "findings": [list(finding) for finding in findings]})
    else:
        print_table(("what", "finding"), findings)
