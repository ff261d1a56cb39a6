"""What 200 path placebos of 100,000 bars cost, against one market pass of a million bars."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.test_market_pass import minutes
from forcedflow.market.tape import MarketPass
from forcedflow.settings import MarketSettings
from forcedflow.study.evidence.hypothesis import hypothesis_names, load_hypothesis
from forcedflow.study.evidence.placebo import placebos


def processor(action: Callable[[], object], rounds: int) -> float:
    """Return the least time of the processor that some runs take, seconds: others on the machine do not count."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        action()
        times.append(time.process_time() - begun)
    return min(times)


def test_placebos(benchmark: BenchmarkFixture, full: bool, tell: Callable[[str], None]) -> None:
    million, short, count = (1_000_000, 100_000, 200) if full else (4_000, 2_000, 2)
    long, data = minutes(million), minutes(short)
    hypotheses = [load_hypothesis(name) for name in hypothesis_names()]

    def replay(asked: int) -> None:
        effect, _ = placebos(data, MarketSettings(), hypotheses[:asked], count=count, seed=1)
        assert effect.shape == (count, asked)

    def market_pass() -> None:
        ran = MarketPass(long)
        begun = time.process_time()
        ran.advance()
        spent.append(time.process_time() - begun)

    spent: list[float] = []
    for _ in range(5 if full else 1):
        market_pass()
    unit = min(spent)
    one, every = (processor(partial(replay, asked), 1) for asked in (1, len(hypotheses)))
    benchmark(lambda: None)  # the figures are the ratios
    tell(
        f"{count} placebos of {short:,} bars against a market pass of {million:,} bars: {one / unit:.1f} times with "
        f"one hypothesis, {every / unit:.1f} times with {len(hypotheses)}"
    )
