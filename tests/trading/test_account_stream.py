"""Contract 3 for accounts: any chunks, stopped and resumed anywhere, give the tables of a whole run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow as ff
from forcedflow.data.chunks import chunks_of
from forcedflow.data.series import Dataset
from forcedflow.errors import AccountError, RecordError, StrategyError
from forcedflow.market.stream import TapeChunk, stream
from forcedflow.settings import AccountSettings
from forcedflow.tables import Events
from forcedflow.trading.account import _among, _with, with_venue_fees
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.ledger import Trading
from forcedflow.trading.strategy import make_strategy
from forcedflow.trading.stream import AccountStream, TradedChunk
from generators import JIT, examples
from trading.market import FromColumns
from trading.test_account import Case

TABLES = ("orders", "fills", "trades", "funding", "equity")
NUMBERED = {"orders": "order_id", "trades": "trade_id"}  # told when they are done, numbered as they began


@dataclass(frozen=True)
class Long:
    """A random market, as one dataset and its tape."""

    data: Dataset
    events: Events
    liquidity: tuple[Any, Any]
    strategy: FromColumns
    settings: AccountSettings

    @classmethod
    def of(cls, seed: int, **given: Any) -> Long:
        case = Case.of(seed, participation=0.0, **given)
        intrabar = "worst" if case.settings.intrabar == "drill" else case.settings.intrabar
        market = case.market
        venues = () if market.venue is None else (market.venue,)
        liquidity = (market.prices.volatility, market.prices.usual_volume)
        data = Dataset(name="random", title="", bars=market.bars, venues=venues)
        settings = case.settings.model_copy(update={"intrabar": intrabar})
        return cls(data, case.events, liquidity, case.strategy, with_venue_fees(settings, data)[0])

    def whole(self) -> Trading:
        venue = self.data.venues[0] if self.data.venues else None
        market = Exchange(self.data.bars, venue=venue, liquidity=self.liquidity)
        return trade(market, self.events, self.strategy, self.settings)

    def chunks(self, rng: np.random.Generator, most: int) -> list[TapeChunk]:
        source, parts, first = chunks_of(self.data), [], 0
        while (part := source.take(int(rng.integers(1, most + 1)))) is not None:
            rows = slice(first, first + len(part.bars))
            inside = np.flatnonzero((self.events.bar >= rows.start) & (self.events.bar < rows.stop))
            columns = {"vol_long": self.liquidity[0][rows], "volume_average": self.liquidity[1][rows]}
            parts.append(TapeChunk(first, part, self.events[inside], columns, ()))
            first = rows.stop
        return parts


def assert_whole(parts: list[TradedChunk], whole: Trading | ff.Run) -> None:
    for table in TABLES:
        pieces = [getattr(part, table) for part in parts]
        if table in NUMBERED:
            pieces.append(parts[-1].working if table == "orders" else parts[-1].open_trades)
        columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        order = np.argsort(columns[NUMBERED[table]], kind="stable") if table in NUMBERED else slice(None)
        for name, column in getattr(whole, table).items():
            found = columns[name][order]
            if column.dtype.kind == "U":
                assert found.tolist() == column.tolist(), (table, name)
            else:
                assert (found.dtype, found.tobytes()) == (column.dtype, column.tobytes()), (table, name)


@examples(60)
@given(st.integers(0, 100_000), st.sampled_from([1, 3, 20]), st.sampled_from([0.0, 0.3]))
def test_chunks_and_stops_change_nothing(seed: int, most: int, stops: float) -> None:
    market, rng = Long.of(seed), np.random.default_rng(seed)
    account, parts = AccountStream(market.strategy, market.settings), []
    with TemporaryDirectory() as folder:
        for chunk in market.chunks(rng, most):
            parts.append(account.take(chunk))
            if rng.random() < stops:
                file = account.checkpoint(Path(folder) / "account.npz")
                account = AccountStream(market.strategy, market.settings, resume=file)
                assert account.bar == chunk.first + len(chunk.bars)
    assert_whole(parts, market.whole())


def test_random_cases_hold_positions_over_borders() -> None:
    """What the test above is about does happen: fills, payments and liquidations after a position was carried over."""
    seen = set()
    for seed in range(60):
        geared = {"margin": "isolated", "leverage": 20.0, "max_leverage": 80.0} if seed % 2 else {}
        market = Long.of(seed, **geared)
        account = AccountStream(market.strategy, market.settings)
        for chunk in market.chunks(np.random.default_rng(seed), 3):
            held = account._carried is not None and len(account._carried.lots) > 0
            part = account.take(chunk)
            seen |= {str(reason) for reason in part.fills["reason"]} if held else set()
            seen |= {"funding"} if held and len(part.funding["ts"]) else set()
    assert seen >= {"stop", "target", "liquidation", "hold", "exit_on", "reduce", "funding"}


@pytest.mark.skipif(not JIT, reason="twelve thousand bars take minutes without compiled code")
def test_groups_are_remembered_only_where_they_were_traded() -> None:
    """A group whose orders are gone unfilled may be traded yet, and needs no memory."""
    strategy = make_strategy("zone_entry", {"depth": 1.0, "expiry": 1})
    account, fills, asked = AccountStream(strategy, AccountSettings()), 0, set()
    for chunk in stream(ff.load_dataset("simulated"), chunk=2500):
        part = account.take(chunk)
        fills += int(np.count_nonzero(part.fills["reason"] == "entry"))
        asked |= {*part.orders["group"].tolist()}
    assert account._carried is not None
    assert 0 < len(account._carried.over) <= fills
    assert len(account._carried.groups) <= len(account._carried.orders) + 1
    assert fills + len(account._carried.orders) + 1 < len(asked)


def test_groups_that_are_over_take_eight_bytes_each() -> None:
    """Of any numbers, since a plan may number its groups as it likes."""
    rng, over = np.random.default_rng(3), np.zeros(0, np.int64)
    known: set[int] = set()
    for count in (0, 1, 500, 0, 500):
        groups = np.unique(np.concatenate((rng.integers(-(2**63), 2**63, count), rng.integers(-200, 200, count))))
        assert _among(groups, over).tolist() == [group in known for group in groups.tolist()]
        over, known = _with(over, groups), known | set(groups.tolist())
        assert over.tolist() == sorted(known)
        assert over.dtype == np.int64
        assert over.nbytes == 8 * len(known)


@pytest.mark.skipif(not JIT, reason="twelve thousand bars take minutes without compiled code")
@pytest.mark.parametrize("name", ["zone_entry", "channel_breakout", "void_exhaustion"])
def test_a_streamed_tape_is_traded_as_a_run_trades_it(name: str) -> None:
    data = ff.load_dataset("simulated")
    run, strategy = ff.run(data, name), make_strategy(name)
    account = AccountStream(strategy, AccountSettings())
    parts = [account.take(chunk) for chunk in stream(data, chunk=1777)]
    assert len(run.fills["bar"]) >= 6
    assert_whole(parts, run)


def test_what_cannot_be_streamed_is_refused(tmp_path: Path) -> None:
    market = Long.of(1)
    for settings in (AccountSettings(participation=0.5), AccountSettings(intrabar="drill")):
        with pytest.raises(AccountError, match="participation, drill"):
            AccountStream(market.strategy, settings)
    with pytest.raises(StrategyError, match="handlers"):
        AccountStream(Handler(), AccountSettings())
    account = AccountStream(market.strategy, market.settings)
    with pytest.raises(AccountError, match="no bar was traded yet"):
        account.checkpoint(tmp_path / "account.npz")
    first, second, *_ = market.chunks(np.random.default_rng(0), 3)
    with pytest.raises(AccountError, match="bar 0 comes next"):
        account.take(second)
    account.take(first)
    file = account.checkpoint(tmp_path / "account.npz")
    other = market.settings.model_copy(update={"cash": 1.0})
    with pytest.raises(RecordError, match="made with another account"):
        AccountStream(market.strategy, other, resume=file)


class Handler(ff.Strategy):
    """Answers nothing."""

    def on_zone_entry(self, event: Any, market: Any, account: Any) -> None:
        """Do nothing."""
