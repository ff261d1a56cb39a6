"""What inline figures are made of: scales, numbers as people write them, and the frame that says what is shown."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.tables import FloatArray

__all__ = ["area", "axis", "figure", "line", "months", "nothing", "number", "percent", "round_steps", "signed"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def axis(low: float, high: float, start: float, end: float) -> Callable[[Any], Any]:
    """Return what takes values, or arrays of them, from ``low`` to ``high`` to places from ``start`` to ``end``."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def figure(label: str, wide: float, high: float, inside: str) -> str:
    """Return a figure as wide as its place; ``label`` says in words what it shows."""
    return (
        f'<svg class="figure" viewBox="0 0 {wide:g} {high:g}" role="img" aria-label="{escape(label)}" '
        f'font-size="11" fill="var(--muted)">{inside}</svg>'
    )


def nothing(why: str) -> str:
    """Say why a figure is missing."""
    return f'<p class="muted">Nothing to draw: {escape(why)}.</p>'


def line(x: FloatArray, y: FloatArray) -> str:
    """Return the points of a line that are known, for a ``polyline``."""
    known = np.isfinite(x) & np.isfinite(y)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[known].tolist(), y[known].tolist(), strict=True))


def area(x: FloatArray, low: FloatArray, high: FloatArray) -> str:
    """Return the points of the surface between two lines, for a ``polygon``."""
    return f"{line(x, low)} {line(x[::-1], high[::-1])}".strip()


def round_steps(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from ``low`` to ``high``, at most so many."""
    if not high > low:
        return [low]
    least = (high - low) / most
    power = 10.0 ** np.floor(np.log10(least))
    step = next(factor * power for factor in _STEPS if factor * power >= least * (1.0 - 1e-9))
    first = np.ceil(low / step - 1e-9)
    steps = (step * (first + np.arange(most + 1))).tolist()
    return [value for value in steps if value <= high + 1e-9 * step][:most]


def months(first: float, last: float, most: int = 7) -> list[tuple[float, str]]:
    """Return moments (s since 1970, UTC) to mark on an axis of time, and what to call them."""
    days = [1, 2, 5, 7, 14, 30, 91, 182, 365, 1826]
    step = 86_400 * next((d for d in days if (last - first) / 86_400 / d <= most), days[-1])
    found = []
    for at in np.arange(np.ceil(first / step) * step, last + 1.0, step).tolist():
        year, month, day = str(np.datetime64(int(at), "s"))[:10].split("-")
        name = _MONTHS[int(month) - 1]
        found.append((at, f"{name} {year}" if step >= 91 * 86_400 else f"{int(day)} {name}"))
    return found


def percent(value: float) -> str:
    """Return a share with its sign, in percent."""
    return f"{value:+.1%}".replace("-", "−")


def signed(value: float | FloatArray, digits: int) -> str:
    """Return a number with its sign."""
    return f"{value:+,.{digits}f}".replace("-", "−")


def number(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:.3g}".replace("-", "−")
