"""Whether the tests are what they say: how often they reject where there is nothing to find.

``python -m forcedflow.study.evidence.size --markets 500 --out docs/size.md`` tests every shipped hypothesis against
each of its nulls on markets without a mechanism, one after another, and writes what it found. Rows are kept in a file
as they come, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.data import Bars, Dataset, OpenInterest, VenueData
from forcedflow.data.times import DAY, MINUTE
from forcedflow.kernels.simulation import garch
from forcedflow.market.tape import MarketPass
from forcedflow.study.evidence.inference import ALPHA
from forcedflow.study.evidence.trials import PLACEBOS, kept, line_of, trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forcedflow.settings import MarketSettings

__all__ = ["PairSize", "garch_market", "main", "sizes", "stronger_first"]

START: Final = 1_735_689_600_000_000_000  # 2025-01-01 UTC
INTERVAL: Final = 5 * MINUTE
STEPS: Final = 10  # of the variance within a bar
MOVES: Final = 12  # of price within a step: where price jumps over a level, who fills there is given the jump
MARKET_BARS: Final = 24_000
NAIVE_PROFILE: Final = "peers"
"""Holders of the naive magnet's map: the leverages that public heatmaps assume."""


def garch_market(seed: int, bars: int = MARKET_BARS, *, profile: str = "hyperliquid-like") -> Dataset:
    """Return a market without a mechanism: a driftless GARCH-t walk, and open interest that knows nothing of it.

    Steps have Student's t shocks of five degrees of freedom and a GARCH(1,1) variance (0.015, 0.984), 50% a year;
    volume follows volatility. Signs are symmetric and no order moves price.
    """
    rng = np.random.default_rng(seed)
    steps = bars * STEPS
    variance = 0.5**2 / (365 * DAY / INTERVAL * STEPS)
    shocks = rng.standard_t(5, steps) / np.sqrt(5 / 3)
    returns, variances = garch(shocks, variance, 0.015, 0.984)
    moves = rng.standard_normal((steps, MOVES)) * np.sqrt(variances / MOVES)[:, None]
    moves += ((returns - moves.sum(axis=1)) / MOVES)[:, None]  # a bridge from one step to the next
    path = np.log(60_000) + np.concatenate(([0.0], np.cumsum(moves)))
    within = np.lib.stride_tricks.sliding_window_view(path, STEPS * MOVES + 1)[:: STEPS * MOVES]
    calm = np.sqrt(variances.reshape(bars, STEPS).mean(axis=1) / variance)
    ts = START + INTERVAL * np.arange(bars)
    columns = {
        "ts": ts,
        "open": np.exp(within[:, 0]),
        "high": np.exp(within.max(axis=1)),
        "low": np.exp(within.min(axis=1)),
        "close": np.exp(within[:, -1]),
        "volume": rng.gamma(2.0, 400.0, bars) * calm,
    }
    table, _ = Bars.from_columns(columns, INTERVAL)
    held = 90_000 * np.exp(np.cumsum(rng.standard_normal(bars) * 2e-3))
    oi = OpenInterest.from_columns(ts + INTERVAL, held, ts + 2 * INTERVAL)
    venue = VenueData("binance-um", "BTCUSDT", "linear", profile, oi)
    return Dataset("garch", "driftless GARCH-t walk", table, (venue,))


def stronger_first(dataset: Dataset, market: MarketSettings | None = None, *, within: float = 0.05) -> tuple[int, int]:
    """Count the naive magnet: days on which the stronger of two clusters was touched first, and days with a touch.

    At each day's close the largest cluster (half a percent of price) of mass is looked up on either side of price, at
    most ``within`` away in log price. The one with more mass is the stronger; days on which one bar touches both do
    not count. Where the map lies as walks make it the stronger is also the nearer, so a walk alone makes this share
    large.
    """
    ran = MarketPass(dataset, market)
    bars = dataset.bars
    day = DAY // bars.interval
    first = touched = 0
    for stop in range(day, len(bars) - day + 1, day):
        ran.advance(stop)
        mass, width = ran.map.mass(), ran.map.bin_width
        place = ran.map.bins * width - np.log(bars.close[stop - 1])
        span = max(round(0.005 / width), 1)
        found = []
        for side, layers in ((-1, (0, 2)), (1, (1, 3))):
            near = (side * place > 0) & (side * place <= within)
            here = np.where(near, mass[list(layers)].sum(axis=0), 0.0)
            cluster = np.convolve(here, np.ones(span), "same") * near
            peak = int(cluster.argmax())
            found.append((float(cluster[peak]), float(place[peak])))
        (below_mass, below), (above_mass, above) = found
        if min(below_mass, above_mass) <= 0.0 or below_mass == above_mass:
            continue
        close = bars.close[stop - 1]
        low = np.log(bars.low[stop : stop + day] / close) <= below
        high = np.log(bars.high[stop : stop + day] / close) >= above
        down, up = (int(hit.argmax()) if hit.any() else day for hit in (low, high))
        if down != up:
            touched += 1
            first += (down < up) == (below_mass > above_mass)
    return first, touched


@dataclass(frozen=True, slots=True)
class PairSize:
    """How one pair of hypothesis and null fared."""

    hypothesis: str
    null: str
    markets: int
    """On which there were events enough."""
    rejected: int
    """At 5%."""
    bound: int
    """Most rejections that a perfect test has, with 95% for all pairs together: exact binomial."""
    uniform_p: float
    """Kolmogorov-Smirnov p that randomised p-values are uniform; NaN on fewer than 20 markets."""

    @property
    def share(self) -> float:
        """Rejections a market."""
        return self.rejected / self.markets if self.markets else float("nan")

    @property
    def holds(self) -> bool:
        """Whether it rejects no more often than a perfect test."""
        return self.rejected <= self.bound


def sizes(rows: Iterable[dict[str, Any]]) -> list[PairSize]:
    """Sum up rows of many markets by pair."""
    from scipy.stats import binom, kstest  # noqa: PLC0415  (needed where evidence is asked for only)

    pairs: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        pairs[row["hypothesis"], row["null"]] += (
            [] if row["p"] is None else [(float(row["p"]), float(row["randomised"]))]
        )
    out = []
    for (hypothesis, null), values in pairs.items():
        p, randomised = np.array(values, np.float64).reshape(-1, 2).T
        bound = int(binom.isf(ALPHA / len(pairs), len(p), ALPHA)) if len(p) else 0
        uniform = float(kstest(randomised, "uniform").pvalue) if len(p) >= 20 else float("nan")
        out.append(PairSize(hypothesis, null, len(p), int((p <= ALPHA).sum()), bound, uniform))
    return out


# --- The command ---


def _entry(number: int) -> dict[str, Any]:
    naive = stronger_first(garch_market(number, profile=NAIVE_PROFILE))
    return {"naive": naive, "tests": trial(garch_market(number), number)}


def _page(entries: list[dict[str, Any]], command: str) -> str:
    found = sizes(row for entry in entries for row in entry["tests"])
    first, touched = np.sum([entry["naive"] for entry in entries], axis=0)
    low = min((p.uniform_p for p in found if np.isfinite(p.uniform_p)), default=float("nan"))
    held = sum(pair.holds for pair in found)
    lines = [
        "# Size of the tests where there is nothing to find",
        "",
        f"Command: `{command}`, {datetime.now(UTC):%Y-%m-%d}, {len(entries)} markets.",
        "",
        f"Each market is {MARKET_BARS:,} bars of 5 min of a driftless GARCH-t walk with open interest that knows "
        "nothing of price; profile `hyperliquid-like`. Each hypothesis is held against each null it names, one pair "
        f"at a time at 5%; path placebos by rank among {PLACEBOS}. *Bound* is the number of rejections that "
        f"{len(found)} perfect tests all stay within with 95%. *Uniform* is the Kolmogorov-Smirnov p-value of "
        f"randomised p-values, to be held against {ALPHA / len(found):.4f} for the family.",
        "",
        f"- {held} of {len(found)} pairs reject no more often than the bound; the least uniform has p {low:.4f}.",
        f'- The naive magnet, "the stronger cluster within 5% is touched first", holds on {first} of {touched} days '
        f"with a touch: {first / max(touched, 1):.1%}, on walks without any attraction (profile `{NAIVE_PROFILE}`, "
        "whose leverages are those of public maps).",
        "",
        "| hypothesis | null | markets | rejected | share | bound | uniform p |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    lines += [
        f"| {pair.hypothesis} | {pair.null} | {pair.markets} | {pair.rejected} | {pair.share:.1%} | {pair.bound} | "
        f"{pair.uniform_p:.3f}{'' if pair.holds else ' **over the bound**'} |"
        for pair in found
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the size of every test: ``python -m forcedflow.study.evidence.size --markets 500 --out docs/size.md``."""
    parser = argparse.ArgumentParser(prog="python -m forcedflow.study.evidence.size", description=main.__doc__)
    parser.add_argument("--markets", type=int, default=500, help="from each seed on")
    parser.add_argument("--seed", type=int, nargs="+", default=[1000], help="of the first market; the others follow")
    parser.add_argument("--rows", type=Path, default=Path("results/size.jsonl"), help="kept as they come")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    numbers = [seed + k for seed in given.seed for k in range(given.markets)]
    entries = kept(given.rows, ((str(number), number) for number in numbers), _entry)
    command = line_of("size", "--markets", given.markets, "--seed", *given.seed, "--out", given.out)
    given.out.write_text(_page(entries, command), encoding="utf-8")


if __name__ == "__main__":
    main()
