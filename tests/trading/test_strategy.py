"""Strategies: their two forms, how they are found, and what is told when one fails."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field, PrivateAttr

from forcedflow.errors import SettingsError, StrategyError
from forcedflow.settings import AccountSettings, parse
from forcedflow.tables import Event, EventKind, Events
from forcedflow.trading.account import Account
from forcedflow.trading.desk import react, trade
from forcedflow.trading.orders import Plan, whole
from forcedflow.trading.strategy import (
    Strategy,
    ask,
    check_elementwise,
    find_strategy,
    source_hash,
    strategy_names,
)
from trading.market import FromColumns, make_bars, make_events, random_market

NEAR = (EventKind.ZONE_NEAR,)
BARS = make_bars([(100, 101, 99, 100)] * 8)
EVENTS = make_events(BARS, [(bar, EventKind.ZONE_NEAR, 1, bar) for bar in range(1, 7)])


class Buy(Strategy):
    """Buys at every event."""

    listens: ClassVar[tuple[EventKind, ...]] = NEAR
    size: float = Field(1.0, gt=0, description="units")

    def plan(self, events: Events) -> Plan:
        return Plan(1, size=self.size, size_rule="units", hold=1)


class Handlers(Strategy):
    """Buys at the second near zone, and leaves at the fourth."""

    _seen: list[int] = PrivateAttr(default_factory=list)

    def on_zone_near(self, event: Event, market: object, account: Account) -> None:
        self._seen.append(event.group)
        if len(self._seen) == 2:
            account.submit(1, size=1, size_rule="units", group=event.group)
        if len(self._seen) == 4:
            assert account.position == 1
            account.close()


class Both(Buy):
    """Has two forms."""

    def on_zone_near(self, event: Event, market: object, account: Account) -> None: ...


class Neither(Strategy):
    """Has no form."""


class Misspelt(Strategy):
    """Has a handler that nothing calls."""

    def on_zone_nearby(self, event: Event, market: object, account: Account) -> None: ...


class Deaf(Strategy):
    """Says nothing about what it listens to."""

    def plan(self, events: Events) -> Plan:
        return Plan(1, size=1.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Both, "Both has both plan and handlers"),
        (Neither, "Neither has neither plan nor a handler"),
        (
            Misspelt,
            "no event calls on_zone_nearby .did you mean 'on_zone_near'..; handlers are on_zone_entry, on_zone_swept",
        ),
        (Deaf, "Deaf listens to no event"),
    ],
)
def test_a_strategy_has_exactly_one_form(wrong: type[Strategy], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        wrong()


def test_parameters_are_checked_and_frozen() -> None:
    with pytest.raises(SettingsError, match=r"size: Input should be greater than 0.*"):
        parse(Buy, {"size": -1}, "strategy buy")
    with pytest.raises(SettingsError, match=r"sise: .*Known: conflict, max_open, cooldown, once_per_group, size"):
        parse(Buy, {"sise": 1}, "strategy buy")
    with pytest.raises(ValueError, match="frozen"):
        Buy().size = 2.0  # type: ignore[misc]


@pytest.mark.parametrize("kind", [EventKind.ZONE_NEAR, 9, "ZoneNear", "zone_near", "ZONE_NEAR"])
def test_a_kind_of_event_is_known_by_any_name(kind: Any) -> None:
    class Named(Buy):
        """Names what it listens to."""

        listens: ClassVar[tuple[EventKind, ...]] = (kind,)

    assert EventKind.of(kind) is EventKind.ZONE_NEAR
    assert Named.hears() == NEAR
    assert trade(BARS, EVENTS, Named(), AccountSettings()).trades["trade_id"].size
    assert len(EVENTS.of_kind(kind)) == len(EVENTS)


@pytest.mark.parametrize("kind", ["ZoneNaer", 77])
def test_an_unknown_kind_of_event_is_told_what_there_is(kind: Any) -> None:
    hint = r" \(did you mean 'ZoneNear'\?\)" if kind == "ZoneNaer" else ""
    message = rf"no kind of event {kind!r}{hint}. Known: ZoneEntry, .*, ZoneNear"
    with pytest.raises(SettingsError, match=message):
        EVENTS.of_kind(kind)

    class Deafened(Buy):
        """Listens to nothing that there is."""

        listens: ClassVar[tuple[EventKind, ...]] = (kind,)

    with pytest.raises(StrategyError, match=f"strategy Deafened listens to {message}"):
        Deafened()


def test_what_a_handler_remembers_is_read_as_pydantic_would() -> None:
    strategy, other = Handlers(), Handlers()
    strategy._seen.append(1)
    assert (strategy._seen, other._seen) == ([1], [])
    strategy._seen = [2]
    assert strategy.model_copy()._seen == [2]

    class Unset(Handlers):
        """Remembers what was never said."""

        _when: int

    with pytest.raises(AttributeError, match="_when"):
        _ = Unset()._when
    assert Unset()._seen == []


def test_what_a_strategy_hears() -> None:
    assert Buy.hears() == Handlers.hears() == NEAR
    assert Buy.is_plan()
    assert not Handlers.is_plan()


def test_handlers_trade_event_by_event_and_remember() -> None:
    account = Account(BARS, AccountSettings(), Handlers())
    react(Handlers(), EVENTS, None, account)
    trades = account.result().trades
    assert trades["entry_bar"].tolist() == [3]
    assert trades["exit_bar"].tolist() == [5]
    assert trades["exit_reason"].tolist() == ["close"]


def test_handlers_need_a_replay() -> None:
    with pytest.raises(StrategyError, match="Handlers has handlers: it trades in a replay"):
        trade(BARS, EVENTS, Handlers(), AccountSettings())


class Raises(Strategy):
    """Fails at the zone of bar 4."""

    listens: ClassVar[tuple[EventKind, ...]] = NEAR

    def plan(self, events: Events) -> Plan:
        if np.any(events.bar == 4):
            raise ZeroDivisionError("no mass")
        return Plan(0, size=1.0)


class HandlerRaises(Strategy):
    """Fails at the zone of bar 4, or orders nonsense there."""

    nonsense: bool = False

    def on_zone_near(self, event: Event, market: object, account: Account) -> None:
        if event.bar == 4:
            if self.nonsense:
                account.submit(1, size=-1, size_rule="units")
            raise ZeroDivisionError("no mass")


@pytest.mark.parametrize("strategy", [Raises(), HandlerRaises()])
def test_a_strategy_that_raises_is_named_with_event_bar_and_time(strategy: Strategy) -> None:
    message = r"strategy \w*Raises, ZoneNear in bar 4 \(1970-01-01T00:05:00Z\): ZeroDivisionError: no mass"
    with pytest.raises(StrategyError, match=message) as told:
        react(strategy, EVENTS, None, Account(BARS, AccountSettings(), strategy))
    assert isinstance(told.value.__cause__, ZeroDivisionError)


def test_so_is_one_asked_about_a_whole_tape() -> None:
    with pytest.raises(StrategyError, match=r"strategy Raises, ZoneNear in bar 4 \(1970-01-01T00:05:00Z\): Zero"):
        trade(BARS, EVENTS, Raises(), AccountSettings())


def test_a_handlers_bad_order_is_named_once() -> None:
    strategy = HandlerRaises(nonsense=True)
    message = (
        r"^strategy HandlerRaises, ZoneNear in bar 4 \(1970-01-01T00:05:00Z\), plan row 0: size must be a positive"
    )
    with pytest.raises(StrategyError, match=message):
        react(strategy, EVENTS, None, Account(BARS, AccountSettings(), strategy))


class WrongReturn(Buy):
    """Returns no plan."""

    def plan(self, events: Events) -> Plan:
        return None  # type: ignore[return-value]


def test_a_plan_must_be_a_plan() -> None:
    with pytest.raises(StrategyError, match="WrongReturn: plan\\(\\) must return a Plan, returned NoneType"):
        ask(WrongReturn(), EVENTS)


class LooksBack(Buy):
    """Sizes by the average of the rows before: right in a sweep, wrong in the loop."""

    def plan(self, events: Events) -> Plan:
        return Plan(1, size=np.cumsum(np.ones(len(events))), size_rule="units")


class LooksAhead(Buy):
    """Knows how many events will come."""

    def plan(self, events: Events) -> Plan:
        return Plan(1, size=1.0, size_rule="units", hold=len(events))


@pytest.mark.parametrize(("strategy", "column"), [(LooksBack(), "size"), (LooksAhead(), "hold")])
def test_a_plan_that_is_not_elementwise_is_refused(strategy: Strategy, column: str) -> None:
    with pytest.raises(StrategyError, match=rf"ZoneNear in bar \d \(.*\): plan row \d, column '{column}' changes with"):
        trade(BARS, EVENTS, strategy, AccountSettings())


def test_an_elementwise_plan_passes_nan_and_all() -> None:
    events = random_market(5)[1]
    strategy = FromColumns()
    for seed in range(5):
        check_elementwise(strategy, events, ask(strategy, events), seed)
    assert np.isnan(ask(strategy, events).price).any()


def test_the_check_sees_a_single_changed_row() -> None:
    events = random_market(5)[1]
    asked = ask(FromColumns(), events)
    hold = whole(asked).hold
    hold[0] += 1
    changed = asked._replace(hold=hold)
    with pytest.raises(StrategyError, match="plan row 0, column 'hold'"):
        check_elementwise(FromColumns(), events, changed, 0)  # every prefix holds row 0


SOURCE = """
from __future__ import annotations
from typing import ClassVar
from forcedflow.tables import EventKind, Events
from forcedflow.trading.orders import Plan
from forcedflow.trading.strategy import Strategy

class _Base(Strategy):
    listens: ClassVar[tuple[EventKind, ...]] = (EventKind.ZONE_NEAR,)

class Mine(_Base):
    units: float = {units}

    def plan(self, events: Events) -> Plan:
        return Plan(1, size=self.units, size_rule="units")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    return tmp_path / "strategies"


def made(path: Path, **values: Any) -> Path:
    path.write_text(SOURCE.format(**{"units": 1.5} | values), encoding="utf-8")
    return path


def test_a_strategy_is_found_by_path_and_by_name(folder: Path) -> None:
    path = made(folder / "mine.py")
    for ref in (path, str(path), "mine"):
        found = find_strategy(ref)
        assert found.__name__ == "Mine"
        assert found().model_dump()["units"] == 1.5
        assert trade(BARS, EVENTS, found(), AccountSettings()).trades["qty"].tolist() == [1.5]


def test_the_users_own_come_before_the_shipped(folder: Path) -> None:
    assert find_strategy("zone_entry").__name__ == "ZoneEntry"
    made(folder / "zone_entry.py")
    assert find_strategy("zone_entry").__name__ == "Mine"


def test_names(folder: Path) -> None:
    made(folder / "mine.py")
    made(folder / "_helper.py")
    names = strategy_names()
    assert {"mine", "zone_entry"} <= set(names)
    assert names == sorted(names)
    assert "_helper" not in names


def test_an_unknown_name_says_where_it_looked(folder: Path) -> None:
    with pytest.raises(
        StrategyError, match=r"no strategy 'nome'; looked at nome, strategies.nome\.py, .*Known: .*zone_entry"
    ):
        find_strategy("nome")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", r"cannot load .*bad\.py: SyntaxError"),
        ("import nothing_of_this_name", r"cannot load .*bad\.py: ModuleNotFoundError"),
        ("x = 1", "must define exactly one Strategy, defines none"),
        (SOURCE.format(units=1) + "\nclass Other(Mine):\n    pass\n", "exactly one Strategy, defines Mine, Other"),
        ("from forcedflow.trading.strategy import Strategy\nclass Empty(Strategy):\n    pass\n", "Empty has neither"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(folder: Path, text: str, message: str) -> None:
    (folder / "bad.py").write_text(text, encoding="utf-8")
    with pytest.raises(StrategyError, match=message):
        find_strategy("bad")


def test_the_hash_is_of_the_source_as_loaded(folder: Path) -> None:
    path = made(folder / "mine.py")
    found = find_strategy("mine")
    text = path.read_bytes()
    made(path, units=2.5)
    assert source_hash(found) == hashlib.sha256(text).hexdigest()
    assert source_hash(find_strategy("mine")) != source_hash(found)
    assert source_hash(Buy) != source_hash(Raises)
