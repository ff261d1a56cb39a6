"""A made-up run: a random walk over a map that is fed, fades and is swept, with trades at its densest bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from forcedflow.record import Run
from forcedflow.report.scorecard import MapContext, scorecard
from forcedflow.tables import (
    BLIND_EQUITY,
    EQUITY,
    EVENT_COLUMNS,
    FILLS,
    FUNDING,
    LAYERS,
    ORDERS,
    TRADES,
    EventKind,
    Events,
    MapSnapshots,
)

MINUTE = 60_000_000_000
START = 1_746_057_600_000_000_000  # 2025-05-01 UTC
WIDTH = 0.001  # log price
CASH = 100_000.0


def table(schema: dict[str, str], columns: dict[str, Any]) -> dict[str, Any]:
    """Columns in the schema's dtypes; zeros where none is given."""
    rows = len(next(iter(columns.values())))
    dtypes = {name: np.str_ if dtype == "str" else dtype for name, dtype in schema.items()}
    return {n: np.asarray(columns.get(n, np.zeros(rows)), dtype=dtype) for n, dtype in dtypes.items()}


def synthetic_bars(count: int, interval: int, rng: Any) -> dict[str, Any]:
    steps = rng.standard_t(4, count) * 0.0022
    close = 62_000.0 * np.exp(np.cumsum(steps) * 0.8)
    opened = np.concatenate(([62_000.0], close[:-1]))
    high = np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 0.0009, count)))
    low = np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 0.0009, count)))
    ts = START + interval * np.arange(count, dtype=np.int64)
    volume = rng.gamma(2.0, 60.0, count)
    return {"ts": ts, "open": opened, "high": high, "low": low, "close": close, "volume": volume}


def synthetic_map(bars: dict[str, Any], every: int, rng: Any) -> tuple[MapSnapshots, Any]:
    """Walk through the bars; return snapshots and what each bar swept by layer, shape (n, 4)."""
    count = len(bars["ts"])
    low, high = np.log(bars["low"].min()), np.log(bars["high"].max())
    bins = np.arange(int((low - 0.25) / WIDTH), int((high + 0.25) / WIDTH) + 1)
    mass, swept, kept = np.zeros((4, len(bins))), np.zeros((count, 4)), []
    distances, weights = np.array([0.0095, 0.0195, 0.039, 0.095, 0.19]), np.array([0.2, 0.3, 0.25, 0.15, 0.1])
    for i in range(count):
        floor, ceiling = (int(np.log(bars[k][i]) / WIDTH) - bins[0] for k in ("low", "high"))
        for layer, gone in enumerate((slice(floor, None), slice(None, ceiling)) * 2):
            swept[i, layer] = mass[layer, gone].sum()
            mass[layer, gone] = 0.0
        mass *= 0.9992
        opened = bars["volume"][i] * 0.25 * (1.0 + 6.0 * (rng.random() < 0.05))
        for sign, layers in ((-1, (0, 2)), (1, (1, 3))):
            spots = np.log(bars["close"][i]) + sign * distances * rng.normal(1, 0.04, 5)
            at = (spots / WIDTH).astype(int) - bins[0]
            np.add.at(mass[layers[0]], at, 0.8 * opened * weights)
            np.add.at(mass[layers[1]], at[:2], 0.2 * opened * weights[:2])
        if i % every == every - 1:
            kept.append((i, mass.astype(np.float32)))
    at = np.array([i for i, _ in kept], dtype=np.int64)
    interval = bars["ts"][1] - bars["ts"][0]
    oi = np.full(len(at), 40_000.0)
    return MapSnapshots(at, bars["ts"][at] + interval, bins, WIDTH, np.array([m for _, m in kept]), oi), swept


def synthetic_trades(bars: dict[str, Any], count: int, rng: Any) -> dict[str, Any]:
    interval, last = bars["ts"][1] - bars["ts"][0], len(bars["ts"]) - 1
    entry = np.sort(rng.choice(last - 120, count, replace=False))
    held = rng.integers(3, 110, count)
    side = rng.choice([-1, 1], count)
    bought = bars["close"][entry]
    stop, target = bought * (1 - 0.006 * side), bought * (1 + 0.011 * side)
    sold = np.where(rng.random(count) < 0.55, stop, target)
    qty = 0.01 * CASH / np.abs(bought - stop)
    gross = (sold - bought) * side * qty
    costs = 0.0005 * qty * bought
    r = (gross - costs) / (0.01 * CASH)
    columns = {
        "trade_id": np.arange(count), "order_id": np.arange(count), "group": np.arange(1, count + 1), "side": side,
        "qty": qty, "entry_bar": entry, "entry_ts": bars["ts"][entry] + interval, "entry_price": bought, "stop": stop,
        "target": target, "exit_bar": entry + held, "exit_ts": bars["ts"][entry + held] + interval,
        "exit_price": sold, "exit_reason": np.where(sold == stop, "stop", "target"), "gross": gross, "costs": costs,
        "net": gross - costs, "r": r, "mae_r": np.minimum(r, -0.4), "mfe_r": np.maximum(r, 0.3), "bars_held": held,
        "ambiguous": rng.random(count) < 0.03,
    }  # fmt: skip
    return table(TRADES, columns)


def synthetic_equity(bars: dict[str, Any], trades: dict[str, Any]) -> dict[str, Any]:
    count, interval = len(bars["ts"]), bars["ts"][1] - bars["ts"][0]
    position, booked = np.zeros(count), np.zeros(count)
    for a, b, side, qty, net in zip(*(trades[k] for k in ("entry_bar", "exit_bar", "side", "qty", "net")), strict=True):
        position[a:b] += side * qty
        booked[b] += net
    equity = CASH + np.cumsum(booked)
    peak = np.maximum.accumulate(np.maximum(equity, CASH))
    columns = {
        "bar": np.arange(count), "ts": bars["ts"] + interval, "close": bars["close"], "position": position,
        "cash": equity - position * bars["close"], "equity": equity, "drawdown": 1.0 - equity / peak,
        "liquidation": np.full(count, np.nan),
    }  # fmt: skip
    return table(EQUITY, columns)


def synthetic_events(bars: dict[str, Any], trades: dict[str, Any]) -> Events:
    """A zone beyond each trade's entry: near 30 bars before, entered with it, left with it."""
    interval = bars["ts"][1] - bars["ts"][0]
    rows = []
    for k in range(len(trades["side"])):
        a, b, price, side = (int(trades[n][k]) for n in ("entry_bar", "exit_bar", "entry_price", "side"))
        for bar, kind in ((max(a - 30, 0), EventKind.ZONE_NEAR), (a, EventKind.ZONE_ENTRY), (b, EventKind.ZONE_EXIT)):
            rows.append((bar, kind, -side, k + 1, price * (1 + 0.0005 * side), price * (1 - 0.006 * side)))
    rows.sort()
    columns = {name: np.zeros(len(rows)) for name in EVENT_COLUMNS}
    for name, values in zip(("bar", "kind", "side", "group", "near", "far"), zip(*rows, strict=True), strict=True):
        columns[name] = np.array(values)
    columns["ts"] = bars["ts"][columns["bar"]] + interval
    columns["mass_before"] += 0.02
    columns["age"] += 12.0
    return Events(**columns)


def _asked(trades: dict[str, Any]) -> Any:
    """Row of the event at which each trade's zone was entered: the events are in order of their bars."""
    bars = [(max(int(a) - 30, 0), 0) for a in trades["entry_bar"]]
    rows = sorted([*bars, *((int(a), 1) for a in trades["entry_bar"]), *((int(b), 3) for b in trades["exit_bar"])])
    return np.array([rows.index((int(a), 1)) for a in trades["entry_bar"]])


def synthetic_channels(bars: dict[str, Any]) -> dict[str, Any]:
    """A rising channel of 60 bars after every 100."""
    count = len(bars["ts"])
    version = np.zeros(count, dtype=np.int64)
    upper, lower = np.full((2, count), np.nan)
    for k, start in enumerate(range(100, count - 60, 160)):
        rows = slice(start, start + 60)
        middle = bars["close"][start] * np.exp(0.0001 * np.arange(60))
        version[rows], upper[rows], lower[rows] = k + 1, middle * 1.01, middle * 0.99
    return {"channel": version, "channel_upper": upper, "channel_lower": lower}


def synthetic_run(bars: int = 3000, trades: int = 40, minutes: int = 5, every: int = 4, seed: int = 7) -> Run:
    """Return a whole run, the same for the same arguments."""
    rng = np.random.default_rng(seed)
    market = synthetic_bars(bars, minutes * MINUTE, rng)
    snapshots, swept = synthetic_map(market, every, rng)
    ledger = synthetic_trades(market, trades, rng)
    equity = synthetic_equity(market, ledger)
    entries = {
        "order_id": ledger["order_id"], "bar": ledger["entry_bar"], "ts": ledger["entry_ts"], "side": ledger["side"],
        "qty": ledger["qty"], "price": ledger["entry_price"],
    }  # fmt: skip
    fills = entries | {
        "fill_id": np.arange(trades), "reason": ["entry"] * trades, "liquidity": ["maker"] * trades,
        "fee": ledger["costs"], "forced_qty": 0.1 * ledger["qty"],
    }  # fmt: skip
    orders = entries | {
        "event": _asked(ledger), "kind": ["limit"] * trades, "status": ["filled"] * trades, "reason": [""] * trades,
    }  # fmt: skip
    ones = np.ones(bars)
    added = {"oi": 4e4 * ones, "coverage_long": 0.7 * ones, "coverage_short": 0.65 * ones, "atr": 0.004 * ones}
    added |= {f"swept_{layer}": swept[:, k] for k, layer in enumerate(LAYERS)}
    added |= {"opened_long": ones, "opened_short": ones}
    added |= synthetic_channels(market)
    pace = {"vol_short": 0.002, "vol_long": 0.002, "volume_average": 120.0, "swing_low": 6e4, "swing_high": 6.4e4}
    added |= {name: value * ones for name, value in pace.items()}
    filled = table(FILLS, fills)
    events, placed = synthetic_events(market, ledger), table(ORDERS, orders)
    card = scorecard(
        equity, ledger, filled, initial=CASH, start=int(market["ts"][0]), calendar="24/7",
        context=MapContext(placed, events, market | added, snapshots),
    )  # fmt: skip
    return Run(
        config={
            "dataset": "btcusdt-5m", "strategy": "zone_entry", "params": {"mode": "absorb"}, "market": {},
            "account": {"cash": CASH}, "calendar": "24/7", "seed": 0, "data_hash": "9f2c" * 16,
            "strategy_hash": "77ab" * 16,
        },
        summary={
            "bars": bars, "coverage": 0.68, "implied_liquidation_rate": 0.041, "events": {"ZoneEntry": trades},
            "trades": trades, "ambiguous": 1,
            "warnings": [
                "The data is simulated: results say nothing about a real market.",
                "Open interest is estimated from volume.",
                "The implied liquidation rate is 4.1% a day, outside 0.2% to 3%: the map is too dense or too sparse.",
            ],
        },
        events=events, orders=placed, fills=filled, trades=ledger,
        funding=table(FUNDING, {"bar": [7], "ts": [START + 7 * MINUTE], "position": [2.0], "price": [6e4]}),
        equity=equity, market_bars=market | added, snapshots=snapshots, scorecard=card,
        blind={
            "placement": {"n": trades, "mean": 0.21, "low": 0.04, "high": 0.38, "unit": "ATR", "note": "paired"},
            "selection": {"n": trades, "mean": -0.05, "low": -0.31, "high": 0.22, "unit": "ATR", "note": "unpaired"},
        },
        timings={"market_pass_s": 0.4, "trade_pass_s": 0.1},
        blind_equity=table(BLIND_EQUITY, {name: equity[name][::7] for name in ("bar", "ts")}
        | {f"{name}{end}": (CASH + lean * (equity["equity"] - CASH))[::7] for name in ("placement", "selection")
           for end, lean in (("_low", 0.2), ("", 0.5), ("_high", 0.9))}),
    )  # fmt: skip
