"""Checks that any strategy can be put through: what the engine promises holds only for strategies that keep their part.

Each check trades the bundled simulated market, with settings under which much happens, and says what it found. None
says whether the strategy is any good. None sees what a strategy reads from files or from the clock, or what differs
from one process to the next, such as the order of a set of words.
"""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

import numpy as np
import numpy.typing as npt

from forcedflow.data import load_dataset
from forcedflow.data.bars import Bars
from forcedflow.data.series import OpenInterest
from forcedflow.errors import ForcedFlowError, StrategyError
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.replay import Replay
from forcedflow.settings import AccountSettings, MarketSettings, parse
from forcedflow.tables import EVENT_COLUMNS, EVENT_FLOATS, EventKind, Events
from forcedflow.trading.desk import trade
from forcedflow.trading.exchange import Exchange
from forcedflow.trading.orders import Asked, Policy, whole
from forcedflow.trading.strategy import Strategy, ask, check_elementwise, find_strategy, source_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic.fields import FieldInfo

    from forcedflow.data.series import Dataset
    from forcedflow.market.tape import Tape
    from forcedflow.trading.ledger import Trading

__all__ = ["Finding", "StrategyCheck", "StrategyReport", "check_strategy", "strategy_checks"]

_MARKET: Final = MarketSettings(
    min_coverage=0.02,
    zone_on=0.008,
    zone_off=0.004,
    channel_bars=48,
    channel_touches=1,
    void_mass=0.02,
    exhaust_swept=0.001,
    exhaust_flow=1.0,
    exhaust_dry_bars=1,
    exhaust_momentum=1.0,
    exhaust_vol=10.0,
)
"""Settings under which the simulated market has every kind of event, most of them often."""
_ACCOUNT: Final = AccountSettings()
_PLACED: Final = ("bar", "event", "group", "side", "kind", "price", "stop", "target", "expiry", "hold")
"""What is known of an order when it is placed; its size and its end come later."""
_FILLED: Final = ("bar", "side", "qty", "price", "reason")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    status: Literal["passed", "failed", "skipped", "noted"]
    """``noted``: no fault, but something that one should know."""
    reason: str
    """Why it failed or was skipped, or what was found."""


@dataclass(frozen=True, slots=True)
class StrategyReport:
    """What :func:`check_strategy` found, check by check."""

    strategy: str
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(finding for finding in self.findings if finding.status == "failed")

    @property
    def passed(self) -> bool:
        """Whether none failed."""
        return not self.failed

    def __str__(self) -> str:
        width = max(len(finding.check) for finding in self.findings)
        lines = [f"{f.check:<{width}}  {f.status:<7}  {f.reason}".rstrip() for f in self.findings]
        return "\n".join([f"strategy {self.strategy}", *lines])


@dataclass(frozen=True)
class StrategyCheck:
    """One check of one strategy; calling it makes the check.

    Raises
    ------
    StrategyError
        When it is called and the strategy fails.
    """

    name: str
    about: str
    """What must hold."""
    _subject: _Subject = field(repr=False)

    def __call__(self) -> Finding:
        """Make the check; what it needs of other checks is made too, once for all of them."""
        finding = self._subject.found(self.name)
        if finding.status == "failed":
            raise StrategyError(f"strategy {self._subject.name} fails {self.name!r}: {finding.reason}")
        return finding

    def __str__(self) -> str:
        return self.name


def strategy_checks(
    strategy: Strategy | type[Strategy] | str | Path, params: Mapping[str, Any] | None = None, *, seed: int = 0
) -> list[StrategyCheck]:
    """Return the checks of a strategy, each to be called: a test suite is one ``parametrize``.

    Parameters
    ----------
    strategy
        A strategy, its class, its name, or the path of its file.
    params
        Parameters that differ from its defaults.
    seed
        Of what is drawn at random.

    Raises
    ------
    StrategyError
        Where it cannot be loaded.
    SettingsError
        Where a parameter is unknown or out of bounds.

    Examples
    --------
    >>> import forcedflow as ff
    >>> [check.name for check in ff.strategy_checks("zone_entry")][:3]
    ['described', 'repeatable', 'answers']
    >>> ff.strategy_checks("zone_entry")[0]().status
    'passed'
    """
    subject = _Subject.of(strategy, params, seed)
    return [StrategyCheck(name, (check.__doc__ or "").partition("\n")[0], subject) for name, check in _CHECKS.items()]


def check_strategy(
    strategy: Strategy | type[Strategy] | str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    raises: bool = True,
) -> StrategyReport:
    """Put a strategy through every check.

    Parameters
    ----------
    strategy, params, seed
        As :func:`strategy_checks`.
    raises
        Whether a failed check raises; else it stands in the report.

    Raises
    ------
    StrategyError
        Naming every check that failed, and why; where the strategy cannot be loaded.
    """
    subject = _Subject.of(strategy, params, seed)
    report = StrategyReport(subject.name, tuple(subject.found(name) for name in _CHECKS))
    if raises and not report.passed:
        told = "; ".join(f"{finding.check!r}: {finding.reason}" for finding in report.failed)
        raise StrategyError(f"strategy {report.strategy} fails {told}")
    return report


class _NotMade(Exception):  # noqa: N818  (no error: a check that cannot be made)
    """Why a check is skipped."""


class _Noted(Exception):  # noqa: N818  (no error: something to be told)
    """What a check has to tell without finding fault."""


class _Failed(Exception):  # noqa: N818  (becomes a finding)
    """What a check found wrong."""


@dataclass(eq=False)
class _Subject:
    """A strategy under check, the market it is checked on, and what was found so far."""

    kind: type[Strategy]
    params: dict[str, Any]
    seed: int
    _found: dict[str, Finding] = field(default_factory=dict)

    @classmethod
    def of(
        cls, strategy: Strategy | type[Strategy] | str | Path, params: Mapping[str, Any] | None, seed: int
    ) -> _Subject:
        if isinstance(strategy, str | Path):
            strategy = find_strategy(strategy)
        if isinstance(strategy, Strategy):
            params = strategy.model_dump() | dict(params or {})
            strategy = type(strategy)
        subject = cls(strategy, dict(params or {}), seed)
        subject.fresh()
        return subject

    @property
    def name(self) -> str:
        return self.kind.__name__

    def fresh(self) -> Strategy:
        """Return a new instance, which remembers nothing."""
        return parse(self.kind, self.params, f"strategy {self.name}")

    @cached_property
    def data(self) -> Dataset:
        return load_dataset("simulated")

    @cached_property
    def tape(self) -> Tape:
        return make_tape(self.data, _MARKET, snapshots=0)

    @cached_property
    def final_map(self) -> bytes:
        market = MarketPass(self.data, _MARKET)
        market.advance()
        return market.map.mass().tobytes()

    @cached_property
    def heard(self) -> Events:
        """The events of the market that the strategy hears."""
        return self.tape.events.of_kind(*self.kind.hears())

    def asked(self) -> Asked:
        """Ask a fresh instance about them."""
        return ask(self.fresh(), _copied(self.heard))

    def replay(self, data: Dataset | None = None, **options: Any) -> Replay:
        return Replay(data or self.data, self.fresh(), market=_MARKET, account=_ACCOUNT, **options)

    @cached_property
    def looped(self) -> Trading:
        """What the strategy does event by event."""
        return self.replay().finish()

    def found(self, name: str) -> Finding:
        """Make a check, unless it was made."""
        if name not in self._found:
            self._found[name] = self._make(name)
        return self._found[name]

    def _make(self, name: str) -> Finding:
        for need in _NEEDS.get(name, ()):
            if self.found(need).status == "failed":
                return Finding(name, "skipped", f"{need!r} failed")
        try:
            with _elsewhere(self.seed):
                told = _CHECKS[name](self)
        except _NotMade as why:
            return Finding(name, "skipped", str(why))
        except _Noted as what:
            return Finding(name, "noted", str(what))
        except (_Failed, ForcedFlowError) as wrong:
            return Finding(name, "failed", str(wrong).removeprefix(f"strategy {self.name}, "))
        return Finding(name, "passed", told or "")


# --- The checks, in the order in which they are made ---


def _described(subject: _Subject) -> str:
    """Require a docstring, and of each parameter a description and, where it is a number, bounds."""
    if not (subject.kind.__doc__ or "").strip():
        raise _Failed("it has no docstring: say what it trades, where it is wrong, and where it leaves")
    own = {name: about for name, about in subject.kind.model_fields.items() if name not in Policy.model_fields}
    if bare := [name for name, about in own.items() if not about.description]:
        raise _Failed(f"no description of {', '.join(bare)}: Field(..., description=...)")
    if loose := [name for name in own if _unbounded(own[name])]:
        raise _Failed(f"no bounds of {', '.join(loose)}: Field(..., gt=, ge=, lt= or le=)")
    return f"{len(own)} parameters" if own else "no parameters"


def _repeatable(subject: _Subject) -> None:
    """Require parameters and a source that can be saved: a run is repeated from its record."""
    made = subject.fresh()
    try:
        saved = json.loads(json.dumps(made.model_dump(mode="json"), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise _Failed(f"its parameters cannot be saved as JSON: {error}") from error
    if parse(subject.kind, saved, subject.name).model_dump() != made.model_dump():
        raise _Failed("its parameters are others once they were saved as JSON and read again")
    source_hash(subject.kind)


def _answers(subject: _Subject) -> str:
    """Require an answer to each event of a market that it hears, with orders that can be traded."""
    heard = len(subject.heard)
    if not heard:
        raise _NotMade("nothing that it hears happens in the simulated market")
    if subject.kind.is_plan():
        orders = int(np.count_nonzero(subject.asked().side))
    else:
        orders = len(subject.looped.orders["bar"])
    if not orders:
        raise _Noted(f"no order at {heard} events: what follows says little")
    return f"{orders} orders at {heard} events"


def _untouched(subject: _Subject) -> None:
    """Require that it changes nothing that it is given: events, bars, map, its own parameters."""
    strategy = subject.fresh()
    before = strategy.model_dump()
    if subject.kind.is_plan():
        given = _copied(subject.heard)
        ask(strategy, given)
        for name in EVENT_COLUMNS:
            if getattr(given, name).tobytes() != subject.heard.rows[name].tobytes():
                raise _Failed(f"it changes the column {name!r} of the events it is asked about")
    else:
        replay = Replay(subject.data, strategy, market=_MARKET, account=_ACCOUNT)
        replay.finish()
        if replay.map.mass().tobytes() != subject.final_map or _differs(
            replay.tape().market_bars, subject.tape.market_bars
        ):
            raise _Failed("it changes the map that it looks at")
    fresh = load_dataset("simulated").bars.columns()
    if wrong := _differs(subject.data.bars.columns(), fresh):
        raise _Failed(f"it changes the column {wrong!r} of the bars")
    if strategy.model_dump() != before:
        raise _Failed("it changes its own parameters; what it remembers belongs into private attributes")


def _deterministic(subject: _Subject) -> None:
    """Require that two fresh instances do the same, whatever the state of the process's random numbers."""
    if subject.kind.is_plan():
        one = _columns(subject.asked())
        with _elsewhere(subject.seed + 1):
            other = _columns(subject.asked())
        wrong = _differs(one, other)
    else:
        with _elsewhere(subject.seed + 1):
            wrong = _trades_differ(subject.looped, subject.replay().finish())
    if wrong:
        raise _Failed(f"a second, fresh instance gives another {wrong!r} on the same tape")


def _elementwise(subject: _Subject) -> None:
    """Require a plan that does not depend on the other events it is asked about at the same time."""
    if not subject.kind.is_plan():
        raise _NotMade("it has handlers")
    asked = subject.asked()
    for seed in range(subject.seed, subject.seed + 4):
        check_elementwise(subject.fresh(), subject.heard, asked, seed)
    backwards = np.arange(len(subject.heard))[::-1]
    again = ask(subject.fresh(), subject.heard[backwards])
    if wrong := _differs({k: v[backwards] for k, v in _columns(asked).items()}, _columns(again)):
        raise _Failed(f"asked about the events in another order, it gives another {wrong!r}")


def _loop(subject: _Subject) -> None:
    """Require that event by event it trades to the bit what it trades asked about the whole tape."""
    if not subject.kind.is_plan():
        raise _NotMade("it has handlers")
    batch = trade(Exchange.of(subject.tape), subject.tape.events, subject.fresh(), _ACCOUNT, subject.seed)
    if wrong := _trades_differ(batch, subject.looped):
        raise _Failed(f"event by event it gives another {wrong!r}")


def _causal(subject: _Subject) -> str:
    """Require that a market that ends sooner, or goes on otherwise, changes no order placed before."""
    placed = subject.looped.orders["bar"]
    last = len(subject.data.bars) - 2
    rng = np.random.default_rng(subject.seed)
    cuts = {int(rng.integers(last // 4, last)), *(placed[len(placed) // 3 :][:1] + 1).tolist()}
    for cut in sorted(min(cut, last) for cut in cuts):
        whole = _until(subject.looped, cut)
        end = int(subject.data.bars.close_ts[cut - 1])
        if wrong := _differs(whole, _until(subject.replay(subject.data.between(end=end)).finish(), cut)):
            raise _Failed(f"on bars 0 to {cut - 1} alone it gives another {wrong!r} than on the first of all bars")
        if wrong := _differs(whole, _until(subject.replay(_otherwise(subject.data, cut)).finish(), cut)):
            raise _Failed(f"where the market goes on otherwise after bar {cut - 1} it gives another {wrong!r} before")
    return f"cut at bars {', '.join(map(str, sorted(cuts)))}"


def _resumed(subject: _Subject) -> None:
    """Require the same of a loop that is left and resumed, and of one that listens to everything."""
    if subject.kind.is_plan():
        raise _NotMade("a plan remembers nothing")
    rng = np.random.default_rng(subject.seed)
    for listen in (None, tuple(EventKind)):
        replay = subject.replay(listen=listen)
        for _ in range(int(rng.integers(1, len(subject.heard)))):
            next(iter(replay))
        if wrong := _trades_differ(replay.finish(), subject.looped):
            raise _Failed(f"left after some events and resumed it gives another {wrong!r}")


def _edges(subject: _Subject) -> str:
    """Require that it survives what is rare: no events, zones, channel, volume or range, nothing located."""
    cases = list(_edged(subject.heard))
    if not subject.kind.is_plan():
        replay = subject.replay()
        replay._ahead = _EdgeMarket(subject.data, _MARKET)
        replay.finish()
        return f"{len(cases)} cases"
    ask(subject.fresh(), subject.heard[:0])
    for what, events in cases:
        try:
            ask(subject.fresh(), events)
        except StrategyError as error:
            raise _Failed(f"{what}: {error}") from error
    return f"{len(cases)} cases, and no events"


def _mirrored(subject: _Subject) -> str:
    """Compare the plan of mirrored events; a difference is a fault where it declares ``symmetric``."""
    if not subject.kind.is_plan():
        raise _NotMade("handlers may look at the map, which has no exact mirror image")
    here, there = subject.asked(), ask(subject.fresh(), _mirror(subject.heard))
    same = here.side == -there.side
    for name in ("kind", "size", "size_rule", "expiry", "hold", "group"):
        same &= (here.side == 0) | (getattr(here, name) == getattr(there, name))
    for name in ("price", "stop", "target"):
        image = subject.heard.close**2 / getattr(there, name)
        same &= (here.side == 0) | np.isclose(getattr(here, name), image, rtol=1e-9, atol=0.0, equal_nan=True)
    if same.all():
        return f"{len(same)} events"
    told = f"{np.count_nonzero(~same)} of {len(same)} events get another plan than their mirror images"
    raise (_Failed if subject.kind.symmetric else _Noted)(told)


_CHECKS: Final[dict[str, Callable[[_Subject], str | None]]] = {
    "described": _described,
    "repeatable": _repeatable,
    "answers": _answers,
    "deterministic": _deterministic,
    "inputs untouched": _untouched,
    "elementwise": _elementwise,
    "loop": _loop,
    "causal": _causal,
    "resumed": _resumed,
    "edge events": _edges,
    "mirror": _mirrored,
}
_STEADY: Final = ("answers", "deterministic")
_NEEDS: Final = {
    "deterministic": ("answers",),
    "inputs untouched": _STEADY,
    "elementwise": _STEADY,
    "loop": (*_STEADY, "elementwise"),
    "causal": (*_STEADY, "elementwise"),
    "resumed": _STEADY,
    "edge events": ("answers",),
    "mirror": (*_STEADY, "elementwise"),
}
"""Checks that can only be read where others passed: what is random fails everything."""


# --- Comparing ---


@contextmanager
def _elsewhere(seed: int) -> Iterator[None]:
    """Give the process's random numbers another state for a while, and let no warning of numpy out."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (the state that careless code draws from)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


Table = dict[str, npt.NDArray[Any]]


def _columns(asked: Asked) -> Table:
    """Return the columns of what was asked for, shape (events, legs)."""
    return {
        name: column.reshape(-1, asked.legs) for name, column in zip(Asked._fields, whole(asked)[:-1], strict=False)
    }


def _differs(one: Table, other: Table) -> str | None:
    """Return the first column that is not the same to the bit."""
    for name, column in one.items():
        there = other[name]
        text = column.dtype.kind == "U"
        if column.tolist() != there.tolist() if text else column.tobytes() != there.tobytes():
            return name
    return None


def _trades_differ(one: Trading, other: Trading) -> str | None:
    for table in ("orders", "fills", "trades", "equity"):
        if name := _differs(getattr(one, table), getattr(other, table)):
            return f"{table}.{name}"
    return None


def _until(trading: Trading, cut: int) -> Table:
    """Return what was placed and filled in bars before ``cut``."""
    orders, fills = trading.orders, trading.fills
    placed, filled = orders["bar"] < cut, fills["bar"] < cut
    return {f"orders.{name}": orders[name][placed] for name in _PLACED} | {
        f"fills.{name}": fills[name][filled] for name in _FILLED
    }


def _copied(events: Events) -> Events:
    return Events.of_rows(events.rows.copy())


def _unbounded(about: FieldInfo) -> bool:
    union = get_origin(about.annotation) in {Union, UnionType}
    kinds = get_args(about.annotation) if union else (about.annotation,)
    bounded = any(hasattr(bound, name) for bound in about.metadata for name in ("gt", "ge", "lt", "le"))
    return not bounded and any(kind is int or kind is float for kind in kinds)


# --- Other markets ---


def _otherwise(data: Dataset, cut: int) -> Dataset:
    """Return a market that is the same up to the close before bar ``cut``, and goes on the other way from there."""
    bars, now = data.bars, int(data.bars.close_ts[cut - 1])
    columns = {name: column.copy() for name, column in bars.columns().items()}
    swapped = {"high": "low", "low": "high", "mark_high": "mark_low", "mark_low": "mark_high"}
    level = bars.close[cut - 1] ** 2
    for name in ("open", "high", "low", "close", "mark_high", "mark_low"):
        if name in columns:
            columns[name][cut:] = level / bars.columns()[swapped.get(name, name)][cut:]
    columns["volume"][cut:] *= 3.0
    venues = []
    for venue in data.venues:
        oi = venue.open_interest
        if oi is not None:
            oi = OpenInterest(oi.stamp, oi.available_at, np.where(oi.available_at > now, 0.5 * oi.value, oi.value))
        venues.append(replace(venue, open_interest=oi))
    return replace(data, bars=Bars.from_columns(columns, bars.interval)[0], venues=tuple(venues))


_AROUND: Final = tuple(name for name in EVENT_FLOATS if name.startswith(("above_", "below_")))
_ZONE: Final = ("near", "far", "peak", "mass_before", "mass_after", "fuel", "alignment", "between")
_CHANNEL: Final = (
    "upper",
    "lower",
    "slope",
    "width",
    "upper_touches",
    "lower_touches",
    "containment",
    "channel_age",
)
_FLOW: Final = (EventKind.FORCED_FLOW, EventKind.VOID_ENTRY, EventKind.VOID_EXHAUSTION)


def _edged(events: Events) -> Iterator[tuple[str, Events]]:
    """Return the events as they are where something is missing; only what the market pass can give."""
    nan, zero = np.full(len(events), np.nan), np.zeros(len(events))
    breaks = events.kind == EventKind.CHANNEL_BREAK
    tested = breaks | (events.kind == EventKind.FAKE_OUT)
    zones = ~tested & ~np.isin(events.kind, _FLOW)
    alone = dict.fromkeys(_AROUND, nan)
    yield "no zone on either side", events.replace(**alone)
    yield "no volume", events.replace(fuel=np.where(zones, np.nan, events.fuel))
    yield "no zone behind the break", events.replace(**{n: np.where(breaks, np.nan, getattr(events, n)) for n in _ZONE})
    bare = {name: np.where(tested, getattr(events, name), np.nan) for name in _CHANNEL}
    yield "no channel", events.replace(channel=np.where(tested, events.channel, 0), **bare)
    yield "no range yet", events.replace(atr=zero, vol_short=zero, vol_long=zero, momentum=zero)
    yield "nothing located", events.replace(coverage=zero, **alone)
    yield "after a gap", events.replace(gap=np.where(events.side > 0, 0.05, -0.05))


class _EdgeMarket(MarketPass):
    """A market in whose events something is always missing, each time something else."""

    def events(self, since: int = 0) -> Events:
        found = super().events(since)
        rows = found.rows.copy()
        cases = [events for _, events in _edged(found)]
        for k, events in enumerate(cases):
            rows[k :: len(cases)] = events.rows[k :: len(cases)]
        return Events.of_rows(rows)


def _mirror(events: Events) -> Events:
    """Return the events with every price reflected at the close of its row, in log price."""
    swapped = {"upper": "lower", "upper_touches": "lower_touches"}
    swapped |= {name: name.replace("above", "below") for name in _AROUND if name.startswith("above")}
    swapped |= {there: here for here, there in swapped.items()}
    prices = {n for n in EVENT_FLOATS if n.rpartition("_")[2] in {"near", "far", "peak", "upper", "lower", "extreme"}}
    columns = {}
    for name in EVENT_COLUMNS:
        column = getattr(events, swapped.get(name, name))
        if name in prices:
            column = events.close**2 / column
        columns[name] = -column if name in {"side", "slope", "gap", "momentum"} else column
    return Events(**columns)
