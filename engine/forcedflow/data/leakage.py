"""Does a venue series know the future? A regression on leading returns answers where its timing is declared wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forcedflow.errors import DataError

if TYPE_CHECKING:
    from forcedflow.data.bars import Bars
    from forcedflow.data.series import OpenInterest

__all__ = ["Loadings", "leakage_check"]

FloatArray = npt.NDArray[np.float64]

_MIN_ROWS: Final = 200
_MAX_T: Final = 5.0
_MIN_CORRELATION: Final = 0.05
"""A huge sample makes a harmless loading significant; a series one period early correlates by .24 and more."""
_WINSOR: Final = 0.01


@dataclass(frozen=True, slots=True)
class Loadings:
    """How changes of log open interest load on returns around the interval they describe."""

    rows: int
    same: float
    """Loading on the return over the same interval; near 1 for a value in quote currency."""
    same_correlation: float
    lead: float
    """Loading on the return over as much time after the stamp."""
    lead_t: float
    """Its t-value, robust to heteroscedasticity (White 1980, HC0)."""
    lead_correlation: float

    def __str__(self) -> str:
        if not self.rows:
            return f"too short to check (under {_MIN_ROWS} usable intervals)"
        lead = f"{self.lead:+.3f} (t {self.lead_t:+.1f}) on the return after the stamp"
        return f"loads {lead}, {self.same:+.3f} on the return before it, {self.rows} intervals"


def leakage_check(bars: Bars, oi: OpenInterest, *, file: object = None) -> Loadings:
    """Regress changes of open interest on the returns before, during and after the interval they describe.

    A change over ``(stamp before, stamp]`` may load on the price move of that interval. If it loads on the move
    *after* its stamp, the series describes a later period than it claims, and a replay would see the future.
    Only intervals of the usual length count, and all columns are winsorised at 1% on each side.

    Raises
    ------
    DataError
        Where |t| on the leading return exceeds 5 and its correlation .05; or where the change moves one for one with
        price, as a value in quote currency does.
    """
    found = _loadings(bars, oi)
    if abs(found.lead_t) > _MAX_T and abs(found.lead_correlation) > _MIN_CORRELATION:
        reason = f"open interest knows the future: its change {found}; declare when the period it describes ends"
        raise DataError(reason, file=file, field="stamp")
    if found.same_correlation > 0.5 and 0.8 < found.same < 1.25:
        moves = f"loading {found.same:.2f}, correlation {found.same_correlation:.2f}"
        reason = f"open interest moves one for one with price ({moves}): a value in quote currency, not base units"
        raise DataError(reason, file=file, field="value")
    return found


def _loadings(bars: Bars, oi: OpenInterest) -> Loadings:
    nothing = Loadings(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if len(oi) <= _MIN_ROWS or len(bars) <= _MIN_ROWS:
        return nothing
    spacing = np.diff(oi.stamp)
    usual = int(np.median(spacing))
    width = max(1, round(usual / bars.interval))
    last = np.searchsorted(bars.close_ts, oi.stamp, side="right") - 1  # the last bar complete at each stamp
    start, end = last[:-1], last[1:]
    ok = (
        (np.abs(spacing - usual) <= usual // 10) & (end - start == width) & (start >= width) & (end + width < len(bars))
    )
    ok &= (oi.value[:-1] > 0) & (oi.value[1:] > 0)
    if ok.sum() < _MIN_ROWS:
        return nothing
    start, end = start[ok], end[ok]
    log_close = np.log(bars.close)
    change = np.log(oi.value[1:][ok] / oi.value[:-1][ok])
    before, same = log_close[start] - log_close[start - width], log_close[end] - log_close[start]
    after = log_close[end + width] - log_close[end]
    change, before, same, after = (_winsorised(column) for column in (change, before, same, after))
    if min(np.ptp(column) for column in (change, before, same, after)) == 0:
        return nothing
    loading, t = _regress(change, np.column_stack([np.ones(len(change)), before, same, after]))
    return Loadings(
        rows=len(change),
        same=float(loading[2]),
        same_correlation=float(np.corrcoef(change, same)[0, 1]),
        lead=float(loading[3]),
        lead_t=float(t[3]),
        lead_correlation=float(np.corrcoef(change, after)[0, 1]),
    )


def _winsorised(column: FloatArray) -> FloatArray:
    low, high = np.quantile(column, [_WINSOR, 1 - _WINSOR])
    return np.clip(column, low, high)


def _regress(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return least-squares coefficients and their t-values with White's HC0 covariance."""
    inverse = np.linalg.inv(x.T @ x)
    coefficients: FloatArray = inverse @ (x.T @ y)
    scores = x * (y - x @ coefficients)[:, None]
    variance = np.diag(inverse @ (scores.T @ scores) @ inverse)
    return coefficients, coefficients / np.sqrt(variance)
