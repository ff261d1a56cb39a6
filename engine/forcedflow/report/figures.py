"""Figures of a tearsheet as inline SVG: R by trade, excursions, months, costs, contrasts. They take the page's colours.

Everything that a user named is escaped; every figure says in words what it shows (``aria-label``), and a table or a
number beside it says the same.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.report.cost_measures import BRIDGE
from forcedflow.report.curves import Curve, curves
from forcedflow.report.definitions import MEASURES
from forcedflow.report.svg import axis, figure, nothing, number, percent, signed
from forcedflow.report.trade_measures import finite

if TYPE_CHECKING:
    from forcedflow.kernels import BoolArray
    from forcedflow.record import Columns, Table
    from forcedflow.tables import IntArray

__all__ = ["account_curves", "cost_bridge", "excursions", "interval", "monthly_table", "r_histogram"]

_WIDE, _HIGH = 420, 200
_LEFT, _BOTTOM = 34, 24
_POINTS: Final = 1_500
_DRAWN: Final = 300  # points of an equity curve
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def r_histogram(trades: Columns, ended: BoolArray) -> str:
    """Draw how many closed trades made how much R; the outermost bars hold all beyond."""
    r = finite(trades["r"][ended])
    if not len(r):
        return nothing("no closed trade had a stop")
    reach = min(max(math.ceil(2.0 * float(np.quantile(np.abs(r), 0.98))) / 2.0, 2.0), 20.0)
    width = reach / 10.0
    edges = np.linspace(-reach, reach, 21)
    counts = np.histogram(np.clip(r, -reach + 1e-9, reach - 1e-9), edges)[0]
    x, y = axis(-reach, reach, _LEFT, _WIDE - 6), axis(0.0, float(counts.max()), _HIGH - _BOTTOM, 10)
    bars = "".join(
        f'<rect x="{x(edges[k]) + 1:.1f}" y="{y(counts[k]):.1f}" width="{x(width) - x(0.0) - 2:.1f}"'
        f' height="{y(0.0) - y(counts[k]):.1f}" fill="var(--{"bad" if edges[k] < -1e-9 else "good"})">'
        f"<title>{signed(edges[k], 1)} to {signed(edges[k + 1], 1)} R: {counts[k]}</title></rect>"
        for k in range(20)
        if counts[k]
    )
    ticks = _x_ticks(x, [-reach, -reach / 2, 0.0, reach / 2, reach], " R")
    mean = float(r.mean())
    middle = (
        f'<line x1="{x(mean):.1f}" x2="{x(mean):.1f}" y1="6" y2="{_HIGH - _BOTTOM}" stroke="var(--text)" '
        f'stroke-dasharray="3 3"/><text x="{x(mean) + 5:.1f}" y="14" fill="var(--text)">'
        f"mean {signed(mean, 2)} R</text>"
    )
    label = f"{len(r)} closed trades by their result in R, mean {signed(mean, 2)}, from {r.min():.2f} to {r.max():.2f}"
    return figure(label, _WIDE, _HIGH, bars + ticks + _y_ticks(y, [0.0, float(counts.max())]) + middle)


def excursions(trades: Columns, ended: BoolArray) -> str:
    """Draw each closed trade by its worst and best excursion in R; a point leads to its trade."""
    mae, mfe, net, r = -trades["mae_r"], trades["mfe_r"], trades["net"], trades["r"]
    rows = np.flatnonzero(ended & np.isfinite(mae) & np.isfinite(mfe))
    if not len(rows):
        return nothing("no closed trade had a stop")
    total = len(rows)
    rows = rows[np.linspace(0, total - 1, min(total, _POINTS)).astype(np.int64)]
    across, up = (max(float(np.quantile(values[rows], 0.99)) * 1.08, 1.2) for values in (mae, mfe))
    x, y = axis(0.0, across, _LEFT, _WIDE - 8), axis(0.0, up, _HIGH - _BOTTOM, 10)
    size = 3.2 if total < 200 else 2.0
    points = "".join(
        f'<circle data-trade="{k}" cx="{x(min(mae[k], across)):.1f}" cy="{y(min(mfe[k], up)):.1f}" r="{size}"'
        f' fill="var(--{"good" if net[k] > 0.0 else "bad"})" fill-opacity=".75">'
        f"<title>trade {k + 1}: worst {signed(-mae[k], 2)}, best {signed(mfe[k], 2)}, result "
        f"{signed(r[k], 2)} R</title></circle>"
        for k in rows
    )
    stop = (
        f'<line x1="{x(1.0):.1f}" x2="{x(1.0):.1f}" y1="10" y2="{_HIGH - _BOTTOM}" stroke="var(--muted)" '
        'stroke-dasharray="3 3"/>'
    )
    names = (
        f'<text x="{0.76 * _WIDE:.0f}" y="{_HIGH - 7}" text-anchor="middle">worst, R against</text>'
        f'<text x="{_LEFT + 5}" y="18">best, R</text>'
    )
    sample = "" if total <= _POINTS else f", every {math.ceil(total / _POINTS)}th shown"
    label = f"{total} closed trades by worst (across) and best (up) excursion in R{sample}; the line is the stop"
    ticks = _x_ticks(x, [0.0, across / 2, across], "") + _y_ticks(y, [up / 2, up], 1)
    return figure(label, _WIDE, _HIGH, stop + points + ticks + names)


def cost_bridge(card: dict[str, Any]) -> str:
    """Draw the way from the gross to the net result, cost by cost."""
    gross, net = card.get("gross"), card.get("net")
    if gross is None or net is None:
        return nothing("no result")
    titles = {measure.name: measure.title for measure in MEASURES}
    steps = [(titles[name], -card[name]) for name in BRIDGE if card.get(name)]
    other = net - gross - sum(value for _, value in steps)
    if abs(other) > 1e-6 * max(abs(gross), abs(net), 1.0):
        steps.append(("Other", other))
    bars, level = [("Gross", 0.0, gross)], gross
    for title, value in steps:
        bars.append((title, level, level + value))
        level += value
    bars.append(("Net", 0.0, net))
    low, high = min(0.0, *(min(a, b) for _, a, b in bars)), max(0.0, *(max(a, b) for _, a, b in bars))
    room = 0.12 * (high - low) or 1.0
    y = axis(low - room, high + room, _HIGH - _BOTTOM, 6)
    slot = (_WIDE - 12) / len(bars)
    drawn = []
    for k, (title, start, end) in enumerate(bars):
        whole, left = title in {"Gross", "Net"}, 6 + k * slot
        tone = "accent" if whole and end >= 0.0 else "bad" if end < start or whole else "good"
        text = signed(end - start, 0 if abs(gross) >= 100 else 2)
        drawn.append(
            f'<rect x="{left + slot * 0.14:.1f}" y="{min(y(start), y(end)):.1f}" width="{slot * 0.72:.1f}" '
            f'height="{max(abs(y(start) - y(end)), 1.0):.1f}" fill="var(--{tone})"/>'
            f'<text x="{left + slot / 2:.1f}" y="{min(y(start), y(end)) - 4:.1f}" text-anchor="middle" '
            f'fill="var(--text)">{text}</text>'
            f'<text x="{left + slot / 2:.1f}" y="{_HIGH - 8}" text-anchor="middle">{escape(title)}</text>'
        )
    zero = f'<line x1="6" x2="{_WIDE - 6}" y1="{y(0.0):.1f}" y2="{y(0.0):.1f}" stroke="var(--muted)"/>'
    label = "From gross to net: " + ", ".join(f"{title} {end - start:+.2f}" for title, start, end in bars)
    return figure(label, _WIDE, _HIGH, zero + "".join(drawn))


def account_curves(equity: Table, blind: Table, name: str, what: str, initial: float) -> str:
    """Draw a run's equity beside that of its blind accounts; nothing where there are none.

    Parameters
    ----------
    blind
        Columns ``tables.BLIND_EQUITY``.
    name
        ``placement`` or ``selection``.
    what
        What the accounts are blind in, in words.
    initial
        Equity at the beginning.
    """
    rows = _evenly(len(blind["ts"]))
    middle, low, high = (blind[column][rows] / initial for column in (name, f"{name}_low", f"{name}_high"))
    if not np.isfinite(middle).any():
        return ""
    kept = _evenly(len(equity["ts"]))
    own = equity["equity"][kept] / initial
    drawn = (
        Curve(
            times=blind["ts"][rows] / 1e9,
            values=middle,
            low=low,
            high=high,
            name="blind",
            colour="var(--accent)",
            dash="5 3",
        ),
        Curve(times=equity["ts"][kept] / 1e9, values=own, name="run", colour="var(--up)"),
    )
    ends = [percent(float(values[-1]) - 1.0) for values in (own, middle, low, high)]
    label = "Equity of the run, {} at the end, and of accounts blind in {}: median {}, from {} to {}"
    return (
        f"{curves(label.format(ends[0], what, *ends[1:]), drawn, high=210.0)}"
        f'<p class="legend muted">Whole accounts side by side: the run, and median and range of five that are blind in '
        f"{what}. Luck of the path is in them; the verdict above is of each order traded alone.</p>"
    )


def _evenly(count: int) -> IntArray:
    return np.unique(np.linspace(0, count - 1, min(count, _DRAWN)).round().astype(np.int64))


def monthly_table(equity: Table, initial: float) -> str:
    """Return returns by month as a table, years down, with the year's own."""
    if not len(equity["ts"]):
        return nothing("no bars")
    month = (equity["ts"] - 1).astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(month)), len(month) - 1)
    ends = equity["equity"][last]
    found = dict(zip(month[last].tolist(), (ends / np.concatenate(([initial], ends[:-1])) - 1.0).tolist(), strict=True))
    deepest = max(abs(value) for value in found.values()) or 1.0
    rows = []
    for year in range(min(found) // 12, max(found) // 12 + 1):
        values = [found.get(12 * year + k) for k in range(12)]
        whole = math.prod(1.0 + value for value in values if value is not None) - 1.0
        cells = "".join(_month(value, deepest) for value in values)
        rows.append(
            f'<tr><th scope="row">{1970 + year}</th>{cells}<td class="{_tone(whole)}">{percent(whole)}</td></tr>'
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in (*_MONTHS, "Year"))
    return (
        f'<div class="wide"><table class="months"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def interval(contrast: dict[str, Any]) -> str:
    """Draw mean and interval of a contrast on an axis with zero in its middle, and what would not have been seen."""
    reach = 1.15 * max(*(abs(contrast[key]) for key in ("low", "mean", "high")), contrast.get("mde") or 0.0) or 1.0
    low, mean, high = (50.0 + 50.0 * contrast[key] / reach for key in ("low", "mean", "high"))
    least = 50.0 * (contrast.get("mde") or 0.0) / reach
    unseen = (
        f'<rect x="{50 - least:.2f}%" width="{2 * least:.2f}%" y="8" height="12" fill="var(--line)"/>' if least else ""
    )
    words = (
        f"mean {contrast['mean']:+.2f}, interval {contrast['low']:+.2f} to {contrast['high']:+.2f} {contrast['unit']}"
    )
    said = f"{words}; shaded: effects too small to be seen" if least else words
    return (
        f'<svg class="interval" role="img" aria-label="{escape(said)}" font-size="11" fill="var(--muted)">{unseen}'
        '<line x1="0" x2="100%" y1="14" y2="14" stroke="var(--line)"/>'
        '<line x1="50%" x2="50%" y1="4" y2="24" stroke="var(--muted)"/>'
        f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="14" y2="14" stroke="var(--accent)" stroke-width="4"/>'
        f'<circle cx="{mean:.2f}%" cy="14" r="5.5" fill="var(--text)"/>'
        '<text x="0" y="38">hurt</text><text x="50%" y="38" text-anchor="middle">0</text>'
        '<text x="100%" y="38" text-anchor="end">helped</text></svg>'
    )


def _x_ticks(x: Any, values: list[float], unit: str) -> str:
    drawn = "".join(
        f'<text x="{x(value):.1f}" y="{_HIGH - 7}" text-anchor="{"end" if k and k == len(values) - 1 else "middle"}">'
        f"{number(value)}{unit}</text>"
        for k, value in enumerate(values)
    )
    base = f'<line x1="{_LEFT}" x2="{_WIDE - 6}" y1="{_HIGH - _BOTTOM}" y2="{_HIGH - _BOTTOM}" stroke="var(--line)"/>'
    return base + drawn


def _y_ticks(y: Any, values: list[float], digits: int = 0) -> str:
    return "".join(
        f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.{digits}f}</text>' for value in values
    )


def _month(value: float | None, deepest: float) -> str:
    if value is None:
        return "<td></td>"
    strength = round(8 + 32 * abs(value) / deepest)
    colour = f"color-mix(in srgb, var(--{'good' if value >= 0.0 else 'bad'}) {strength}%, transparent)"
    return f'<td style="background:{colour}">{percent(value)}</td>'


def _tone(value: float) -> str:
    return "good" if value > 0.0 else "bad" if value < 0.0 else ""
