"""What a sweep reads off an account's rows, against the scorecard of the account's tables, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from forcedflow.errors import StrategyError
from forcedflow.report.equity_measures import Calendar
from forcedflow.report.scorecard import scorecard
from forcedflow.study.sweeps.score import Pitch, daily_equity
from generators import examples
from trading.market import FromColumns
from trading.test_account import SEEDS, Case


@examples(40)
@given(SEEDS)
@pytest.mark.parametrize(("calendar", "contract"), [("24/7", "inverse"), ("sessions", "linear")])
def test_rows_give_what_tables_give(calendar: Calendar, contract: str, seed: int) -> None:
    """Random ladders, brackets, trails, policies, costs, funding, margin and own liquidation."""
    case = Case.of(seed, contract)
    bars, cash = case.market.bars, case.settings.cash
    trading = case.trade()
    with np.errstate(all="ignore"):  # accounts that lose everything
        expected = scorecard(
            trading.equity, trading.trades, trading.fills, initial=cash, start=int(bars.ts[0]), calendar=calendar
        )
        pitch = Pitch.of(case.market, case.events, calendar, FromColumns)
        card, daily = pitch.play(case.strategy, case.settings, checked=False)
    assert card == expected
    assert daily.tolist() == daily_equity(trading.equity, cash, calendar).tolist()


class LooksAround(FromColumns):
    """A plan whose rows depend on how many there are."""

    def plan(self, events: Any) -> Any:
        return super().plan(events) if len(events) > 2 else super().plan(events[:0])


def test_a_plan_that_is_not_elementwise_is_refused_where_it_is_asked() -> None:
    case = Case.of(5)
    pitch = Pitch.of(case.market, case.events, "24/7", LooksAround)
    pitch.play(LooksAround(), case.settings, checked=False)
    with pytest.raises(StrategyError):
        pitch.play(LooksAround(), case.settings, checked=True)
