"""The checks of strategies: every shipped one and both templates pass, and each broken one fails exactly its check."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field, PrivateAttr

import forcedflow as ff
from forcedflow.conformance import StrategyCheck, StrategyReport
from forcedflow.errors import SettingsError, StrategyError

FOLDER = Path(__file__).parents[1] / "strategies"
FILES = sorted(FOLDER.glob("*.py")) + sorted((FOLDER / "templates").glob("*.py"))
ENTRY = (ff.EventKind.ZONE_ENTRY,)


@pytest.mark.parametrize(
    "check",
    [pytest.param(c, id=f"{path.stem} {c}") for path in FILES for c in ff.strategy_checks(path)],
)
def test_what_ships_passes(check: StrategyCheck) -> None:
    assert check().status in {"passed", "skipped"}  # nothing noted either: both sides mirror
    assert check.about.startswith(("Require", "Compare"))


class Sound(ff.Strategy):
    """Buys what is force-sold in a zone."""

    listens: ClassVar[tuple[ff.EventKind, ...]] = ENTRY
    atrs: float = Field(default=2.0, gt=0, description="stop")

    def plan(self, events: ff.Events) -> ff.Plan:
        side = -events.side
        stop = events.close * np.exp(-side * self.atrs * events.atr)
        return ff.Plan(np.where(events.atr > 0, side, 0), size=0.01, stop=stop, hold=20)


class Undescribed(Sound):
    __doc__ = ""


class Unbounded(Sound):
    """Has a number that may be anything."""

    most: int | None = Field(default=3, description="of something")


class Mute(Sound):
    """Has a parameter that nobody can know."""

    most: int = Field(default=3, ge=0)


class Unsaved(Sound):
    """Has a parameter that no file can hold."""

    rule: Callable[[float], float] = Field(default=abs, description="a function")


class Raises(Sound):
    """Fails in bar 5000."""

    def plan(self, events: ff.Events) -> ff.Plan:
        if np.any(events.bar > 5000):
            raise ZeroDivisionError
        return super().plan(events)


class Untradable(Sound):
    """Places a stop on the wrong side."""

    def plan(self, events: ff.Events) -> ff.Plan:
        return ff.Plan(-events.side, size=0.01, stop=events.close * (1 - 0.01 * events.side))


class Tosses(Sound):
    """Sizes by chance."""

    def plan(self, events: ff.Events) -> ff.Plan:
        return ff.Plan(1, size=1 + np.random.rand(), size_rule="units")  # noqa: NPY002


class Shares(Sound):
    """Remembers in its class what belongs to an instance."""

    asked: ClassVar[list[int]] = []

    def plan(self, events: ff.Events) -> ff.Plan:
        self.asked.append(1)
        return ff.Plan(1, size=len(self.asked), size_rule="units")


class Writes(Sound):
    """Unlocks a column that it does not even need."""

    def plan(self, events: ff.Events) -> ff.Plan:
        events.age.setflags(write=True)
        events.age[:] = 0.0
        return super().plan(events)


class Learns(Sound):
    """Keeps its state in a parameter."""

    seen: list[int] = Field(default=[], description="kinds it was asked about")

    def plan(self, events: ff.Events) -> ff.Plan:
        self.seen.append(1)
        return super().plan(events)


class LooksAround(Sound):
    """Sizes by the rows before."""

    def plan(self, events: ff.Events) -> ff.Plan:
        return ff.Plan(1, size=np.cumsum(np.ones(len(events))), size_rule="units")


class Tires(Sound):
    """Stops after thirty questions."""

    _asked: int = PrivateAttr(default=0)

    def plan(self, events: ff.Events) -> ff.Plan:
        self._asked += 1
        return ff.Plan(1 if self._asked <= 30 else 0, size=1, size_rule="units", hold=1)


class Trusts(Sound):
    """Takes for granted that something is located."""

    def plan(self, events: ff.Events) -> ff.Plan:
        if np.any(events.coverage == 0):
            raise ZeroDivisionError
        return super().plan(events)


class OneSided(Sound):
    """Says that it mirrors, and only buys."""

    symmetric: ClassVar[bool] = True

    def plan(self, events: ff.Events) -> ff.Plan:
        return ff.Plan(np.where(events.side < 0, 1, 0), size=1, size_rule="units", hold=5)


class Handles(ff.Strategy):
    """Buys what is force-sold in a zone, one position at a time."""

    def wants(self, event: ff.Event, market: Any) -> bool:
        return event.side < 0

    def on_zone_entry(self, event: ff.Event, market: Any, account: ff.Desk) -> None:
        if self.wants(event, market) and account.position == 0 and event.atr > 0:
            account.submit(1, size=0.01, stop=event.close * math.exp(-2 * event.atr), hold=20)


class Peeks(Handles):
    """Reads tomorrow's paper."""

    def wants(self, event: ff.Event, market: Any) -> bool:
        close = market._replay._data.bars.close
        return bool(close[min(event.bar + 50, len(close) - 1)] > event.close)


class Eavesdrops(Handles):
    """Behaves while nobody else listens."""

    def wants(self, event: ff.Event, market: Any) -> bool:
        return len(market._replay._listen) == 1 and super().wants(event, market)


class Tampers(Handles):
    """Adds mass to the map far from price, where it does no harm."""

    def wants(self, event: ff.Event, market: Any) -> bool:
        market.map.arrays.stored[0, 0, 0] += 1e-9
        return super().wants(event, market)


class Divides(Handles):
    """Divides by a range that there may not be yet."""

    def wants(self, event: ff.Event, market: Any) -> bool:
        return 1 / event.atr > 0 and super().wants(event, market)


BROKEN: list[tuple[type[ff.Strategy], str, str]] = [
    (Undescribed, "described", "no docstring"),
    (Unbounded, "described", "no bounds of most"),
    (Mute, "described", "no description of most"),
    (Unsaved, "repeatable", "cannot be saved as JSON"),
    (Raises, "answers", "ZoneEntry in bar 5.*ZeroDivisionError"),
    (Untradable, "answers", "stop must lie on the losing side"),
    (Tosses, "deterministic", "gives another 'size'"),
    (Shares, "deterministic", "gives another 'size'"),
    (Writes, "inputs untouched", "changes the column 'age'"),
    (Learns, "inputs untouched", "changes its own parameters"),
    (LooksAround, "elementwise", "column 'size' changes with the other rows"),
    (Tires, "loop", "gives another 'orders"),
    (Trusts, "edge events", "nothing located: .*ZeroDivisionError"),
    (OneSided, "mirror", "events get another plan than their mirror images"),
    (Peeks, "causal", "goes on otherwise|alone it gives another"),
    (Eavesdrops, "resumed", "gives another 'orders"),
    (Tampers, "inputs untouched", "changes the map"),
    (Divides, "edge events", "ZoneEntry in bar .*ZeroDivisionError"),
]


@pytest.mark.parametrize(("broken", "check", "reason"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_broken_fails_its_own_check_and_no_other(broken: type[ff.Strategy], check: str, reason: str) -> None:
    report = ff.check_strategy(broken, raises=False)
    assert [finding.check for finding in report.failed] == [check], report
    with pytest.raises(StrategyError, match=f"strategy {broken.__name__} fails '{check}': .*({reason})"):
        {c.name: c for c in ff.strategy_checks(broken)}[check]()


def test_every_check_can_fail() -> None:
    assert {check for _, check, _ in BROKEN} == {c.name for c in ff.strategy_checks(Sound)}


@pytest.mark.parametrize("sound", [Sound, Handles])
def test_the_sound_pass(sound: type[ff.Strategy]) -> None:
    report = ff.check_strategy(sound())
    assert report.passed
    skipped = {"resumed"} if sound is Sound else {"elementwise", "loop", "mirror"}
    assert {finding.check for finding in report.findings if finding.status == "skipped"} == skipped
    assert str(report).splitlines()[0] == f"strategy {sound.__name__}"
    assert len(str(report).splitlines()) == len(report.findings) + 1


def status(report: StrategyReport, check: str) -> str:
    return next(finding.status for finding in report.findings if finding.check == check)


def test_what_rests_on_a_failed_check_is_not_made() -> None:
    report = ff.check_strategy(Tosses, raises=False)
    for check in ("elementwise", "loop", "causal"):
        assert status(report, check) == "skipped"


def test_one_side_only_is_told_and_no_fault() -> None:
    class Buys(OneSided):
        """Only buys."""

        symmetric: ClassVar[bool] = False

    report = ff.check_strategy(Buys)
    assert status(report, "mirror") == "noted"


def test_what_never_happens_is_not_called_checked() -> None:
    class Waits(Sound):
        """Hears what does not happen under its own filter."""

        def plan(self, events: ff.Events) -> ff.Plan:
            return ff.Plan(0, size=1)

    report = ff.check_strategy(Waits, raises=False)
    assert status(report, "answers") == "noted"


def test_parameters_are_those_given() -> None:
    assert ff.check_strategy("zone_entry", {"mode": "ride"}).passed
    with pytest.raises(SettingsError, match=r"mod: unknown \(did you mean 'mode'\?\)"):
        ff.check_strategy("zone_entry", {"mod": "ride"})
    with pytest.raises(StrategyError, match="fails 'elementwise': "):
        ff.check_strategy(LooksAround)
