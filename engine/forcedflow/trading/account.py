"""The account: takes orders, trades them bar by bar, and says what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from forcedflow.data.bars import Bars
from forcedflow.errors import AccountError, StrategyError
from forcedflow.kernels import BoolArray, FloatArray, IntArray, Records, Repeated, records
from forcedflow.kernels import orders as kernel
from forcedflow.kernels.account import advance
from forcedflow.kernels.plans import write_orders
from forcedflow.kernels.tiers import Tiered
from forcedflow.tables import Events, Side
from forcedflow.trading.exchange import Exchange, traded_venue
from forcedflow.trading.ledger import Ledger, Past, Trading
from forcedflow.trading.orders import Asked, Plan, Policy, checked, one_order
from forcedflow.venues import load_venue

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.data.series import Dataset
    from forcedflow.settings import AccountSettings

__all__ = ["Account", "Carried", "OpenTrade", "with_venue_fees"]

_NO_BAR: Final = -(2**62)
_A_FEW: Final = 8
"""Bars that are looked at one by one before the kernel is called."""
_FIRST: Final = np.zeros(1, np.int64)
_FIELDS: Final = len(kernel.ORDER_ROW.names or ())
_advance: Final = Tiered(advance)
_write_orders: Final = Tiered(write_orders)
_A = TypeVar("_A", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """A position that is open now."""

    side: Side
    qty: float
    """What is left of it."""
    entry_bar: int
    entry_price: float
    stop: float
    target: float
    group: int
    liquidation: float
    """Price at which the venue closes it, by its own margin or the account's; NaN for none."""


class Carried(NamedTuple):
    """What an account takes along to the bars after its own, whose first it calls bar 0."""

    book: Records
    orders: Records
    """Those that work or are open, and the first orders of their asks."""
    working: IntArray
    """Places of the working orders in ``orders``."""
    lots: IntArray
    """And of the open lots."""
    taken: BoolArray
    """By slot, as in the kernel's state."""
    groups: IntArray
    """The group of each slot that these orders have; slot 0 is of no group."""
    over: IntArray
    """Groups that were traded and have no live order, ascending, where each is traded but once."""
    table: Records
    """Rows of the maintenance table that holds."""
    level: FloatArray
    """Shape (1,): the nearest price of own liquidation, NaN for none."""


class _Book:
    """The fields of the one row of ``BOOK_ROW``, as arrays of shape (1,): a record's own fields are slow to reach."""

    def __init__(self, book: Records) -> None:
        fields = book.view(np.ndarray)
        for name in kernel.BOOK_ROW.names or ():
            setattr(self, name, fields[name])

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> npt.NDArray[Any]: ...


class Account:
    """Cash, positions and working orders over one table of bars.

    The tape is heard with :meth:`observe`, orders come with :meth:`place` or, one by one from a handler, with
    :meth:`submit`, :meth:`close` and :meth:`cancel`. All of them only write down; bars are traded when something is
    read. So a whole tape at once, and event by event, are the same work with the same result to the bit.

    Parameters
    ----------
    market
        What to trade on: an exchange, which accounts may share, or mere bars.
    settings
        Costs and limits.
    policy
        What becomes of a new order while others are live; a strategy is one.
    carried
        Of an account that traded the bars before these (:meth:`carry`), to go on from.

    Raises
    ------
    AccountError
        For ``intrabar = drill`` where there are no finer bars, and for ``participation`` where nobody listed what was
        swept.
    """

    def __init__(
        self, market: Exchange | Bars, settings: AccountSettings, policy: Policy, carried: Carried | None = None
    ) -> None:
        self._market = Exchange(market) if isinstance(market, Bars) else market
        self._bars, self._settings = self._market.bars, settings
        self._name = type(policy).__name__
        self._rules = _rules(self._market, settings, policy)
        self._kernel = Repeated(advance)
        if settings.intrabar == "drill" and not self._market.finer:
            raise AccountError("intrabar = drill needs the dataset's finer bars, and it names none")
        if settings.participation > 0 and not len(self._market.detail.swept_start):
            raise AccountError("participation > 0 needs what each bar swept: make the tape with log_swept=True")
        detailed = settings.intrabar in {"path", "drill"} or settings.participation > 0
        self._detail = self._market.detail if detailed else None
        self._once = policy.once_per_group
        self._signals = records(kernel.SIGNAL_ROW, 0)
        self._signal_bar: IntArray = self._signals.view(np.ndarray)["bar"]
        self._state = kernel.State(
            book=records(kernel.BOOK_ROW, 1),
            moment=records(kernel.MOMENT_ROW, 1),
            orders=records(kernel.ORDER_ROW, 0),
            fills=records(kernel.FILL_ROW, 0),
            working=np.zeros(0, np.int64),
            lots=np.zeros(0, np.int64),
            taken=np.zeros(1, np.bool_),
            table=records(kernel.BRACKET_ROW, len(self._market.rules.brackets)),
            levels=records(kernel.LEVEL_ROW, 0),
        )
        self._funded = records(kernel.FUNDED_ROW, len(self._market.rules.funding))
        self._book = _Book(self._state.book)
        self._book.cash[0] = settings.cash
        self._book.last_exit[0] = _NO_BAR
        self._book.schedule[0] = -1
        self._heard = self._announced = self._asked = self._stop = 0
        self._looked = (0, 0, 0)
        self._levels = 0  # rows of levels that are of the bars before
        self._slots: dict[int, int] = {0: 0}
        self._over = np.zeros(0, np.int64)
        self._last: Events | None = None
        if carried is not None:
            self._go_on(carried)

    def observe(self, events: Events) -> None:
        """Hear the next events of the tape, each once and in order: they may cancel orders and end positions.

        Raises
        ------
        AccountError
            For events of bars that were traded past.
        """
        self.announce(events)
        self.hear(len(events))

    def announce(self, events: Events) -> None:
        """Take down the next events of the tape, to be heard with :meth:`hear`: many at once cost little more than one.

        Raises
        ------
        AccountError
            For events of bars that were traded past.
        """
        if not len(events):
            return
        if (first := events.rows["bar"][0]) < self._stop - 1:
            raise AccountError(f"event of bar {first} comes late: bar {self._stop - 1} was traded already")
        start, self._announced = self._announced, self._announced + len(events)
        if len(self._signals) < self._announced:
            self._signals = _room(self._signals, self._announced)
            self._signal_bar = self._signals.view(np.ndarray)["bar"]
        new = self._signals.view(np.ndarray)[start : self._announced]
        for column in ("bar", "kind", "group"):
            new[column] = events.rows[column]
        self._last = events

    def hear(self, count: int) -> None:
        """Hear the next ``count`` of the events that were announced.

        Raises
        ------
        AccountError
            Where fewer are left.
        """
        if count <= 0:
            return
        if self._heard + count > self._announced:
            raise AccountError(f"{self._announced - self._heard} announced events are left, not {count}")
        self._heard += count
        self.advance(self._signal_bar.item(self._heard - 1))

    def advance(self, bar: int) -> None:
        """Let trading go on to the close of ``bar``.

        Raises
        ------
        AccountError
            Where there is no such bar.
        """
        if not 0 <= bar < len(self._bars.close):
            raise AccountError(f"there is no bar {bar}: the bars are 0 to {len(self._bars.close) - 1}")
        self._stop = max(self._stop, bar + 1)

    def place(self, asked: Asked, events: IntArray) -> None:
        """Order what a plan asks for.

        Parameters
        ----------
        asked
            The plan, checked.
        events
            Shape (rows,): for each row the event that it answers, counted from 0 over all that were observed;
            ascending, and none before the last that was observed when the account was last read.

        Raises
        ------
        AccountError
            For an event that was not observed, or lies behind what was traded already.
        """
        count = int(np.count_nonzero(asked.side))
        if not count:
            return
        slot = self._slots_of(asked.group) if self._once else _FIRST
        ratchet = np.exp(-asked.side * asked.trail) if len(asked.trail) > 1 or asked.trail[0] > 0 else asked.trail
        floor = max(0, self._looked[0] - 1, self._state.orders[self._asked - 1].event if self._asked else 0)
        answered = np.array(events)
        start = self._make_room(count)
        signals, orders = self._signals, self._state.orders
        rows = len(asked.side)
        if not _write_orders.call(rows, asked, ratchet, slot, answered, signals, floor, self._heard, orders, start):
            self._asked = start
            wanted = answered[np.flatnonzero(asked.side) // asked.legs]
            raise AccountError(
                f"orders answer events {wanted.min()} to {wanted.max()}; "
                f"they must ascend and lie between {floor} and {self._heard - 1}"
            )

    def submit(self, side: npt.ArrayLike, *, size: npt.ArrayLike, **order: Any) -> None:
        """Order at the close of the last observed event; it can fill from the next open.

        Parameters
        ----------
        side, size, order
            Fields of a :class:`Plan`. Sequences of one length are the legs of a ladder.

        Raises
        ------
        StrategyError
            For an order that cannot be traded, naming the event.
        AccountError
            Before any event was observed.
        """
        now, last = self._heard - 1, self._last
        if last is not None and now >= 0:
            close = last.close.item(now - self._announced + len(last))
            single = one_order(side, size, order, close)
            if single is not None:
                self._append_one(single)
                return
        if not np.all(np.abs(np.asarray(side, dtype=np.float64)) == 1):
            raise StrategyError(f"strategy {self._name}: an order's side must be +1 or -1, was {side!r}")
        unknown = order.keys() - Plan.__dataclass_fields__.keys()
        if unknown:
            known = ", ".join(name for name in Plan.__dataclass_fields__ if name != "_")
            raise StrategyError(f"strategy {self._name}: an order has no {', '.join(sorted(unknown))}; it has {known}")
        masks = {name: order.pop(name) for name in ("cancel_on", "exit_on") if name in order}
        fields_: dict[str, Any] = {name: _legs(value) for name, value in order.items()} | masks
        plan = Plan(_legs(side), size=_legs(size), **fields_)
        self.place(checked(plan, self._now(), self._name), np.array([self._heard - 1]))

    def close(self) -> None:
        """Leave every position at the next open."""
        self._command("close")

    def cancel(self) -> None:
        """Cancel every working order."""
        self._command("cancel")

    @property
    def bar(self) -> int:
        """The last bar that was traded, -1 before the first."""
        return self._stop - 1

    @property
    def heard(self) -> int:
        """How many events were observed."""
        return self._heard

    @property
    def cash(self) -> float:
        """Money that would be left if the position were worth nothing."""
        return float(self._traded().cash[0])

    @property
    def position(self) -> float:
        """Net position, base units, or contracts of an inverse contract."""
        return float(self._traded().position[0])

    @property
    def equity(self) -> float:
        """Cash and position at the last close."""
        book, close = self._traded(), self._bars.close.item(max(self._stop - 1, 0))
        equity: float = book.cash.item() + book.position.item() * self._market.worth_of(close)
        return equity

    @property
    def working(self) -> int:
        """How many orders work."""
        return int(self._traded().working[0])

    @property
    def open_trades(self) -> tuple[OpenTrade, ...]:
        """The open positions, in the order of their entries."""
        open_now = self._state.orders[self._state.lots[: self._traded().lots.item()]]
        level = np.nan
        if self._rules[0].margin == kernel.CROSS:
            level = self._book.liquidation.item()  # reckoned when the account last looked what to watch for
        isolated = self._settings.margin == "isolated"
        return tuple(
            OpenTrade(
                side=Side(lot.side),
                qty=float(lot.left),
                entry_bar=int(lot.entry_bar),
                entry_price=float(lot.entry_price),
                stop=float(lot.stop),
                target=float(lot.target),
                group=int(lot.group),
                liquidation=float(lot.liquidation) if isolated else level,
            )
            for lot in open_now
        )

    def carry(self) -> tuple[IntArray, Carried]:
        """Return what is to go on with over the bars that come after, and which of the orders it holds.

        Raises
        ------
        AccountError
            Where bars or announced events are left.
        """
        if self._stop < len(self._bars) or self._heard < self._announced:
            raise AccountError(f"bars are left from {self._stop} on, and {self._announced - self._heard} events")
        traded, state = self._traded(), self._state
        live = np.concatenate((state.working[: traded.working.item()], state.lots[: traded.lots.item()]))
        asked = state.orders.view(np.ndarray)
        kept = np.unique(np.concatenate((live, asked["ask"][live])))  # the first order of an ask keeps its counts
        orders, book = asked[kept], state.book.view(np.ndarray).copy()
        orders["ask"] = np.searchsorted(kept, orders["ask"])
        orders["event"] = -1
        for name in ("bar", "status_bar", "entry_bar", "due"):
            orders[name][orders[name] < kernel.NEVER] -= self._stop
        book["last_exit"][book["last_exit"] > _NO_BAR] -= self._stop
        places, working = np.searchsorted(kept, live), traded.working.item()
        groups, over = np.array(list(self._slots), np.int64), state.taken[: len(self._slots)].copy()
        slots = np.union1d(orders["slot"], 0)
        orders["slot"] = np.searchsorted(slots, orders["slot"])
        over[slots] = False
        table, noted = state.table.view(np.ndarray)[: traded.rows.item()].copy(), traded.levels.item()
        level = np.array([state.levels[noted - 1].price if noted else np.nan])
        return kept, Carried(
            book=book,
            orders=orders,
            working=places[:working],
            lots=places[working:],
            taken=state.taken[slots],
            groups=groups[slots],
            over=_with(self._over, groups[over]),
            table=table,
            level=level,
        )

    def _go_on(self, carried: Carried) -> None:
        """Begin with what an account carried over to the first of these bars."""
        self._make_room(len(carried.orders))
        state = self._state
        state.orders[: self._asked] = carried.orders
        state.working[: len(carried.working)] = carried.working
        state.lots[: len(carried.lots)] = carried.lots
        state.book.view(np.ndarray)[:] = carried.book
        book = self._book
        for name in ("bar", "signal", "fills", "funding", "funded", "watched", "levels"):
            getattr(book, name)[0] = 0
        book.placed[0] = self._asked
        book.schedule[0] = 0 if self._holds_on(carried) else -1
        if not np.isnan(carried.level[0]):
            state.levels[0] = (-1, carried.level[0])
            book.levels[0] = self._levels = 1
        table = _room(state.table, len(carried.table))
        table[: len(carried.table)] = carried.table
        self._state = state._replace(taken=carried.taken.copy(), table=table)
        self._slots = {int(group): slot for slot, group in enumerate(carried.groups.tolist())}
        self._over = carried.over

    def _holds_on(self, carried: Carried) -> bool:
        """Tell whether the maintenance table that was carried over is the first of these bars' own, too."""
        rules, book = self._market.rules, carried.book[0]
        if book["schedule"] < 0 or not len(rules.schedules) or rules.schedules[0].bar > 0:
            return False
        first = rules.schedules[0]
        same = first.on_entry == book["on_entry"] and first.contract == book["contract"]
        return bool(same and np.array_equal(rules.brackets.view(np.ndarray)[first.first : first.last], carried.table))

    def rows(self) -> tuple[Records, Records, Records, Records]:
        """Trade what is left to be traded; return the kernel's rows: orders, fills, payments, levels of liquidation."""
        book, state = self._traded(), self._state
        # Views of another kind, since numpy's records take long to find a field.
        orders, fills, funded, levels = (
            part.view(np.ndarray) for part in (state.orders, state.fills, self._funded, state.levels)
        )
        return (
            orders[: self._asked],
            fills[: book.fills.item()],
            funded[: book.funded.item()],
            levels[self._levels : book.levels.item()],
        )

    def result(self) -> Trading:
        """Return the tables of all that was traded so far."""
        return self.ledger(Past.none(self._settings.cash)).trading(self._settings)

    def ledger(self, past: Past) -> Ledger:
        """Return what was traded so far to be read as tables, and what came before it."""
        return Ledger(self._market, *self.rows(), self._heard, self._stop, past)

    def _traded(self) -> _Book:
        """Trade what is left to be traded, and return the book."""
        wanted = (self._heard, self._asked, self._stop)
        if self._looked != wanted:
            if not self._idle():
                arguments = (
                    self._market.prices,
                    self._detail,
                    self._signals,
                    self._heard,
                    self._state,
                    self._funded,
                    self._asked,
                    self._market.rules,
                    self._rules[0],
                    self._stop,
                )
                if not (_advance.left and _advance.finishes(*arguments)):
                    self._kernel(*arguments, kernel.NEVER)
            self._looked = wanted
        return self._book

    def _idle(self) -> bool:
        """Tell whether trading would change nothing: no command waits, and what is live is not met in a few bars.

        The kernel would find the same, but to call it takes longer than all else about looking at an account.
        """
        book = self._book
        if book.placed.item() < self._asked:
            return False
        if book.working.item() + book.lots.item() == 0:
            return True
        stop, bar = self._stop, max(self._looked[2], book.bar.item())
        if not book.watched.item() or book.mask.item() or stop > book.wake.item() or stop - bar > _A_FEW:
            return False
        if self._market.marked and (book.mark_up.item() < np.inf or book.mark_down.item() > -np.inf):
            return False
        up, down, bars = book.up.item(), book.down.item(), self._bars
        return all(bars.high.item(k) < up and bars.low.item(k) > down for k in range(bar, stop))

    def _now(self) -> Events:
        if self._last is None or self._heard == 0:
            raise AccountError("no event was observed yet: orders are placed at events")
        at = self._heard - 1 - self._announced + len(self._last)
        return self._last[at : at + 1]

    def _command(self, kind: str) -> None:
        self._now()
        start = self._make_room(1)
        now = self._heard - 1
        head = (now, self._signal_bar.item(now), 0, 0, kernel.KINDS.index(kind))
        self._state.orders[start] = head + (0,) * (_FIELDS - len(head))

    def _append_one(self, order: tuple[float, ...]) -> None:
        """Write down one order, given as the fields of ``ORDER_ROW`` from ``side`` to ``exit_on``."""
        start, now = self._make_room(1), self._heard - 1
        row = (now, self._signal_bar.item(now), start, *order)
        self._state.orders[start] = row + (0,) * (_FIELDS - len(row))
        if self._once:
            groups = self._state.orders.view(np.ndarray)["group"][start : start + 1]
            known = self._slots.get(groups.item())
            self._state.orders["slot"][start] = self._slots_of(groups)[0] if known is None else known

    def _slots_of(self, asked: IntArray) -> IntArray:
        """Return the dense number of each group that is asked for; one that was over before is taken from the first."""
        known, (groups, where) = len(self._slots), np.unique(asked, return_inverse=True)
        slots = np.array([self._slots.setdefault(group, len(self._slots)) for group in groups.tolist()], np.int64)
        taken, fresh = _room(self._state.taken, len(self._slots)), slots >= known
        taken[slots[fresh]] = _among(groups[fresh], self._over)
        self._state = self._state._replace(taken=taken)
        return slots[where]

    def _make_room(self, count: int) -> int:
        """Count ``count`` more orders, and return the number of the first."""
        start, self._asked = self._asked, self._asked + count
        state = self._state
        if len(state.orders) < self._asked:
            self._state = state._replace(
                orders=_room(state.orders, self._asked, np.zeros),
                fills=_room(state.fills, 3 * self._asked),
                working=_room(state.working, self._asked),
                lots=_room(state.lots, self._asked),
            )
            if self._settings.margin != "none":
                count = 3 * self._asked + len(self._funded) + len(self._market.rules.schedules) + 1
                self._state = self._state._replace(levels=_room(state.levels, count))
        return start


def _rules(market: Exchange, settings: AccountSettings, policy: Policy) -> Records:
    """Return costs, limits and policies as the kernel takes them."""
    isolated = settings.margin == "isolated"
    given = {
        "face": market.face,
        "maker_fee": settings.maker_fee,
        "taker_fee": settings.taker_fee,
        "liquidation_fee": settings.liquidation_fee,
        "half_spread": settings.half_spread_bps * 1e-4,
        "impact": settings.impact,
        "participation": settings.participation,
        "max_leverage": min(settings.max_leverage, settings.leverage) if isolated else settings.max_leverage,
        "leverage": settings.leverage,
        "margin": kernel.MARGINS.index(settings.margin) if len(market.rules.schedules) else kernel.NO_MARGIN,
        "marked": market.marked,
        "intrabar": kernel.INTRABARS.index(settings.intrabar),
        "conflict": kernel.CONFLICTS.index(policy.conflict),
        "max_open": policy.max_open,
        "cooldown": policy.cooldown,
        "once_per_group": policy.once_per_group,
    }
    rules = records(kernel.RULES_ROW, 1)
    rules[0] = tuple(given[name] for name in kernel.RULES_ROW.names or ())
    return rules


def _legs(value: npt.ArrayLike) -> npt.ArrayLike:
    """Return a sequence as the legs of the one event that a handler answers."""
    return value if np.ndim(value) == 0 else np.atleast_2d(value)


def with_venue_fees(settings: AccountSettings, dataset: Dataset) -> tuple[AccountSettings, tuple[str, ...]]:
    """Take the fees that were not set from the dataset's first venue; return with them what a reader must be told."""
    venue = traded_venue(dataset)
    if venue is None:
        return settings, ("no venue: own liquidation and funding are left out",)
    known = load_venue(venue.venue)
    fees = known.fees
    theirs = {"maker_fee": fees.maker, "taker_fee": fees.taker, "liquidation_fee": fees.liquidation}
    used = settings.model_copy(
        update={field: fee for field, fee in theirs.items() if field not in settings.model_fields_set}
    )
    notes = []
    if fees.assumed and (used.maker_fee, used.taker_fee) == (fees.maker, fees.taker):
        notes.append(f"fees of {venue.venue} are assumed: {fees.source}")
    if settings.margin == "none":
        notes.append("own liquidation is switched off: margin = none")
    elif known.symbol(venue.symbol).schedules[-1].assumed:
        notes.append(f"margin rule of {venue.venue} {venue.symbol} is assumed")
    if venue.contract == "inverse":
        notes.append(f"{venue.symbol} is inverse: money is base currency, quantities are contracts")
    return used, tuple(notes)


def _among(values: IntArray, ascending: IntArray) -> BoolArray:
    """Tell which values are among some that ascend."""
    found: BoolArray = np.searchsorted(ascending, values, side="right") > np.searchsorted(ascending, values)
    return found


def _with(ascending: IntArray, values: IntArray) -> IntArray:
    """Return distinct values that ascend, with more of them: eight bytes each, however many there are."""
    new = np.sort(values[~_among(values, ascending)])
    return np.insert(ascending, np.searchsorted(ascending, new), new)


def _room(array: _A, size: int, made: Callable[..., npt.NDArray[Any]] = np.empty) -> _A:
    """Return the array with room for ``size`` rows, at least doubled so that appending stays cheap.

    What the new rows hold says ``made``: most rows are written whole before anybody reads them.
    """
    have = len(array)
    if have >= size:
        return array
    larger = made(max(size, 2 * have), array.dtype).view(type(array))
    larger[:have] = array
    return cast("_A", larger)
