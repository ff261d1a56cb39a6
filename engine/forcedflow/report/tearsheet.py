r"""The tearsheet: one self-contained HTML page of a run, readable without a network, charts included.

Everything that a user or a file named is escaped: text by ``html.escape``, data as JSON whose ``<`` are written
``\u003c``.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

from forcedflow.report.definitions import GROUPS, MEASURES
from forcedflow.report.payload import (
    LAYER_TITLES,
    bars_payload,
    channels_payload,
    curve_payload,
    map_payload,
    marks_payload,
    trades_payload,
    zones_payload,
)
from forcedflow.report.words import headline, map_quality, shown, tone, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forcedflow.record import Run, Table
    from forcedflow.tables import MapSnapshots

__all__ = ["map_page", "tearsheet"]


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
    strategy, dataset = str(run.config["strategy"]), str(run.config["dataset"])
    candles = bars_payload(run.market_bars)
    step = candles["step"]
    payload = {
        "bars": candles,
        "map": map_payload(run.snapshots, run.market_bars, step),
        "curve": curve_payload(run.equity, run.market_bars, step),
        "zones": zones_payload(run.events, step),
        "channels": channels_payload(run.market_bars, step),
        "marks": marks_payload(run.events, step),
        "trades": trades_payload(run.trades, step),
        "layers": list(LAYER_TITLES.values()),
    }
    body = [
        _header(
            f"{escape(strategy)} <em>on</em> {escape(dataset)}", [_period(run.market_bars), *_identity(run.config)]
        ),
        _warnings(run.summary.get("warnings", [])),
        _tiles(run),
        _blind(run.blind),
        _stage(step),
        _TRADES,
        _measures(run.scorecard),
        _details(run.config),
        _FOOTER,
    ]
    return _page(f"{strategy} on {dataset}: tearsheet", body, payload)


def map_page(snapshots: MapSnapshots, bars: Table, title: str, notes: Iterable[str] = ()) -> str:
    """Return a page with the map alone: price over the evolving heatmap.

    Parameters
    ----------
    bars
        Columns ``ts``, ``open``, ``high``, ``low`` and ``close``.
    notes
        Assumptions and warnings, shown at the top.
    """
    candles = bars_payload(bars)
    payload = {
        "bars": candles,
        "map": map_payload(snapshots, bars, candles["step"]),
        "layers": list(LAYER_TITLES.values()),
    }
    body = [_header(escape(title), [_period(bars)]), _warnings(notes), _stage(candles["step"]), _FOOTER]
    return _page(title, body, payload)


def _page(title: str, body: list[str], payload: dict[str, Any]) -> str:
    assets = files("forcedflow.report")
    charts = files("litecharts").joinpath("js", "lightweight-charts.js")  # begins with its licence notice
    return Template(_text(assets / "tearsheet.html")).substitute(
        title=escape(title),
        style=_text(assets / "tearsheet.css"),
        body="\n".join(part for part in body if part),
        payload=json.dumps(payload, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        charts=_text(charts),
        script=_text(assets / "tearsheet.js"),
    )


def _text(source: Any) -> str:
    text: str = source.read_text(encoding="utf-8")
    return text


def _header(heading: str, facts: list[str]) -> str:
    shown = escape(" · ".join(facts))
    return (
        f"<header><div><h1>{heading}</h1><p>{shown}</p></div>"
        '<button id="theme" type="button" aria-label="Switch between dark and light">Light</button></header>'
    )


def _period(bars: Table) -> str:
    ts = bars["ts"]
    first, last = (str(ts[k].astype("datetime64[ns]").astype("datetime64[m]")).replace("T", " ") for k in (0, -1))
    minutes = int(ts[1] - ts[0]) // 60_000_000_000 if len(ts) > 1 else 0
    length = f"{minutes // 60} h" if minutes and minutes % 60 == 0 else f"{minutes} min"
    return f"{first} to {last} UTC · {len(ts):,} bars" + (f" of {length}" if minutes else "")


def _identity(config: dict[str, Any]) -> list[str]:
    hashes = [f"{name} {str(config[key])[:8]}" for name, key in _HASHES if key in config]
    params = [f"{key} {value}" for key, value in sorted(dict(config.get("params", {})).items())]
    return params[:6] + hashes


_HASHES: Final = (("data", "data_hash"), ("strategy", "strategy_hash"))


def _warnings(warnings: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return (
        f'<section class="card warnings" aria-label="Assumptions and warnings"><ul>{items}</ul></section>'
        if items
        else ""
    )


def _tiles(run: Run) -> str:
    tiles = [
        _tile(measure.title, shown(measure, run.scorecard), tone(measure, run.scorecard)) for measure in headline()
    ]
    error = run.scorecard.get("sharpe_error")
    if error is not None:
        tiles[1] = tiles[1].replace("</b>", f" <small>± {error:.2f}</small></b>")
    tiles += [_tile(title, text, tone, f"of {whole}") for title, text, whole, tone in map_quality(run.summary)]
    return f'<section class="tiles" aria-label="Results">{"".join(tiles)}</section>'


def _tile(title: str, value: str, tone: str, hint: str = "") -> str:
    shown = f'<span>{escape(title)}</span><b class="{tone}">{escape(value)}</b>'
    return f'<div class="tile" title="{escape(hint)}">{shown}</div>'


def _blind(blind: dict[str, Any]) -> str:
    if not blind:
        return ""
    parts = []
    for name in ("placement", "selection"):
        contrast = blind.get(name)
        word, _, rest = verdict(name, contrast).partition(":")
        note = escape(str(contrast.get("note", ""))) if contrast else ""
        parts.append(
            f"<div><p><b>{name.title()}. {escape(word)}:</b>{escape(rest)}"
            f' <span class="muted">{note}</span></p>{_interval(contrast) if contrast else ""}</div>'
        )
    return f'<section class="card"><h2>What the map contributed</h2><div class="blind">{"".join(parts)}</div></section>'


def _interval(contrast: dict[str, Any]) -> str:
    """Draw mean and interval on an axis with zero in its middle."""
    reach = 1.15 * max(abs(contrast[key]) for key in ("low", "mean", "high")) or 1.0
    low, mean, high = (50.0 + 50.0 * contrast[key] / reach for key in ("low", "mean", "high"))
    return (
        f'<svg role="img" aria-label="mean {contrast["mean"]:+.2f}, interval {contrast["low"]:+.2f} to '
        f'{contrast["high"]:+.2f} {escape(str(contrast["unit"]))}" font-size="11" fill="var(--muted)">'
        '<line x1="0" x2="100%" y1="14" y2="14" stroke="var(--line)"/>'
        '<line x1="50%" x2="50%" y1="4" y2="24" stroke="var(--muted)"/>'
        f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="14" y2="14" stroke="var(--accent)" stroke-width="4"/>'
        f'<circle cx="{mean:.2f}%" cy="14" r="5.5" fill="var(--text)"/>'
        '<text x="0" y="36">hurt</text><text x="50%" y="36" text-anchor="middle">0</text>'
        '<text x="100%" y="36" text-anchor="end">helped</text></svg>'
    )


def _stage(step: int) -> str:
    note = f'<span class="muted">one candle is {step} bars</span>' if step > 1 else ""
    return _STAGE.replace("<!--note-->", note)


def _measures(card: dict[str, Any]) -> str:
    tables = (
        f'<section class="card"><h2>{group}</h2><table class="measures">'
        + "".join(
            f'<tr><td title="{escape(m.definition)}">{escape(m.title)}</td>'
            f'<td class="{tone(m, card)}">{escape(shown(m, card))}</td></tr>'
            for m in MEASURES
            if m.group == group
        )
        + "</table></section>"
        for group in GROUPS
    )
    return f'<div class="columns">{"".join(tables)}</div>'


def _details(config: dict[str, Any]) -> str:
    definitions = "".join(
        f"<dt>{escape(m.title)}</dt><dd>{escape(m.definition)} Source: {escape(m.source)}.</dd>" for m in MEASURES
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
<span class="scale"><span>less</span><canvas id="scale" width="256" height="1" role="img"
 aria-label="Colour scale: forced orders waiting, as a share of open interest"></canvas>
 <span id="scale-top">more</span></span>
</div>
<div class="stage">
<div id="chart" tabindex="0" role="img" aria-label="Price over the map of waiting forced orders, with zones, channels,
 trades, equity, drawdown and forced flow. Arrow keys move, plus and minus zoom, Home shows everything."></div>
<canvas id="profile" role="img" aria-label="Forced orders waiting at each price, at the crosshair or now"></canvas>
<div id="profile-title"></div>
<canvas id="printed" role="img" aria-label="The charts, for printing"></canvas>
<div id="readout"></div><div id="tip" hidden></div>
</div></section>"""

_TRADES: Final = """<section class="card"><h2>Trades <span class="muted" id="trade-count"></span></h2>
<div class="scroll"><table class="data"><thead id="trade-head"></thead><tbody id="trade-rows"></tbody></table></div>
</section>"""

_FOOTER: Final = (
    "<footer>Made by forcedflow. Charts: "
    '<a href="https://www.tradingview.com/">TradingView</a> Lightweight Charts™, Copyright (c) 2025 TradingView, Inc., '
    "Apache License 2.0. A map of forced orders is context, not a prediction.</footer>"
)
