r"""The tearsheet: one self-contained HTML page of a run, readable without a network, charts included.

Everything that a user or a file named is escaped: text by ``html.escape``, data as JSON whose ``<`` are written
``\u003c``. The scripts of ``page/`` share one scope and are inlined as they are, in the order of ``SCRIPTS``.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.parts import abreast
from forcedflow.report.definitions import GROUPS, MEASURES
from forcedflow.report.figures import account_curves, cost_bridge, excursions, interval, monthly_table, r_histogram
from forcedflow.report.parts import asset, frame, header, tile, warning_list
from forcedflow.report.payload import largest, scene_payload, streamed_scene
from forcedflow.report.trade_measures import closed
from forcedflow.report.words import WHAT, contribution, headline, map_quality, shown, tone, verdict
from forcedflow.tables import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forcedflow.kernels import BoolArray
    from forcedflow.parts import Parted
    from forcedflow.record import Columns, Result, Run, Table
    from forcedflow.tables import MapSnapshots

__all__ = ["FOOTER", "SCRIPTS", "html_page", "map_page", "period", "stage", "streamed_tearsheet", "tearsheet"]

SCRIPTS: Final = ("numbers", "colours", "heatmap", "overlays", "hover", "stage", "moving", "trades", "printing")
"""Files of ``page/`` that every page needs, in order; the page's own comes last."""


def tearsheet(run: Run) -> str:
    """Return the page of a run.

    Parameters
    ----------
    run
        The record; ``config`` needs ``dataset`` and ``strategy``. ``summary["warnings"]`` come first on the page.

    Returns
    -------
    str
        HTML with scripts, styles and data inside, the same for the same record.
    """
    payload = scene_payload(
        run.market_bars,
        run.snapshots,
        events=run.events,
        equity=run.equity,
        trades=run.trades,
        market=run.config.get("market"),
        blind=run.blind_equity,
    )
    when = period(run.market_bars)
    return _page(run, when, payload, run.trades, closed(run.trades), run.equity, run.blind_equity)


def streamed_tearsheet(
    result: Result, tables: Mapping[str, Parted], ended: BoolArray, equity: Table, span: tuple[int, int], interval: int
) -> str:
    """Return the page of a run whose tables lie in parts; zones, channels, voids and the map are not drawn.

    Parameters
    ----------
    result
        The run.
    tables
        By name.
    ended
        Which trades are closed.
    equity
        Columns ``ts`` and ``equity`` at the last close of each day.
    span
        When the first and the last bar open, ns UTC.
    interval
        Of a bar, ns.
    """
    trades = tables["trades"]
    rows, count = largest(trades["net"]), tables["bars"].rows
    parts = (bars | market | account for bars, market, account in abreast(tables, _DRAWN))
    payload = streamed_scene(parts, count, interval, trades.at(rows), rows, trades.rows)
    return _page(result, _period(*span, interval, count), payload, trades, ended, equity, None)


_DRAWN: Final = {
    "bars": "ts open high low close",
    "market_bars": f"oi coverage_long coverage_short {' '.join(f'swept_{layer}' for layer in LAYERS)}",
    "equity": "position equity drawdown",
}


def _page(
    run: Result,
    when: str,
    payload: dict[str, Any],
    trades: Columns,
    ended: BoolArray,
    equity: Table,
    blind: Table | None,
) -> str:
    strategy, dataset = str(run.config["strategy"]), str(run.config["dataset"])
    initial = float(dict(run.config.get("account", {})).get("cash", 0.0)) or float(equity["equity"][0])
    drawn = (
        ("Results in R", r_histogram(trades, ended)),
        ("Excursions", excursions(trades, ended)),
        ("From gross to net", cost_bridge(run.scorecard)),
    )
    cards = "".join(f'<section class="card"><h2>{title}</h2>{figure}</section>' for title, figure in drawn)
    months = f'<section class="card"><h2>Returns by month</h2>{monthly_table(equity, initial)}</section>'
    body = [
        header(f"{escape(strategy)} <em>on</em> {escape(dataset)}", [when, *_identity(run.config)]),
        warning_list([*run.summary.get("warnings", []), *_tried(run)]),
        _tiles(run),
        stage(payload["bars"]["step"]),
        _blind(run, equity, blind, initial),
        f'<div class="columns">{cards}</div>{months}',
        _TRADES,
        _measures(run.scorecard),
        _details(run.config),
        FOOTER,
    ]
    return html_page(f"{strategy} on {dataset}: tearsheet", body, payload, "tearsheet")


def map_page(snapshots: MapSnapshots, bars: Table, title: str, notes: Iterable[str] = ()) -> str:
    """Return a page with the map alone: price over the evolving heatmap.

    Parameters
    ----------
    bars
        Columns ``ts``, ``open``, ``high``, ``low`` and ``close``.
    notes
        Assumptions and warnings, shown at the top.
    """
    payload = scene_payload(bars, snapshots)
    body = [header(escape(title), [period(bars)]), warning_list(notes), stage(payload["bars"]["step"]), FOOTER]
    return html_page(title, body, payload, "tearsheet")


def html_page(title: str, body: list[str], payload: dict[str, Any], script: str, connect: str = "'none'") -> str:
    """Return a page with styles, scripts and data inside.

    Parameters
    ----------
    body
        HTML sections, in order; empty ones are left out.
    payload
        Data for the scripts, plain values.
    script
        File of ``page/`` that starts the page.
    connect
        Where its scripts may send requests, as a source of the content security policy.
    """
    charts = files("litecharts").joinpath("js", "lightweight-charts.js")  # begins with its licence notice
    return frame(
        title,
        body,
        [charts.read_text(encoding="utf-8"), "\n".join(asset(f"{name}.js") for name in (*SCRIPTS, script))],
        json.dumps(payload, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        connect,
    )


def period(bars: Table) -> str:
    """Return from when to when bars are, how many, and of what length."""
    ts = bars["ts"]
    return _period(int(ts[0]), int(ts[-1]), int(ts[1] - ts[0]) if len(ts) > 1 else 0, len(ts))


def _period(begin: int, end: int, interval: int, count: int) -> str:
    first, last = (str(np.datetime64(ts, "ns").astype("datetime64[m]")).replace("T", " ") for ts in (begin, end))
    minutes = interval // 60_000_000_000
    length = f"{minutes // 60} h" if minutes and minutes % 60 == 0 else f"{minutes} min"
    return f"{first} to {last} UTC · {count:,} bars" + (f" of {length}" if minutes else "")


def _identity(config: dict[str, Any]) -> list[str]:
    hashes = [f"{name} {str(config[key])[:8]}" for name, key in _HASHES if key in config]
    params = [f"{key} {value}" for key, value in sorted(dict(config.get("params", {})).items())]
    return params[:6] + hashes


_HASHES: Final = (("data", "data_hash"), ("strategy", "strategy_hash"))


def _tried(run: Result) -> list[str]:
    trials = run.scorecard.get("trials")
    if trials is None:
        return []
    counted = "no other setting was counted as tried" if trials == 1 else f"{trials:,} settings were tried"
    return [f"{counted}: the deflated Sharpe ratio allows for so many"]


def _tiles(run: Result) -> str:
    error = run.scorecard.get("sharpe_error")
    tiles = [
        tile(
            measure.title,
            shown(measure, run.scorecard),
            tone(measure, run.scorecard),
            measure.definition,
            f"± {error:.2f}" if measure.name == "sharpe" and error is not None else "",
        )
        for measure in headline()
    ]
    tiles += [tile(title, text, mood, f"of {whole}") for title, text, whole, mood in map_quality(run.summary)]
    return (
        f'<section class="card lead" aria-label="Results"><p>{escape(contribution(run.blind))}</p>'
        f'<div class="tiles">{"".join(tiles)}</div></section>'
    )


def _blind(run: Result, equity: Table, accounts: Table | None, initial: float) -> str:
    if not run.blind:
        return ""
    parts = []
    for name in ("placement", "selection"):
        contrast = run.blind.get(name)
        word, _, rest = verdict(name, contrast).partition(":")
        note = escape(str(contrast.get("note", ""))) if contrast else ""
        drawn = ""
        if contrast:
            drawn = interval(contrast)
            drawn += "" if accounts is None else account_curves(equity, accounts, name, WHAT[name], initial)
        parts.append(
            f"<div><p><b>{name.title()}. {escape(word)}:</b>{escape(rest)}"
            f' <span class="muted">{note}</span></p>{drawn}</div>'
        )
    return f'<section class="card"><h2>What the map contributed</h2><div class="blind">{"".join(parts)}</div></section>'


def stage(step: int) -> str:
    """Return the section of the charts; ``step`` bars are one candle."""
    note = f'<span class="muted">one candle is {step} bars</span>' if step > 1 else ""
    return _STAGE.replace("<!--note-->", note)


def _measures(card: dict[str, Any]) -> str:
    tables = (
        f'<section class="card"><h2>{group}</h2><table class="measures">'
        + "".join(
            f'<tr><td title="{escape(f"{m.definition} {m.reading}")}">{escape(m.title)}</td>'
            f'<td class="{tone(m, card)}">{escape(shown(m, card))}</td></tr>'
            for m in MEASURES
            if m.group == group
        )
        + "</table></section>"
        for group in GROUPS
    )
    return f'<div class="scorecard">{"".join(tables)}</div>'


def _details(config: dict[str, Any]) -> str:
    definitions = "".join(
        f"<dt>{escape(m.title)}</dt><dd>{escape(m.definition)} <code>{escape(m.formula)}</code> {escape(m.reading)} "
        f"Source: {escape(m.source)}.</dd>"
        for m in MEASURES
    )
    settings = escape(json.dumps(config, indent=2, sort_keys=True, default=str))
    return (
        '<section class="card"><details><summary>Settings that repeat this run</summary>'
        f"<pre>{settings}</pre></details><details><summary>How each measure is defined</summary>"
        f'<dl class="definitions">{definitions}</dl></details></section>'
    )


_STAGE: Final = """<section class="card" aria-label="Charts">
<div class="toolbar">
<button type="button" data-span="all">All</button><button type="button" data-span="2000">2,000 candles</button>
<button type="button" data-span="300">300 candles</button><!--note--><span class="gap"></span>
<span id="toggles"></span>
<span class="scale"><canvas id="scale" width="256" height="1" role="img"
 aria-label="Colour scale: forced orders waiting, as a share of open interest"></canvas>
<span id="scale-ends"></span></span><span class="muted" id="scale-unit"></span>
</div>
<div class="stage">
<div id="chart" tabindex="0" role="img" aria-label="Price over the map of waiting forced orders, with zones, channels,
 trades, equity, drawdown, exposure, coverage and forced flow. Arrow keys move, plus and minus zoom, Home shows
 everything, n and p go from trade to trade."></div>
<canvas id="profile" role="img" aria-label="Forced orders waiting at each price, at the crosshair or now"></canvas>
<div id="profile-title"></div>
<canvas id="printed" role="img" aria-label="The charts, for printing"></canvas>
<div id="readout"></div><div id="tip" hidden></div>
</div>
<p class="legend muted">Boxes are zones, from when they were noticed to their last event, dashed ones voids. Lines are
channels: ◇ breaks out (filled where a zone backs it), ✕ breaks out and comes back, ○ exhaustion. ▲▼ entries, ● exits,
dashes stops and targets. Cells that price has been through are empty.</p></section>"""

_TRADES: Final = """<section class="card"><h2>Trades <span class="muted" id="trade-count"></span></h2>
<div class="scroll"><table class="data"><thead id="trade-head"></thead><tbody id="trade-rows"></tbody></table></div>
<div id="trade-pages"></div></section>"""

FOOTER: Final = (
    "<footer>Made by forcedflow. Charts: "
    '<a href="https://www.tradingview.com/">TradingView</a> Lightweight Charts™, Copyright (c) 2025 TradingView, Inc., '
    "Apache License 2.0. A map of forced orders is context, not a prediction.</footer>"
)
"""Who made the page; the attribution must stay."""
