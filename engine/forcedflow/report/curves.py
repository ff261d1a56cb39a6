"""Equity curves over one another as an inline figure: lines with their names at the end, bands, spans of time."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.report.svg import area, axis, figure, line, months, nothing, percent, round_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forcedflow.tables import FloatArray

__all__ = ["Curve", "curves"]

_WIDE, _HIGH = 640.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 134.0, 10.0, 24.0
_APART: Final = 13.0  # of names at the end of lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line, or a band, or both."""

    times: FloatArray
    """Seconds since 1970, UTC."""
    values: FloatArray | None = None
    """Growth: 1 is where it began."""
    low: FloatArray | None = None
    high: FloatArray | None = None
    name: str = ""
    """Written at its end; a line without a name is a hairline among many."""
    colour: str = "var(--muted)"
    dash: str = ""
    strength: float = 1.0
    setting: int | None = None
    """Number by which the page's script knows it."""


def curves(
    label: str, drawn: Sequence[Curve], *, spans: Sequence[tuple[float, float]] = (), high: float = _HIGH
) -> str:
    """Draw growth over time, gains and losses in percent of what there was at the beginning.

    Parameters
    ----------
    label
        What it shows, in words.
    drawn
        From the lowest to the topmost.
    spans
        Times to shade every other one of, such as the folds of a walk-forward.
    """
    known = [values for c in drawn for values in (c.values, c.low, c.high) if values is not None and len(values)]
    finite = [values[np.isfinite(values)] for values in known]
    if not any(len(values) for values in finite):
        return nothing("there is no equity")
    everything = np.concatenate([*finite, [1.0]])
    bottom, top = float(everything.min()), float(everything.max())
    room = 0.05 * (top - bottom) or 0.01
    first, last = min(float(c.times[0]) for c in drawn), max(float(c.times[-1]) for c in drawn)
    end = _WIDE - (_RIGHT if any(c.name for c in drawn) else 8.0)
    x, y = axis(first, last, _LEFT, end), axis(bottom - room, top + room, high - _BOTTOM, _TOP)
    steps = round_steps(bottom - 1.0, top - 1.0)
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{end:g}" y1="{y(1.0 + step):.1f}" y2="{y(1.0 + step):.1f}" stroke="var(--line)"/>'
        f'<text x="{_LEFT - 6:g}" y="{y(1.0 + step) + 4:.1f}" text-anchor="end">{_gain(step, steps)}</text>'
        for step in steps
    )
    zero = f'<line x1="{_LEFT}" x2="{end:g}" y1="{y(1.0):.1f}" y2="{y(1.0):.1f}" stroke="var(--muted)"/>'
    dates = "".join(
        f'<text x="{x(at):.1f}" y="{high - 7:g}" text-anchor="middle">{name}</text>'
        for at, name in months(first, last)
        if _LEFT + 14 < x(at) < end - 14
    )
    shades = "".join(
        f'<rect x="{x(a):.1f}" y="{_TOP}" width="{x(b) - x(a):.1f}" height="{high - _BOTTOM - _TOP:.1f}" '
        'fill="var(--faint)"/>'
        for a, b in spans[1::2]
    )
    lines = "".join(_band(c, x(c.times), y) for c in drawn) + "".join(_line(c, x(c.times), y) for c in drawn)
    return figure(label, _WIDE, high, shades + grid + zero + dates + lines + _names(drawn, y, end, high))


def _gain(step: float, steps: list[float]) -> str:
    digits = 0 if all(abs(100.0 * s - round(100.0 * s)) < 1e-6 for s in steps) else 1
    return "0%" if abs(step) < 1e-12 else f"{step:+.{digits}%}".replace("-", "−")


def _band(curve: Curve, x: FloatArray, y: Callable[[Any], Any]) -> str:
    if curve.low is None or curve.high is None:
        return ""
    edge = area(x, y(curve.low), y(curve.high))
    return f'<polygon points="{edge}" fill="{curve.colour}" fill-opacity="{0.16 * curve.strength:g}"/>'


def _line(curve: Curve, x: FloatArray, y: Callable[[Any], Any]) -> str:
    if curve.values is None:
        return ""
    known = "" if curve.setting is None else f' data-setting="{curve.setting}"'
    dash = f' stroke-dasharray="{curve.dash}"' if curve.dash else ""
    wide = 2.2 if curve.name else 0.8
    title = f"<title>{escape(curve.name)}</title>" if curve.name else ""
    return (
        f'<polyline{known} points="{line(x, y(curve.values))}" fill="none" stroke="{curve.colour}" '
        f'stroke-opacity="{curve.strength:g}" stroke-width="{wide}" stroke-linejoin="round"{dash}>{title}</polyline>'
    )


def _names(drawn: Sequence[Curve], y: Callable[[Any], Any], end: float, high: float) -> str:
    """Write names and gains at the ends of lines, moved apart where they would overlap."""
    named = []
    for curve in drawn:
        known = curve.values[np.isfinite(curve.values)] if curve.name and curve.values is not None else np.empty(0)
        if len(known):
            named.append((curve, float(known[-1])))
    if not named:
        return ""
    named.sort(key=lambda pair: -pair[1])
    places = np.array([float(y(value)) for _, value in named])
    lowest = high - _BOTTOM - _APART * np.arange(len(named))[::-1]
    for k in range(len(places)):
        places[k] = max(places[k], places[k - 1] + _APART if k else _TOP)
    places = np.minimum(places, lowest)
    return "".join(
        f'<text x="{end + 6:g}" y="{at + 4:.1f}" fill="{curve.colour}" font-weight="600">{escape(_short(curve.name))} '
        f"{percent(value - 1.0)}</text>"
        for at, (curve, value) in zip(places.tolist(), named, strict=True)
    )


def _short(name: str, most: int = 13) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
