"""What a page draws: columns of a run, at a resolution that a screen can show, packed small.

Numbers travel as little-endian arrays, deflated and in base64, which the page unpacks with ``DecompressionStream``.
The map travels as one byte a cell on a logarithmic scale, differences along time, which deflate well.
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.settings import MarketSettings
from forcedflow.tables import LAYERS, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forcedflow.record import Columns, Table
    from forcedflow.tables import Events, FloatArray, MapSnapshots

    _Index = npt.NDArray[np.int64] | slice

__all__ = [
    "DECADES",
    "PAINTED_DECADES",
    "SHOWN_TRADES",
    "bars_of",
    "bars_payload",
    "blind_payload",
    "brightness",
    "channels",
    "channels_payload",
    "curve_payload",
    "largest",
    "map_payload",
    "marks_payload",
    "scene_payload",
    "shares",
    "streamed_scene",
    "trades_payload",
    "voids_payload",
    "zones",
    "zones_payload",
]

DECADES: Final = 3.0
"""How far below its densest cell the saved map reaches; the page paints the upper 1.3 of them."""

_CANDLES: Final = 20_000
_COLUMNS: Final = 1_500
_ROWS: Final = 640
_ZONES: Final = 2_000
_CHANNELS: Final = 3_000
_MARKS: Final = 4_000
SHOWN_TRADES: Final = 20_000
"""Trades that a page lists and draws; of more, those with the largest results."""

PAINTED_DECADES: Final = 1.6
"""How far below the brightest share the map is painted, as in ``page/heatmap.js``."""

_TYPICAL: Final = 0.34  # how bright a typical cell is painted
_STRAIGHT: Final = 1e-9  # log price: a bend smaller than this is rounding
_TRADE_FLOATS: Final = ("side", "entry_price", "stop", "target", "exit_price", "net", "r", "mae_r", "mfe_r")
_SECOND: Final = 1_000_000_000  # ns


def pack(values: npt.ArrayLike, dtype: str) -> str:
    """Return the raw-deflated bytes of an array, little-endian, in base64."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    raw = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<")).tobytes()
    return base64.b64encode(packer.compress(raw) + packer.flush()).decode("ascii")


def scene_payload(
    bars: Table,
    snapshots: MapSnapshots,
    *,
    events: Events | None = None,
    equity: Table | None = None,
    trades: Table | None = None,
    market: Mapping[str, Any] | None = None,
    scale: tuple[float, float] | None = None,
    step: int | None = None,
    blind: Table | None = None,
) -> dict[str, Any]:
    """Return all that a page draws of some bars; what is left out is not drawn.

    Parameters
    ----------
    bars
        Columns as in ``record.BARS``; with ``equity`` or ``events``, those of ``tables.MARKET_BARS`` too.
    market
        Settings of the market that differ from the defaults: how fast mass fades tells what a snapshot added to the one
        before, and how far a void reaches how large to draw it.
    scale
        As in :func:`map_payload`.
    step
        Bars that make a candle; left out, as few as a page can bear.
    blind
        Columns ``tables.BLIND_EQUITY``, drawn with the equity.
    """
    rules = MarketSettings.model_validate(dict(market or {}))
    candles = bars_payload(bars, step)
    step = int(candles["step"])
    scene: dict[str, Any] = {
        "bars": candles,
        "map": map_payload(snapshots, bars, step, scale),
        "layers": list(LAYER_TITLES.values()),
        "seconds": int(np.median(np.diff(bars["ts"]))) // _SECOND * step if len(bars["ts"]) > 1 else 0,
        "hazard": rules.hazard_per_hour,
    }
    if events is not None:
        scene["voids"] = voids_payload(events, step, rules.void_atr, rules.exhaust_bars)
        scene["zones"] = zones_payload(events, step)
        scene["channels"] = channels_payload(bars, step)
        scene["marks"] = marks_payload(events, step)
    if equity is not None:
        scene["curve"] = curve_payload(equity, bars, step)
        scene["curve"] |= {} if blind is None else blind_payload(blind, equity, step)
    if trades is not None:
        scene["trades"] = trades_payload(trades, step)
    return scene


def streamed_scene(
    parts: Iterable[Table], bars: int, interval: int, trades: Table, rows: npt.NDArray[np.int64], of: int
) -> dict[str, Any]:
    """Return of bars that come in parts what :func:`scene_payload` returns of them, their equity and their trades.

    Parameters
    ----------
    parts
        Columns as in ``record.BARS`` and of ``tables.MARKET_BARS`` and ``EQUITY`` those that :func:`curve_of` reads.
    bars
        How many there are.
    interval
        Of a bar, nanoseconds.
    trades, rows, of
        The :func:`largest`, as :func:`trades_payload` takes them.
    """
    step = _step(bars)
    candles: list[Table] = []
    curves: list[Table] = []
    for part in _whole_candles(parts, step):
        candles.append(bars_of(part, step))
        curves.append(curve_of(part | {"bar": np.arange(len(part["ts"]))}, part, step))
    joined, curve = (
        {name: np.concatenate([table[name] for table in tables]) for name in tables[0]} for tables in (candles, curves)
    )
    curve["candle"] = np.arange(len(joined["ts"]))
    return {
        "bars": _candles(joined, step),
        "map": None,
        "layers": list(LAYER_TITLES.values()),
        "seconds": interval // _SECOND * step,
        "curve": _packed(curve),
        "trades": trades_payload(trades, step, rows=rows, of=of),
    }


def _whole_candles(parts: Iterable[Table], step: int) -> Iterator[Table]:
    """Yield the same rows in parts of whole candles, up to the last."""
    rest: Table = {}
    for part in parts:
        table = {name: np.concatenate((rest[name], column)) for name, column in part.items()} if rest else part
        whole = len(table["ts"]) // step * step
        if whole:
            yield {name: column[:whole] for name, column in table.items()}
        rest = {name: column[whole:].copy() for name, column in table.items()}
    if len(rest["ts"]):
        yield rest


def _step(bars: int) -> int:
    return max(1, math.ceil(bars / _CANDLES))


def bars_payload(bars: Table, step: int | None = None) -> dict[str, Any]:
    """Return candles; where there are more than a page can bear, several bars make one, with their high and low."""
    step = step or _step(len(bars["ts"]))
    return _candles(bars_of(bars, step), step)


def _candles(candles: Table, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "count": len(candles["ts"]),
        "decimals": decimals(candles["close"]),
        "time": pack(candles["ts"] // _SECOND, "u4"),
        "ohlc": pack(np.stack([candles[name] for name in ("open", "high", "low", "close")]), "f4"),
    }


def bars_of(bars: Table, step: int) -> Table:
    """Return candles of ``step`` bars: first open, highest high, lowest low, last close."""
    first = np.arange(0, len(bars["ts"]), step)
    last = np.minimum(first + step, len(bars["ts"])) - 1
    return {
        "ts": bars["ts"][first],
        "open": bars["open"][first],
        "high": np.maximum.reduceat(bars["high"], first),
        "low": np.minimum.reduceat(bars["low"], first),
        "close": bars["close"][last],
    }


def decimals(prices: FloatArray) -> int:
    """Digits after the point that show about one part in a hundred thousand of a price."""
    typical = float(np.median(prices))
    return min(max(4 - math.floor(math.log10(typical)), 0), 10)


def curve_payload(equity: Table, market_bars: Table, step: int) -> dict[str, Any]:
    """Return :func:`curve_of` as it is sent."""
    return _packed(curve_of(equity, market_bars, step))


def _packed(curve: Table) -> dict[str, Any]:
    return {name: pack(column, "i4" if name == "candle" else "f4") for name, column in curve.items()}


def curve_of(equity: Columns, market_bars: Columns, step: int) -> Table:
    """Return equity, drawdown, exposure, coverage and forced flow for each candle of ``step`` bars.

    Equity is the last one of a candle's bars; drawdown and exposure the largest, coverage the smallest: peaks stay.
    """
    candle = equity["bar"] // step
    first = np.flatnonzero(np.diff(candle, prepend=-1))
    last = np.append(first[1:], len(candle)) - 1
    exposure = 100.0 * equity["position"] * equity["close"] / np.where(equity["equity"] > 0.0, equity["equity"], np.inf)
    coverage = 100.0 * np.minimum(market_bars["coverage_long"], market_bars["coverage_short"])
    bars = np.arange(0, len(market_bars["ts"]), step)
    share = 100.0 / np.where(market_bars["oi"] > 0.0, market_bars["oi"], np.inf)
    sold = (market_bars["swept_long_liq"] + market_bars["swept_long_stop"]) * share
    bought = (market_bars["swept_short_liq"] + market_bars["swept_short_stop"]) * share
    return {
        "candle": candle[first],
        "equity": equity["equity"][last],
        "drawdown": -100.0 * np.maximum.reduceat(equity["drawdown"], first) if len(first) else np.empty(0),
        "exposure": _farthest(exposure, first),
        "coverage": np.minimum.reduceat(coverage, bars),
        "sold": -np.add.reduceat(sold, bars),
        "bought": np.add.reduceat(bought, bars),
    }


def blind_payload(blind: Table, equity: Table, step: int) -> dict[str, str]:
    """Return the median equity of each contrast's blind accounts for the candles of :func:`curve_payload`."""
    candle = equity["bar"] // step
    last = np.append(np.flatnonzero(np.diff(candle)), len(candle) - 1)
    known = [name for name in ("placement", "selection") if len(blind[name]) and np.isfinite(blind[name]).all()]
    return {f"blind_{name}": pack(np.interp(equity["bar"][last], blind["bar"], blind[name]), "f4") for name in known}


def _farthest(values: FloatArray, first: npt.NDArray[np.int64]) -> FloatArray:
    """Return of each group the value that is farthest from zero."""
    if not len(first):
        return values
    low, high = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    return np.where(-low > high, low, high)


def map_payload(
    snapshots: MapSnapshots, bars: Table, step: int, scale: tuple[float, float] | None = None
) -> dict[str, Any] | None:
    """Return the evolving map around the bars' prices as shares of open interest, None where it is empty.

    Each snapshot is divided by its own open interest: colours then compare times at which the market was small and
    large. Base units are a cell's share times ``oi`` of its column.

    A snapshot is known at the close of its bar: its column begins with the next one, so that a candle is drawn over
    what it met. ``scale`` is what :func:`brightness` said of single bins, for the same colours in every window.
    """
    if not len(snapshots.bar):
        return None
    chosen = np.unique(np.linspace(0, len(snapshots.bar) - 1, _COLUMNS).round().astype(np.int64))
    rows = _visible_rows(snapshots, bars)
    pool = max(1, math.ceil(len(rows) / _ROWS))
    starts = np.arange(0, len(rows), pool)
    share = np.add.reduceat(shares(snapshots, chosen, rows), starts, axis=2)
    total = share.sum(axis=1)
    if not total.any():
        return None
    top = float(share.max())
    levels = _levels(share, top)
    bright, bend = brightness(total) if scale is None else (scale[0] * pool, scale[1])
    return {
        "columns": len(chosen),
        "rows": len(starts),
        "log_low": float((snapshots.bins[rows[0]] - 0.5) * snapshots.bin_width),
        "log_step": float(snapshots.bin_width * pool),
        "pool": pool,
        "top": top,
        "decades": DECADES,
        "bright": bright,
        "bend": bend,
        "has_stops": bool(share[:, 2:].any()),
        "start": pack((snapshots.bar[chosen] + 1) / step, "f4"),
        "time": pack(snapshots.ts[chosen] // _SECOND, "u4"),
        "oi": pack(snapshots.oi[chosen], "f4"),
        "levels": pack(np.diff(levels, axis=0, prepend=np.uint8(0)), "u1"),
    }


def brightness(total: FloatArray) -> tuple[float, float]:
    """Return the share that is painted brightest, and how levels are bent so that a typical cell is dark.

    A level is the position of a share between 1.6 decades below the brightest and itself; to the power of ``bend`` it
    is what is painted. Without that a map of many even layers is one bright plain.
    """
    held = total[total > 0.0]
    if not len(held):
        return 1.0, 1.0
    bright = float(np.quantile(held, 0.998))
    level = 1.0 + np.log10(held / bright) / PAINTED_DECADES
    typical = float(np.median(level[level > 0.0]))
    return bright, min(max(math.log(_TYPICAL) / math.log(min(typical, 0.99)), 1.0), 4.0)


def shares(snapshots: MapSnapshots, columns: _Index, rows: _Index) -> FloatArray:
    """Return mass over the open interest of its snapshot, shape (m, 4, g); 0 where no open interest is known."""
    oi = snapshots.oi[columns, np.newaxis, np.newaxis]
    density: FloatArray = snapshots.mass[columns][:, :, rows] / np.where(oi > 0.0, oi, np.inf)
    return density


def _visible_rows(snapshots: MapSnapshots, bars: Table) -> npt.NDArray[np.int64]:
    """Rows of the map within the range of prices, widened by 40% of it and at least 8%."""
    low, high = math.log(float(bars["low"].min())), math.log(float(bars["high"].max()))
    margin = max(0.4 * (high - low), 0.08)
    centre = snapshots.bins * snapshots.bin_width
    return np.flatnonzero((centre >= low - margin) & (centre <= high + margin))


def _levels(share: FloatArray, top: float) -> npt.NDArray[np.uint8]:
    """Byte 255 for ``top``, 1 for ``DECADES`` below it, 0 for less."""
    with np.errstate(divide="ignore"):
        level = 255.0 + np.log10(share / top) * (254.0 / DECADES)
    return np.where(level >= 1.0, np.round(level), 0.0).astype(np.uint8)


def zones(events: Events) -> Events:
    """Return the events that are about a zone with an identity."""
    return events.of_kind(EventKind.ZONE_NEAR, EventKind.ZONE_ENTRY, EventKind.ZONE_SWEPT, EventKind.ZONE_EXIT)


def zones_payload(events: Events, step: int) -> dict[str, Any]:
    """Return the boxes of zones, from notice to last event; the heaviest where there are too many to draw."""
    found = zones(events)
    first = np.unique(found.group, return_index=True)[1]
    last = len(found) - 1 - np.unique(found.group[::-1], return_index=True)[1]
    heaviest = np.sort(np.argsort(found.mass_before[first], kind="stable")[::-1][:_ZONES])
    first, last = first[heaviest], last[heaviest]
    return {
        "count": len(first),
        "from": pack((found.bar[first] - found.age[first]) / step, "f4"),
        "known": pack(found.bar[first] / step, "f4"),
        "to": pack((found.bar[last] + 1) / step, "f4"),
        **{name: pack(getattr(found, name)[first], "f4") for name in ("side", "peak", "fuel")},
        "mass": pack(found.mass_before[first], "f4"),
        "swept": pack(found.swept[last], "f4"),
        "low": pack(np.minimum(found.near, found.far)[first], "f4"),
        "high": pack(np.maximum(found.near, found.far)[first], "f4"),
    }


def voids_payload(events: Events, step: int, reach: float, window: int) -> dict[str, Any]:
    """Return where hardly any forced order lay ahead: from a VoidEntry to the exhaustion that followed, or ``window``.

    Parameters
    ----------
    reach
        How far a void reaches ahead of price, ATR (``void_atr``).
    window
        Bars in which it may end in exhaustion (``exhaust_bars``).
    """
    entered, ended = events.of_kind(EventKind.VOID_ENTRY), events.of_kind(EventKind.VOID_EXHAUSTION)
    last = dict(zip(ended.group.tolist(), ended.bar.tolist(), strict=True))
    begun = zip(entered.group.tolist(), entered.bar.tolist(), strict=True)
    to = [last.get(group, bar + window) for group, bar in begun]
    far = entered.close * np.exp(entered.side * reach * entered.atr)
    return {
        "count": len(entered),
        "from": pack((entered.bar + 1) / step, "f4"),
        "to": pack((np.array(to, dtype=np.float64) + 1) / step, "f4"),
        "low": pack(np.minimum(entered.close, far), "f4"),
        "high": pack(np.maximum(entered.close, far), "f4"),
    }


def channels(bars: Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return first and last bar of each straight stretch of a channel, both included.

    A channel whose boundaries move (a Donchian range) has a stretch for each place where they stood.
    """
    version = bars["channel"]
    first = np.diff(version, prepend=0) != 0
    same = version[2:] == version[:-2]
    for side in ("upper", "lower"):
        step = np.diff(np.log(bars[f"channel_{side}"]))
        bent, moved = np.abs(np.diff(step)) > _STRAIGHT, np.abs(step[1:]) > _STRAIGHT
        first[2:] |= same & bent & moved
    start = np.flatnonzero(first)
    end = np.append(start[1:], len(version)) - 1
    live = version[start] != 0
    return start[live], end[live]


def channels_payload(bars: Table, step: int) -> dict[str, Any]:
    """Return the boundaries of channels as straight stretches of log price; the longest where there are too many."""
    start, end = channels(bars)
    longest = np.sort(np.argsort(start - end, kind="stable")[:_CHANNELS])
    start, end = start[longest], end[longest]
    stretches = {
        f"{side}_{at}": pack(bars[f"channel_{side}"][rows], "f4")
        for side in ("upper", "lower")
        for at, rows in (("from", start), ("to", end))
    }
    return {"count": len(start), "from": pack(start / step, "f4"), "to": pack(end / step, "f4")} | stretches


def marks_payload(events: Events, step: int) -> dict[str, Any]:
    """Return what structure did: where channels broke, breaks failed, and moves exhausted themselves.

    Where there are too many, those that a zone backs come first.
    """
    found = events.of_kind(EventKind.CHANNEL_BREAK, EventKind.FAKE_OUT, EventKind.VOID_EXHAUSTION)
    found = found[np.sort(np.argsort(np.isnan(found.near), kind="stable")[:_MARKS])]
    return {
        "count": len(found),
        "candle": pack(found.bar / step, "f4"),
        "price": pack(found.close, "f4"),
        "kind": pack(found.kind, "u1"),
        "aligned": pack(np.isfinite(found.near) & (found.kind == EventKind.CHANNEL_BREAK), "u1"),
        "titles": {int(kind): EventKind(kind).title for kind in np.unique(found.kind)},
    }


def largest(net: FloatArray) -> npt.NDArray[np.int64]:
    """Return the rows of the trades that a page shows, by their net results: of more than it can bear the largest."""
    return np.sort(np.argsort(-np.abs(net), kind="stable")[:SHOWN_TRADES])


def trades_payload(
    trades: Table, step: int, *, rows: npt.NDArray[np.int64] | None = None, of: int | None = None
) -> dict[str, Any]:
    """Return the trades in order of their entries; the largest results where there are too many to show.

    ``row`` is a trade's row in the table, ``reasons`` name the codes of ``exit_reason``, ``of`` is how many there were.

    Parameters
    ----------
    rows, of
        Where ``trades`` are only the :func:`largest`: their rows in the whole table, and how many that has.
    """
    shown, of = trades, len(trades["net"]) if of is None else of
    if rows is None:
        rows = largest(trades["net"])
        shown = {name: column[rows] for name, column in trades.items()}
    reasons, codes = np.unique(shown["exit_reason"], return_inverse=True)
    return {
        "count": len(rows),
        "of": of,
        "reasons": reasons.tolist(),
        "row": pack(rows, "u4"),
        **{name: pack(shown[name], "f4") for name in _TRADE_FLOATS},
        "bars_held": pack(shown["bars_held"], "u4"),
        "ambiguous": pack(shown["ambiguous"], "u1"),
        "exit_reason": pack(codes, "u1"),
        "entry_time": pack(shown["entry_ts"] // _SECOND, "u4"),
        "exit_time": pack(shown["exit_ts"] // _SECOND, "u4"),
        "entry_candle": pack(shown["entry_bar"] // step, "f4"),
        "exit_candle": pack(shown["exit_bar"] // step, "f4"),
    }


LAYER_TITLES: Final = dict(
    zip(LAYERS, ("long liquidations", "short liquidations", "stops of longs", "stops of shorts"), strict=True)
)
"""Names of the map's layers as people say them."""
