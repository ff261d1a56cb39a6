"""Every shipped strategy on every real dataset, at defaults: what it earned, and what the map contributed.

Run it from the project's folder::

    uv run python strategies/studies/contrasts.py
    uv run python strategies/studies/contrasts.py --datasets silver-1h --seed 1

Prints Markdown. Net results are in R, the loss that a trade's stop meant to allow. The contrasts are in ATR an order,
each order traded alone, one unit each: *placement* against the same entries with stops and targets dealt at random,
*selection* against entries at other bars of the same hour and volatility. Intervals are 95%, by bootstrap over days.
After them stands the effect that such a sample would have shown four times out of five; none may be read as absent
that is smaller. With so many cells some intervals leave out zero by chance, and the last line counts them.

A break is a large move and a blind bar is not, so selection of channel_breakout mixes the channel with the zone. The
second table separates them: breaks with a zone behind the boundary against breaks with none, under the same stop rule
and a target that does not know the map.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

import forcedflow as ff
from forcedflow.trading.blind import MIN_DAYS, MIN_TRADES, day_bootstrap

STRATEGIES = ("zone_entry", "channel_breakout", "void_exhaustion")
DAY = 86_400_000_000_000
EACH: dict[str, Any] = {"target": "width", "conflict": "add", "max_open": 1000, "risk": 1e-4}
"""Breaks traded side by side, none in another's way."""


def told(contrast: dict[str, Any] | None) -> str:
    """Return a contrast as a cell."""
    if contrast is None:
        return "too few"
    return f"{contrast['mean']:+.2f} [{contrast['low']:+.2f}, {contrast['high']:+.2f}] ({contrast['mde']:.2f})"


def decided(contrast: dict[str, Any] | None) -> int:
    """Return whether an interval leaves out zero."""
    return int(contrast is not None and contrast["low"] * contrast["high"] > 0)


def backed_and_bare(dataset: str, seed: int) -> tuple[dict[str, Any] | None, list[int]]:
    """Compare breaks with a zone behind them with breaks that have none, net R a trade; and count both."""
    trades = [
        ff.run(dataset, "channel_breakout", params=EACH | {"breaks": breaks}, seed=seed).trades
        for breaks in ("backed", "bare")
    ]
    closed = [np.isfinite(table["r"]) for table in trades]
    results = [table["r"][rows] for table, rows in zip(trades, closed, strict=True)]
    days = [table["entry_ts"][rows] // DAY for table, rows in zip(trades, closed, strict=True)]
    counts = [len(values) for values in results]
    if min(counts) < MIN_TRADES or min(len(np.unique(on)) for on in days) < MIN_DAYS:
        return None, counts
    low, high, error = day_bootstrap(results[0], days[0], results[1], days[1], np.random.default_rng(seed))
    mean = float(results[0].mean() - results[1].mean())
    return {"mean": mean, "low": low, "high": high, "mde": 2.8 * error}, counts


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--datasets", nargs="+", default=[name for name in ff.dataset_names() if name != "simulated"])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    print("| dataset | strategy | trades | net R a trade | return | placement, ATR | selection, ATR |")
    print("| --- | --- | ---: | ---: | ---: | --- | --- |")
    cells, outside = 0, 0
    warnings: dict[str, list[str]] = {}
    for dataset in asked.datasets:
        for strategy in STRATEGIES:
            run = ff.run(dataset, strategy, seed=asked.seed)
            placement, selection = run.blind["placement"], run.blind["selection"]
            cells += (placement is not None) + (selection is not None)
            outside += decided(placement) + decided(selection)
            score = run.scorecard
            expectancy = "" if score["expectancy_r"] is None else f"{score['expectancy_r']:+.2f}"
            print(
                f"| {dataset} | {strategy} | {run.summary['trades']} | {expectancy} | {score['total_return']:+.2%} "
                f"| {told(placement)} | {told(selection)} |",
                flush=True,
            )
            for note in run.summary["warnings"]:
                if "estimated" in note or "in-sample" in note or "no zones" in note:
                    warnings.setdefault(note, []).append(dataset)

    print("\n| dataset | breaks with a zone | with none | difference, R a trade |")
    print("| --- | ---: | ---: | --- |")
    for dataset in asked.datasets:
        difference, (backed, bare) = backed_and_bare(dataset, asked.seed)
        cells += difference is not None
        outside += decided(difference)
        print(f"| {dataset} | {backed} | {bare} | {told(difference)} |", flush=True)

    print(f"\n{outside} of {cells} intervals leave out zero; about {0.05 * cells:.0f} would by chance alone.")
    for note, datasets in warnings.items():
        print(f"- {', '.join(dict.fromkeys(datasets))}: {note}")


if __name__ == "__main__":
    try:
        main()
    except ff.ForcedFlowError as error:
        print(f"contrasts: {error}", file=sys.stderr)
        sys.exit(2)
