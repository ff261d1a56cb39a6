"""A run over more bars than memory holds: written in parts as it goes, scored from what was written, resumable.

Its record has the tables of a run to the bit, but for pictures of the map. What needs all bars at once is left out and
named: blind contrasts, the tearsheet, and ``LEFT_OUT``.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.backtest import RunConfig, described, key_of, map_warnings, trading_warnings, tried_on, with_facts
from forcedflow.data.chunks import chunks_of
from forcedflow.data.times import DAY, time_text
from forcedflow.errors import SettingsError
from forcedflow.ledger import add_trials
from forcedflow.market.stream import CHUNK
from forcedflow.market.tape import liquidated
from forcedflow.parts import write_replay
from forcedflow.record import FILES, Result, complete, read_table, reopen
from forcedflow.report.cost_measures import capacity
from forcedflow.report.definitions import HORIZONS
from forcedflow.report.equity_measures import streamed_curve
from forcedflow.report.map_measures import liquidation_distance, place_measures
from forcedflow.report.scorecard import streamed_scorecard
from forcedflow.tables import EventKind, Events
from forcedflow.trading.account import with_venue_fees
from forcedflow.trading.exchange import Exchange, traded_venue
from forcedflow.trading.strategy import make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from forcedflow.data.series import Dataset
    from forcedflow.record import Table
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["LEFT_OUT", "run_streamed"]

LEFT_OUT: Final = (
    *(f"edge_ratio_{horizon}" for horizon in HORIZONS),
    "stopped_then_target",
    "stopped_then_target_chance",
    "opposing_fuel",
    "supporting_fuel",
)
"""Measures that look at bars long after a trade's, or at pictures of the map."""


def run_streamed(
    config: RunConfig | Mapping[str, Any],
    folder: str | Path,
    *,
    data: Dataset | None = None,
    chunk: int = CHUNK,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Replay a dataset of any length, trade a plan strategy on it, and write the record, in constant memory.

    The folder is a record, as :func:`forcedflow.load_run` reads it, once this returns; a job that was killed goes on.
    Memory grows with the trades, not with the bars. The setting counts as tried.

    Parameters
    ----------
    config
        What to run, such as ``{"dataset": "long.toml", "strategy": "zone_entry"}``; it can choose no times and mend no
        bars.
    folder
        Must not exist or be empty, unless it is gone on with.
    data
        In place of the dataset that the config names.
    chunk
        Bars in memory at a time.
    resume
        Go on after the checkpoint in the folder; where there is none, begin. The data may have grown since.
    progress
        Called after each chunk with the number of bars done, and an estimate of all by the time that they take.

    Raises
    ------
    SettingsError
        For times or repairs.
    ForcedFlowError
        Whatever is wrong with data, settings or strategy; the message says what to do.
    """
    config = config if isinstance(config, RunConfig) else RunConfig.of(config)
    if config.start or config.end or config.repair:
        raise SettingsError("a stream takes all bars as they are: no start, end or repair; cut or mend the files first")
    begun = time.perf_counter()
    strategy = make_strategy(config.strategy, config.params)
    head = chunks_of(data or config.dataset).take(1)
    assert head is not None
    account, fee_notes = with_venue_fees(config.account, head)
    config = config.model_copy(update={"account": account})
    target = Path(folder).absolute()
    if resume:
        reopen(target)
    written = write_replay(
        data or config.dataset,
        target,
        strategy,
        account,
        config.market,
        chunk=chunk,
        resume=resume,
        progress=progress,
    )
    seen = _Seen.of(target)
    trades, fills = seen.trades, seen.fills
    around = seen.measures()
    priced = np.zeros(len(fills["bar"]), np.bool_)
    if head.counts_ticks:
        around["capacity"] = math.nan  # there is no volume to trade against
    else:
        priced = (seen.at_fills["vol_long"] > 0.0) & (seen.at_fills["volume_average"] > 0.0)
    unpriced = int(np.count_nonzero(~priced)) if account.impact > 0.0 else 0
    ambiguous = len(np.unique(trades["exit_bar"][trades["ambiguous"]]))
    start, venue = int(head.bars.ts[0]), traded_venue(head)
    rate = seen.swept / (seen.known * head.bars.interval / DAY) if seen.known else None
    warnings = [
        *written.notes,
        *fee_notes,
        *map_warnings(config.market, rate, seen.coverage, seen.at_entries),
        *trading_warnings(fills, unpriced, ambiguous, contrasted=True),
        f"streamed: without blind contrasts, tearsheet, reopened_share, {', '.join(LEFT_OUT)}",
    ]
    result = Result(
        config=with_facts(config, strategy, seen.data_hash(head)),
        summary=described(head)
        | {
            "from": time_text(start),
            "to": time_text(seen.end),
            "bars": written.bars,
            "coverage": seen.coverage,
            "coverage_mean": seen.located / written.bars,
            "implied_liquidation_rate": rate,
            "reopened_share": None,
            "events": {kind.title: int(seen.kinds[kind]) for kind in EventKind},
            "trades": len(trades["trade_id"]),
            "face": Exchange(head.bars, venue=venue).face,
            "ambiguous_bars": ambiguous,
            "warnings": [*dict.fromkeys(warnings)],
        },
        scorecard=streamed_scorecard(
            streamed_curve(_parts(target, "equity"), account.cash, start, head.calendar),
            trades,
            fills,
            initial=account.cash,
            trials=config.trials,
            around=around,
        ),
        blind={"placement": None, "selection": None},
        timings={"market_pass_s": time.perf_counter() - begun, "trade_pass_s": 0.0},  # one time covers both
    )
    complete(target, result)
    add_trials(*tried_on(result), result.config["dataset"], [key_of(result)])
    return result


def _parts(folder: Path, table: str) -> Iterator[Table]:
    """Yield a table part by part."""
    for part in sorted(folder.glob(f"{table}-*.parquet")):
        yield read_table(part, table)


_NEEDED: Final = {
    "orders": "order_id event",
    "fills": "bar qty price reason fee spread_cost impact_cost forced_qty shortfall",
    "trades": "trade_id order_id side entry_bar entry_price stop exit_bar exit_reason gross funding net r mae_r mfe_r "
    "bars_held ambiguous",
}
"""Columns that the scorecard reads: what there is of them in memory grows with the trades."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one look at the parts of a record tells."""

    orders: Table
    fills: Table
    trades: Table
    asked: Events
    """Rows of the tape that asked for what was traded."""
    asked_rows: IntArray
    """Their numbers."""
    at_fills: Table
    """Columns ``vol_long`` and ``volume_average`` at each fill."""
    at_entries: FloatArray
    """Located share of open interest at the entries of trades."""
    digests: list[str]
    """Of the columns of the bars."""
    kinds: IntArray
    """Events by kind."""
    end: int
    coverage: float
    located: float
    """Sum of coverage over the bars."""
    swept: float
    known: int
    """As :func:`~.market.tape.liquidated` returns them."""
    distance: float
    """Least distance from own liquidation."""

    @classmethod
    def of(cls, folder: Path) -> _Seen:
        orders, fills, trades = (
            read_table(folder / f"{name}.parquet", columns=needed.split()) for name, needed in _NEEDED.items()
        )
        rows = np.unique(orders["event"][trades["order_id"]])
        rows = rows[rows >= 0]
        entries = np.sort(trades["entry_bar"])
        hashes = [hashlib.sha256() for _ in FILES["bars"]]
        kinds = np.zeros(max(EventKind) + 1, np.int64)
        asked, at_fills, at_entries = [], [], []
        first = first_event = known = end = 0
        located = swept = coverage = 0.0
        distance = math.nan
        last: Table = {}
        names = ("equity", "bars", "market_bars", "events")
        for equity, bars, market, events in zip(*(_parts(folder, name) for name in names), strict=True):
            stop, stop_event = first + len(bars["ts"]), first_event + len(events["kind"])
            for hashed, column in zip(hashes, bars.values(), strict=True):
                hashed.update(column.tobytes())
            kinds += np.bincount(events["kind"], minlength=len(kinds))
            asked.append(_taken(events, rows[_inside(rows, first_event, stop_event)] - first_event))
            liquidity = {name: market[name] for name in ("vol_long", "volume_average")}
            at_fills.append(_taken(liquidity, fills["bar"][_inside(fills["bar"], first, stop)] - first))
            covered = (market["coverage_long"] + market["coverage_short"]) / 2
            at_entries.append(covered[entries[_inside(entries, first, stop)] - first])
            located, coverage = located + float(covered.sum()), float(covered[-1])
            more, bars_more = liquidated(market, float(last["oi"][0] if last else market["oi"][0]))
            swept, known = swept + more, known + bars_more
            own = {"liquidation": equity["liquidation"], "atr": market["atr"], "oi": market["oi"]}
            own |= {name: bars[name] for name in ("high", "low", "close")}
            joined = {name: np.append(last[name], column) for name, column in own.items()} if last else own
            numbered = joined | {"bar": np.arange(len(joined["oi"]))}
            distance = float(np.fmin(distance, liquidation_distance(numbered, numbered)))
            last = {name: column[-1:].copy() for name, column in own.items()}
            first, first_event, end = stop, stop_event, int(equity["ts"][-1])
        return cls(
            orders=orders,
            fills=fills,
            trades=trades,
            asked=Events(**_joined(asked)),
            asked_rows=rows,
            at_fills=_joined(at_fills),
            at_entries=np.concatenate(at_entries),
            digests=[hashed.hexdigest() for hashed in hashes],
            kinds=kinds,
            end=end,
            coverage=coverage,
            located=located,
            swept=swept,
            known=known,
            distance=distance,
        )

    def data_hash(self, head: Dataset) -> str:
        """Hash the bars, whatever their parts, and the files that they and the venues' series came from."""
        texts = [f"streamed {head.bars.interval}", *self.digests]
        texts += [f"{venue.venue} {venue.symbol} {venue.contract}" for venue in head.venues]
        texts += [digest for _, digest in head.files]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def measures(self) -> dict[str, float | int]:
        """Return the measures that need the market around the trades, as far as parts tell them."""
        event = self.orders["event"]
        asked = {"event": np.where(event < 0, -1, np.searchsorted(self.asked_rows, event))}
        by_fill = {**self.fills, "bar": np.arange(len(self.fills["bar"]))}
        return {
            **place_measures(self.trades, asked, self.asked),
            "liquidation_distance": self.distance,
            "capacity": capacity(self.trades, by_fill, self.at_fills),
        }


def _inside(numbers: IntArray, first: int, stop: int) -> slice:
    """Return which of ascending numbers lie in [first, stop)."""
    return slice(*np.searchsorted(numbers, (first, stop)).tolist())


def _taken(table: Table, rows: IntArray) -> Table:
    return {name: column[rows] for name, column in table.items()}


def _joined(tables: list[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
