"""Benchmarks print ratios against a reference run in the same process.

``pytest tests/benchmarks --benchmark-enable -n 0``. Without that option each runs once on few bars, as an ordinary test
that it still works.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

_LINES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether figures are wanted, on the full number of bars."""
    return bool(request.config.getoption("benchmark_enable"))


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Add a line to the terminal summary."""
    return request.config.stash[_LINES].append


def best(action: Callable[..., Any], *, setup: Callable[[], tuple[Any, ...]] = lambda: (), rounds: int = 5) -> float:
    """Return the shortest of some runs, seconds; ``setup`` makes fresh arguments and is not timed."""
    times = []
    for _ in range(rounds):
        arguments = setup()
        begun = time.perf_counter()
        action(*arguments)
        times.append(time.perf_counter() - begun)
    return min(times)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.stash[_LINES]:
        terminalreporter.section("ratios")
        for line in config.stash[_LINES]:
            terminalreporter.line(line)
