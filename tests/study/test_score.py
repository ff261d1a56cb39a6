"""What a sweep reads off an account's rows, against the scorecard of the account's tables, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import naive.score as naive
from forcedflow.errors import StrategyError
from forcedflow.kernels import records
from forcedflow.kernels.orders import ENTERED
from forcedflow.kernels.score import TRADE_ROW, equity_at, pieces, trade_results
from forcedflow.report.equity_measures import Calendar
from forcedflow.report.scorecard import scorecard
from forcedflow.study.sweeps.score import SharedMarket, daily_equity
from forcedflow.trading.account import Account
from forcedflow.trading.strategy import ask
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
        shared = SharedMarket.of(case.market, case.events, calendar, FromColumns)
        card, daily = shared.trade(case.strategy, case.settings, checked=False)
    assert card == expected
    assert daily.tolist() == daily_equity(trading.equity, cash, calendar).tolist()


@examples(40)
@given(SEEDS)
def test_rows_equal_their_twin(seed: int) -> None:
    case = Case.of(seed)
    market, cash = case.market, case.settings.cash
    shared = SharedMarket.of(market, case.events, "24/7", FromColumns)
    account = Account(market, case.settings, case.strategy)
    account.observe(case.events)
    account.place(ask(case.strategy, shared.heard), shared.rows)
    account.advance(len(market.bars) - 1)
    orders, fills, funded, _ = account.rows()

    count, every = len(fills) + len(funded) + 1, np.arange(len(market.bars))
    begins, held, position = np.zeros(count, np.int64), np.full(count, cash), np.zeros(count)
    equity = np.empty(len(every))
    pieces(fills, funded, begins, held, position)
    exposed = equity_at(every, shared.worth, begins, held, position, equity)
    assert (equity.tolist(), exposed) == naive.equity_by_bar(fills, funded, shared.worth.tolist(), cash)

    trades, of = records(TRADE_ROW, len(fills)), np.empty(len(orders), np.int64)
    due = market.rules.funding["bar"]
    entered = trade_results(market.prices, market.face, due, shared.received, orders, fills, of, trades)
    expected = naive.trade_costs(fills, ENTERED)
    assert trades["order"][:entered].tolist() == list(expected)
    for trade, (costs, last_bar) in zip(trades[:entered], expected.values(), strict=True):
        assert trade["costs"] == costs
        assert trade["exit_bar"] == (last_bar if trade["closed"] else len(every) - 1)
        assert trade["net"] == pytest.approx(trade["gross"] - costs + trade["funding"], rel=1e-9, abs=1e-9)


class LooksAround(FromColumns):
    """A plan whose rows depend on how many there are."""

    def plan(self, events: Any) -> Any:
        return super().plan(events) if len(events) > 2 else super().plan(events[:0])


def test_a_plan_that_is_not_elementwise_is_refused_where_it_is_asked() -> None:
    case = Case.of(5)
    shared = SharedMarket.of(case.market, case.events, "24/7", LooksAround)
    shared.trade(LooksAround(), case.settings, checked=False)
    with pytest.raises(StrategyError):
        shared.trade(LooksAround(), case.settings, checked=True)
