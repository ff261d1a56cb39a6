"""What price did after an event, by vectorised numpy over the bars that follow it.

Every outcome begins with the bar after the event's: it is what a condition may never see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.data.bars import Bars
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["OUTCOMES", "Cases", "LogBars", "excursions", "measure"]

_CELLS: Final = 2_000_000  # of a window at a time: bounds the memory


@dataclass(frozen=True, slots=True)
class LogBars:
    """Log prices of bars, shape (n,) each."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray

    @classmethod
    def of(cls, bars: Bars) -> LogBars:
        """Take the logarithm of prices."""
        return cls(*(np.log(column) for column in (bars.open, bars.high, bars.low, bars.close)))

    def __len__(self) -> int:
        return len(self.close)


@dataclass(frozen=True, slots=True)
class Cases:
    """Where and when an outcome is measured; arrays of shape (cases,)."""

    bar: IntArray
    """At whose close the case begins."""
    side: IntArray
    """+1: the move or the level in question is above, -1: below."""
    atr: FloatArray
    """Log price; unit of the outcome."""
    distance: FloatArray
    """Log price from the close to the level, in the direction of ``side``, positive; NaN without a level."""

    def __len__(self) -> int:
        return len(self.bar)

    def __getitem__(self, rows: Any) -> Cases:
        return Cases(self.bar[rows], self.side[rows], self.atr[rows], self.distance[rows])


@dataclass(frozen=True, slots=True)
class _Window:
    """Bars after each case, as log distances from its close; shapes (cases, bars), towards its side positive."""

    open: FloatArray
    toward: FloatArray  # farthest of each bar in the direction of the side
    away: FloatArray  # farthest against it, positive
    close: FloatArray
    distance: FloatArray  # (cases, 1)
    atr: FloatArray  # (cases,)
    horizon: int
    hold: int

    def first(self, hit: npt.NDArray[np.bool_]) -> IntArray:
        """Return in which bar of the horizon something first happens; the horizon where it does not."""
        within = hit[:, : self.horizon]
        return np.where(within.any(axis=1), within.argmax(axis=1), self.horizon)


def measure(prices: LogBars, cases: Cases, outcome: str, horizon: int, hold: int = 0) -> FloatArray:
    """Return the outcome of each case, shape (cases,).

    Parameters
    ----------
    outcome
        Of :data:`OUTCOMES`.
    horizon, hold
        Bars. A case needs ``horizon + hold`` bars after its own.
    """
    span = horizon + hold
    found = np.empty(len(cases))
    step = max(_CELLS // span, 1)
    for begin in range(0, len(cases), step):
        some = cases[begin : begin + step]
        found[begin : begin + step] = OUTCOMES[outcome](_window(prices, some, horizon, hold))
    return found


def _window(prices: LogBars, cases: Cases, horizon: int, hold: int) -> _Window:
    at = cases.bar[:, None] + np.arange(1, horizon + hold + 1)
    close, up = prices.close[cases.bar][:, None], cases.side[:, None] > 0
    above, below = prices.high[at] - close, close - prices.low[at]
    sign = cases.side[:, None]
    return _Window(
        open=sign * (prices.open[at] - close),
        toward=np.where(up, above, below),
        away=np.where(up, below, above),
        close=sign * (prices.close[at] - close),
        distance=cases.distance[:, None],
        atr=cases.atr,
        horizon=horizon,
        hold=hold,
    )


def _first_touch(w: _Window) -> FloatArray:
    level, image = w.first(w.toward >= w.distance), w.first(w.away >= w.distance)
    return np.sign((image - level).astype(np.float64))


def _touch(w: _Window) -> FloatArray:
    return (w.first(w.toward >= w.distance) < w.horizon).astype(np.float64)


def _markout(w: _Window) -> FloatArray:
    """Profit of an order at the level: filled there, or at the open of a bar that begins beyond; NaN unfilled."""
    rows, first = np.arange(len(w.atr)), w.first(w.toward >= w.distance)
    filled = first < w.horizon
    at = np.minimum(first, w.horizon - 1)
    price = np.maximum(w.open[rows, at], w.distance[:, 0])
    return np.where(filled, (price - w.close[rows, at + w.hold]) / w.atr, np.nan)


def _stop(w: _Window) -> FloatArray:
    """Profit of a position against the side, entered at the next open, left at the stop or with the horizon."""
    rows, first = np.arange(len(w.atr)), w.first(w.toward >= w.distance)
    at = np.minimum(first, w.horizon - 1)
    stopped = np.maximum(w.open[rows, at], w.distance[:, 0])
    leave = np.where(first < w.horizon, stopped, w.close[:, w.horizon - 1])
    profit: FloatArray = (w.open[:, 0] - leave) / w.atr
    return np.where(w.open[:, 0] >= w.distance[:, 0], 0.0, profit)  # opened beyond the stop: not entered


def _continuation(w: _Window) -> FloatArray:
    moved: FloatArray = w.close[:, -1] / w.atr
    return moved


def _volatility(w: _Window) -> FloatArray:
    steps = np.diff(w.close, axis=1, prepend=0.0)
    pace: FloatArray = np.sqrt((steps**2).mean(axis=1)) / w.atr
    return pace


def _mfe(w: _Window) -> FloatArray:
    best: FloatArray = np.maximum(w.toward.max(axis=1), 0.0) / w.atr
    return best


def _mae(w: _Window) -> FloatArray:
    worst: FloatArray = -np.maximum(w.away.max(axis=1), 0.0) / w.atr
    return worst


OUTCOMES: Final[dict[str, Callable[[_Window], FloatArray]]] = {
    "first_touch": _first_touch,  # +1 the level, -1 its mirror image about the close, 0 neither, or both in one bar
    "touch": _touch,  # 1 where the level was touched
    "markout": _markout,
    "stop": _stop,
    "continuation": _continuation,  # move of the close in the direction of the side
    "reversal": lambda w: -_continuation(w),
    "displacement": _continuation,  # asked for with every side +1
    "volatility": _volatility,  # root mean square of the bars' returns
    "mfe": _mfe,  # farthest in the direction of the side
    "mae": _mae,  # farthest against it, at most 0
}
"""All but the touches in ATR."""


def excursions(prices: LogBars, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Return how far price went above and below each close within the horizon, log price, at least 0.

    Shapes (n - horizon,): of the bars that have so many bars after them.
    """
    windows = np.lib.stride_tricks.sliding_window_view
    close = prices.close[:-horizon]
    above = windows(prices.high[1:], horizon).max(axis=1) - close
    below = close - windows(prices.low[1:], horizon).min(axis=1)
    return np.maximum(above, 0.0), np.maximum(below, 0.0)
