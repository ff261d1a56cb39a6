"""What 200 path placebos of 100,000 bars cost, against one market pass of a million bars."""

from __future__ import annotations

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import best
from benchmarks.test_market_pass import minutes
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from forcedflow.study.hypothesis import hypothesis_names, load_hypothesis
from forcedflow.study.placebo import placebos


def test_placebos(benchmark: BenchmarkFixture, full: bool, tell: Callable[[str], None]) -> None:
    million, short, count = (1_000_000, 100_000, 200) if full else (4_000, 2_000, 2)
    long, data = minutes(million), minutes(short)
    hypotheses = [load_hypothesis(name) for name in hypothesis_names()]
    unit = best(MarketPass.advance, setup=lambda: (MarketPass(long),), rounds=3 if full else 1)

    def replay(asked: int) -> None:
        effect, _ = placebos(data, MarketSettings(), hypotheses[:asked], count=count, seed=1)
        assert effect.shape == (count, asked)

    one = best(lambda: replay(1), rounds=1)
    every = best(lambda: replay(len(hypotheses)), rounds=1)
    benchmark(lambda: None)  # the figures are the ratios
    tell(
        f"{count} placebos of {short:,} bars against a market pass of {million:,} bars: {one / unit:.1f} times with "
        f"one hypothesis, {every / unit:.1f} times with {len(hypotheses)}"
    )
