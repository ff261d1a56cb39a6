"""Random markets: bars with gaps, jumps and dead hours, open interest late, missing and coarse, and who holds it.

Numbers come from a seeded generator, since hypothesis draws structure well and random walks badly: it draws which
defects a market has, and the seed.
"""

from __future__ import annotations

import atexit
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forcedflow.data.bars import Bars
from forcedflow.data.series import Calendar, Contract, Dataset, OpenInterest, VenueData
from forcedflow.kernels import lean_kernel
from forcedflow.settings import MarketSettings
from forcedflow.tables import Events

if TYPE_CHECKING:
    from collections.abc import Callable

    from forcedflow.market.tape import MarketPass

JIT: bool = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]
MINUTE, HOUR = 60_000_000_000, 3_600_000_000_000
BEFORE_MARGIN_CHANGES = (
    1_768_176_000_000_000_000  # 2026-01-12 UTC: silver's margins rise on the 13th, 28th and on Feb 2
)

COARSE = MarketSettings(
    bin_bps=50,
    entry_points=2,
    min_coverage=0.05,
    zone_on=0.01,
    zone_off=0.005,
    reach=0.4,
    volume_bars=24,
    channel_bars=16,
    channel_touches=1,
    channel_containment=0.8,
    channel_age=24,
    pivot_bars=2,
    fakeout_bars=5,
    momentum_bars=5,
    vol_short_bars=4,
    vol_long_bars=12,
    exhaust_bars=20,
)
"""Settings for short random markets: few bins, many zones."""

_FOLDER = TemporaryDirectory(prefix="profiles-")
atexit.register(_FOLDER.cleanup)


def examples(count: int) -> hypothesis_settings:
    """So many random cases, a few where nothing is compiled."""
    return hypothesis_settings(max_examples=count if JIT else max(count // 8, 2))


def with_entry(part: Any) -> Any:
    """Return a kernel that only kernels call, compiled once more to be called from Python."""
    return lean_kernel(part.py_func) if JIT else part


@dataclass(frozen=True)
class Shape:
    """Which defects a market has."""

    seed: int = 0
    bars: int = 60
    interval: int = HOUR
    venues: tuple[str, ...] = ("linear",)  # linear, inverse, margins (linear, its margin rates rise), volume (no OI)
    holders: str = "tiers"  # tiers, distances, symmetric, stops
    step: float = 0.01  # standard deviation of a bar's log return
    gaps: bool = False
    jumps: bool = False  # among them falls of 99%
    flat: bool = False  # runs of bars without range, price and volume standing still
    quiet: bool = False  # bars without volume
    marks: bool = False
    lag: int = 0  # bars at most from a stamp to when it is known, each its own
    seconds: bool = False  # stamps a few seconds after the close
    missing: bool = False
    every: int = 1  # bars from one stamp to the next
    oi_jumps: bool = False  # by 99%, down and up in turn
    oi_collapses: bool = False  # by 99%, again and again
    oi_zero: bool = False


_VENUES: dict[str, tuple[str, str, Contract]] = {
    "linear": ("hyperliquid", "BTC", "linear"),
    "inverse": ("bitmex-inverse", "XBTUSD", "inverse"),
    "margins": ("comex", "SI", "linear"),
    "volume": ("binance-um", "BTCUSDT", "linear"),
}
VENUES = (("linear",), ("inverse",), ("margins",), ("linear", "inverse"), ("margins", "inverse"))
_PRICE = 30_000.0


def profile_file(text: str) -> str:
    """Write a profile and return its path; the same text has the same path, so that it is read once."""
    path = Path(_FOLDER.name) / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _weights(rng: np.random.Generator, count: int) -> list[float]:
    weights = rng.uniform(0.5, 1.5, count)
    weights /= weights.sum()
    return [float(w) for w in weights]


def profile(rng: np.random.Generator, holders: str) -> str:
    """Return the path of random holders; those of ``symmetric`` are so in log price."""
    head = 'name = "random"\ntitle = "random"\nsource = "random"\n'
    if holders in {"distances", "symmetric"}:
        count = int(rng.integers(1, 6))
        logs, weights = rng.uniform(0.01, 0.4, count), _weights(rng, count)
        other, others = (
            (logs, weights) if holders == "symmetric" else (rng.uniform(0.01, 0.4, count), _weights(rng, count))
        )
        sides = {"long": (-np.expm1(-logs), weights), "short": (np.expm1(other), others)}
        lines = []
        for side, (distances, shares) in sides.items():
            rows = ", ".join(
                f"{{ distance = {float(d)!r}, weight = {w!r} }}" for d, w in zip(distances, shares, strict=True)
            )
            lines.append(f"{side} = [{rows}]")
        return profile_file(head + "[distances]\nnotional = 1000\n" + "\n".join(lines))
    leverages = rng.choice([2, 3, 4, 5, 7, 9], int(rng.integers(1, 5)), replace=False)
    tiers = ", ".join(
        f"{{ leverage = {lev}, weight = {w!r}, notional = 1000 }}"
        for lev, w in zip(leverages, _weights(rng, len(leverages)), strict=True)
    )
    stops = ""
    if holders == "stops":
        stops = (
            f"stops = [{{ kind = 'round', share = {rng.uniform(0.05, 0.5)!r}, step = 1000.0, beyond_bps = 7 }}, "
            f"{{ kind = 'atr', share = {rng.uniform(0.05, 0.5)!r}, multiple = {rng.uniform(0.5, 5)!r} }}]\n"
        )
    return profile_file(head + f"tiers = [{tiers}]\n{stops}")


def random_bars(shape: Shape, rng: np.random.Generator) -> Bars:
    n = shape.bars
    returns = rng.normal(0, shape.step, n)
    still = np.zeros(n, dtype=bool)
    if shape.jumps:
        at = rng.random(n) < 0.08
        returns[at] += rng.choice([-4.6, -0.7, -0.2, 0.2, 0.7, 4.6], int(at.sum()))
    if shape.flat:
        still = np.repeat(rng.random(n // 4 + 1) < 0.4, 4)[:n]
        returns[still] = 0.0
    close = np.log(_PRICE) + np.cumsum(returns)
    open_ = np.concatenate((close[:1] - returns[0], close[:-1]))
    wicks = np.abs(rng.normal(0, shape.step / 2, (2, n))) * ~still
    high, low = np.maximum(open_, close) + wicks[0], np.minimum(open_, close) - wicks[1]
    volume = rng.lognormal(5, 1, n)
    if shape.quiet:
        volume[rng.random(n) < 0.3] = 0.0
    volume[still] = 0.0
    steps = np.ones(n, dtype=np.int64)
    if shape.gaps:
        at = rng.random(n) < 0.06
        steps[at] = rng.integers(2, 400, int(at.sum()))
    ts = BEFORE_MARGIN_CHANGES + shape.interval * np.cumsum(steps)
    prices = {name: np.exp(p) for name, p in (("open", open_), ("high", high), ("low", low), ("close", close))}
    if shape.marks:
        prices["mark_high"] = prices["high"] * np.exp(rng.normal(0, shape.step / 4, n))
        prices["mark_low"] = np.minimum(prices["low"] * np.exp(rng.normal(0, shape.step / 4, n)), prices["mark_high"])
    return Bars.from_columns({"ts": ts, "volume": volume, **prices}, shape.interval)[0]


def random_open_interest(shape: Shape, bars: Bars, rng: np.random.Generator, level: float) -> OpenInterest:
    n = len(bars)
    changes = rng.normal(0, 0.03, n)
    if shape.oi_collapses:
        at = rng.random(n) < 0.08
        changes[at] = rng.choice([np.log(0.01), np.log(100.0)], int(at.sum()))
    value = level * np.exp(np.cumsum(changes))
    if shape.oi_jumps:
        value *= np.where(np.cumsum(rng.random(n) < 0.08) % 2, 0.01, 1.0)
    if shape.oi_zero:
        value[np.repeat(rng.random(n // 3 + 1) < 0.15, 3)[:n]] = 0.0
    stamp = bars.close_ts + (rng.integers(0, 9, n) * 1_000_000_000 if shape.seconds else 0)
    known = stamp + rng.integers(0, shape.lag + 1, n) * bars.interval
    kept = np.arange(n) % shape.every == 0
    if shape.missing:
        kept &= rng.random(n) < 0.7
    return OpenInterest.from_columns(stamp[kept], value[kept], known[kept])


def dataset(shape: Shape) -> Dataset:
    """Make the market that a shape describes."""
    rng = np.random.default_rng(shape.seed)
    bars = random_bars(shape, rng)
    venues = []
    for kind in shape.venues:
        venue, symbol, contract = _VENUES[kind]
        level = 3000.0 * (_PRICE if contract == "inverse" else 1.0)
        oi = None if kind == "volume" else random_open_interest(shape, bars, rng, level)
        holders = profile(rng, shape.holders)
        venues.append(VenueData(venue, symbol, contract, holders, oi))
    calendar: Calendar = "sessions" if shape.gaps and shape.seed % 2 else "24/7"
    return Dataset("random", "random", bars, tuple(venues), calendar)


FLAGS = ("gaps", "jumps", "flat", "quiet", "marks", "seconds", "missing", "oi_jumps", "oi_zero")


@st.composite
def shapes(draw: st.DrawFn, /, *, bars: int = 60, **fixed: Any) -> Shape:
    """Draw a shape; keyword arguments are not drawn."""
    drawn: dict[str, Any] = {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "bars": draw(st.one_of(st.just(bars), st.integers(2, bars))),
        "interval": draw(st.sampled_from([5 * MINUTE, HOUR, 6 * HOUR])),
        "venues": draw(st.sampled_from(VENUES)),
        "holders": draw(st.sampled_from(["tiers", "distances", "stops"])),
        "step": draw(st.sampled_from([0.002, 0.01, 0.04])),
        "lag": draw(st.integers(0, 3)),
        "every": draw(st.sampled_from([1, 1, 3, 7])),
    }
    drawn |= {flag: draw(st.booleans()) for flag in FLAGS if flag not in fixed}
    return Shape(**(drawn | fixed))


def with_columns(bars: Bars, **columns: npt.NDArray[Any]) -> Bars:
    """Return bars with some columns replaced, unchecked: a poisoned table is no valid one."""
    return Bars(interval=bars.interval, **(bars.columns() | columns))


def with_open_interest(original: Dataset, change: Callable[[OpenInterest], OpenInterest]) -> Dataset:
    """Return the dataset with every venue's open interest changed."""
    venues = tuple(replace(v, open_interest=v.open_interest and change(v.open_interest)) for v in original.venues)
    return replace(original, venues=venues)


def scaled(original: Dataset, factor: float) -> Dataset:
    """Multiply volume and open interest."""
    bars = with_columns(original.bars, volume=original.bars.volume * factor)
    larger = with_open_interest(original, lambda oi: OpenInterest(oi.stamp, oi.available_at, oi.value * factor))
    return replace(larger, bars=bars)


_PRICES = ("open", "high", "low", "close", "mark_high", "mark_low")
_REFLECTED = dict(zip(_PRICES, ("open", "low", "high", "close", "mark_low", "mark_high"), strict=True))


def repriced(original: Dataset, factor: float) -> Dataset:
    """Multiply prices; the base volume of an inverse contract's market falls by as much, as its mass does."""
    columns = original.bars.columns()
    new = {name: columns[name] * factor for name in _PRICES if name in columns}
    if all(v.contract == "inverse" for v in original.venues):
        new["volume"] = columns["volume"] / factor
    return replace(original, bars=with_columns(original.bars, **new))


def reflected(original: Dataset, product: float) -> Dataset:
    """Replace each price p by product / p."""
    columns = original.bars.columns()
    new = {name: product / columns[_REFLECTED[name]] for name in _PRICES if name in columns}
    return replace(original, bars=with_columns(original.bars, **new))


def off_edges(market: Dataset, width: float) -> bool:
    """Whether no price lies within 1e-7 of a bin's edge, where rounding would choose the side."""
    columns = market.bars.columns()
    positions = np.log(np.concatenate([columns[name] for name in _PRICES if name in columns])) / width
    return bool((np.abs(positions - np.round(positions)) > 1e-7).all())


_STATE = ("scale", "origin", "unlocated", "pending", "oi", "settled", "overdrawn", "added", "swept", "faded")


def state_of(market: MarketPass) -> dict[str, bytes]:
    """Everything that a pass has made so far, to the bit and whatever its grid and buffers are."""
    arrays = market.map.arrays
    v, layer, column = np.nonzero(arrays.stored)
    bins = column + int(arrays.head.first[0])
    found: dict[str, Any] = {name: arrays.venues[name] for name in _STATE}
    found |= {f"at {name}": values for name, values in (("venue", v), ("layer", layer), ("bin", bins))}
    found["mass"] = arrays.stored[v, layer, column]
    found |= {f"market {name}": column for name, column in market.market_bars().items()}
    events = market.events()
    found |= {f"event {name}": getattr(events, name) for name in Events.__slots__}
    return {name: np.ascontiguousarray(values).tobytes() for name, values in found.items()}
