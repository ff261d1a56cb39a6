"""The schemas of everything that is passed on or saved: one place for names, dtypes and units.

Times are int64 nanoseconds UTC. A bar covers ``[ts, ts + interval)`` and is known at its close; the ``ts`` of an
event, order, fill or equity row is that close. Prices are quote currency per base unit; mass and quantities
are base units unless a name says otherwise; shares are fractions of open interest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from forcedflow.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = [
    "BLIND_EQUITY",
    "EQUITY",
    "EVENT_COLUMNS",
    "EVENT_FLOATS",
    "EVENT_INTS",
    "EVENT_ROW",
    "FILLS",
    "FUNDING",
    "GROUP",
    "LAYERS",
    "MARKET_BARS",
    "ORDERS",
    "PLAUSIBLE_RATE",
    "TRADES",
    "Event",
    "EventKind",
    "Events",
    "MapSnapshots",
    "Side",
    "SweptMass",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LAYERS: Final = ("long_liq", "short_liq", "long_stop", "short_stop")
"""Layers of the map in index order; longs' thresholds lie below their entry, and sweeping them is forced selling."""


PLAUSIBLE_RATE: Final = (0.002, 0.03)
"""Liquidated share of open interest a day that prints allow for (about 1%: min66633/liquidation-cascade-research)."""


class Side(IntEnum):
    """Direction of an order, a position or a flow."""

    SHORT = -1
    LONG = 1


class EventKind(IntEnum):
    """What price did to the map or to structure. The number is the order of events within one bar."""

    ZONE_ENTRY = 1
    ZONE_SWEPT = 2
    ZONE_EXIT = 3
    FORCED_FLOW = 4
    CHANNEL_BREAK = 5
    FAKE_OUT = 6
    VOID_ENTRY = 7
    VOID_EXHAUSTION = 8
    ZONE_NEAR = 9

    @property
    def title(self) -> str:
        """Name as it is shown, such as ``ZoneEntry``."""
        return self.name.title().replace("_", "")

    @classmethod
    def of(cls, kind: EventKind | int | str) -> EventKind:
        """Return a kind that is given as such, by its number, or by its name in any spelling.

        Raises
        ------
        SettingsError
            Naming the kinds that there are.
        """
        names = {known.title: known for known in cls}
        plain = {name.lower(): known for name, known in names.items()}
        try:
            return plain[kind.replace("_", "").lower()] if isinstance(kind, str) else cls(kind)
        except (KeyError, ValueError):
            raise SettingsError(
                f"no kind of event {kind!r}{did_you_mean(str(kind), names)}. Known: {', '.join(names)}"
            ) from None


EVENT_FLOATS: Final = (
    "close",  # close of the bar
    "atr",  # average true range before the bar, as a log distance: price * exp(k * atr) is k ATR away
    "near",  # edge of the zone that faces the price it was met from: the centre of its outermost bin
    "far",  # the other edge, likewise
    "peak",  # price of its densest bin
    "mass_before",  # mass inside the edges before the bar, share of open interest
    "mass_after",  # the same after the bar
    "swept",  # swept inside the edges since entry (ForcedFlow: in this bar; Void*: in its window), share of OI
    "fuel",  # mass_before (ForcedFlow: swept) over trailing volume per bar
    "age",  # bars since the zone was first noticed
    "above_near",  # the nearest zone above the close, NaN where there is none within reach
    "above_far",
    "above_peak",
    "above_mass",
    "below_near",  # the nearest zone below the close
    "below_far",
    "below_peak",
    "below_mass",
    "coverage",  # located share of open interest on the event's side
    "gap",  # log price from the close before to this open where bars are missing between (sessions, outages), else 0
    "vol_short",  # realised volatility of a bar, log price, over the short memory before the bar
    "vol_long",  # the same over the long memory
    "momentum",  # move of the close over `momentum_bars`, in ATR
    "upper",  # boundaries of the channel in this bar, as fitted before it; NaN where there is none
    "lower",
    "slope",  # of the channel, log price a bar
    "width",  # of the channel, ATR when it was accepted
    "upper_touches",  # separate touches of each boundary when it was accepted
    "lower_touches",
    "containment",  # share of closes between the boundaries when it was accepted
    "channel_age",  # bars since it was accepted
    "alignment",  # ChannelBreak: from the broken boundary to the near edge of the zone behind it, ATR; NaN: none
    "between",  # mass between boundary and that zone (Void*: within void_atr ahead), share of open interest
    "extreme",  # farthest price so far of the move that broke the channel or swept the zone
)
"""Float columns of an event, in order. Zone prices are bin centres; distances in log price."""


EVENT_INTS: Final = ("bar", "ts", "kind", "side", "group", "channel")
EVENT_COLUMNS: Final = (*EVENT_INTS, *EVENT_FLOATS)
EVENT_ROW: Final = np.dtype([(name, "i8") for name in EVENT_INTS] + [(name, "f8") for name in EVENT_FLOATS], align=True)
"""One event as the market pass writes it."""


class Event:
    """One row of the tape: something price did to the map or to structure, known at the close of ``bar``.

    A read-only view of one row of :class:`Events`: it costs no copy, and stays what it is however far a loop moves on.
    Two events are equal where all their numbers are, to the bit.
    """

    __slots__ = ("_events", "_index", "_kind")

    bar: int
    ts: int
    kind: EventKind
    side: int
    """+1: a zone above, or forced buying; -1: a zone below, or forced selling."""
    group: int
    """Identity of the zone, channel or void that the event is about; 0 where there is none."""
    channel: int
    """Version of the channel that the bar was tested against; 0 where there is none."""
    close: float
    atr: float
    near: float
    far: float
    peak: float
    mass_before: float
    mass_after: float
    swept: float
    fuel: float
    age: float
    above_near: float
    above_far: float
    above_peak: float
    above_mass: float
    below_near: float
    below_far: float
    below_peak: float
    below_mass: float
    coverage: float
    gap: float
    vol_short: float
    vol_long: float
    momentum: float
    upper: float
    lower: float
    slope: float
    width: float
    upper_touches: float
    lower_touches: float
    containment: float
    channel_age: float
    alignment: float
    between: float
    extreme: float

    def __init__(self, events: Events, index: int, kind: int) -> None:
        self._events = events
        self._index = index
        self._kind = _KINDS[kind]

    def alone(self) -> Events:
        """Return the columns that hold nothing but this event."""
        return self._events[self._index : self._index + 1]

    def to_dict(self) -> dict[str, int | float]:
        """Return the numbers by name."""
        return {name: getattr(self, name) for name in EVENT_COLUMNS}

    def __eq__(self, other: object) -> bool:
        return self._bytes() == other._bytes() if isinstance(other, Event) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._bytes())

    def __repr__(self) -> str:
        return f"Event({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    def _bytes(self) -> bytes:
        found: bytes = self._events.rows[self._index].tobytes()
        return found


def _number(name: str) -> property:
    """Return the property of an event that reads one column, as a plain Python number."""
    column = attrgetter(name)
    return property(lambda event: column(event._events).item(event._index))


_KINDS: Final = {int(kind): kind for kind in EventKind}
for _name in EVENT_COLUMNS:  # the kind, which every loop reads, is at hand already
    setattr(Event, _name, _number(_name) if _name != "kind" else property(attrgetter("_kind")))


class _Rows:
    """What the columns of :class:`Events` are read from; apart, so that its slots are the columns."""

    __slots__ = ("rows",)

    rows: npt.NDArray[np.void]
    """Shape (events,), one record an event, read-only."""


class Events(_Rows):
    """Columns of the tape's events, in their total order (bar, kind, side, group): read-only arrays of one length.

    They lie in memory event by event, so that to take some rows is cheap, and a column is made contiguous when it is
    first asked for, so that to calculate with it is cheap too.

    Parameters
    ----------
    columns, named
        All columns of ``EVENT_COLUMNS``, in that order or by name.
    """

    __slots__ = EVENT_COLUMNS

    bar: IntArray
    ts: IntArray
    kind: IntArray
    side: IntArray
    group: IntArray
    channel: IntArray
    close: FloatArray
    atr: FloatArray
    near: FloatArray
    far: FloatArray
    peak: FloatArray
    mass_before: FloatArray
    mass_after: FloatArray
    swept: FloatArray
    fuel: FloatArray
    age: FloatArray
    above_near: FloatArray
    above_far: FloatArray
    above_peak: FloatArray
    above_mass: FloatArray
    below_near: FloatArray
    below_far: FloatArray
    below_peak: FloatArray
    below_mass: FloatArray
    coverage: FloatArray
    gap: FloatArray
    vol_short: FloatArray
    vol_long: FloatArray
    momentum: FloatArray
    upper: FloatArray
    lower: FloatArray
    slope: FloatArray
    width: FloatArray
    upper_touches: FloatArray
    lower_touches: FloatArray
    containment: FloatArray
    channel_age: FloatArray
    alignment: FloatArray
    between: FloatArray
    extreme: FloatArray

    def __init__(self, *columns: npt.NDArray[Any], **named: npt.NDArray[Any]) -> None:
        given = dict(zip(EVENT_COLUMNS, columns, strict=False)) | named
        if len(given) != len(columns) + len(named) or given.keys() != set(EVENT_COLUMNS):
            wrong = sorted(given.keys() ^ set(EVENT_COLUMNS)) or "given twice or too many"
            raise TypeError(f"Events needs each of EVENT_COLUMNS once: {wrong}")
        rows = np.empty(len(given["bar"]), EVENT_ROW)
        for name, column in given.items():
            if len(column) != len(rows):
                raise ValueError(f"column {name!r} has {len(column)} rows, 'bar' has {len(rows)}")
            rows[name] = column
        self._adopt(rows)

    @classmethod
    def of_rows(cls, rows: npt.NDArray[np.void]) -> Events:
        """Return the events of records of the market pass; the array becomes theirs and read-only."""
        events = cls.__new__(cls)
        events._adopt(rows.view() if rows.dtype is EVENT_ROW else rows.view(EVENT_ROW, np.ndarray))
        return events

    def _adopt(self, rows: npt.NDArray[np.void]) -> None:
        rows.setflags(write=False)
        object.__setattr__(self, "rows", rows)

    if not TYPE_CHECKING:  # a checker would take every misspelt column for one that is made here

        def __getattr__(self, name: str) -> npt.NDArray[Any]:
            """Make a column that was not asked for yet."""
            if name not in EVENT_COLUMNS:
                raise AttributeError(f"events have no column {name!r}; they have {', '.join(EVENT_COLUMNS)}")
            column = np.ascontiguousarray(self.rows[name])
            column.setflags(write=False)
            object.__setattr__(self, name, column)
            return column

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"events are read-only; replace({name}=...) returns others")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | IntArray | npt.NDArray[np.bool_]) -> Events:
        """Return the chosen rows as columns again."""
        return Events.of_rows(self.rows[rows])

    def __eq__(self, other: object) -> bool:
        return self.rows.tobytes() == other.rows.tobytes() if isinstance(other, Events) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Events: {len(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Events.of_rows, (self.rows.copy(),)

    def replace(self, **columns: npt.NDArray[Any]) -> Events:
        """Return the same events with some columns changed."""
        return Events(**{name: getattr(self, name) for name in EVENT_COLUMNS} | columns)

    def row(self, index: int) -> Event:
        """Return one row as an :class:`Event`."""
        at = range(len(self))[index]
        return Event(self, at, self.kind.item(at))

    def __iter__(self) -> Iterator[Event]:
        return (Event(self, k, kind) for k, kind in enumerate(self.kind.tolist()))

    def of_kind(self, *kinds: EventKind | str) -> Events:
        """Return the rows of these kinds."""
        return self[np.isin(self.kind, [EventKind.of(kind) for kind in kinds])]

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with one row an event; ``ts`` as UTC timestamps and ``kind`` by name."""
        import pandas as pd  # noqa: PLC0415  (1.4 s that a run does not need)

        frame = pd.DataFrame({name: getattr(self, name) for name in EVENT_COLUMNS})
        frame["ts"] = pd.to_datetime(frame["ts"], utc=True)
        frame["kind"] = [EventKind(k).title for k in self.kind]
        return frame


@dataclass(frozen=True, slots=True)
class MapSnapshots:
    """The map at the close of some bars, summed over venues: what a heatmap draws."""

    bar: IntArray
    """Shape (m,): the bars, ascending."""
    ts: IntArray
    """Shape (m,): their closes."""
    bins: IntArray
    """Shape (g,): absolute bin numbers, consecutive; bin ``k`` is centred on ``exp(k * bin_width)``."""
    bin_width: float
    """Log price."""
    mass: npt.NDArray[np.float32]
    """Shape (m, 4, g): mass by snapshot, layer (``LAYERS``) and bin, base units."""
    oi: FloatArray
    """Shape (m,): open interest at the last settled stamp, base units."""

    @property
    def prices(self) -> FloatArray:
        """Shape (g,): the centre of each bin."""
        centres: FloatArray = np.exp(self.bins * self.bin_width)
        return centres


@dataclass(frozen=True, slots=True)
class SweptMass:
    """What was swept, bin by bin: read-only columns, bars in order, each side's bins outward from price."""

    start: IntArray
    """Shape (bars + 1,): rows ``start[i]`` to ``start[i + 1] - 1`` are bar ``i``'s."""
    price: FloatArray
    """Shape (m,): centre of the bin."""
    side: IntArray
    """Shape (m,): +1 forced buying, -1 forced selling."""
    mass: FloatArray
    """Shape (m,): all venues, liquidations and stops together, base units."""

    def cut(self, first: int, stop: int) -> SweptMass:
        """Return what bars ``first`` to ``stop - 1`` swept, their numbers counted from ``first``."""
        start = self.start[first : stop + 1]
        rows = slice(int(start[0]), int(start[-1]))
        return SweptMass(start - start[0], self.price[rows], self.side[rows], self.mass[rows])


# Tables of the account and the record: column -> dtype. Strings name codes that are saved as dictionary columns.
# Money is in the currency of the margin: quote, or base where the contract is inverse; its quantities are contracts.
ORDERS: Final = {
    "order_id": "int64",  # row number: orders are numbered as they are placed
    "bar": "int64",  # placed at the close of this bar
    "ts": "int64",
    "event": "int64",  # row of the tape that asked for it, -1 for none
    "group": "int64",
    "side": "int64",
    "kind": "str",  # market, limit, stop, stop_limit
    "price": "float64",  # trigger or limit price; NaN for a market order
    "limit": "float64",  # of a stop_limit, whose trigger is price; else NaN
    "stop": "float64",
    "target": "float64",
    "trail": "float64",  # log distance of the trailing stop from the best price; NaN for none
    "oco": "int64",  # orders of one number: where one fills, the others are cancelled; 0 for none
    "reduce_only": "bool",
    "qty": "float64",
    "expiry": "int64",  # bars it stays good for
    "hold": "int64",  # bars a position is held at most; 0: no limit
    "status": "str",  # filled, working, expired, cancelled, refused
    "reason": "str",  # why it ended so
    "status_bar": "int64",
}
FILLS: Final = {
    "fill_id": "int64",
    "order_id": "int64",  # the order that filled, or that brought the stop or target along
    "trade_id": "int64",  # the trade that it opened, reduced or closed
    "bar": "int64",
    "ts": "int64",
    "side": "int64",
    "qty": "float64",
    "price": "float64",  # what was paid, spread and impact included
    "reason": "str",  # entry, stop, target, hold, exit_on, close, reverse, replace, reduce, liquidation
    "liquidity": "str",  # maker, taker
    "fee": "float64",  # of an own liquidation with the venue's fee for it
    "spread_cost": "float64",  # part of price * qty that the half-spread took
    "impact_cost": "float64",  # part that impact took
    "forced_qty": "float64",  # part of qty that met forced flow
    "shortfall": "float64",  # own liquidation: loss beyond the margin; it is in the cash, no insurance fund pays it
}
TRADES: Final = {
    "trade_id": "int64",
    "order_id": "int64",
    "group": "int64",
    "side": "int64",
    "qty": "float64",
    "entry_bar": "int64",
    "entry_ts": "int64",
    "entry_price": "float64",
    "stop": "float64",
    "target": "float64",
    "exit_bar": "int64",  # of the last exit; the last bar where some of it is still open
    "exit_ts": "int64",
    "exit_price": "float64",  # mean of what was left at several prices; what is still open counts at the last close
    "exit_reason": "str",  # as of its last fill; open
    "gross": "float64",  # before costs and funding
    "costs": "float64",  # fees, half-spread and impact
    "funding": "float64",  # received, negative where paid
    "net": "float64",  # gross - costs + funding
    "r": "float64",  # net over the loss that the stop meant to allow; NaN without a stop
    "mae_r": "float64",  # worst excursion against the trade, in R, at most 0
    "mfe_r": "float64",  # best excursion for the trade, in R, at least 0
    "bars_held": "int64",
    "ambiguous": "bool",  # stop and target both lay inside its last bar
}
FUNDING: Final = {
    "bar": "int64",  # paid before this bar's open
    "ts": "int64",  # of the payment
    "position": "float64",  # held then
    "price": "float64",
    "rate": "float64",
    "amount": "float64",  # received, negative where paid
}
EQUITY: Final = {
    "bar": "int64",
    "ts": "int64",
    "close": "float64",
    "position": "float64",
    "cash": "float64",  # what would be left if the position were worth nothing: equity - position * close
    "equity": "float64",
    "drawdown": "float64",  # share below the highest equity so far, initial equity included
    "liquidation": "float64",  # nearest price at which what is held is liquidated, as known at the close; NaN for none
}
BLIND_EQUITY: Final = {  # of blind accounts at some closes: least, median, largest; NaN where there is no contrast
    "bar": "int64",
    "ts": "int64",
    "placement_low": "float64",
    "placement": "float64",
    "placement_high": "float64",
    "selection_low": "float64",
    "selection": "float64",
    "selection_high": "float64",
}
MARKET_BARS: Final = {
    "oi": "float64",  # open interest at the last settled stamp, base units, all venues
    "coverage_long": "float64",
    "coverage_short": "float64",
    "swept_long_liq": "float64",
    "swept_short_liq": "float64",
    "swept_long_stop": "float64",
    "swept_short_stop": "float64",
    "opened_long": "float64",
    "opened_short": "float64",
    "atr": "float64",  # before the bar, as the next three
    "vol_short": "float64",
    "vol_long": "float64",
    "volume_average": "float64",
    "channel": "int64",  # version of the channel that the bar was tested against; 0: none
    "channel_upper": "float64",  # its boundaries in this bar
    "channel_lower": "float64",
    "swing_low": "float64",  # last confirmed pivots at the close; NaN before the first
    "swing_high": "float64",
}
"""Columns that the market pass adds to each bar."""
GROUP: Final = 1 << 16
"""Rows of a group in a record's Parquet files; so many bars the market pass takes before it hands out its columns."""
