"""A kernel that is interpreted does to the bit what it does compiled, and is compiled once it is worth it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forcedflow.kernels import kernel, telling_of_compiling
from forcedflow.kernels.account import advance
from forcedflow.kernels.drawdowns import drawdowns
from forcedflow.kernels.plans import Asked, first_fault, write_orders
from forcedflow.kernels.tiers import STEPS, Tiered, interpreted
from forcedflow.kernels.touch import extremes
from forcedflow.trading import account
from forcedflow.trading.account import Account
from forcedflow.trading.strategy import ask
from generators import JIT, examples
from trading.test_account import SEEDS, Case

pytestmark = pytest.mark.skipif(not JIT, reason="without the JIT there is one tier")


class Fixed(Tiered):
    """A tier of its own that interprets so many steps, whatever lies on disk."""

    def __init__(self, kernel: Any, steps: int) -> None:
        super().__init__(kernel)
        self._known, self.left = True, steps


def trade(case: Case, steps: int) -> list[bytes]:
    """Trade with that many interpreted steps of each kernel; return all rows of the account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account, "_advance", Fixed(advance, steps))
        patch.setattr(account, "_write_orders", Fixed(write_orders, steps))
        traded = Account(case.market, case.settings, case.strategy)
        traded.observe(case.events)
        rows = np.flatnonzero(np.isin(case.events.kind, case.strategy.hears()))
        if len(rows):
            traded.place(ask(case.strategy, case.events[rows]), rows)
        traded.advance(len(case.market.bars) - 1)
        return [part.tobytes() for part in traded.rows()]


@examples(50)
@given(SEEDS, st.integers(1, 60))
def test_the_account_trades_the_same_in_both_tiers(seed: int, steps: int) -> None:
    """All kinds of orders, margin modes, funding, intrabar policies; also where a run changes from one to the other."""
    case = Case.of(seed)
    compiled = trade(case, 0)
    assert trade(case, 10**9) == compiled
    assert trade(case, steps) == compiled


PRICES = np.array([-1.0, 0.0, 99.0, 100.0, 101.0, np.inf, np.nan])


@given(st.integers(0, 2**32 - 1))
def test_the_same_fault_is_found_in_both_tiers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events, legs = int(rng.integers(1, 4)), int(rng.integers(1, 3))

    def column(values: Any) -> Any:
        return rng.choice(values, events * legs if rng.integers(2) else 1)

    numbers = {name: column([-1, 0, 1, 2]) for name in ("kind", "size_rule", "expiry", "hold", "group", "oco")}
    numbers |= {name: column([0, 1]) for name in ("reduce_only", "cancel_on", "exit_on")}
    prices = {name: column(PRICES) for name in ("price", "limit", "stop", "target", "trail", "size")}
    asked = Asked(side=rng.integers(-2, 3, events * legs), legs=legs, **numbers, **prices)
    closes = np.full(events, 100.0)
    assert interpreted(first_fault, asked, closes) == first_fault(asked, closes)


@given(st.integers(0, 2**32 - 1))
def test_drawdowns_are_the_same_in_both_tiers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, count = int(rng.integers(1, 600)), int(rng.integers(1, 6))
    values = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    begins = np.unique(np.append(0, rng.integers(0, n, count)))
    cash, position = rng.normal(1e4, 10.0, len(begins)), rng.choice([-2.0, 0.0, 3.0], len(begins))
    arguments = (extremes(values, values), np.arange(n), -1, begins, cash, position, 1e4)
    assert np.array_equal(interpreted(drawdowns, *arguments), drawdowns(*arguments))


@kernel
def count_up(numbers: Any, up_to: int, steps: int) -> int:
    """Write ascending numbers, one a step."""
    taken = 0
    while taken < steps and numbers[0] < up_to:
        numbers[0] += 1
        taken += 1
    return taken


def test_a_kernel_is_interpreted_until_it_is_worth_compiling() -> None:
    compiled: Any = count_up
    tier, numbers = Fixed(count_up, STEPS), np.zeros(1, np.int64)
    assert tier.finishes(numbers, 100)
    assert (tier.left, numbers[0]) == (STEPS - 100, 100)
    assert not tier.finishes(numbers, 2 * STEPS)
    assert (tier.left, numbers[0]) == (0, STEPS)
    assert not tier.finishes(numbers, 2 * STEPS)
    assert numbers[0] == STEPS
    assert not compiled.signatures
    assert tier.call(1, numbers, 10**6, 5) == 5
    assert len(compiled.signatures) == 1


def test_machine_code_on_disk_is_used_at_once() -> None:
    numbers = np.zeros(1, np.int64)
    count_up(numbers, 10**6, 5)
    fresh = Tiered(kernel(count_up.py_func))  # type: ignore[attr-defined]
    assert fresh.left == STEPS
    assert not fresh.finishes(numbers, 10**6)
    assert (fresh.left, numbers[0]) == (0, 5)


def _double(number: Any) -> Any:
    return 2 * number


def _halve(number: Any) -> Any:
    return number / 2


def test_compiling_is_told_of_once_and_looking_for_machine_code_is_not() -> None:
    told: list[str] = []
    double, halve = (numba.njit(function) for function in (_double, _halve))
    with telling_of_compiling(lambda: told.append("compiling")):
        tier = Tiered(double)
        tier.left = STEPS
        assert tier.call(1, 4) == 8
        assert told == []
        assert double(4) == 8
        assert told == ["compiling"]
        assert halve(4.0) == 2.0
        assert told == ["compiling"]
    with telling_of_compiling(lambda: told.append("again")):
        assert double(4) == 8
    assert told == ["compiling"]
