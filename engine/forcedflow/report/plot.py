"""Pictures for notebooks and files, as the ecosystem's own figures: matplotlib, and plotly where one wants to zoom.

Matplotlib's are made without pyplot and saved without a browser: PNG, SVG or PDF by the suffix of ``path``. Pages of
the map for a browser, and its bins as a table, are written here too.
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from forcedflow.errors import extra_needed
from forcedflow.report.canvas import ACCENT, BAD, MUTED, PAGE, PRICE, TEXT, new_figure, plain_axes, saved
from forcedflow.report.payload import PAINTED_DECADES, bars_of, brightness, channels, shares, zones
from forcedflow.report.sweep_plot import sweep
from forcedflow.report.tearsheet import map_page
from forcedflow.report.words import WHAT
from forcedflow.tables import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as PlotlyFigure

    from forcedflow.record import Run, Table
    from forcedflow.tables import Events, FloatArray, MapSnapshots

__all__ = ["heatmap", "interactive", "map_html", "map_table", "run", "sweep", "trades"]


def heatmap(
    snapshots: MapSnapshots, bars: Table, path: str | Path | None = None, *, title: str = "", notes: Iterable[str] = ()
) -> Figure:
    """Draw price over the evolving map, its axis logarithmic.

    Parameters
    ----------
    snapshots
        The map at some bars' closes; each column begins with the bar after.
    bars
        Columns ``ts``, ``high``, ``low`` and ``close``.
    path
        Where to save it, in the format of its suffix (png, svg, pdf); None saves nothing.
    notes
        Assumptions and warnings, written small below the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot: nothing is shown and nothing stays open.

    Raises
    ------
    SettingsError
        matplotlib is not installed.
    """
    figure = new_figure((14.0, 7.0))
    axes = figure.add_subplot()
    _draw_map(axes, snapshots, bars)
    _draw_price(axes, bars)
    _finish(axes, title)
    _footer(figure, notes)
    return saved(figure, path)


def map_html(
    snapshots: MapSnapshots, bars: Table, path: str | Path | None = None, *, title: str, notes: Iterable[str] = ()
) -> str:
    """Return, and save where a path is given, the page of :func:`forcedflow.report.tearsheet.map_page`."""
    page = map_page(snapshots, bars, title, notes)
    if path is not None:
        Path(path).write_text(page, encoding="utf-8")
    return page


def map_table(snapshots: MapSnapshots, path: str | Path, notes: Iterable[str] = ()) -> None:
    """Save the last snapshot as a Parquet table: one row a bin with mass.

    Columns are ``bin``, ``price`` (its centre, quote currency) and one for each layer (base units); the
    metadata hold the time ``ts`` (ns), ``open_interest`` (base units), ``bin_width`` (log price) and ``notes`` (a JSON
    list of assumptions and warnings). :func:`forcedflow.read_map` reads it back.
    """
    import pyarrow as pa  # noqa: PLC0415  (0.3 s that a picture does not need)
    import pyarrow.parquet as pq  # noqa: PLC0415

    mass = snapshots.mass[-1]
    held = mass.any(axis=0)
    table = pa.table(
        {"bin": snapshots.bins[held], "price": snapshots.prices[held]}
        | {layer: mass[k, held] for k, layer in enumerate(LAYERS)}
    )
    known = {
        "ts": str(snapshots.ts[-1]),
        "open_interest": repr(float(snapshots.oi[-1])),
        "bin_width": repr(snapshots.bin_width),
        "notes": json.dumps(list(notes)),
    }
    pq.write_table(table.replace_schema_metadata(known), path, compression="zstd")


def run(run: Run, path: str | Path | None = None) -> Figure:
    """Draw a run: price over the map with zones, channels and trades; below, equity and that of its blind accounts.

    Raises
    ------
    SettingsError
        matplotlib is not installed.
    """
    figure = new_figure((14.0, 9.0))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _draw_map(upper, run.snapshots, run.market_bars)
    _draw_price(upper, run.market_bars)
    _draw_zones(upper, zones(run.events), run.market_bars)
    _draw_channels(upper, run.market_bars)
    _draw_trades(upper, run.trades)
    _finish(upper, f"{run.config['strategy']} on {run.config['dataset']}")
    times, equity = _dates(run.equity["ts"]), run.equity["equity"]
    lower.plot(times, equity, color=PRICE, lw=1.2)
    lower.fill_between(times, equity, equity.min(), color=PRICE, alpha=0.15, lw=0)
    for name, style in (("placement", ":"), ("selection", "--")):
        if np.isfinite(run.blind_equity[name]).any():
            at = _dates(run.blind_equity["ts"])
            lower.plot(at, run.blind_equity[name], color=ACCENT, lw=1.0, ls=style, label=f"blind in {WHAT[name]}")
            low, high = (run.blind_equity[f"{name}_{end}"] for end in ("low", "high"))
            lower.fill_between(at, low, high, color=ACCENT, alpha=0.12, lw=0)
    _finish(lower, "")
    if lower.get_legend_handles_labels()[0]:
        lower.legend(loc="upper left", fontsize=8, frameon=False, labelcolor=TEXT)
    lower.set_ylabel("equity", color=TEXT)
    return saved(figure, path)


def trades(run: Run, path: str | Path | None = None) -> Figure:
    """Draw closed trades: how many made how much R, and each by its worst and best excursion.

    Raises
    ------
    SettingsError
        matplotlib is not installed.
    """
    figure = new_figure((12.0, 4.5))
    left, right = figure.subplots(1, 2)
    ended = run.trades["exit_reason"] != "open"
    r, mae, mfe = (run.trades[name][ended] for name in ("r", "mae_r", "mfe_r"))
    known = np.isfinite(r)
    won = np.where(r[known] > 0.0, PRICE, BAD)
    edges = np.histogram_bin_edges(r[known], bins=30) if known.any() else np.linspace(-1.0, 1.0, 3)
    for colour, chosen in ((PRICE, r[known] > 0.0), (BAD, r[known] <= 0.0)):
        left.hist(r[known][chosen], bins=list(edges), color=colour)
    right.scatter(-mae[known], mfe[known], c=won.tolist(), s=18)
    right.axvline(1.0, color=MUTED, lw=0.8, ls="--")
    for axes, title, across, up in (
        (left, "Results", "R", "trades"),
        (right, "Excursions; the line is the stop", "worst, R against", "best, R"),
    ):
        plain_axes(axes, title)
        axes.set_xlabel(across, color=TEXT)
        axes.set_ylabel(up, color=TEXT)
    return saved(figure, path)


def interactive(run: Run, columns: int = 600) -> PlotlyFigure:
    """Return price over the map with the trades, as a plotly figure to zoom in a notebook.

    Parameters
    ----------
    columns
        Most candles, and most pictures of the map: of more bars several make one, with their high and low.

    Raises
    ------
    SettingsError
        plotly is not installed.
    """
    try:
        import plotly.graph_objects as go  # noqa: PLC0415  (an extra)
    except ImportError:
        raise extra_needed("a figure to zoom", "plotly", "plot") from None
    candles = bars_of(run.market_bars, -(-len(run.market_bars["ts"]) // columns))
    at = np.unique(np.linspace(0, len(run.snapshots.bar) - 1, min(columns, len(run.snapshots.bar))).astype(np.int64))
    prices = run.snapshots.prices
    rows = np.flatnonzero((prices > 0.92 * candles["low"].min()) & (prices < 1.08 * candles["high"].max()))
    total = shares(run.snapshots, at, rows).sum(axis=1) if len(at) else np.zeros((0, len(rows)))
    bright, bend = brightness(total)
    faint = bright * 10.0**-PAINTED_DECADES
    level = (1.0 + np.log10(np.maximum(total, faint) / bright) / PAINTED_DECADES) ** bend
    level[total <= faint] = np.nan
    figure = go.Figure()
    figure.add_heatmap(
        x=_dates(run.snapshots.ts[at]), y=prices[rows], z=level.T, customdata=100.0 * total.T, colorscale="inferno",
        zmin=0.0, zmax=1.0, showscale=False,
        hovertemplate="%{y:,.6g}: %{customdata:.3f}% of open interest<extra></extra>",
    )  # fmt: skip
    figure.add_candlestick(
        x=_dates(candles["ts"]), **{name: candles[name] for name in ("open", "high", "low", "close")}, name="price",
        increasing_line_color=PRICE, decreasing_line_color=ACCENT,
    )  # fmt: skip
    for side, symbol, name in ((1, "triangle-up", "long entries"), (-1, "triangle-down", "short entries")):
        chosen = run.trades["side"] == side
        figure.add_scatter(
            x=_dates(run.trades["entry_ts"][chosen]), y=run.trades["entry_price"][chosen], mode="markers", name=name,
            marker={"symbol": symbol, "size": 10, "color": "white", "line": {"color": "black", "width": 1}},
        )  # fmt: skip
    figure.update_layout(
        title=f"{run.config['strategy']} on {run.config['dataset']}", template="plotly_dark", paper_bgcolor=PAGE,
        plot_bgcolor=PAGE, xaxis_rangeslider_visible=False, yaxis_type="log", yaxis_side="right", height=640,
    )  # fmt: skip
    return figure


def _dates(ts: Any) -> Any:
    return ts.astype("datetime64[ns]")


def _draw_map(axes: Axes, snapshots: MapSnapshots, bars: Table) -> None:
    """Paint each snapshot's shares of its open interest from its close to the next one's, colours as in a tearsheet."""
    low, high = np.log(bars["low"].min()), np.log(bars["high"].max())
    margin = max(0.4 * (high - low), 0.03)
    centre = snapshots.bins * snapshots.bin_width
    rows = np.flatnonzero((centre > low - margin) & (centre < high + margin))
    total = shares(snapshots, slice(None), rows).sum(axis=1)
    if not total.any():
        return
    from matplotlib.colors import FuncNorm  # noqa: PLC0415  (an extra)

    bright, bend = brightness(total)
    faint = bright * 10.0**-PAINTED_DECADES

    def painted(share: FloatArray) -> FloatArray:
        level: FloatArray = (1.0 + np.log10(np.maximum(share, faint) / bright) / PAINTED_DECADES) ** bend
        return level

    def held(level: FloatArray) -> FloatArray:
        share: FloatArray = bright * 10.0 ** ((np.maximum(level, 0.0) ** (1.0 / bend) - 1.0) * PAINTED_DECADES)
        return share

    edges = np.exp((np.append(snapshots.bins[rows], snapshots.bins[rows[-1]] + 1) - 0.5) * snapshots.bin_width)
    times = _dates(np.append(snapshots.ts, max(2 * bars["ts"][-1] - bars["ts"][-2], snapshots.ts[-1] + 1)))
    picture = np.ma.masked_less_equal(total.T, faint)
    norm = FuncNorm((painted, held), faint, bright)
    mesh = axes.pcolormesh(times, edges, picture, cmap="inferno", rasterized=True, norm=norm)
    _colour_bar(axes, mesh, bright, snapshots.bin_width)


def _colour_bar(axes: Axes, mesh: QuadMesh, bright: float, bin_width: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator  # noqa: PLC0415  (an extra)

    # beside all axes, so that those which share their times stay equally wide
    bar = axes.figure.colorbar(mesh, ax=axes.figure.axes, pad=0.01, fraction=0.03, aspect=40)
    bar.ax.yaxis.set_major_locator(FixedLocator([bright * k for k in (0.25, 0.5, 0.75, 1.0)]))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(lambda share, _: f"{100.0 * share:.2g}%")
    bar.ax.tick_params(colors=TEXT)
    bar.set_label(f"% of open interest per {1e4 * bin_width:.3g} bps bin", color=TEXT)
    bar.outline.set_visible(False)


def _draw_price(axes: Axes, bars: Table) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator  # noqa: PLC0415  (an extra)

    ts = bars["ts"]
    step = np.diff(ts)
    gaps = np.flatnonzero(step > 2 * step.min(initial=1 << 62)) + 1
    times = _dates(np.insert(ts, gaps, ts[gaps] - 1))
    low, high, close = (np.insert(bars[name], gaps, np.nan) for name in ("low", "high", "close"))  # a gap is no price
    axes.fill_between(times, low, high, color=PRICE, alpha=0.55, lw=0)
    axes.plot(times, close, color=PRICE, lw=0.9)
    axes.set_xlim(times[0], times[-1])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))  # prices, where a decade is rarely seen
    axes.yaxis.set_minor_locator(NullLocator())


def _draw_zones(axes: Axes, events: Events, bars: Table) -> None:
    from matplotlib.collections import PolyCollection  # noqa: PLC0415  (an extra)
    from matplotlib.dates import date2num  # noqa: PLC0415

    rows = [np.flatnonzero(events.group == group) for group in np.unique(events.group)]
    boxes = [_box(date2num, events, bars["ts"], at[0], at[-1]) for at in rows]
    axes.add_collection(PolyCollection(boxes, facecolors="none", edgecolors="white", linewidths=0.5, alpha=0.5))


def _draw_channels(axes: Axes, bars: Table) -> None:
    from matplotlib.collections import LineCollection  # noqa: PLC0415  (an extra)
    from matplotlib.dates import date2num  # noqa: PLC0415

    start, end = channels(bars)
    at: Any = date2num
    left, right = at(_dates(bars["ts"][start])), at(_dates(bars["ts"][end]))
    for side in ("channel_upper", "channel_lower"):
        ends = np.stack((left, bars[side][start], right, bars[side][end]), axis=1).reshape(-1, 2, 2)
        axes.add_collection(LineCollection(list(ends), colors=ACCENT, linewidths=1.0))


def _box(number: Any, events: Events, ts: Any, first: int, last: int) -> FloatArray:
    left = number(_dates(ts[max(int(events.bar[first] - events.age[first]), 0)]))
    right = number(_dates(events.ts[last]))
    near, far = events.near[first], events.far[first]
    return np.array([(left, near), (right, near), (right, far), (left, far)])


def _draw_trades(axes: Axes, trades: Table) -> None:
    for side, marker in ((1, "^"), (-1, "v")):
        chosen = trades["side"] == side
        axes.scatter(
            _dates(trades["entry_ts"][chosen]), trades["entry_price"][chosen], s=34, marker=marker, color="white",
            edgecolors="black", linewidths=0.7, zorder=4,
        )  # fmt: skip
    colours = np.where(trades["net"] >= 0.0, PRICE, BAD)
    axes.scatter(
        _dates(trades["exit_ts"]), trades["exit_price"], s=14, c=colours.tolist(), edgecolors="black",
        linewidths=0.6, zorder=4,
    )  # fmt: skip


def _footer(figure: Figure, notes: Iterable[str]) -> None:
    text = fill(" · ".join(notes), 220).replace("$", r"\$")
    figure.supxlabel(text, x=0.008, ha="left", fontsize=8, color=MUTED)


def _finish(axes: Axes, title: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415  (an extra)
    from matplotlib.ticker import StrMethodFormatter  # noqa: PLC0415

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.tick_right()
    plain_axes(axes, title)
