"""One run: a dataset replayed, a strategy traded on it and against its blind contrasts, scored and recorded."""

from __future__ import annotations

import platform
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from forcedflow.data import Dataset, load_dataset
from forcedflow.data.times import time_text
from forcedflow.kernels import host_cpu
from forcedflow.ledger import add_trials, files_hash, setting_key
from forcedflow.market.tape import make_tape
from forcedflow.record import BARS, Recorder, Run
from forcedflow.replay import Replay
from forcedflow.report.scorecard import MapContext, scorecard
from forcedflow.report.tearsheet import tearsheet
from forcedflow.settings import AccountSettings, MarketSettings, Settings, parse
from forcedflow.tables import LAYERS, PLAUSIBLE_RATE, EventKind
from forcedflow.trading.account import with_venue_fees
from forcedflow.trading.blind import blind_accounts, contrasts
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.strategy import Strategy, make_strategy, source_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from forcedflow.market.tape import Tape
    from forcedflow.record import Columns, Result, Table
    from forcedflow.trading.ledger import Trading

__all__ = [
    "RunConfig",
    "described",
    "key_of",
    "map_warnings",
    "run",
    "run_config",
    "save",
    "trading_warnings",
    "tried_on",
    "with_facts",
]

FloatArray = npt.NDArray[np.float64]


class RunConfig(Settings):
    """All that decides a run: the same config gives the same record, but for its timings."""

    dataset: str = "simulated"
    strategy: str = "zone_entry"
    params: dict[str, Any] = Field(default_factory=dict)
    market: MarketSettings = MarketSettings()
    account: AccountSettings = AccountSettings()
    start: str | None = None
    end: str | None = None
    repair: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    trials: int = Field(default=1, ge=1, description="settings tried so far, this one included: deflates the Sharpe")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunConfig:
        """Validate a config, or the one inside a record's ``run.json``.

        Raises
        ------
        SettingsError
            Naming every unknown key and every value out of bounds.
        """
        return parse(cls, {k: v for k, v in values.items() if k not in _FOUND}, "run config")


_FOUND: Final = (
    "format",
    "data_hash",
    "strategy_hash",
    "versions",
    "cpu",
)  # in run.json: what the run found, not chose


@dataclass(frozen=True, slots=True)
class _Outcome:
    tape: Tape
    trading: Trading
    without: Trading | None
    """The same without fills against forced flow, where the run has such: the map must not flatter its own strategy."""
    fee_notes: tuple[str, ...]
    face: float
    """Quote currency of one contract where it is inverse, else 0."""
    market_pass_s: float
    trade_pass_s: float


def run(
    dataset: str | Path | Dataset = "simulated",
    strategy: str | Path = "zone_entry",
    *,
    params: Mapping[str, Any] | None = None,
    market: Mapping[str, Any] | MarketSettings | None = None,
    account: Mapping[str, Any] | AccountSettings | None = None,
    start: str | None = None,
    end: str | None = None,
    repair: tuple[str, ...] = (),
    seed: int = 0,
    trials: int = 1,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Backtest a strategy on a dataset.

    Parameters
    ----------
    dataset
        A name in the catalog, the path of a dataset's TOML file, or a dataset in memory, which the record cannot
        repeat: it keeps its name and the hash of its numbers.
    strategy
        Name of a strategy in ./strategies or of a shipped one, or the path of a file that defines one.
    params, market, account
        Settings that differ from the defaults. Fees that are not set are those of the dataset's first venue.
    start, end
        ISO dates or times (UTC); bars that open at ``start`` or later and are complete at ``end`` are replayed.
    repair
        Named mends of bad bars; each is logged in the record.
    seed
        Of the contrasts' random deals, and of the rows on which a plan is checked.
    trials
        Settings that were tried before this one was chosen, this one included: they deflate the Sharpe ratio.
    folder
        Where to save the run as :func:`save` does, but sooner: what is known is written while the rest is still run.
    progress
        Called with bars done and bars in all.

    Raises
    ------
    ForcedFlowError
        Whatever is wrong with data, settings or strategy; the message says what to do.

    Examples
    --------
    >>> import forcedflow as ff
    >>> result = ff.run("simulated", params={"mode": "ride"})
    >>> result.summary["bars"]
    10000
    """
    settings = parse(
        RunConfig,
        {
            "dataset": dataset.name if isinstance(dataset, Dataset) else str(dataset),
            "strategy": str(strategy),
            "params": dict(params or {}),
            "market": market or {},
            "account": account or {},
            "start": start,
            "end": end,
            "repair": repair,
            "seed": seed,
            "trials": trials,
        },
        "run config",
    )
    return run_config(settings, progress, folder=folder, dataset=dataset if isinstance(dataset, Dataset) else None)


def run_config(
    config: RunConfig,
    progress: Callable[[int, int], None] | None = None,
    *,
    folder: str | Path | None = None,
    dataset: Dataset | None = None,
    tape: Tape | None = None,
    strategy: Strategy | None = None,
) -> Run:
    """Backtest what a config says.

    Parameters
    ----------
    progress
        Called with bars done and bars in all.
    folder
        Where to save it, while it runs.
    dataset
        In place of the one that the config names.
    tape
        Of the config's data and market settings, where it was made already; the same tape serves many runs.
    strategy
        The config's, where it was made already.
    """
    with nullcontext() if folder is None else Recorder(folder) as recorder:
        strategy = strategy or make_strategy(config.strategy, config.params)
        if tape is not None:
            data = tape.dataset
        elif dataset is not None:
            data = dataset.between(config.start, config.end)
        else:
            data = load_dataset(config.dataset, config.start, config.end, config.repair)
        done = _run(config, strategy, data, tape, progress, recorder)
        if recorder is not None:
            _finish(recorder, done, count=True)
    return done


def _run(
    config: RunConfig,
    strategy: Strategy,
    data: Dataset,
    tape: Tape | None,
    progress: Callable[[int, int], None] | None,
    recorder: Recorder | None,
) -> Run:
    account, fee_notes = with_venue_fees(config.account, data)
    config = config.model_copy(update={"account": account})
    total = len(data.bars)
    count = None if progress is None else lambda done: progress(done, total)
    unmet = account.model_copy(update={"participation": 0.0}) if account.participation > 0.0 else None
    without = None
    told = None
    if recorder is not None:
        recorder.add("bars", _bars(data))
        told = partial(recorder.add, "market_bars", rows=total)
    begun = time.perf_counter()
    if strategy.is_plan():
        tape = tape or make_tape(data, config.market, progress=count, told=told, log_swept=unmet is not None)
        made = time.perf_counter()
        exchange = Exchange.of(tape)
        trading, face = trade(exchange, tape.events, strategy, account, config.seed), exchange.face
        traded = time.perf_counter()
        if unmet is not None:
            without = trade(exchange, tape.events, strategy, unmet, config.seed)
    else:  # handlers need the live map: market and account step together, and one time covers both
        replay = Replay(data, strategy, market=config.market, account=account, snapshots=1000)
        trading, face = replay.finish(), replay.face
        tape = replay.tape()
        made = traded = time.perf_counter()
        if unmet is not None:
            fresh = make_strategy(config.strategy, config.params)
            without = Replay(data, fresh, market=config.market, account=unmet).finish()
    if recorder is not None:
        recorder.add_tape(tape.events, tape.snapshots)
        for name in ("orders", "fills", "trades", "funding", "equity"):
            recorder.add(name, getattr(trading, name))
    return _record(config, strategy, _Outcome(tape, trading, without, fee_notes, face, made - begun, traded - made))


def save(run: Run, folder: str | Path, *, count: bool = True) -> Path:
    """Write a run's folder with its tearsheet, whole or not at all; and count the setting as tried on its data.

    Parameters
    ----------
    count
        Whether it goes into the trial ledger; not where that was done already.

    Raises
    ------
    RecordError
        Where the folder exists or cannot be written, or the ledger cannot.
    """
    with Recorder(folder) as recorder:
        return _finish(recorder, run, count=count)


def _finish(recorder: Recorder, run: Run, *, count: bool) -> Path:
    page = tearsheet(run)
    if count:
        add_trials(*tried_on(run), run.config["dataset"], [key_of(run)])
    return recorder.finish(run, {"tearsheet.html": page})


def key_of(run: Result) -> str:
    """Return what names a run's setting in the trial ledger."""
    config = run.config
    return setting_key(config["strategy_hash"], config["params"], config["market"], config["account"])


def tried_on(run: Result) -> tuple[str, str]:
    """Return the hashes by which the trial ledger knows a run's data: of its bars, of the files they came from."""
    data_hash = run.config["data_hash"]
    return data_hash, files_hash(run.summary["files"], data_hash)


def score(tape: Tape, trading: Trading, cash: float, *, trials: int = 1) -> dict[str, float | int | None]:
    """Return the scorecard of what was traded on a tape; ``cash`` is the initial equity."""
    return scorecard(
        trading.equity,
        trading.trades,
        trading.fills,
        initial=cash,
        start=int(tape.bars.ts[0]),
        calendar=tape.dataset.calendar,
        context=MapContext(trading.orders, tape.events, _market_bars(tape), tape.snapshots, tape.dataset.counts_ticks),
        trials=trials,
    )


def _market_bars(tape: Tape) -> Table:
    return _bars(tape.dataset) | tape.market_bars


def _bars(data: Dataset) -> Table:
    return {name: getattr(data.bars, name) for name in BARS}


def _record(config: RunConfig, strategy: Strategy, outcome: _Outcome) -> Run:
    tape, trading = outcome.tape, outcome.trading
    blind = contrasts(tape, strategy, config.account, config.seed)
    return Run(
        config=with_facts(config, strategy, tape.dataset.data_hash),
        summary=_summary(outcome, strategy),
        events=tape.events,
        orders=trading.orders,
        fills=trading.fills,
        trades=trading.trades,
        funding=trading.funding,
        equity=trading.equity,
        market_bars=_market_bars(tape),
        snapshots=tape.snapshots,
        scorecard=score(tape, trading, config.account.cash, trials=config.trials),
        blind=blind,
        blind_equity=blind_accounts(tape, strategy, config.account, blind, config.seed),
        timings={"market_pass_s": outcome.market_pass_s, "trade_pass_s": outcome.trade_pass_s},
    )


def with_facts(config: RunConfig, strategy: Strategy, data_hash: str) -> dict[str, Any]:
    """Return a run's ``config`` as its record keeps it: what was chosen, and what was found."""
    chosen = config.model_dump(mode="json") | {"params": strategy.model_dump(mode="json")}
    versions = {name: version(name) for name in ("forcedflow", "numba", "numpy")}
    return chosen | {
        "data_hash": data_hash,
        "strategy_hash": source_hash(type(strategy)),
        "versions": versions | {"python": platform.python_version()},
        "cpu": host_cpu(),
    }


def described(data: Dataset) -> dict[str, Any]:
    """Return what a run's ``summary`` says of its dataset."""
    return {
        "title": data.title,
        "source": data.source,
        "licence": data.licence,
        "calendar": data.calendar,
        "estimated_open_interest": any(venue.estimated_oi for venue in data.venues),
        "venues": [f"{venue.venue} {venue.symbol}" for venue in data.venues],
        "files": [list(file) for file in data.files],
        "repairs": list(data.repairs),
    }


def _summary(outcome: _Outcome, strategy: Strategy) -> dict[str, Any]:
    tape, trading = outcome.tape, outcome.trading
    bars, data = tape.bars, tape.dataset
    return described(data) | {
        "from": time_text(int(bars.ts[0])),
        "to": time_text(int(bars.close_ts[-1])),
        "bars": len(bars),
        "coverage": tape.coverage,
        "coverage_mean": float(_covered(tape).mean()),
        "implied_liquidation_rate": tape.implied_liquidation_rate,
        "reopened_share": reopened_share(tape),
        "events": {kind.title: int(np.count_nonzero(tape.events.kind == kind)) for kind in EventKind},
        "trades": len(trading.trades["trade_id"]),
        "face": outcome.face,
        "ambiguous_bars": trading.ambiguous_bars,
        "warnings": [*dict.fromkeys((*tape.notes, *outcome.fee_notes, *data.repairs, *_warnings(outcome, strategy)))],
    }


def reopened_share(tape: Tape) -> float | None:
    """Return the share of the largest burns (top 1% of bars) that reappears as new positions; None without burns.

    Open interest falls by less than what the map sweeps in a crash, so the rest is booked as positions opened near the
    extreme: 79 to 98% in Binance data of 2025/26. It bounds what can be believed about the map right after a cascade.
    """
    market = tape.market_bars
    swept = np.sum([market[f"swept_{layer}"] for layer in LAYERS], axis=0)
    large = np.flatnonzero((swept > 0) & (swept >= np.quantile(swept, 0.99)))
    if not len(large):
        return None
    next_bar = np.minimum(large + 1, len(swept) - 1)
    opened = market["opened_long"] + market["opened_short"]
    again = np.minimum(np.maximum(opened[large], opened[next_bar]), swept[large])
    return float(again.sum() / swept[large].sum())


def _covered(tape: Tape) -> FloatArray:
    """Return the located share of open interest at each bar, mean of longs and shorts."""
    covered: FloatArray = (tape.market_bars["coverage_long"] + tape.market_bars["coverage_short"]) / 2
    return covered


def _warnings(outcome: _Outcome, strategy: Strategy) -> list[str]:
    tape, trading = outcome.tape, outcome.trading
    warnings = []
    if outcome.without is not None:
        ends = (f"{done.equity['equity'][-1]:,.2f}" for done in (trading, outcome.without))
        warnings.append("limit fills meet forced flow: equity ends at {}; without that at {}".format(*ends))
    return (
        warnings
        + map_warnings(
            tape.settings, tape.implied_liquidation_rate, tape.coverage, _covered(tape)[trading.trades["entry_bar"]]
        )
        + trading_warnings(trading.fills, trading.unpriced_fills, trading.ambiguous_bars, contrasted=strategy.is_plan())
    )


def map_warnings(settings: MarketSettings, rate: float | None, coverage: float, at_entries: FloatArray) -> list[str]:
    """Return what a reader must know of the map: how much it sweeps a day, how much it had located, also at entries."""
    low, high = PLAUSIBLE_RATE
    warnings = []
    if rate is not None and not low <= rate <= high:
        warnings.append(
            f"the map implies that {rate:.2%} of open interest is liquidated a day; prints say {low:.1%} to {high:.0%}"
        )
    if coverage < settings.min_coverage:
        warnings.append(
            f"only {coverage:.0%} of open interest is located (the map starts empty at the first bar): no zones"
        )
    if len(at_entries) and (least := at_entries.min()) < 0.5:
        warnings.append(f"at one entry only {least:.0%} of open interest was located")
    return warnings


def trading_warnings(fills: Columns, unpriced: int, ambiguous: int, *, contrasted: bool) -> list[str]:
    """Return what a reader must know of the trading; ``unpriced`` fills and ``ambiguous`` bars as of a ``Trading``."""
    warnings = []
    if not contrasted:
        warnings.append("no blind contrasts: only strategies of the plan form can be dealt other stops and entries")
    if unpriced:
        warnings.append(f"fills without impact, since volume before them is not known: {unpriced}")
    if (short := float(fills["shortfall"].sum())) > 0:
        warnings.append(f"own liquidations lost {short:,.6g} more than the margin; the account bears it")
    if ambiguous:
        warnings.append(f"bars that held both a stop and a target, which only finer bars could order: {ambiguous}")
    return warnings
