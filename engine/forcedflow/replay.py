"""The loop: market and account together, event by event, with the live map at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forcedflow.data import load_dataset
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.settings import AccountSettings, MarketSettings, settings_of
from forcedflow.tables import Event, EventKind
from forcedflow.trading.account import Account, with_venue_fees
from forcedflow.trading.desk import Desk, answering, hear
from forcedflow.trading.exchange import Exchange, traded_venue
from forcedflow.trading.orders import Policy
from forcedflow.trading.strategy import Strategy, make_strategy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from forcedflow.data.bars import Bars
    from forcedflow.data.series import Dataset
    from forcedflow.market.liquidation_map import LiquidationMap
    from forcedflow.market.tape import Tape
    from forcedflow.trading.ledger import Trading

__all__ = ["Market", "Replay"]

_AHEAD: Final = 4096
"""Bars that the market runs ahead of the loop: enough that an event of a block costs what one of a tape does."""
_KEPT: Final = 1 << 16
"""Bars for which a copy of the market's state serves: so many are taken once more where somebody first looks at it."""


class Market:
    """What a handler may look at: the live map, and the bars so far."""

    __slots__ = ("_replay",)

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    @property
    def map(self) -> LiquidationMap:
        """The liquidation map at the close of the current bar."""
        return self._replay.map

    @property
    def bar(self) -> int:
        """The current bar."""
        return self._replay.bar

    @property
    def bars(self) -> Bars:
        """The bars up to the current one."""
        return self._replay.bars


class Replay:
    """Steps through a dataset's events in order; iterate over it.

    At each event the map and the account stand at the close of the event's bar, and nothing later can be reached.
    Looking at the map costs a stop of the market at each event from then on; a loop that goes by the events alone saves
    it.
    Orders placed then, by the strategy or by the loop itself through ``account``, can fill from the next open.

    Parameters
    ----------
    dataset
        A dataset, its name in the catalog, or the path of its TOML file.
    strategy
        A strategy, its name or the path of its file; without one, the loop is the strategy.
    params
        Parameters of a strategy given by name or path that differ from its defaults.
    market, account
        Settings, or a mapping of those that differ from the defaults. Fees that are not set are the first venue's.
    start, end
        ISO dates or times (UTC) of the bars to replay.
    listen
        Kinds of event to step at, also by name; left out, those that the strategy hears, or all of them without a
        strategy. The account hears every event either way.
    snapshots
        How many pictures of the map to keep for a report.

    Examples
    --------
    >>> import forcedflow as ff
    >>> replay = ff.Replay("simulated", "zone_entry")
    >>> event = next(iter(replay))
    >>> event.kind.title, replay.bar == event.bar
    ('ZoneNear', True)
    """

    def __init__(
        self,
        dataset: Dataset | str | Path,
        strategy: Strategy | str | Path | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        market: MarketSettings | Mapping[str, Any] | None = None,
        account: AccountSettings | Mapping[str, Any] | None = None,
        start: str | None = None,
        end: str | None = None,
        listen: Collection[EventKind | str] | None = None,
        snapshots: int = 0,
    ) -> None:
        data = load_dataset(dataset) if isinstance(dataset, str | Path) else dataset
        if start is not None or end is not None:
            data = data.between(start, end)
        if isinstance(strategy, str | Path):
            strategy = make_strategy(strategy, params)
        self.strategy = strategy
        hears = tuple(EventKind) if self.strategy is None else self.strategy.hears()
        self._hears = frozenset(() if self.strategy is None else hears)
        self._listen = frozenset(hears if listen is None else map(EventKind.of, listen))
        rules = settings_of(MarketSettings, market, "market")
        costs, self.notes = with_venue_fees(settings_of(AccountSettings, account, "account"), data)
        # The market runs ahead of the loop, a block at a time, and its events are handed out one by one: to stop at
        # each costs more. Once somebody looks at the map, it goes back by some blocks and keeps step with the loop.
        self._ahead = MarketPass(data, rules, snapshots=snapshots)
        self._begun = self._ahead.mark()
        self._in_step = False
        policy = Policy(conflict="add", max_open=1_000_000) if self.strategy is None else self.strategy
        # A bar's fills meet what that bar swept: a pass made for the list shows the account nothing that comes later.
        swept = make_tape(data, rules, snapshots=0, log_swept=True).swept if costs.participation > 0.0 else None
        liquidity = None if data.counts_ticks else self._ahead.liquidity
        venue = traded_venue(data)
        exchange = Exchange(data.bars, venue=venue, liquidity=liquidity, swept=swept, fine=data.fine)
        self.face = exchange.face
        """Quote currency of one contract where it is inverse, else 0."""
        self._account = Account(exchange, costs, policy)
        self.account = Desk(self._account)
        """Where a loop without a strategy orders."""
        self._data, self._bar = data, -1
        self._event: Event | None = None
        self._steps = self._walk()

    @property
    def map(self) -> LiquidationMap:
        """The liquidation map at the close of the current bar."""
        return self._now().map

    @property
    def bar(self) -> int:
        """The current bar, -1 before the first."""
        return self._bar if self._event is None else self._event.bar

    @property
    def bars(self) -> Bars:
        """The bars up to the current one."""
        bars = self._data.bars
        return bars.between(None, int(bars.close_ts[self.bar]) if self.bar >= 0 else int(bars.ts[0]))

    def __iter__(self) -> Iterator[Event]:
        """Go on to the next event that is listened to, until the bars are used up; a loop left early can be resumed."""
        return self._steps

    def _walk(self) -> Iterator[Event]:
        listen, hears = self._listen, self._hears
        answer = None if self.strategy is None else answering(self.strategy, Market(self), self.account)
        seen, total, market = 0, len(self._data.bars), self._ahead
        while market.bar < total:
            if self._in_step:
                market.advance(None, listen | hears)
            else:
                if market.bar >= self._begun.bar + _KEPT:
                    self._begun = market.mark()
                market.advance(market.bar + _AHEAD)
            end, events, seen = market.bar, market.events(seen), market.event_count
            for event in hear(self.account, events, listen | hears):
                self._event = event
                if self._in_step:
                    market.advance(event.bar + 1)
                if answer is not None and event.kind in hears:
                    answer(event)
                if event.kind in listen:
                    yield event
            self._event, self._bar = None, end - 1
            market.advance(end)
        self._account.advance(total - 1)

    def _now(self) -> MarketPass:
        """Return the market at the close of the current bar; from now on it keeps step with the loop."""
        if not self._in_step:
            self._in_step = True
            if self._ahead.bar > self.bar + 1:
                self._ahead.rewind(self._begun)
                self._ahead.advance(self.bar + 1)
        return self._ahead

    def finish(self) -> Trading:
        """Take what is left of the bars, and return the account's tables."""
        for _ in self._steps:
            pass
        return self._account.result()

    def tape(self) -> Tape:
        """Return bars, events and map so far, as a batch run would have made them."""
        return self._now().tape()
