"""Strategies: the base class of both forms, and how they are found."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from functools import cache, partial
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from pydantic import model_validator

from forcedflow.data.catalog import shipped_folder
from forcedflow.errors import SettingsError, StrategyError, did_you_mean
from forcedflow.settings import AccountSettings, MarketSettings, parse
from forcedflow.tables import Event, EventKind, Events
from forcedflow.trading.orders import Asked, Plan, Policy, at_event, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forcedflow.trading.desk import Desk

    Handlers = dict[EventKind, Callable[..., None]]

__all__ = [
    "Strategy",
    "ask",
    "check_elementwise",
    "find_strategy",
    "handle",
    "handlers",
    "make_strategy",
    "source_hash",
    "strategy_names",
    "write_template",
]

_MODULE: Final = "_forcedflow_strategy"
"""The name under which a strategy file is registered: one for all, so that none can shadow a real module."""


class Strategy(Policy):
    """Base class of strategies: parameters are annotated fields, each with bounds and a description.

    A strategy has exactly one form.

    Plan form: set ``listens`` and override :meth:`plan`. Handler form: write any of ``on_zone_near``,
    ``on_zone_entry``, ``on_zone_swept``, ``on_zone_exit``, ``on_forced_flow``, each taking
    ``(self, event, market, account)``; what they remember goes into private attributes
    (``_seen: set[int] = PrivateAttr(default_factory=set)``).

    Raises
    ------
    StrategyError
        On construction, for a class that has no form, or both, or a handler of no event.
    """

    listens: ClassVar[tuple[EventKind, ...]] = ()
    """Kinds of event that :meth:`plan` is asked about. Handlers listen to what they are named after."""
    symmetric: ClassVar[bool] = False
    """Declares that the mirror image of an event gets the mirror image of its plan; ``check_strategy`` looks."""
    source: ClassVar[str | None] = None
    """Text of the file that the class was loaded from."""

    def plan(self, events: Events) -> Plan:
        """Return what to order at the close of each event's bar, by elementwise numpy: no row looks at another."""
        raise NotImplementedError

    @classmethod
    def hears(cls) -> tuple[EventKind, ...]:
        """Return the kinds of event that the strategy is called at."""
        return tuple(handlers(cls)) or tuple(map(EventKind.of, cls.listens))

    @classmethod
    def is_plan(cls) -> bool:
        """Tell the plan form from the handler form."""
        return cls.plan is not Strategy.plan

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Give what handlers remember a short way: pydantic's own takes as long as all else about an event."""
        super().__pydantic_init_subclass__(**kwargs)
        for name in cls.__private_attributes__:
            setattr(cls, name, property(partial(_remembered, name)))

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        handlers(type(self))
        return self


def ask(strategy: Strategy, events: Events) -> Asked:
    """Ask a plan strategy about events that it listens to.

    Returns
    -------
    Asked
        One row an event, checked.

    Raises
    ------
    StrategyError
        Where the strategy raises or its plan cannot be traded, naming strategy, event, bar and time.
    """
    name = type(strategy).__name__
    try:
        plan = strategy.plan(events)
    except (Exception, SystemExit) as error:  # a strategy must not end the process either
        raise _raised(name, _blamed(strategy, events), error) from error
    if not isinstance(plan, Plan):
        raise StrategyError(f"strategy {name}: plan() must return a Plan, returned {type(plan).__name__}")
    return checked(plan, events, name)


def handle(strategy: Strategy, calls: Handlers, market: object, account: Desk, event: Event) -> None:
    """Call a strategy's handler of an event; ``calls`` are its :func:`handlers`.

    Raises
    ------
    StrategyError
        Where the handler raises, naming strategy, event, bar and time.
    """
    try:
        calls[event.kind](strategy, event, market, account)
    except StrategyError:
        raise  # an order that cannot be traded: it says so itself
    except (Exception, SystemExit) as error:
        raise _raised(type(strategy).__name__, at_event(event.alone(), 0), error) from error


def check_elementwise(strategy: Strategy, events: Events, asked: Asked, seed: int) -> None:
    """Ask again about random rows and prefixes, and compare with the plan for all of ``events``.

    Parameters
    ----------
    events, asked
        The events and what :func:`ask` returned for them.
    seed
        Of the choice of rows.

    Raises
    ------
    StrategyError
        Naming the strategy, the first row and the column that differ: the plan of a row then depends on other rows.
    """
    if len(events) < 2:
        return
    rng = np.random.default_rng(seed)
    rows = [slice(row, row + 1) for row in rng.integers(len(events), size=6).tolist()]
    prefixes = [slice(length) for length in rng.integers(1, len(events), size=3).tolist()]
    for picked in rows + prefixes:
        again = ask(strategy, events[picked])
        first, stop = ((row or 0) * asked.legs for row in (picked.start, picked.stop))
        for field in ("legs", *Asked._fields[:-1]):
            batch, alone = (np.atleast_1d(getattr(plan, field)) for plan in (asked, again))
            batch = batch[first:stop] if len(batch) > 1 else batch
            differ = ~((batch == alone) | ((batch != batch) & (alone != alone)))  # noqa: PLR0124  (NaN equals NaN here)
            if differ.any():
                at = (picked.start or 0) + int(differ.argmax()) // asked.legs
                raise StrategyError(
                    f"strategy {type(strategy).__name__}, {at_event(events, at)}: plan row {at}, column {field!r} "
                    "changes with the other rows it is asked about; write plan() with elementwise numpy"
                )


def find_strategy(ref: str | Path) -> type[Strategy]:
    """Load the strategy of a file.

    Parameters
    ----------
    ref
        Path of a Python file; or a name, looked for as ``strategies/NAME.py`` in the current folder, then among the
        shipped ones.

    Raises
    ------
    StrategyError
        Saying where it looked; or why the file cannot be used.
    """
    places = [Path(ref), *(folder / f"{ref}.py" for folder in _folders())]
    for place in places:
        if place.suffix == ".py" and place.is_file():
            return _load(place)
    looked = ", ".join(str(place) for place in places)
    names = strategy_names()
    hint = did_you_mean(Path(ref).stem, names)
    raise StrategyError(f"no strategy {str(ref)!r}{hint}; looked at {looked}. Known: {', '.join(names)}")


def make_strategy(ref: str | Path, params: Mapping[str, Any] | None = None) -> Strategy:
    """Load the strategy of a file, with parameters that differ from its defaults.

    Raises
    ------
    StrategyError
        As :func:`find_strategy`.
    SettingsError
        Naming every parameter that is unknown or out of bounds.
    """
    kind: type[Strategy] = find_strategy(ref)
    given = dict(params or {})
    try:
        return parse(kind, given, f"strategy {ref}")
    except SettingsError as error:
        strange = [name for name in given if name not in kind.model_fields]
        meant = [f"market.{name}" for name in strange if name in MarketSettings.model_fields]
        meant += [f"account.{name}" for name in strange if name in AccountSettings.model_fields]
        raise SettingsError(f"{error}" + (f". Set {' or '.join(meant)}" if meant else "")) from None


def strategy_names() -> list[str]:
    """Return the names of the strategies in the current folder's ``strategies`` and of the shipped ones."""
    files = (path for folder in _folders() for path in folder.glob("*.py"))
    return sorted({path.stem for path in files if not path.stem.startswith("_")})


def write_template(name: str, form: str, folder: Path) -> Path:
    """Write a new strategy that runs as it is, and return its path.

    Parameters
    ----------
    name
        Of the file; its class gets the same name in capitals.
    form
        ``plan`` or ``handlers``.
    folder
        Made where it is missing.

    Raises
    ------
    StrategyError
        For a name that is no module's or a shipped strategy's; where the file exists.
    """
    forms = sorted(path.stem for path in (shipped_folder("strategies") / "templates").glob("*.py"))
    if form not in forms:
        raise StrategyError(f"no form {form!r}{did_you_mean(form, forms)}; a strategy has {' or '.join(forms)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or iskeyword(name):
        raise StrategyError(
            f"a strategy's name is small letters, digits and single underscores, such as fade_flow: {name!r}"
        )
    if (shipped_folder("strategies") / f"{name}.py").is_file():
        raise StrategyError(f"{name!r} ships with the package, and yours would hide it; take another name")
    source = (shipped_folder("strategies") / "templates" / f"{form}.py").read_text(encoding="utf-8")
    title = "".join(word.capitalize() for word in name.split("_"))
    path = folder / f"{name}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(source.replace("class Template(", f"class {title}("))
    except FileExistsError:
        raise StrategyError(f"{path} exists and is never overwritten; take another name or --dir") from None
    return path


def source_hash(strategy: type[Strategy]) -> str:
    """Return the SHA-256 of the file that a strategy was loaded from, as it was then.

    Of a class that was imported or written in a notebook, it is that of the class's text.

    Raises
    ------
    StrategyError
        For a class whose text is nowhere, such as one typed into an interpreter.
    """
    try:
        text = strategy.source or inspect.getsource(strategy)
    except (OSError, TypeError) as error:
        raise StrategyError(f"strategy {strategy.__name__} has no source text; put it into a file") from error
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def handlers(cls: type[Strategy]) -> Handlers:
    """Return the handler of each kind of event, none for the plan form; refuse a class without exactly one form."""
    known = {f"on_{kind.name.lower()}": kind for kind in EventKind}
    named = [name for name in dir(cls) if name.startswith("on_") and callable(getattr(cls, name))]
    unknown = [name for name in named if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise StrategyError(
            f"strategy {cls.__name__}: no event calls {unknown[0]}{hint}; handlers are {', '.join(known)}"
        )
    plans = cls.is_plan()
    if plans == bool(named):
        which = "both plan and handlers" if plans else "neither plan nor a handler"
        raise StrategyError(f"strategy {cls.__name__} has {which}; write plan(), or any of {', '.join(known)}")
    if plans and not cls.listens:
        raise StrategyError(f"strategy {cls.__name__} listens to no event; set listens = (EventKind.ZONE_NEAR,)")
    try:
        for kind in cls.listens:
            EventKind.of(kind)
    except SettingsError as error:
        raise StrategyError(f"strategy {cls.__name__} listens to {error}") from None
    return {known[name]: getattr(cls, name) for name in named}


def _remembered(name: str, strategy: Strategy) -> Any:
    try:
        return (strategy.__pydantic_private__ or {})[name]
    except KeyError:
        raise AttributeError(name) from None  # pydantic then says it in its own words


def _folders() -> list[Path]:
    return [Path("strategies"), shipped_folder("strategies")]


def _load(path: Path) -> type[Strategy]:
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    sys.modules[_MODULE] = module  # pydantic reads annotations through it
    try:
        source = path.read_text(encoding="utf-8")
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise StrategyError(f"cannot load {path}: {type(error).__name__}: {error}") from error
    found = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy)
        if value.__module__ == _MODULE and not name.startswith("_")
    ]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise StrategyError(f"{path} must define exactly one Strategy, defines {names}")
    found[0].source = source
    handlers(found[0])
    return found[0]


def _blamed(strategy: Strategy, events: Events) -> str:
    """Name the first event that the strategy cannot be asked about alone, else all it was asked about."""
    for row in range(len(events)):
        try:
            strategy.plan(events[row : row + 1])
        except (Exception, SystemExit):  # whatever a user's code raises: it is told by the caller
            return at_event(events, row)
    return f"asked about {len(events)} events at once"


def _raised(name: str, where: str, error: BaseException) -> StrategyError:
    return StrategyError(f"strategy {name}, {where}: {type(error).__name__}: {error}")
