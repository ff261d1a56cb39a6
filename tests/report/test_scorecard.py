"""The scorecard against hand-computed cases."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from forcedflow.report.definitions import MEASURES
from forcedflow.report.scorecard import Calendar, scorecard
from forcedflow.tables import EQUITY, FILLS, TRADES
from report.synthetic import START, table

if TYPE_CHECKING:
    from forcedflow.record import Run

DAY = 86_400_000_000_000


def card(
    values: list[float], trades: dict[str, Any] | None = None, calendar: Calendar = "24/7", step: int = DAY
) -> Any:
    """Return the scorecard of an account that starts with 100 and has these values at the ends of its bars."""
    ts = START + step * np.arange(1, len(values) + 1)
    equity = table(EQUITY, {"ts": ts, "equity": values, "position": [1.0] + [0.0] * (len(values) - 1)})
    ledger = table(TRADES, trades or {"net": []})
    fills = table(FILLS, {"qty": [2.0, 2.0], "forced_qty": [1.0, 0.0], "fee": [0.5, 0.25], "spread_cost": [0.125, 0.0]})
    return scorecard(equity, ledger, fills, initial=100.0, start=START, calendar=calendar)


def test_every_number_is_explained(run: Run) -> None:
    assert [m.name for m in MEASURES] == sorted(run.scorecard, key=[m.name for m in MEASURES].index)
    assert len({m.name for m in MEASURES}) == len({m.title for m in MEASURES}) == len(MEASURES)
    for m in MEASURES:
        assert m.definition.endswith(".")
        assert m.reading.endswith(".")
        assert m.formula
        assert m.source


def test_a_curve_by_hand() -> None:
    found = card([80.0, 100.0, 125.0, 100.0])  # -20%, +25%, +25%, -20%
    assert found["total_return"] == found["cagr"] == 0.0
    assert found["max_drawdown"] == pytest.approx(0.2)
    assert found["under_water"] == 2.0  # from the start to the second close
    assert found["volatility"] == pytest.approx(math.sqrt(4 * 0.225**2 / 3 * 365))
    assert found["sharpe"] == pytest.approx(0.025 / math.sqrt(4 * 0.225**2 / 3) * math.sqrt(365))
    assert found["sortino"] == pytest.approx(0.025 / math.sqrt(0.02) * math.sqrt(365))
    assert found["cvar_95"] == pytest.approx(0.2)  # a fifth of the worst day
    assert found["var_95"] == pytest.approx(0.2)  # both of the worst two days lost a fifth
    assert found["omega"] == pytest.approx(1.25)
    assert found["skew"] == pytest.approx(0.0)
    assert found["kurtosis"] == pytest.approx(1.0)  # two equally likely values
    assert found["drawdown_length"] == found["drawdown_recovery"] == 1.0
    assert found["time_under_water"] == 0.5  # the first close and the last
    assert found["ulcer"] == pytest.approx(math.sqrt(2 * 0.2**2 / 4))
    assert found["exposure"] == 0.25
    assert found["days"] == 4


def test_a_loss_in_the_first_bar_counts() -> None:
    assert card([90.0, 91.0])["max_drawdown"] == pytest.approx(0.1)  # vectorbt says 0


def test_intraday_drawdown_is_seen_and_intraday_returns_are_not() -> None:
    found = card([50.0, 100.0] * 4, step=DAY // 2)
    assert found["max_drawdown"] == 0.5
    assert found["volatility"] == 0.0


def test_sessions_count_their_own_days() -> None:
    week = card([101.0, 102.0, 101.0, 103.0, 104.0], calendar="sessions", step=7 * DAY)
    assert week["days"] == 5
    assert week["cagr"] == pytest.approx(1.04 ** (365.25 / 35) - 1)
    assert card([101.0, 102.0], step=7 * DAY)["days"] == 8  # a market that never closes: flat days count


def test_trades_by_hand() -> None:
    found = card(
        [100.0],
        {
            "net": [2.0, -1.0, -1.0, 9.0], "gross": [3.0, 0.0, 0.0, 9.0], "r": [2.0, -1.0, np.nan, 9.0],
            "mae_r": [-0.5, -1.0, np.nan, 0.0], "mfe_r": [2.5, 0.5, np.nan, 9.0], "bars_held": [1, 2, 6, 50],
            "exit_reason": ["target", "stop", "stop", "open"], "ambiguous": [False, True, False, False],
        },
    )  # fmt: skip
    assert (found["trades"], found["trades_open"], found["ambiguous"]) == (3, 1, 1)
    assert found["hit_rate"] == pytest.approx(1 / 3)
    assert (found["payoff"], found["profit_factor"]) == (2.0, 1.0)
    assert (found["expectancy_r"], found["median_r"]) == (0.5, 0.5)
    assert (found["mae_r"], found["mfe_r"], found["bars_held"]) == (-0.75, 1.5, 3.0)
    assert (found["gross"], found["net"]) == (12.0, 9.0)
    assert (found["fees"], found["spread"], found["forced_share"]) == (0.75, 0.125, 0.25)


def test_undefined_is_none_never_nan_or_inf() -> None:
    flat = card([100.0, 100.0])
    assert all(value is None or math.isfinite(value) for value in flat.values())
    for name in ("sharpe", "sharpe_error", "sortino", "calmar", "profit_factor", "payoff", "hit_rate", "expectancy_r"):
        assert flat[name] is None
    assert flat["max_drawdown"] == flat["volatility"] == 0.0
