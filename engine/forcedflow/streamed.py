"""A run over more bars than memory holds: written in parts as it goes, scored from what was written, resumable.

Its record has the tables of a run to the bit, but for pictures of the map. What needs all bars at once is left out and
named: blind contrasts, ``LEFT_OUT``, and what the tearsheet does not draw.
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
from forcedflow.parts import Parted, abreast, write_replay
from forcedflow.record import FILES, Result, complete, reopen
from forcedflow.report.cost_measures import capacity, impact_at
from forcedflow.report.equity_measures import streamed_curve
from forcedflow.report.map_measures import EDGES, liquidation_distance, place_measures, places, stopped_then_target
from forcedflow.report.scorecard import streamed_scorecard
from forcedflow.report.tearsheet import streamed_tearsheet
from forcedflow.report.trade_measures import edge_ratios
from forcedflow.tables import EventKind
from forcedflow.trading.account import with_venue_fees
from forcedflow.trading.exchange import Exchange, traded_venue
from forcedflow.trading.strategy import make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forcedflow.data.series import Dataset
    from forcedflow.kernels import BoolArray
    from forcedflow.record import Table
    from forcedflow.tables import FloatArray, IntArray

__all__ = ["LEFT_OUT", "run_streamed"]

LEFT_OUT: Final = ("opposing_fuel", "supporting_fuel")
"""Measures that look at pictures of the map."""


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
    Memory does not grow with the bars; with the trades, by some numbers of eight bytes each. The setting counts
    as tried.

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
    tables = {name: Parted(target, name) for name in FILES if name != "blind_equity"}
    trades, fills = tables["trades"], tables["fills"]
    seen = _Seen.of(tables, ticks=head.counts_ticks)
    ended, stopped = ~trades.same("exit_reason", "open"), trades.same("exit_reason", "stop")
    around = _around(tables, ended, stopped) | {"liquidation_distance": seen.distance}
    # Without volume there is nothing to trade against.
    around["capacity"] = math.nan if head.counts_ticks else capacity(trades, fills, seen.impacts)
    unpriced = seen.unpriced if account.impact > 0.0 else 0
    ambiguous = len(np.unique(trades["exit_bar"][trades["ambiguous"]]))
    start, venue = int(head.bars.ts[0]), traded_venue(head)
    rate = seen.swept / (seen.known * head.bars.interval / DAY) if seen.known else None
    warnings = [
        *written.notes,
        *fee_notes,
        *map_warnings(config.market, rate, seen.coverage, seen.least_at_entry),
        *trading_warnings(fills, unpriced, ambiguous, contrasted=True),
        f"streamed: without blind contrasts, snapshots of the map, reopened_share, {', '.join(LEFT_OUT)}; "
        "the tearsheet draws neither map nor zones, channels and voids",
    ]
    equity = tables["equity"].parts("ts", "equity", "position")
    curve, daily = streamed_curve(equity, account.cash, start, head.calendar)
    result = Result(
        config=with_facts(config, strategy, _data_hash(tables["bars"], head)),
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
            "trades": trades.rows,
            "face": Exchange(head.bars, venue=venue).face,
            "ambiguous_bars": ambiguous,
            "warnings": [*dict.fromkeys(warnings)],
        },
        scorecard=streamed_scorecard(
            curve,
            trades,
            ended,
            fills,
            fills.same("reason", "liquidation"),
            initial=account.cash,
            trials=config.trials,
            around=around,
        ),
        blind={"placement": None, "selection": None},
        timings={"market_pass_s": time.perf_counter() - begun, "trade_pass_s": 0.0},  # one time covers both
    )
    interval = head.bars.interval
    page = streamed_tearsheet(result, tables, ended, daily, (start, seen.end - interval), interval)
    complete(target, result, {"tearsheet.html": page})
    add_trials(*tried_on(result), result.config["dataset"], [key_of(result)])
    return result


def _around(tables: Mapping[str, Parted], ended: BoolArray, stopped: BoolArray) -> dict[str, float | int]:
    """Return the measures that need the market around the trades, as far as parts tell them."""
    trades, bars = tables["trades"], tables["bars"]
    joined = (prices | own for prices, own in abreast(tables, {"bars": "high low", "market_bars": "atr"}))
    share, chance = stopped_then_target(trades, ended, stopped, bars.parts("high", "low"))
    return {
        **edge_ratios(trades, joined),
        **place_measures(trades, ended, stopped, places(trades, tables["orders"], tables["events"].parts(*EDGES))),
        "stopped_then_target": share,
        "stopped_then_target_chance": chance,
    }


def _data_hash(bars: Parted, head: Dataset) -> str:
    """Hash the bars, whatever their parts, and the files that they and the venues' series came from."""
    hashes = [hashlib.sha256() for _ in bars]
    for part in bars.parts():
        for hashed, column in zip(hashes, part.values(), strict=True):
            hashed.update(column.tobytes())
    texts = [f"streamed {head.bars.interval}", *(hashed.hexdigest() for hashed in hashes)]
    texts += [f"{venue.venue} {venue.symbol} {venue.contract}" for venue in head.venues]
    texts += [digest for _, digest in head.files]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one look at the parts of a record tells of the market, and of the account in it."""

    kinds: IntArray
    """Events by kind."""
    end: int
    """Close of the last bar."""
    coverage: float
    located: float
    """Sum of coverage over the bars."""
    least_at_entry: FloatArray
    """Least located share of open interest at an entry, shape (1,), or (0,) where there was none."""
    swept: float
    known: int
    """As :func:`~.market.tape.liquidated` returns them."""
    distance: float
    """Least distance from own liquidation."""
    impacts: FloatArray
    """As :func:`~.report.cost_measures.impact_at` returns them."""
    unpriced: int
    """Fills before which volume or volatility is not known."""

    @classmethod
    def of(cls, tables: Mapping[str, Parted], *, ticks: bool) -> _Seen:
        entries = tables["trades"]["entry_bar"]  # ascending
        kinds = np.zeros(max(EventKind) + 1, np.int64)
        impacts: list[FloatArray] = []
        first = known = end = unpriced = 0
        located = swept = coverage = 0.0
        least, distance = math.inf, math.nan
        last: Table = {}
        for events in tables["events"].parts("kind"):
            kinds += np.bincount(events["kind"], minlength=len(kinds))
        for equity, bars, market, fills in abreast(tables, _LOOKED_AT):
            stop = first + len(bars["high"])
            filled = fills | {"bar": fills["bar"] - first}
            impacts.append(impact_at(filled, market))
            priced = (market["vol_long"][filled["bar"]] > 0.0) & (market["volume_average"][filled["bar"]] > 0.0)
            unpriced += len(priced) - (0 if ticks else int(np.count_nonzero(priced)))
            covered = (market["coverage_long"] + market["coverage_short"]) / 2
            entered = entries[slice(*np.searchsorted(entries, (first, stop)).tolist())]
            least = min(least, float(covered[entered - first].min(initial=math.inf)))
            located, coverage = located + float(covered.sum()), float(covered[-1])
            more, bars_more = liquidated(market, float(last["oi"][0] if last else market["oi"][0]))
            swept, known = swept + more, known + bars_more
            own = {"liquidation": equity["liquidation"], "atr": market["atr"], "oi": market["oi"], **bars}
            joined = {name: np.append(last[name], column) for name, column in own.items()} if last else own
            numbered = joined | {"bar": np.arange(len(joined["oi"]))}
            distance = float(np.fmin(distance, liquidation_distance(numbered, numbered)))
            last = {name: column[-1:].copy() for name, column in own.items()}
            first, end = stop, int(equity["ts"][-1])
        return cls(
            kinds=kinds,
            end=end,
            coverage=coverage,
            located=located,
            least_at_entry=np.array([least] if len(entries) else []),
            swept=swept,
            known=known,
            distance=distance,
            impacts=np.concatenate(impacts),
            unpriced=unpriced,
        )


_LOOKED_AT: Final = {
    "equity": "ts liquidation",
    "bars": "high low close",
    "market_bars": "oi coverage_long coverage_short swept_long_liq swept_short_liq atr vol_long volume_average",
    "fills": "bar qty price",
}
